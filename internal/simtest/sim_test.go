package simtest_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/simtest"
)

var seed = flag.Uint64("seed", 0, "play the scenario of this seed alone, and tell its story")

// defaultRuns is how many scenarios are played when SEGUE_SIM does not say otherwise.
const defaultRuns = 1000

func runs() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SEGUE_SIM"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return defaultRuns / 10
	}
	return defaultRuns
}

// TestSimulation plays generated rollouts: fleets, strategies, releases good and bad, faults, deaths, orders at any time, controllers killed
// at any index. Every law holds in all of them, and each comes to an end. SEGUE_SIM says how many (30000, say); -seed N plays one again.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		one(t, *seed, true)
		return
	}
	const lanes = 4
	n, began := runs(), time.Now()
	var all tally
	t.Run("lanes", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for s, failed := lane+1, 0; s <= n && failed < 2; s += lanes {
					if !t.Run(fmt.Sprint("seed=", s), func(t *testing.T) { all.add(one(t, s, false)) }) {
						failed++
					}
				}
			})
		}
	})
	t.Logf("%d scenarios in %s: %s", n, time.Since(began).Round(time.Millisecond), &all)
	if n >= 300 && !t.Failed() {
		all.check(t)
	}
}

// tally counts what came of all scenarios: a simulation in which nothing happens proves nothing.
type tally struct {
	mu      sync.Mutex
	phases  map[segue.Phase]int
	kills   int
	entries int64
}

func (a *tally) add(result simtest.Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phases == nil {
		a.phases = map[segue.Phase]int{}
	}
	for _, end := range result.Ends {
		a.phases[end.Phase]++
	}
	a.kills += result.Kills
	a.entries += result.Entries
}

// String gives the counts.
func (a *tally) String() string {
	return fmt.Sprintf("%d succeeded, %d rolled back, %d ended mixed, %d controllers killed, %d entries",
		a.phases[segue.PhaseSucceeded], a.phases[segue.PhaseRolledBack], a.phases[segue.PhaseMixed], a.kills, a.entries)
}

func (a *tally) check(t *testing.T) {
	t.Helper()
	if a.phases[segue.PhaseSucceeded] == 0 || a.phases[segue.PhaseRolledBack] == 0 || a.phases[segue.PhaseMixed] == 0 || a.kills == 0 {
		t.Errorf("too little happened: %s", a)
	}
}

// one plays one scenario.
func one(t *testing.T, seed uint64, tell bool) (result simtest.Result) {
	t.Helper()
	scenario := simtest.Draw(seed)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		options := simtest.Options{}
		if tell {
			options.Log = func(format string, args ...any) {
				t.Logf("%8.3f "+format, append([]any{time.Since(began).Seconds()}, args...)...)
			}
		}
		var err error
		result, err = simtest.Play(t.Context(), scenario, options)
		if err != nil || len(result.Violations) > 0 {
			t.Errorf("seed %d: %v %v; see it with: go test ./internal/simtest -run TestSimulation -v -seed %d", seed, err, result.Violations, seed)
		}
		if tell {
			t.Log(scenario.File(0, -1))
			tellStory(t, result)
		}
	})
	return result
}

// tellStory prints what was written and what happened.
func tellStory(t *testing.T, result simtest.Result) {
	t.Helper()
	for _, entry := range result.Journal {
		if kind := entry.Event.Kind; kind != segue.EventSample && kind != segue.EventReceipt {
			t.Log(entryLine(entry, entry.At.Sub(result.Journal[0].At)))
		}
	}
	for i, fact := range result.Facts {
		if fact.Kind != "written" && fact.Kind != "found" {
			t.Logf("fact %d %s %s %s %d %+v", i, fact.Kind, fact.Server, fact.Instance, fact.Count, fact.End)
		}
	}
}

func entryLine(entry segue.Entry, after time.Duration) string {
	e := entry.Event
	text := fmt.Sprintf("%4d %8.3f r%s %s %d.%d/%d %s %s", entry.Index, after.Seconds(), e.Rollout, e.Kind, e.PlanNumber, e.Step, e.Attempt, e.Server, e.Instance)
	if e.Failure != nil {
		text += " " + e.Failure.Kind.String() + ": " + e.Failure.Message
	}
	if e.Order != nil {
		text += fmt.Sprintf(" %s %v", e.Order.Verb, e.Order.Servers)
	}
	if e.Verdict != nil {
		text += fmt.Sprintf(" %s final=%v", e.Verdict.Ruling, e.Verdict.Final)
	}
	plan := e.Plan
	if e.Opening != nil {
		plan = &e.Opening.Plan
	}
	if plan == nil {
		return text
	}
	text += fmt.Sprintf(" goal=%s min=%d", plan.Goal, plan.MinReady)
	for _, s := range plan.Steps {
		text += fmt.Sprintf("\n          %d %s %s %v", s.ID, s.Kind, s.Instance, s.After)
	}
	return text
}
