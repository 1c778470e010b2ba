package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/judge/template"
)

const (
	// mostRecalled bounds the text that is read back of one output: the latest of it.
	mostRecalled = 16 << 20
	// mostUndated is the share of events whose time may be unknown for the rest to be believed.
	mostUndated = 0.05
	// ahead is how far a line's time may be in the future, recently how long ago at most the last line was written, so that its clock is seen to be right:
	// those of other zones are off by a quarter of an hour at least.
	ahead, recently = 2 * time.Second, 5 * time.Minute
	// droppedNote begins a line that stands for output that is missing.
	droppedNote = "[segue: "
)

// Recall takes in what an output had until opened, before Follow reads what comes from then on: call it between opening the output and Follow. What
// counts is when the lines themselves say that they were written, so an output whose lines do not say it is left alone; the time from the first line
// that was read counts as read. It gives since when that is, and the zero time where nothing could be recalled.
func (g *Gatherer) Recall(output Output, past io.Reader, opened time.Time) (time.Time, error) {
	r := recalled{opened: opened, wall: time.FixedZone("not known", 0)}
	if err := r.read(past); err != nil {
		return time.Time{}, fmt.Errorf("read back %s of %s: %w", output.Name, output.Server, err)
	}
	if !r.date(time.Local) && !r.date(time.UTC) {
		return time.Time{}, nil
	}
	since := g.recallable(output, opened)
	if first := r.events[0].at; first.After(since) {
		since = first
	}
	for _, e := range r.events {
		if !e.at.Before(since) && e.at.Before(opened) {
			g.miner.Add(e.text, output.Server, time.Time{}, e.at)
		}
	}
	return g.reading(output, since, opened), nil
}

// recallable gives from when on an output's past is not known yet.
func (g *Gatherer) recallable(output Output, opened time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	since := opened.Add(-history)
	if s := g.servers[output.Server]; s != nil && len(s.read) > 0 {
		last := s.read[len(s.read)-1]
		if last.until.IsZero() {
			return opened
		}
		if last.until.After(since) {
			since = last.until
		}
	}
	return since
}

// reading notes that an output was read from since on, and goes on to be.
func (g *Gatherer) reading(output Output, since, opened time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.source(output, opened)
	if s.reading() || !since.Before(opened) {
		return time.Time{}
	}
	if last := len(s.read) - 1; last >= 0 && s.read[last].until.Equal(since) {
		s.read[last].until = time.Time{} // nothing lies between
		return since
	}
	s.read = append(s.read, span{from: since})
	return since
}

// recalled is what is read back of an output.
type recalled struct {
	opened time.Time
	events []recalledEvent
	bytes  int
	// wall stands for the zone of clocks that do not say theirs.
	wall *time.Location
}

// recalledEvent is an event, with the time that its first line says, or the zero time.
type recalledEvent struct {
	text []byte
	at   time.Time
}

// read joins lines to events as they were while they came: who is silent for a second has said what belongs together.
func (r *recalled) read(past io.Reader) error {
	var lines template.Assembler
	var last time.Time
	skip, reader := false, bufio.NewReaderSize(past, chunkSize)
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			// What has no end yet is still being written.
			lines.Flush(r.keep)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		beginning := !skip
		skip = err != nil
		switch {
		case !beginning: // of a line that is longer than what a template looks at
		case bytes.HasPrefix(line, []byte(droppedNote)):
			lines.Flush(r.keep)
			r.drop(len(r.events))
		default:
			at := r.at(line)
			if !at.IsZero() {
				if at.Sub(last) >= quiet {
					lines.Flush(r.keep)
				}
				last = at
			}
			lines.Feed(bytes.TrimSuffix(line, []byte{'\n'}), at, r.keep)
		}
	}
}

func (r *recalled) at(line []byte) time.Time {
	s := stampOf(line)
	if s.zoned || s.at.IsZero() {
		return s.at
	}
	return s.at.In(r.wall)
}

func (r *recalled) keep(e template.Event) {
	r.events = append(r.events, recalledEvent{bytes.Clone(e.Text), e.At})
	if r.bytes += len(e.Text); r.bytes > mostRecalled {
		r.drop(len(r.events) / 2)
	}
}

// drop forgets the first events.
func (r *recalled) drop(n int) {
	for _, e := range r.events[:n] {
		r.bytes -= len(e.text)
	}
	r.events = slices.Delete(r.events, 0, n)
}

// date gives every event its time, for clocks on the wall of a zone; false when times are not honestly known. Events that do not say theirs have that
// of the one before; it is known where the next one follows within a slot. So it is where lines of several threads are not quite in order.
func (r *recalled) date(zone *time.Location) bool {
	first := slices.IndexFunc(r.events, func(e recalledEvent) bool { return !e.at.IsZero() })
	if first < 0 {
		return false
	}
	var latest time.Time
	undated, waiting := 0, 0
	dated := slices.Clone(r.events[first:])
	for i := range dated {
		e := &dated[i]
		if e.at.IsZero() {
			e.at = latest
			waiting++
			continue
		}
		if e.at.Location() == r.wall {
			e.at = stamp{at: e.at}.in(zone)
		}
		if e.at.Sub(latest) > slot {
			undated += waiting
		}
		if waiting = 0; latest.Sub(e.at) > slot {
			undated++
		}
		latest = later(latest, e.at)
	}
	if r.opened.Sub(latest) > slot {
		undated += waiting
	}
	if float64(undated) > mostUndated*float64(len(dated)) || latest.Sub(r.opened) > ahead || r.opened.Sub(latest) > recently {
		return false
	}
	r.events = dated
	return true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
