package app

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// shopSettings are those of a service by default, with answers compared.
func shopSettings() segue.Service {
	return segue.Service{
		Name:    "web",
		Limits:  segue.Limits{MinSamples: 100}, // no plain limits: what evidence finds counts
		Judging: segue.Judging{Budget: 0.05, Logs: true, Metrics: true, Warm: time.Minute, Mirror: &segue.Mirror{Share: 0.1, For: time.Minute}},
	}
}

func panelOf(settings segue.Service) func() []judge.Judge {
	return func() []judge.Judge { return Panel(settings, rehearsal.Candidate) }
}

// TestPanelKeepsWhatAJudgeMust holds the judges of the product together to what each of them promises.
func TestPanelKeepsWhatAJudgeMust(t *testing.T) {
	t.Parallel()
	judgetest.Conformance(t, func() judge.Judge { return Panel(shopSettings(), rehearsal.Candidate)[0] })
}

// TestEqualReleasesStay rolls releases out that differ in nothing, on servers that do, with bursts, restarts, days and nights. One in twenty may be
// rolled back by the budget; the bar is one in a hundred. The naive rule is printed beside.
func TestEqualReleasesStay(t *testing.T) {
	t.Parallel()
	n := 100
	if testing.Short() || detector {
		n = 6
	}
	result := judgetest.AA(n, panelOf(shopSettings()))
	t.Logf("%d of %d equal releases were rolled back; by the rule \"a line that no other server wrote\", %d", result.False, n, result.Naive)
	// With one in a hundred, more than four in a hundred come once in 300 runs.
	if result.False > 1+3*n/100 {
		t.Errorf("%d of %d equal releases were rolled back", result.False, n)
	}
	for _, o := range result.Failed {
		t.Logf("seed %d, %d servers, %s: %s", o.Scenario.World.Seed, o.Scenario.World.Servers, o.After, o.Findings[0].Text)
	}
}

// TestFaultsAreFound injects faults and decoys.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	scenarios := judgetest.Suite()
	if testing.Short() || detector {
		scenarios = everyTenth(scenarios)
	}
	outcomes := judgetest.RunAll(panelOf(shopSettings()), scenarios)
	score := judgetest.Score(outcomes)
	t.Logf("%d scenarios: precision %.3f, recall %.3f, median %s", len(scenarios), score.Precision, score.Recall, score.Median)
	for _, o := range outcomes {
		if !o.Right() {
			t.Logf("%s: %s, want %s", o.Scenario.Name, o.Ruling, o.Scenario.Want)
		}
	}
	if score.Precision < 0.95 || score.Recall < 1 {
		t.Errorf("precision %.3f, recall %.3f", score.Precision, score.Recall)
	}
}

// everyTenth keeps some: judges run in one goroutine, so that the race detector has little to find, and `make test` plays all without it.
func everyTenth(all []judgetest.Scenario) []judgetest.Scenario {
	some := make([]judgetest.Scenario, 0, len(all)/10+1)
	for i := 0; i < len(all); i += 10 {
		some = append(some, all[i])
	}
	return some
}
