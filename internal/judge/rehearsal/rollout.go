package rehearsal

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
)

// rollout is a World under way.
type rollout struct {
	World
	words    *vocabulary
	speakers []*speaker
	traffic  []*traffic
	gauges   []*gauges
	answers  *answers
	now      time.Time
	told     map[int]bool
	born     int64
	merged   bool
}

func newRollout(w World) *rollout {
	r := &rollout{World: w, words: newVocabulary(w), now: w.Start.Add(-w.History), told: map[int]bool{}, answers: newAnswers(w)}
	l := newLadder()
	for i := range w.Servers {
		p := newProcess(w, i)
		r.speakers = append(r.speakers, newSpeaker(w, r.words, p))
		r.traffic = append(r.traffic, newTraffic(w, p, l))
		r.gauges = append(r.gauges, newGauges(w, p))
	}
	return r
}

// Windows gives the evidence of the rollout, look by look; the first has the history.
func (w World) Windows() iter.Seq[judge.Evidence] {
	return func(yield func(judge.Evidence) bool) {
		var before []judge.Evidence
		start := w.defaults().Start
		for part := range w.parts() {
			if part.Since.Before(start) {
				before = append(before, part)
				continue
			}
			part.Before, before = before, nil
			if !yield(part) {
				return
			}
		}
	}
}

// parts gives it in the order of time: minute by minute in the history, look by look after.
func (w World) parts() iter.Seq[judge.Evidence] {
	w = w.defaults()
	return func(yield func(judge.Evidence) bool) {
		for r := newRollout(w); r.now.Before(w.Start.Add(w.Length)); {
			length := w.Look
			if r.now.Before(w.Start) {
				length = time.Minute
			}
			if !yield(r.window(length)) {
				return
			}
		}
	}
}

// window lets time pass and gives what was seen.
func (r *rollout) window(length time.Duration) judge.Evidence {
	e := judge.Evidence{Service: Service, Stable: Stable, Candidate: Candidate, Since: r.now, Until: r.now.Add(length)}
	r.merge(&e)
	heard := map[int]bool{}
	for i := range r.speakers {
		if row, whole := r.row(i, e.Since, e.Until, heard); whole {
			e.Servers = append(e.Servers, row)
		}
	}
	e.Templates = r.tell(heard, e.Until)
	if !e.Since.Before(r.Start) {
		e.Answers = r.answers.window(e)
	}
	r.now = e.Until
	return e
}

// row gives what was seen of a server; false when it did not run all the time for other reasons than a crash.
func (r *rollout) row(i int, since, until time.Time, heard map[int]bool) (judge.ServerEvidence, bool) {
	p := r.speakers[i].process
	row := judge.ServerEvidence{Server: serverName(i), Release: p.release(since), Started: p.started(since), Ready: true, LogsRead: true}
	logs, sum, whole := map[int]judge.LogCount{}, answered{}, true
	for at := since; at.Before(until); at = at.Add(step) {
		for _, s := range r.united(r.speakers[i].step(at)) {
			n := logs[s.kind]
			logs[s.kind] = judge.LogCount{Units: n.Units + 1, Events: n.Events + int64(s.lines)}
		}
		r.traffic[i].step(at, &sum)
		if crashes := p.crashes(at); crashes > 0 {
			row.Crashes += crashes
			row.Restarts += crashes
			row.Ready = false
		} else if p.down(at) {
			whole = false
		}
		row.LogsLost += r.lost(p, at)
	}
	r.traffic[i].end(&sum)
	row.Requests, row.Errors, row.Latency = sum.requests, sum.errors, sum.latency
	row.Routes, row.RouteErrors = r.traffic[i].byRoute(sum.routes), r.traffic[i].byRoute(sum.failed)
	row.Gauges = r.gauges[i].at(since)
	row.Logs = make([]judge.LogCount, 0, len(logs))
	for k, n := range logs {
		n.Template = r.words.kinds[k].id
		row.Logs = append(row.Logs, n)
		if whole {
			heard[k] = true
		}
	}
	slices.SortFunc(row.Logs, func(a, b judge.LogCount) int { return cmp.Compare(a.Template, b.Template) })
	return row, whole
}

func (r *rollout) lost(p *process, at time.Time) (lines int64) {
	for _, c := range r.Changes {
		if c.Kind == Lossy && p.active(c, at) {
			lines += int64(r.speakers[p.server].changed.poisson(c.Size * step.Minutes()))
		}
	}
	return lines
}

// tell gives the templates that no window told of before, by an order that does not depend on who said them.
func (r *rollout) tell(heard map[int]bool, at time.Time) []judge.LogTemplate {
	var fresh []int
	for k := range heard {
		if !r.told[k] {
			r.told[k] = true
			fresh = append(fresh, k)
		}
	}
	slices.SortFunc(fresh, func(a, b int) int { return cmp.Compare(r.words.kinds[a].id, r.words.kinds[b].id) })
	all := make([]judge.LogTemplate, 0, len(fresh))
	for _, n := range fresh {
		k := r.words.kinds[n]
		r.born++
		all = append(all, judge.LogTemplate{ID: k.id, Severity: k.severity, Trace: k.trace, Text: k.text(), Sample: k.text(), Born: r.born, First: at})
	}
	return all
}

// merge makes one template of the pair, in the window in which that is found out.
func (r *rollout) merge(e *judge.Evidence) {
	for _, c := range r.Changes {
		pair := r.words.pair
		if c.Kind == Merge && !r.merged && !e.Since.Before(r.Start.Add(c.After)) && r.told[pair[0]] && r.told[pair[1]] {
			r.merged = true
			e.Merged = append(e.Merged, judge.LogMerge{From: r.words.kinds[pair[1]].id, Into: r.words.kinds[pair[0]].id})
		}
	}
}

// united gives what was said in a step, as it is counted after the merge.
func (r *rollout) united(all []said) []said {
	into, from := r.words.pair[0], r.words.pair[1]
	i := slices.IndexFunc(all, func(s said) bool { return s.kind == from })
	if !r.merged || i < 0 {
		return all
	}
	if j := slices.IndexFunc(all, func(s said) bool { return s.kind == into }); j >= 0 {
		all[j].lines += all[i].lines
		return slices.Delete(all, i, i+1)
	}
	all[i].kind = into
	return all
}
