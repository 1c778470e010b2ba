package simtest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout/laws"
	"github.com/segue-deploy/segue/internal/simtest"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// plain is a scenario without disturbance.
func plain(change func(*simtest.Scenario)) simtest.Scenario {
	s := simtest.Scenario{
		Seed: 7, Servers: 3, Partitions: 1, MinReady: 2, Window: time.Hour, Latency: 20 * time.Millisecond, Steer: segue.VerbPromote,
		Strategy: segue.Strategy{Kind: segue.Rolling, Bake: 3 * time.Second, MaxUnavailable: 1, OnFailure: segue.FailRollback},
		Releases: map[segue.ReleaseName]workloadtest.Behaviour{"v1": {}, "v2": {Boot: time.Second, StopTakes: 500 * time.Millisecond}},
		Verdicts: map[segue.ReleaseName]int{},
	}
	if change != nil {
		change(&s)
	}
	return s
}

func plains() map[string]simtest.Scenario {
	return map[string]simtest.Scenario{
		"rolling":     plain(nil),
		"surge":       plain(func(s *simtest.Scenario) { s.Strategy.Surge, s.MinReady = true, 3 }),
		"workers":     plain(func(s *simtest.Scenario) { s.Worker = true }),
		"all at once": plain(func(s *simtest.Scenario) { s.Strategy.Kind, s.Breaking, s.MinReady = segue.AllAtOnce, true, 0 }),
		"partitions":  plain(func(s *simtest.Scenario) { s.Servers, s.Partitions = 4, 2 }),
		"approval":    plain(func(s *simtest.Scenario) { s.Strategy.Approve = true }),
		"never ready": plain(func(s *simtest.Scenario) { s.Releases["v2"] = workloadtest.Behaviour{NeverReady: true} }),
		"bad verdict": plain(func(s *simtest.Scenario) { s.Verdicts["v2"] = 1 }),
		"gate held": plain(func(s *simtest.Scenario) {
			s.Verdicts["v2"], s.Strategy.OnFailure, s.Steer = 1, segue.FailHold, segue.VerbAbort
		}),
		"surge, never ready": plain(func(s *simtest.Scenario) {
			s.Strategy.Surge, s.MinReady = true, 3
			s.Releases["v2"] = workloadtest.Behaviour{NeverReady: true}
		}),
	}
}

// play plays a scenario in a bubble of its own.
func play(t *testing.T, scenario simtest.Scenario, options simtest.Options) (result simtest.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if result, err = simtest.Play(t.Context(), scenario, options); err != nil {
			t.Error(err)
		}
	})
	return result
}

func lastEnd(t *testing.T, result simtest.Result) laws.End {
	t.Helper()
	if len(result.Ends) == 0 {
		t.Fatal("nothing ended")
	}
	return result.Ends[len(result.Ends)-1]
}

// TestCrashAtEveryIndex kills the controller right after each entry of a rollout's journal: it comes to the same end as if nobody had, and
// keeps every law on its way.
func TestCrashAtEveryIndex(t *testing.T) {
	for name, scenario := range plains() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := play(t, scenario, simtest.Options{})
			if len(whole.Violations) > 0 || len(whole.Ends) != 2 {
				t.Fatalf("undisturbed: %d ends, %v", len(whole.Ends), whole.Violations)
			}
			for index := int64(1); index <= whole.Entries; index++ {
				t.Run(fmt.Sprint(index), func(t *testing.T) {
					killed := scenario
					killed.Kills = []int64{index}
					result := play(t, killed, simtest.Options{})
					violations := append(result.Violations, laws.CrashAnywhere(lastEnd(t, whole), lastEnd(t, result))...)
					if len(violations) > 0 || result.Kills != 1 {
						t.Errorf("%d kills: %v", result.Kills, violations)
					}
				})
			}
		})
	}
}

// TestKilledOverAndOver kills the controller after every few entries.
func TestKilledOverAndOver(t *testing.T) {
	for name, scenario := range plains() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := play(t, scenario, simtest.Options{})
			for index := int64(5); index < 200; index += 4 {
				scenario.Kills = append(scenario.Kills, index)
			}
			result := play(t, scenario, simtest.Options{})
			violations := append(result.Violations, laws.CrashAnywhere(lastEnd(t, whole), lastEnd(t, result))...)
			if len(violations) > 0 || result.Kills < 3 {
				t.Errorf("%d kills: %v", result.Kills, violations)
			}
		})
	}
}

// TestTheSameAgain: a seed gives the same ends again. Calls of the same instant may come in another order, so times may differ a little.
func TestTheSameAgain(t *testing.T) {
	for s := uint64(1); s <= 40; s++ {
		first, second := play(t, simtest.Draw(s), simtest.Options{}), play(t, simtest.Draw(s), simtest.Options{})
		if diff := cmp.Diff(first.Ends, second.Ends); diff != "" {
			t.Errorf("seed %d: %s", s, diff)
		}
	}
}
