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
		if !see(window.Until.Sub(noon), j.Weigh(window)) {
			break
		}
	}
}

func worst(findings []segue.Finding) segue.Ruling { return segue.Combine(noon, findings).Ruling }

func TestNoFalseAlarms(t *testing.T) {
	t.Parallel()
	runs := 300
	if testing.Short() {
		runs = 60
	}
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
			fails, holds, passed, took := 0, 0, 0, time.Duration(0)
			for seed := range uint64(runs) {
				w := newWorld(seed, test.stable, mixed(60))
				test.change(w)
				failed, held, pass := false, false, false
				w.rollout(logs.Config{}, 40, func(after time.Duration, findings []segue.Finding) bool {
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
			if limit := 0.02*float64(runs) + 3*math.Sqrt(0.02*float64(runs)); float64(fails) > limit {
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
