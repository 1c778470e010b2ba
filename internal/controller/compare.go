package controller

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
)

// Compare says what the judges of every service say by now, and what placebo trials came to.
func (c *Controller) Compare(ctx context.Context) ([]operator.Comparison, error) {
	var all []operator.Comparison
	open := map[segue.ServiceName]*monitor{}
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for name, known := range ledger.Services {
			one := operator.Comparison{Service: name, Stable: known.Stable.Name, Budget: known.Settings.Judging.Budget}
			if state := known.Open; state != nil {
				one.Rollout, one.Stable, one.Candidate, one.Since = state.ID, state.Stable.Name, state.Candidate.Name, state.OpenedAt
				one.Budget = state.Settings.Judging.Budget
				open[name] = c.monitors[state.ID]
			}
			all = append(all, one)
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		one := &all[i]
		if w := c.lookouts.get(one.Service); w != nil {
			one.Placebo = w.placebo.told()
		}
		if m := open[one.Service]; m != nil {
			one.Verdict, one.Windows = m.present(), m.looks()
		}
		switch {
		case one.Rollout == 0:
			one.Note = "nothing is rolled out: there is nothing to compare"
		case one.Verdict == nil:
			one.Note = "the judges were not asked yet: no candidate has traffic"
		}
	}
	slices.SortFunc(all, func(a, b operator.Comparison) int { return cmp.Compare(a.Service, b.Service) })
	return all, nil
}

// looks is how many windows the judges were fed.
func (m *monitor) looks() int {
	m.marks.Lock()
	defer m.marks.Unlock()
	return m.windows
}

// judgedRollout is what the journal says of how a rollout was judged.
type judgedRollout struct {
	settings  segue.Service
	stable    segue.ReleaseName
	candidate segue.ReleaseName
	verdict   *segue.Verdict
}

func (c *Controller) judgedRollout(ctx context.Context, id segue.RolloutID) (segue.RolloutID, judgedRollout, error) {
	var found judgedRollout
	if id == 0 {
		err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) { id = ledger.Next() - 1 })
		if err != nil {
			return id, found, err
		}
	}
	entries, err := c.entriesOf(ctx, id)
	if err != nil {
		return id, found, err
	}
	for _, entry := range entries {
		switch event := entry.Event; event.Kind {
		case segue.EventOpened:
			if opening := event.Opening; opening != nil {
				found.settings, found.stable, found.candidate = opening.Settings, opening.Stable.Name, opening.Candidate.Name
			}
		case segue.EventVerdict:
			if event.Verdict != nil && (event.Verdict.Final || found.verdict == nil || !found.verdict.Final) {
				found.verdict = event.Verdict
			}
		default:
		}
	}
	if found.candidate == "" {
		return id, found, segue.Errorf(segue.KindNotFound, "no rollout %s", id).WithHint("`segue history` lists them")
	}
	return id, found, nil
}

// Replay judges a rollout again from what was stored of it, and says whether the verdict is the one that the journal has.
func (c *Controller) Replay(ctx context.Context, id segue.RolloutID) (operator.Replay, error) {
	if c.options.Evidence == nil {
		return operator.Replay{}, segue.Errorf(segue.KindUnsupported, "no evidence is kept here")
	}
	id, was, err := c.judgedRollout(ctx, id)
	if err != nil {
		return operator.Replay{}, err
	}
	replay := operator.Replay{Rollout: id, Stored: was.verdict}
	judges := c.options.Judges(was.settings, was.candidate)
	for window, err := range c.options.Evidence.Windows(id) {
		if err != nil {
			return replay, err
		}
		if replay.Windows == 0 {
			replay.Since = window.Since
		}
		replay.Windows++
		replay.Until = window.Until
		verdict := weighAll(judges, window)
		replay.Verdict = &verdict
		if was.verdict != nil && verdict.At.Equal(was.verdict.At) {
			replay.Same = sameVerdict(verdict, *was.verdict)
			break
		}
	}
	return replay, nil
}

// weighAll lets judges say what they think once they have seen a window.
func weighAll(judges []judge.Judge, window judge.Evidence) segue.Verdict {
	findings := make([]segue.Finding, 0, len(judges))
	for _, j := range judges {
		findings = append(findings, j.Weigh(window)...)
	}
	return segue.Combine(window.Until, findings)
}

// sameVerdict compares all figures. A verdict at the end of an observation was settled.
func sameVerdict(now, stored segue.Verdict) bool {
	text := func(v segue.Verdict) []byte {
		v.Final = false
		all, err := json.Marshal(v)
		if err != nil {
			return nil
		}
		return all
	}
	want := text(stored)
	return want != nil && (bytes.Equal(text(now), want) || bytes.Equal(text(settle(now)), want))
}

// LogDiff says which kinds of log lines the releases of a rollout wrote, and how often, from what was stored of it.
func (c *Controller) LogDiff(ctx context.Context, id segue.RolloutID) ([]operator.LogDifference, error) {
	if c.options.Evidence == nil {
		return nil, segue.Errorf(segue.KindUnsupported, "no evidence is kept here")
	}
	id, was, err := c.judgedRollout(ctx, id)
	if err != nil {
		return nil, err
	}
	diff := newLogDiff(was.candidate)
	for window, err := range c.options.Evidence.Windows(id) {
		if err != nil {
			return nil, err
		}
		diff.add(window)
	}
	return diff.rows(), nil
}

// logDiff counts templates per release.
type logDiff struct {
	candidate segue.ReleaseName
	templates map[string]*operator.LogDifference
	into      map[string]string
	// minutes of servers that were read.
	candidateMinutes, stableMinutes float64
}

func newLogDiff(candidate segue.ReleaseName) *logDiff {
	return &logDiff{candidate: candidate, templates: map[string]*operator.LogDifference{}, into: map[string]string{}}
}

func (d *logDiff) add(window judge.Evidence) {
	for _, past := range window.Before {
		d.name(past)
	}
	d.name(window)
	for _, server := range window.Servers {
		if server.LogsRead {
			if server.Release == d.candidate {
				d.candidateMinutes += window.Length().Minutes()
			} else {
				d.stableMinutes += window.Length().Minutes()
			}
		}
		for _, n := range server.Logs {
			t := d.template(n.Template)
			if server.Release == d.candidate {
				t.Candidate += n.Units
			} else {
				t.Stable += n.Units
			}
		}
	}
}

func (d *logDiff) name(window judge.Evidence) {
	for _, t := range window.Templates {
		row := d.template(t.ID)
		row.Severity, row.Text, row.Sample = t.Severity, t.Text, t.Sample
	}
	for _, merge := range window.Merged {
		from := d.template(merge.From)
		delete(d.templates, merge.From)
		d.into[merge.From] = merge.Into
		to := d.template(merge.Into)
		to.Candidate, to.Stable = to.Candidate+from.Candidate, to.Stable+from.Stable
	}
}

func (d *logDiff) template(id string) *operator.LogDifference {
	for hops := 0; d.into[id] != "" && hops < 100; hops++ {
		id = d.into[id]
	}
	t := d.templates[id]
	if t == nil {
		t = &operator.LogDifference{Template: id}
		d.templates[id] = t
	}
	return t
}

// much is how many times as often is worth being shown as a difference.
const much = 2

// rows gives what differs most first.
func (d *logDiff) rows() []operator.LogDifference {
	rows := make([]operator.LogDifference, 0, len(d.templates))
	for _, t := range d.templates {
		if t.Candidate+t.Stable == 0 {
			continue
		}
		if d.candidateMinutes > 0 {
			t.CandidateRate = float64(t.Candidate) / d.candidateMinutes
		}
		if d.stableMinutes > 0 {
			t.StableRate = float64(t.Stable) / d.stableMinutes
		}
		switch {
		case t.Stable == 0:
			t.Kind = "new"
		case t.Candidate == 0:
			t.Kind = "gone"
		case t.CandidateRate > much*t.StableRate:
			t.Kind = "more"
		case much*t.CandidateRate < t.StableRate:
			t.Kind = "less"
		default:
			t.Kind = "same"
		}
		rows = append(rows, *t)
	}
	rank := map[string]int{"new": 0, "more": 1, "gone": 2, "less": 3, "same": 4}
	slices.SortFunc(rows, func(a, b operator.LogDifference) int {
		return cmp.Or(cmp.Compare(rank[a.Kind], rank[b.Kind]), cmp.Compare(b.Candidate+b.Stable, a.Candidate+a.Stable), cmp.Compare(a.Template, b.Template))
	})
	return rows
}
