package simtest_test

import (
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout/laws"
	"github.com/segue-deploy/segue/internal/simtest"
)

// TestDeliberateBreaks is a test of the tests: each law is broken on purpose, by a planner, a balancer or a journal that does wrong, and the
// simulation notices.
func TestDeliberateBreaks(t *testing.T) {
	breaks := map[string]struct {
		law      string
		scenario simtest.Scenario
		options  simtest.Options
	}{
		"all drained at the same time": {law: "capacity", scenario: plain(nil), options: simtest.Options{Doctor: plans(atOnce)}},
		"a drain that does nothing":    {law: "acknowledged drain", scenario: plain(nil), options: simtest.Options{Lie: "Drain"}},
		"nobody counts what is in flight": {
			law: "acknowledged drain", scenario: plain(nil), options: simtest.Options{Lie: "InFlight"},
		},
		"a release from nowhere":       {law: "two at most", scenario: plain(nil), options: simtest.Options{Lie: "Start"}},
		"files retired while they run": {law: "contract last", scenario: plain(nil), options: simtest.Options{RetireEarly: true}},
		"a way back that goes nowhere": {
			law: "way back", scenario: plain(func(s *simtest.Scenario) { s.Verdicts["v2"] = 1 }), options: simtest.Options{Doctor: plans(nowhere)},
		},
		"an admit that does nothing": {law: "nothing hidden", scenario: plain(nil), options: simtest.Options{Lie: "Admit"}},
		"a journal that forgets": {
			law:      "no data lost",
			scenario: plain(func(s *simtest.Scenario) { s.Kills = []int64{25} }),
			options:  simtest.Options{Lose: func(entry segue.Entry) bool { return entry.Index > 22 }},
		},
	}
	for name, b := range breaks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if sound := play(t, b.scenario, simtest.Options{}); len(sound.Violations) > 0 {
				t.Fatalf("it is broken without the break: %v", sound.Violations)
			}
			for _, violation := range play(t, b.scenario, b.options).Violations {
				if violation.Law == b.law {
					return
				}
			}
			t.Errorf("nobody noticed that the law of %s was broken", b.law)
		})
	}
	t.Run("an order that is forgotten", func(t *testing.T) {
		aborted := plain(func(s *simtest.Scenario) {
			s.Acts = []simtest.Act{{At: 6e9, Kind: "order", Order: segue.Order{Verb: segue.VerbAbort, By: "ann"}}}
		})
		whole := play(t, aborted, simtest.Options{})
		for _, entry := range whole.Journal {
			if entry.Event.Kind == segue.EventOrder {
				aborted.Kills = []int64{entry.Index}
			}
		}
		other := play(t, aborted, simtest.Options{Lose: func(entry segue.Entry) bool { return entry.Event.Kind == segue.EventOrder }})
		if len(laws.CrashAnywhere(lastEnd(t, whole), lastEnd(t, other))) == 0 {
			t.Error("nobody noticed another end")
		}
	})
}

// plans doctors every plan that is written.
func plans(doctor func(*segue.Plan)) func(*segue.Event) {
	return func(event *segue.Event) {
		if event.Plan != nil {
			plan := *event.Plan
			doctor(&plan)
			event.Plan = &plan
		}
		if event.Opening != nil {
			opening := *event.Opening
			doctor(&opening.Plan)
			event.Opening = &opening
		}
	}
}

// atOnce lets every drain begin at once, and forgets the bound.
func atOnce(plan *segue.Plan) {
	plan.MinReady = 0
	steps := append([]segue.Step(nil), plan.Steps...)
	for i := range steps {
		if steps[i].Kind == segue.StepDrain {
			steps[i].After = nil
		}
	}
	plan.Steps = steps
}

// nowhere leaves nothing of a plan back but its end.
func nowhere(plan *segue.Plan) {
	if plan.Goal == segue.GoalBack && len(plan.Steps) > 0 {
		last := plan.Steps[len(plan.Steps)-1]
		last.ID, last.After = 1, nil
		plan.Steps = []segue.Step{last}
	}
}
