package metrics_test

import (
	"testing"

	"github.com/segue-deploy/segue/internal/judge/metrics"
)

func TestEqualReleases(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		world
		runs int
	}{
		{"3 others", world{others: 3, minutes: 60, past: 120, requests: 600, errors: 1.8, gauges: 3, autocorrelation: 0.6, routes: true}, 300},
		{"1 other", world{others: 1, minutes: 60, past: 120, requests: 600, errors: 1.8, gauges: 3, autocorrelation: 0.6, routes: true}, 300},
	} {
		courses := make([]course, test.runs)
		for i := range courses {
			test.seed = uint64(i)
			courses[i] = run(metrics.New(metrics.Config{}), test.windows())
		}
		for _, key := range []string{"errors fail", "errors hold", "errors pass", "latency fail", "latency hold", "latency pass", "gauges hold", "gauges fail", "mix inconclusive"} {
			t.Logf("%s: %s %.3f, median %.0f", test.name, key, share(courses, key), median(courses, key))
		}
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		world
		runs int
	}{
		{"errors x3", world{others: 3, minutes: 60, past: 120, requests: 600, errors: 1.8, errorRatio: 3}, 60},
		{"errors x10", world{others: 3, minutes: 60, past: 120, requests: 600, errors: 1.8, errorRatio: 10}, 60},
		{"time +100 %", world{others: 3, minutes: 60, past: 120, requests: 600, errors: 1.8, timeRatio: 2}, 60},
		{"time +50 %", world{others: 3, minutes: 60, past: 120, requests: 600, errors: 1.8, timeRatio: 1.5}, 60},
		{"time +50 %, 1", world{others: 1, minutes: 60, past: 120, requests: 600, errors: 1.8, timeRatio: 1.5}, 60},
		{"gauges", world{others: 3, minutes: 120, past: 120, requests: 10, errors: 1, gauges: 3, autocorrelation: .6, gaugeShift: 3}, 60},
	} {
		courses := make([]course, test.runs)
		for i := range courses {
			test.seed = uint64(i)
			courses[i] = run(metrics.New(metrics.Config{}), test.windows())
		}
		for _, key := range []string{"errors fail", "errors hold", "errors pass", "latency fail", "latency hold", "latency pass", "gauges hold", "gauges fail"} {
			t.Logf("%s: %s %.3f, median %.0f", test.name, key, share(courses, key), median(courses, key))
		}
	}
}
