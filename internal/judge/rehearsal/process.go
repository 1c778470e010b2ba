package rehearsal

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// process is when a server's processes started and what they run.
type process struct {
	World
	server    int
	candidate bool
	// starts are in order; before each the server is down for a step. crashed are those of them that followed a crash.
	starts  []time.Time
	crashed map[time.Time]bool
}

func newProcess(w World, server int) *process {
	p := &process{World: w, server: server, candidate: server < w.Candidates, crashed: map[time.Time]bool{}}
	r := lots{w.random("process", server)}
	from, until := w.Start.Add(-w.History), w.Start.Add(w.Length)
	p.starts = []time.Time{from.Add(-24 * time.Hour).Add(-time.Duration(r.IntN(24)) * time.Hour)}
	// The last server restarts in the history, so that starts are known.
	if rehearsed := time.Duration(5+r.IntN(20)) * time.Minute; w.Restarts > 0 && server == w.Servers-1 && w.History > 2*rehearsed {
		p.starts = append(p.starts, w.Start.Add(-rehearsed))
	}
	if p.candidate {
		p.starts = append(p.starts, w.Start)
		p.crashLoops(until)
	} else if w.Restarts > 0 {
		for at := from; ; {
			at = at.Add(time.Duration(r.ExpFloat64() / w.Restarts * float64(24*time.Hour))).Truncate(step)
			if !at.Before(until) {
				break
			}
			p.starts = append(p.starts, at)
		}
	}
	slices.SortFunc(p.starts, time.Time.Compare)
	return p
}

func (p *process) crashLoops(until time.Time) {
	for _, c := range p.Changes {
		if c.Kind != CrashLoop {
			continue
		}
		every := max(time.Duration(c.Size*float64(time.Minute)).Truncate(step), 3*step)
		for at := p.Start.Add(c.After).Truncate(step).Add(every); at.Before(until); at = at.Add(every) {
			p.starts = append(p.starts, at)
			p.crashed[at] = true
		}
	}
}

// release is what the server runs.
func (p *process) release(at time.Time) segue.ReleaseName {
	if p.candidate && !at.Before(p.Start) {
		return Candidate
	}
	return Stable
}

// started gives the start of the process that runs at a time.
func (p *process) started(at time.Time) time.Time {
	last := p.starts[0]
	for _, t := range p.starts {
		if !t.After(at) {
			last = t
		}
	}
	return last
}

// down tells whether the server is, in the step that begins at a time: the one before a start.
func (p *process) down(at time.Time) bool {
	return slices.ContainsFunc(p.starts, func(t time.Time) bool { return t.After(at) && !t.After(at.Add(step)) })
}

// crashes counts the crashes whose restart comes in the step that begins at a time.
func (p *process) crashes(at time.Time) int {
	n := 0
	for t := range p.crashed {
		if t.After(at) && !t.After(at.Add(step)) {
			n++
		}
	}
	return n
}

// active tells whether a change is in effect on the server in the step that begins at a time.
func (p *process) active(c Change, at time.Time) bool {
	begin := p.Start.Add(c.After)
	if at.Before(begin) {
		return false
	}
	switch c.Kind {
	case Incident:
		return at.Before(begin.Add(time.Duration(c.Size * float64(time.Minute))))
	case StrayClient:
		return p.server == 0 && at.Before(begin.Add(time.Minute))
	default:
		return p.candidate
	}
}
