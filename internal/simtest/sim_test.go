package simtest_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/simtest"
)

var (
	seed = flag.Uint64("seed", 0, "play the scenario of this seed alone, and tell its story")
)

// defaultRuns is how many scenarios are played when SEGUE_SIM does not say otherwise.
const defaultRuns = 1000

func runs() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SEGUE_SIM"), 10, 64); err == nil {
		return n
	}
	return defaultRuns
}

// TestSimulation plays generated rollouts: fleets, strategies, releases good and bad, faults, deaths, orders at any time, controllers killed
// at any index. Every law holds in all of them, and each comes to an end. SEGUE_SIM says how many; -seed N plays one again.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		one(t, *seed, true)
		return
	}
	const lanes = 4
	n := runs()
	var failed atomic.Int32
	began := time.Now()
	t.Run("lanes", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for s := lane + 1; s <= n && failed.Load() < 5; s += lanes {
					if !t.Run(fmt.Sprint("seed=", s), func(t *testing.T) { one(t, s, false) }) {
						failed.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d scenarios in %s", n, time.Since(began).Round(time.Millisecond))
}

// one plays one scenario.
func one(t *testing.T, seed uint64, tell bool) {
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
		result, err := simtest.Play(t.Context(), scenario, options)
		if err != nil || len(result.Violations) > 0 {
			t.Errorf("seed %d: %v %v", seed, err, result.Violations)
		}
		if tell {
			t.Log(scenario.File(0, -1))
			tellStory(t, result)
		}
	})
}

// tellStory prints what was written.
func tellStory(t *testing.T, result simtest.Result) {
	t.Helper()
	began := time.Time{}
	for _, entry := range result.Journal {
		e := entry.Event
		if began.IsZero() {
			began = entry.At
		}
		if e.Kind == segue.EventSample || e.Kind == segue.EventReceipt {
			continue
		}
		text := fmt.Sprintf("%4d %8.3f r%s %s %d.%d/%d %s %s", entry.Index, entry.At.Sub(began).Seconds(), e.Rollout, e.Kind, e.PlanNumber, e.Step, e.Attempt, e.Server, e.Instance)
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
		if plan != nil {
			text += fmt.Sprintf(" goal=%s min=%d", plan.Goal, plan.MinReady)
			for _, s := range plan.Steps {
				text += fmt.Sprintf("\n          %d %s %s %v", s.ID, s.Kind, s.Instance, s.After)
			}
		}
		t.Log(text)
	}
	for i, fact := range result.Facts {
		if fact.Kind != "written" && fact.Kind != "found" {
			t.Logf("fact %d %s %s %s %d %+v", i, fact.Kind, fact.Server, fact.Instance, fact.Count, fact.End)
		}
	}
}
