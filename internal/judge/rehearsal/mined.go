package rehearsal

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/template"
)

// Mined is Windows with logs the long way: servers' lines as text, and templates as they are learnt from that. It shows what the style of a log,
// versions in lines or another order of keys do, and takes some twenty times as long.
func (w World) Mined() iter.Seq[judge.Evidence] {
	w = w.defaults()
	return func(yield func(judge.Evidence) bool) {
		m := newMined(w)
		for e := range w.Windows() {
			for i := range e.Before {
				m.fill(&e.Before[i])
			}
			m.fill(&e)
			if !yield(e) {
				return
			}
		}
	}
}

// mined learns templates from what servers write.
type mined struct {
	World
	miner   *template.Miner
	writers []*writer
	streams []*template.Stream
	told    map[template.ID]bool
}

func newMined(w World) *mined {
	slots := int((w.History + w.Length) / step)
	m := &mined{World: w, miner: template.NewMiner(template.Options{Slots: slots + 1}, nil), told: map[template.ID]bool{}}
	words := newVocabulary(w)
	for i, name := range w.Names() {
		m.writers = append(m.writers, newWriter(w, newSpeaker(w, words, newProcess(w, i))))
		m.streams = append(m.streams, m.miner.Stream(name))
	}
	return m
}

// fill puts the templates and counts of a window in the place of those that it has.
func (m *mined) fill(e *judge.Evidence) {
	for at := e.Since; at.Before(e.Until); at = at.Add(step) {
		m.read(at)
	}
	e.Templates, e.Merged = nil, nil
	m.miner.Look(func(tree *template.Tree, counts *template.Counter) {
		m.merged(tree, e)
		all := tree.Templates()
		for i := range e.Servers {
			row := &e.Servers[i]
			row.Logs = row.Logs[:0]
			for _, t := range all {
				units, events := counts.Between(t.ID, row.Server, e.Since, e.Until)
				if units == 0 {
					continue
				}
				row.Logs = append(row.Logs, judge.LogCount{Template: t.ID.String(), Units: units, Events: events})
				m.tell(t, e)
			}
		}
	})
	slices.SortFunc(e.Templates, func(a, b judge.LogTemplate) int { return cmp.Compare(a.Born, b.Born) })
}

// read takes the lines of a step, of all servers in the order of time.
func (m *mined) read(at time.Time) {
	type written struct {
		Line
		server int
	}
	var all []written
	for i, w := range m.writers {
		if w.down(at) {
			m.streams[i].Close(at)
			m.streams[i] = m.miner.Stream(serverName(i))
		}
		for _, line := range w.write(at, w.step(at)) {
			all = append(all, written{line, i})
		}
	}
	slices.SortStableFunc(all, func(a, b written) int { return a.At.Compare(b.At) })
	for _, line := range all {
		m.streams[line.server].Line([]byte(line.Text), line.At, line.At)
	}
	for _, s := range m.streams {
		s.Flush(at.Add(step))
	}
}

func (m *mined) tell(t template.Template, e *judge.Evidence) {
	if m.told[t.ID] {
		return
	}
	m.told[t.ID] = true
	e.Templates = append(e.Templates, judge.LogTemplate{
		ID: t.ID.String(), Severity: t.Severity.String(), Trace: t.Kind == template.Trace, Text: t.Text, Sample: t.Sample, Born: t.Born, First: t.First,
	})
}

// merged tells of the templates that became others.
func (m *mined) merged(tree *template.Tree, e *judge.Evidence) {
	for from := range m.told {
		into := tree.Resolve(from)
		t, ok := tree.Get(into)
		if into == from || !ok {
			continue
		}
		delete(m.told, from)
		m.tell(t, e)
		e.Merged = append(e.Merged, judge.LogMerge{From: from.String(), Into: into.String()})
	}
	slices.SortFunc(e.Merged, func(a, b judge.LogMerge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Into, b.Into)) })
}
