package rehearsal

import (
	"iter"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// Line is a line that a server wrote.
type Line struct {
	At   time.Time
	Text string
}

// Names gives the servers' names; the candidate's come first.
func (w World) Names() []segue.ServerName {
	w = w.defaults()
	names := make([]segue.ServerName, 0, w.Servers)
	for i := range w.Servers {
		names = append(names, serverName(i))
	}
	return names
}

// Lines gives the raw log of a server from the beginning of the history to the end, in order. It says what the server's Logs in Windows count. Of
// an event with several lines, each is a Line.
func (w World) Lines(server segue.ServerName) iter.Seq[Line] {
	w = w.defaults()
	return func(yield func(Line) bool) {
		i := slices.Index(w.Names(), server)
		if i < 0 {
			return
		}
		words := newVocabulary(w)
		speaker := newSpeaker(w, words, newProcess(w, i))
		writer := newWriter(w, speaker)
		for at := w.Start.Add(-w.History); at.Before(w.Start.Add(w.Length)); at = at.Add(step) {
			for _, line := range writer.write(at, speaker.step(at)) {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// writer puts in words what a speaker says.
type writer struct {
	*speaker
	values
	style Style
}

func newWriter(w World, s *speaker) *writer {
	return &writer{speaker: s, values: values{Rand: w.random("text", s.server), process: 1000 + s.server}, style: styleNamed(w.Style)}
}

// write gives the lines of a step.
func (w *writer) write(at time.Time, all []said) []Line {
	w.values.process = 1000 + int(w.started(at).Unix()/10)%30000
	w.version = "1.4.2"
	swapped := false
	for _, c := range w.Changes {
		if w.active(c, at) {
			swapped = swapped || c.Kind == Keys
			if c.Kind == Version {
				w.version = "1.5.0-rc.1"
			}
		}
	}
	var events [][]Line
	for _, s := range all {
		k := w.words.kinds[s.kind]
		burst := time.Duration(w.values.Int64N(int64(step - 2*time.Second)))
		for n := range s.lines {
			if n > 0 && n%max(1, k.lines) == 0 {
				burst = time.Duration(w.values.Int64N(int64(step - 2*time.Second)))
			}
			e := entry{at: at.Add(burst + time.Duration(w.values.Int64N(int64(2*time.Second)))), server: string(serverName(w.server)), severity: k.severity, logger: k.logger, swapped: swapped}
			e.message = w.fill(k.format)
			if k.trace {
				e.trace = w.trace(w.style.language, k.logger)
			}
			events = append(events, split(e.at, w.style.write(&w.values, e)))
		}
	}
	slices.SortStableFunc(events, func(a, b []Line) int { return a[0].At.Compare(b[0].At) })
	return slices.Concat(events...)
}

func split(at time.Time, text string) []Line {
	var lines []Line
	for len(text) > 0 {
		end := 0
		for end < len(text) && text[end] != '\n' {
			end++
		}
		lines = append(lines, Line{at, text[:end]})
		text = text[min(end+1, len(text)):]
	}
	return lines
}
