package rehearsal_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// Every change that the suite of scenarios makes can be named, and what is written is read again.
func TestChangesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, scenario := range judgetest.Suite() {
		for _, want := range scenario.World.Changes {
			want.After = 0
			for _, text := range []string{want.String(), strings.ReplaceAll(want.String(), " ", "-")} {
				got, err := rehearsal.ParseChange(text)
				if want.Size == 0 {
					got.Size = 0 // a size that has a default
				}
				if err != nil || got != want {
					t.Errorf("%q is read as %+v, %v, want %+v", text, got, err, want)
				}
			}
			if says := want.Says(); strings.Contains(says, "SIZE") || says == want.String() {
				t.Errorf("%+v says %q", want, says)
			}
		}
	}
}

func TestWrongChanges(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "empty", "none": "no fault", "x3": "no fault", "new-line-xx": "no size", "new-line-xNaN": "over 0", "new-line-x0": "over 0", "slow-x1e9": "at most 1000",
		"leak-x2": "at most 1", "no-heartbeat-x2": "one of 0.5 1 5", "keys-x2": "has no size", "slow-warn": "nothing like", "wrong-field-warn": "missing, type",
		"start-lines-x101": "at most 100",
	} {
		if got, err := rehearsal.ParseChange(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want an error with %q", text, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"new", "line", "slow", "x3", "x-1", "xInf", "warn", "-", " ", "leak", "x", "keys"})).Draw(t, "words"), "-")
		c, err := rehearsal.ParseChange(text)
		if err != nil {
			return
		}
		if again, err := rehearsal.ParseChange(c.String()); err != nil || again != c {
			t.Fatalf("%q is %+v, and its text %q %+v, %v", text, c, c, again, err)
		}
	})
}

// watching passes all, and notes what it sees.
type watching struct{ windows *int }

func (w watching) Name() string { return "watching" }

func (w watching) Weigh(judge.Evidence) []segue.Finding {
	*w.windows++
	return []segue.Finding{{Judge: "watching", Ruling: segue.RulingPass, Text: "fine"}}
}

// Rollouts come in order, each judged by fresh judges, whoever plays them.
func TestTrialIsInOrder(t *testing.T) {
	t.Parallel()
	naive := func() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }
	trial := rehearsal.Trial{Panels: []func() []judge.Judge{naive, naive}}
	for seed := range 12 {
		trial.Worlds = append(trial.Worlds, rehearsal.World{Seed: uint64(seed), Servers: 3, History: 5 * time.Minute, Length: 5 * time.Minute, Templates: 60})
	}
	told := 0
	played, err := trial.Run(t.Context(), func() { told++ })
	if err != nil || told != len(trial.Worlds) || len(played) != told {
		t.Fatalf("%d played, %d told of: %v", len(played), told, err)
	}
	for i, p := range played {
		alone := judgetest.Run(naive, judgetest.Scenario{World: trial.Worlds[i]})
		if diff := cmp.Diff([]rehearsal.Outcome{alone.Outcome, alone.Outcome}, p.Outcomes); diff != "" || p.World.Seed != uint64(i) {
			t.Errorf("seed %d (-alone +trial):\n%s", p.World.Seed, diff)
		}
	}
}

// What is done when somebody stops it is given, and nothing else.
func TestTrialStops(t *testing.T) {
	t.Parallel()
	windows := 0
	trial := rehearsal.Trial{
		Worlds: slices.Repeat([]rehearsal.World{{Servers: 2, History: time.Minute, Length: time.Minute, Templates: 30}}, 1000),
		Panels: []func() []judge.Judge{func() []judge.Judge { w := 0; return []judge.Judge{watching{&w}} }},
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	played, err := trial.Run(ctx, func() {
		if windows++; windows == 5 {
			cancel()
		}
	})
	if err == nil || len(played) < 5 || len(played) > 100 {
		t.Errorf("%d rollouts of 1000, %v", len(played), err)
	}
	for _, p := range played {
		if len(p.Outcomes) != 1 || p.Outcomes[0].Ruling != segue.RulingPass {
			t.Errorf("a rollout that was stopped: %+v", p)
		}
	}
}

func TestWilsonAndQuantile(t *testing.T) {
	t.Parallel()
	low, high := rehearsal.Wilson(0, 200)
	if low != 0 || high < 0.018 || high > 0.0195 {
		t.Errorf("none of 200: %g to %g, want 0 to 0.0188", low, high)
	}
	if low, high := rehearsal.Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("none of none: %g to %g", low, high)
	}
	times := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.9: 5, 1: 5} {
		if got := rehearsal.Quantile(times, q); got != want {
			t.Errorf("quantile %g is %d, want %d", q, got, want)
		}
	}
	if rehearsal.Quantile(nil, 0.5) != 0 {
		t.Error("the median of nothing is something")
	}
}

// The merged log has the lines of each server, in order.
func TestWrittenMerges(t *testing.T) {
	t.Parallel()
	w := rehearsal.World{Seed: 2, Servers: 3, History: 2 * time.Minute, Length: 2 * time.Minute, Style: "plain"}
	by, last := map[segue.ServerName][]string{}, time.Time{}
	for line := range w.Written() {
		if line.At.Before(last) {
			t.Fatalf("%s after %s", line.At, last)
		}
		last = line.At
		if candidate := line.Server == "web-1" && !line.At.Before(w.Full().Start); candidate != (line.Release == rehearsal.Candidate) {
			t.Fatalf("%+v", line)
		}
		by[line.Server] = append(by[line.Server], line.Line)
	}
	for _, name := range w.Names() {
		var want []string
		for line := range w.Lines(name) {
			want = append(want, line.Text)
		}
		if diff := cmp.Diff(want, by[name]); diff != "" {
			t.Errorf("%s (-own +merged):\n%s", name, diff)
		}
	}
	for range w.Written() {
		break // who wants no more is not written for
	}
	requests := int64(0)
	for row := range w.Traffic() {
		requests += row.Requests
		if row.Errors > row.Requests || row.P99MS < row.P50MS {
			t.Fatalf("%+v", row)
		}
	}
	if requests < 3000 {
		t.Errorf("%d requests in four minutes of three servers at ten a second", requests)
	}
}
