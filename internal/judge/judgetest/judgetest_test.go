package judgetest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

func naive() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }

func TestNaiveConforms(t *testing.T) {
	judgetest.Conformance(t, func() judge.Judge { return rehearsal.NewNaive() })
}

func TestSuite(t *testing.T) {
	t.Parallel()
	all := judgetest.Suite()
	names, wants := map[string]bool{}, map[segue.Ruling]int{}
	for _, s := range all {
		if names[s.Name] {
			t.Errorf("two scenarios are called %q", s.Name)
		}
		names[s.Name] = true
		wants[s.Want]++
	}
	if wants[segue.RulingFail] < 50 || wants[segue.RulingPass] < 25 {
		t.Errorf("%d scenarios: %v", len(all), wants)
	}
}

func TestScore(t *testing.T) {
	t.Parallel()
	outcome := func(want, got segue.Ruling, after time.Duration) judgetest.Outcome {
		return judgetest.Outcome{Scenario: judgetest.Scenario{Want: want}, Outcome: rehearsal.Outcome{Ruling: got, After: after}}
	}
	got := judgetest.Score([]judgetest.Outcome{
		outcome(segue.RulingFail, segue.RulingFail, time.Minute), outcome(segue.RulingFail, segue.RulingHold, 0),
		outcome(segue.RulingHold, segue.RulingHold, 3*time.Minute), outcome(segue.RulingHold, segue.RulingFail, 2*time.Minute),
		outcome(segue.RulingPass, segue.RulingFail, 0), outcome(segue.RulingPass, segue.RulingHold, 0), outcome(segue.RulingPass, segue.RulingInconclusive, 0),
	})
	want := judgetest.Scored{Caught: 3, Missed: 1, False: 1, Quiet: 2, Held: 1, Precision: 0.75, Recall: 0.75, Median: 2 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Score (-want +got):\n%s", diff)
	}
}

// What is obvious is found at once, and what is rare is taken for new: why one does not stop at the naive judge.
func TestNaive(t *testing.T) {
	t.Parallel()
	world := rehearsal.World{Seed: 1, Servers: 10, Restarts: 1, Changes: []rehearsal.Change{{Kind: rehearsal.StackTrace, Size: 30}}}
	o := judgetest.Run(naive, judgetest.Scenario{Name: "stack trace", World: world, Want: segue.RulingFail})
	if !o.Right() || o.Server() != "web-1" || len(o.Findings) != 1 || !strings.Contains(o.Findings[0].Text, "nobody") {
		t.Errorf("outcome %+v", o)
	}
	aa := judgetest.AA(6, naive)
	if aa.False != aa.Naive || aa.False < 2 || len(aa.Failed) != aa.False {
		t.Errorf("of %d rollouts with nothing new %d were failed (%d as the baseline), want a third at least", aa.Worlds, aa.False, aa.Naive)
	}
}
