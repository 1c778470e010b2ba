package logs_test

import (
	"math"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

// rollout replaces the first server and judges for some minutes; see is called with the findings of each look, until it is false.
func (w *world) rollout(config logs.Config, minutes int, see func(after time.Duration, findings []segue.Finding) bool) {
	j := logs.New(config)
	before := w.before()
	w.replace(w.names[0])
	for i := range minutes * 2 {
		window := w.window(30 * time.Second)
		if i == 0 {
			window.Before = before
		}
		if next := (i + 1) / 20; w.rolling && (i+1)%20 == 0 && next < len(w.names)-1 {
			w.replace(w.names[next])
		}
		if !see(window.Until.Sub(noon), j.Weigh(window)) {
			break
		}
	}
}

func worst(findings []segue.Finding) segue.Ruling { return segue.Combine(noon, findings).Ruling }

func TestNoFalseAlarms(t *testing.T) {
	t.Parallel()
	// 300 in all; of 300 of each kind with 300 templates, 1 of 1,800 failed.
	const runs = 50
	for _, test := range []struct {
		name   string
		stable int
		change func(*world)
	}{
		{"servers differ", 3, func(*world) {}},
		{"one stable server", 1, func(*world) {}},
		{"bursts", 3, func(w *world) { w.burst = 5 }},
		{"day and night", 3, func(w *world) {
			w.burst = 3
			w.shape = func(at time.Time) float64 { return 1 + 0.9*math.Sin(2*math.Pi*at.Sub(noon).Hours()) }
		}},
		{"server after server", 3, func(w *world) { w.rolling, w.burst = true, 2 }},
		{"a stable server restarted before", 3, func(w *world) {
			for i := range w.kinds {
				if w.kinds[i].atStart && i%2 == 0 {
					w.kinds[i].Severity = "error"
				}
			}
			w.started[w.names[1]] = noon.Add(-30 * time.Minute)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var (
				fails, holds, passed int
				took                 time.Duration
			)
			for seed := range uint64(runs) {
				w := newWorld(seed, test.stable, mixed(40))
				test.change(w)
				failed, held, pass := false, false, false
				w.rollout(logs.Config{}, 30, func(after time.Duration, findings []segue.Finding) bool {
					ruling := worst(findings)
					failed = failed || ruling == segue.RulingFail
					held = held || ruling == segue.RulingHold
					if ruling == segue.RulingPass && !pass {
						pass = true
						took += after
					}
					return !failed
				})
				fails, holds, passed = fails+toInt(failed), holds+toInt(held), passed+toInt(pass)
			}
			t.Logf("%d runs: %d failed, %d held, %d passed, after %s on average", runs, fails, holds, passed, took/time.Duration(max(1, passed)))
			if limit := 0.02 * runs; float64(fails) > limit {
				t.Errorf("%d of %d rollouts of the same release failed", fails, runs)
			}
		})
	}
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

var _ judge.Judge = (*logs.Judge)(nil)

// A candidate that writes nothing has no errors either. That is no pass, with a history or without.
func TestSilenceIsNoPass(t *testing.T) {
	t.Parallel()
	kinds := mixed(40)
	for i := range kinds {
		kinds[i].factor = 0
	}
	w := newWorld(1, 3, kinds)
	var last []segue.Finding
	j := logs.New(logs.Config{})
	w.replace("web-1")
	for range 60 {
		last = j.Weigh(w.window(10 * time.Second))
		if worst(last) == segue.RulingPass {
			t.Fatalf("passed: %+v", last)
		}
	}
	if f, ok := about(last, "silence is no pass"); !ok || f.Ruling != segue.RulingInconclusive {
		t.Errorf("%+v", last)
	}
}

// Before there is enough to decide, findings say how long it takes at this rate.
func TestTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	newWorld(1, 3, mixed(0)).rollout(logs.Config{}, 10, func(after time.Duration, findings []segue.Finding) bool {
		f, ok := about(findings, "errors a minute and server on v2")
		switch {
		case !ok || f.Ruling == segue.RulingFail || f.Ruling == segue.RulingHold:
			t.Errorf("after %s: %+v", after, findings)
		case f.Ruling == segue.RulingPass && after < 3*time.Minute, f.Ruling != segue.RulingPass && after > 6*time.Minute:
			t.Errorf("%s after %s: %+v", f.Ruling, after, f)
		case f.Ruling == segue.RulingInconclusive && after > time.Minute && (f.Left < 10*time.Second || f.Left > 10*time.Minute):
			t.Errorf("after %s, %s are left", after, f.Left)
		}
		return true
	})
	held := false
	line := special("error", "brandnew", kind{rate: 1, only: true, factor: 1})
	newWorld(2, 3, append(mixed(25), line)).rollout(logs.Config{}, 30, func(_ time.Duration, findings []segue.Finding) bool {
		if f, ok := about(findings, "brandnew"); ok && f.Ruling == segue.RulingHold {
			held = true
			if f.Left <= 0 || f.Evidence < 20 || f.Evidence >= f.Threshold || f.Counts["web-1"] == 0 || f.Sample == "" || findings[0].Text != f.Text {
				t.Errorf("%+v", f)
			}
		}
		return !held
	})
	if !held {
		t.Error("nothing was held")
	}
}

func BenchmarkWeigh(b *testing.B) {
	w := newWorld(1, 9, mixed(5000))
	j, first := logs.New(logs.Config{}), w.before()
	w.replace("web-1")
	window := w.window(30 * time.Second)
	window.Before = first
	for b.Loop() {
		j.Weigh(window)
		b.StopTimer()
		window = w.window(10 * time.Second)
		b.StartTimer()
	}
}

// A clock that is set back makes a server young again, after its start was over.
func TestAClockSetBackIsNoFault(t *testing.T) {
	t.Parallel()
	started := time.Date(2026, 3, 3, 9, 0, 0, 0, time.UTC)
	j := logs.New(logs.Config{})
	for _, since := range []time.Time{started, started.Add(10 * time.Minute), started.Add(time.Second)} {
		row := judge.ServerEvidence{
			Server: "web-1", Release: "v2", Started: started, LogsRead: true, Logs: []judge.LogCount{{Template: "0000000000000001", Units: 1, Events: 1}},
		}
		other := row
		other.Server, other.Release = "web-2", "v1"
		j.Weigh(judge.Evidence{
			Service: "web", Stable: "v1", Candidate: "v2", Since: since, Until: since.Add(10 * time.Second), Servers: []judge.ServerEvidence{row, other},
			Templates: []judge.LogTemplate{{ID: "0000000000000001", Text: "ready", Severity: "info"}},
		})
	}
}
