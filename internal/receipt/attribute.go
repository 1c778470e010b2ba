package receipt

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// listed gathers the single failed requests of all samples, each once. Snapshots overlap: the same request is in several. Two that are alike in
// everything are two if one snapshot has both. Those that the first snapshot has already came before.
func listed(list []moment) []telemetry.FailedRequest {
	most := map[telemetry.FailedRequest]int{}
	var order []telemetry.FailedRequest
	for i, m := range list {
		here := map[telemetry.FailedRequest]int{}
		for _, f := range m.Balancer.Failures {
			// Times compare by their value, whatever zone and clock reading they carry.
			f.At = f.At.UTC().Round(0)
			here[f]++
		}
		for f, n := range here {
			had := most[f]
			if n <= had {
				continue
			}
			most[f] = n
			for range n - had {
				if i > 0 {
					order = append(order, f)
				}
			}
		}
	}
	slices.SortStableFunc(order, func(a, b telemetry.FailedRequest) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Path, b.Path))
	})
	return order
}

// place is a step of a plan, or none.
type place struct {
	plan int
	step segue.StepID
}

type groupKey struct {
	cause  string
	place  place
	server segue.ServerName
}

// attribution matches counted failures with listed ones.
type attribution struct {
	b      *builder
	failed []telemetry.FailedRequest
	// used marks listed failures that were matched.
	used           []bool
	exact, guessed map[groupKey]int64
}

// give places n failures of one cause and server that were counted in a stretch.
func (a *attribution) give(s stretch, server segue.ServerName, cause string, n int64) {
	for i, f := range a.failed {
		if n == 0 || f.At.After(s.to) {
			break
		}
		if a.used[i] || f.Server != server || causeOf(f) != cause || f.At.Before(s.from) {
			continue
		}
		a.used[i] = true
		a.exact[groupKey{cause, a.b.stepAt(interval{f.At, f.At.Add(1)}, server), server}]++
		n--
	}
	if n > 0 {
		a.guessed[groupKey{cause, a.b.stepAt(s.interval, server), server}] += n
	}
}

// attribute gives every failure that was counted to a cause, a step and a server. A failed request that the balancer lists goes to the step that ran at
// its time; of others only the time between two samples is known. The counters decide how many there are.
func (b *builder) attribute(t *Traffic, stretches []stretch, failed []telemetry.FailedRequest) {
	ledger := &attribution{b: b, failed: failed, used: make([]bool, len(failed)), exact: map[groupKey]int64{}, guessed: map[groupKey]int64{}}
	for _, s := range stretches {
		for _, d := range s.backends {
			for cause, n := range d.failures() {
				ledger.give(s, d.server, cause, n)
			}
		}
		for cause, n := range s.unrouted {
			ledger.give(s, "", cause, n)
		}
	}
	t.FailuresByCause = map[string]int64{}
	for estimated, counts := range map[bool]map[groupKey]int64{false: ledger.exact, true: ledger.guessed} {
		for key, n := range counts {
			t.Failures = append(t.Failures, FailureGroup{
				Cause: key.cause, Plan: key.place.plan, Step: key.place.step, Server: key.server, Count: n, Estimated: estimated,
			})
			t.FailuresByCause[key.cause] += n
			t.Failed += n
		}
	}
	slices.SortFunc(t.Failures, func(a, c FailureGroup) int {
		return cmp.Or(cmp.Compare(a.Plan, c.Plan), cmp.Compare(a.Step, c.Step), cmp.Compare(a.Server, c.Server), strings.Compare(a.Cause, c.Cause),
			cmp.Compare(boolInt(a.Estimated), boolInt(c.Estimated)))
	})
	b.list(t, failed)
}

func (b *builder) list(t *Traffic, failed []telemetry.FailedRequest) {
	if more := len(failed) - listLimit; more > 0 {
		failed = failed[:listLimit]
		b.note("%d failed requests more than are listed one by one", more)
	}
	for _, f := range failed {
		t.Listed = append(t.Listed, Failed{
			At: f.At, Server: f.Server, Release: f.Release, Cause: causeOf(f), Status: max(0, f.Status), Method: f.Method, Path: f.Path,
		})
	}
}

// causeOf gives a listed failure's cause in the words of the counters.
func causeOf(f telemetry.FailedRequest) string {
	switch f.Cause {
	case "", "status", "5xx", Cause5xx:
		return Cause5xx
	}
	return f.Cause
}

// stepAt finds the step that a time on a server belongs to: of those that ran then the one with the longest common time, those of that very server first;
// of equals the one begun last.
func (b *builder) stepAt(when interval, server segue.ServerName) place {
	var best Step
	var bestTime time.Duration
	bestMine := false
	for _, s := range b.r.Steps {
		common := when.overlap(interval{s.Started, s.Ended})
		mine := server != "" && s.Server == server
		if common <= 0 || bestMine && !mine {
			continue
		}
		if mine && !bestMine || common >= bestTime {
			best, bestTime, bestMine = s, common, mine
		}
	}
	return place{best.Plan, best.ID}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
