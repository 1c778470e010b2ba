package receipt

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// frame sets when the rollout began and ended.
func (b *builder) frame() {
	b.r.Partial = !b.r.Outcome.Over()
	if b.opening == nil {
		b.r.Partial = true
		b.note("the entry that opened the rollout is missing: times and plans are not known")
	}
	b.r.Started = cmp.Or(b.opened, b.first, b.in.Now)
	if b.opening != nil && b.opening.Queued {
		begun := b.r.Ended
		if len(b.plans) > 0 {
			begun = b.plans[0].at
		}
		b.r.Started = latest(b.opened, begun)
		if waited := b.r.Started.Sub(b.opened); waited > 0 {
			b.note("it waited %s in the queue before", Seconds(waited))
		}
	}
	switch {
	case !b.in.Ended.IsZero() && !b.r.Partial:
		b.r.Ended = b.in.Ended
	case !b.in.Now.IsZero() && b.r.Partial:
		b.r.Ended = latest(b.r.Ended, b.in.Now)
	}
	if b.r.Ended.Before(b.r.Started) {
		b.r.Ended = b.r.Started
	}
	b.r.Duration = Seconds(b.r.Ended.Sub(b.r.Started))
	if b.paused || b.r.Outcome == segue.PhaseHeld {
		b.endWait(b.r.Ended)
	}
	if b.r.Outcome == "" {
		b.r.Outcome = segue.PhaseProgressing
	}
	// Samples are in the journal's order; those after a clock that was set back would run backwards.
	for i := 1; i < len(b.samples); i++ {
		if b.samples[i].at.Before(b.samples[i-1].at) {
			b.samples[i].at = b.samples[i-1].at
		}
	}
}

// findTime says where the time went. The three parts add up to the whole by construction.
func (b *builder) findTime() {
	window := interval{b.r.Started, b.r.Ended}
	var unavoidable time.Duration
	lead := interval{b.r.Started, b.begun()}
	unavoidable += lead.length()
	waits := slices.Clone(b.waits)
	var working []interval
	for _, p := range b.plans {
		var chain time.Duration
		for _, s := range p.steps {
			chain = max(chain, p.longest(s))
			switch {
			case s.status == "":
			case s.Kind == segue.StepApprove:
				waits = append(waits, interval{s.started, s.ended})
			default:
				working = append(working, interval{s.started, s.ended})
			}
		}
		unavoidable += chain
	}
	t := &b.r.Time
	t.Person = Seconds(min(covered(window, waits, working), window.length()))
	t.Unavoidable = Seconds(min(unavoidable, window.length()-t.Person.Duration()))
	t.Overhead = b.r.Duration - t.Person - t.Unavoidable
	if t.Unavoidable > 0 {
		ratio := float64(b.r.Duration-t.Person) / float64(t.Unavoidable)
		t.Ratio = &ratio
	}
}

// finish puts in what needs everything else.
func (b *builder) finish() {
	for i := range b.r.Verdicts {
		findings := slices.Clone(b.r.Verdicts[i].Findings)
		b.r.Verdicts[i].Findings = findings
		slices.SortStableFunc(findings, func(a, c segue.Finding) int { return rank(a.Ruling) - rank(c.Ruling) })
	}
	for i, v := range b.r.Verdicts {
		if v.Step == 0 {
			b.r.Verdicts[i].Step = b.observing(v)
		}
	}
	if b.r.Traffic != nil {
		b.countByStep()
	}
	for _, p := range b.plans {
		for _, text := range p.plan.Notes {
			b.note("%s", text)
		}
	}
	if b.r.Sentence == "" {
		b.r.Sentence = fmt.Sprintf("%s is %s", cmp.Or(string(b.r.Service), "the rollout"), b.r.Outcome)
	}
}

// observing finds the observation that a verdict without a step fell into.
func (b *builder) observing(v Verdict) segue.StepID {
	for _, s := range b.r.Steps {
		if s.Plan == v.Plan && s.Kind == segue.StepObserve && !v.At.Before(s.Started) && !v.At.After(s.Ended) {
			return s.ID
		}
	}
	return 0
}

func (b *builder) countByStep() {
	type key struct {
		plan int
		step segue.StepID
	}
	steps := map[key]int64{}
	servers := map[segue.ServerName]int64{}
	for _, group := range b.r.Traffic.Failures {
		steps[key{group.Plan, group.Step}] += group.Count
		servers[group.Server] += group.Count
	}
	for i, s := range b.r.Steps {
		b.r.Steps[i].Failures = steps[key{s.Plan, s.ID}]
	}
	for i, s := range b.r.Servers {
		b.r.Servers[i].Failures = servers[s.Name]
	}
}

func rank(ruling segue.Ruling) int {
	switch ruling {
	case segue.RulingFail:
		return 0
	case segue.RulingHold:
		return 1
	case segue.RulingReport:
		return 3
	case segue.RulingPass:
		return 4
	default:
		return 2
	}
}
