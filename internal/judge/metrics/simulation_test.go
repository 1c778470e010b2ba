package metrics_test

import (
	"math"
	"testing"

	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// simulate runs many rollouts; each seed is one.
func simulate(t *testing.T, w world, runs int, fresh func() judge.Judge) []course {
	t.Helper()
	courses := make([]course, some(runs))
	for i := range courses {
		w.seed = uint64(i)
		courses[i] = run(fresh(), w.windows())
	}
	return courses
}

func fresh() judge.Judge { return metrics.New(metrics.Config{}) }

// usual is a service of 600 requests and 1.8 errors a minute and server.
func usual(others, minutes int) world {
	return world{others: others, minutes: minutes, past: 120, requests: 600, errors: 1.8}
}

// TestEqualReleases: two releases that are the same, on servers that are not. The budget is 5 %, of which errors and latency have 0.75 % each,
// the severe lane 0.1 % and gauges 0.4 %.
func TestEqualReleases(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                    string
		others, runs            int
		past                    int
		fails, holds            float64
		errorsPass, latencyPass float64
	}{
		{"3 others", 3, 300, 120, 0.01, 0.05, 0.8, 0.7},
		{"1 other", 1, 40, 120, 0.03, 0.08, 0.6, 0.3},
		{"3 others, no history", 3, 20, 0, 0, 0.15, 0.5, 0.7},
	} {
		w := usual(test.others, 30)
		w.past, w.gauges, w.autocorrelation, w.routes = test.past, 3, 0.6, true
		courses := simulate(t, w, test.runs, fresh)
		fails, holds := share(courses, "error rate fail", "response time fail", "gauges fail"), share(courses, "error rate hold", "response time hold", "gauges hold")
		t.Logf("%s, %d rollouts of 30 min: %.3f fail (errors %.3f, latency %.3f), %.3f hold (errors %.3f, latency %.3f, gauges %.3f), mix %.3f",
			test.name, len(courses), fails, share(courses, "error rate fail"), share(courses, "response time fail"), holds,
			share(courses, "error rate hold"), share(courses, "response time hold"), share(courses, "gauges hold"), share(courses, "mix inconclusive"))
		t.Logf("%s: errors pass in %.0f min, latency in %.0f (medians)", test.name, median(courses, "error rate pass"), median(courses, "response time pass"))
		chance := slack(len(courses))
		if fails > test.fails+chance || holds > test.holds+chance || share(courses, "mix inconclusive") > 0 {
			t.Errorf("%s: %.3f fail, %.3f hold", test.name, fails, holds)
		}
		if share(courses, "error rate pass") < test.errorsPass-chance || share(courses, "response time pass") < test.latencyPass-chance {
			t.Errorf("%s: errors pass in %.3f, latency in %.3f", test.name, share(courses, "error rate pass"), share(courses, "response time pass"))
		}
	}
}

// TestEqualToTheMargin: a release that is as much slower as it says that it is not, is called fine in one of twenty rollouts at most. Where moods
// last for minutes the margin is wider than where there are none.
func TestEqualToTheMargin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		others       int
		moods, ratio float64
	}{{1, 0, 1.25}, {3, 0, 1.25}, {1, 0.03, 1.25}, {3, 0.03, 1.25}, {3, 0.1, 1.4}, {1, 0.1, 1.5}} {
		w := usual(test.others, 60)
		w.moods, w.timeRatio = &test.moods, test.ratio
		courses := simulate(t, w, 40, fresh)
		passes := share(courses, "response time pass")
		t.Logf("%d others, moods of %v, %v times the time: %.3f pass", test.others, test.moods, test.ratio, passes)
		if passes > 0.05+2*math.Sqrt(0.05*0.95/float64(len(courses))) {
			t.Errorf("%d others, moods of %v, %v times the time: %.3f pass", test.others, test.moods, test.ratio, passes)
		}
	}
}

// TestRollingUpgradeOfEqualReleases: servers are upgraded one after the other, so that ever fewer others are left, and ever more are tested.
func TestRollingUpgradeOfEqualReleases(t *testing.T) {
	t.Parallel()
	w := usual(5, 50)
	w.step = 10
	courses := simulate(t, w, 30, fresh)
	fails, holds := share(courses, "error rate fail", "response time fail"), share(courses, "error rate hold", "response time hold")
	t.Logf("%d rollouts over 5 of 6 servers: %.3f fail, %.3f hold, %.3f pass", len(courses), fails, holds, share(courses, "error rate pass"))
	if chance := slack(len(courses)); fails > 0.03+chance || holds > 0.1+chance {
		t.Errorf("%.3f fail, %.3f hold", fails, holds)
	}
}

// TestDelays: how long faults take to be found, on servers as above. A candidate that is held is stopped: nobody else gets it.
func TestDelays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		world      world
		lane       string
		stop, fail float64 // medians, in minutes
		least      float64 // share that is stopped
	}{
		{"errors x3", func() world { w := usual(3, 30); w.errorRatio = 3; return w }(), "error rate", 4, 12, 0.95},
		{"errors x10", func() world { w := usual(3, 10); w.errorRatio = 10; return w }(), "error rate", 1, 2, 1},
		{"time +100 %", func() world { w := usual(3, 10); w.timeRatio = 2; return w }(), "response time", 1, 1, 0.9},
		{"time +50 %", func() world { w := usual(3, 20); w.timeRatio = 1.5; return w }(), "response time", 3, 4, 0.7},
		{"time +100 %, 1 other", func() world { w := usual(1, 20); w.timeRatio = 2; return w }(), "response time", 4, 6, 0.7},
		{"gauges +30 %", func() world {
			w := usual(3, 120)
			w.requests, w.gauges, w.autocorrelation, w.gaugeShift = 10, 3, 0.6, 3
			return w
		}(), "gauges", 60, 1e9, 0.8},
	} {
		courses := simulate(t, test.world, 24, fresh)
		stop, fail := median(courses, test.lane+" hold", test.lane+" fail"), median(courses, test.lane+" fail")
		stopped := share(courses, test.lane+" hold", test.lane+" fail")
		t.Logf("%s: %.2f stopped, after %.0f min (median), failed after %.3g", test.name, stopped, stop, fail)
		if stop > test.stop || fail > test.fail || stopped < test.least {
			t.Errorf("%s: %.2f stopped after %v min, failed after %v; want %v and %v", test.name, stopped, stop, fail, test.stop, test.fail)
		}
		if passed := share(courses, test.lane+" pass"); passed > 0.1 {
			t.Errorf("%s: %.2f passed", test.name, passed)
		}
	}
}
