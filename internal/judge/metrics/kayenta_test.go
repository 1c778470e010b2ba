package metrics_test

import (
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// looks runs Kayenta's judge and gives its score at each minute.
func looks(w world) (scores []float64) {
	k := metrics.NewKayenta()
	for _, window := range w.windows() {
		scores = append(scores, k.Weigh(window)[0].Value)
	}
	return scores
}

// TestKayentaOfEqualReleases measures how often Kayenta's rule fails or doubts a release that is the same as stable. Its docstring has the figures.
func TestKayentaOfEqualReleases(t *testing.T) {
	t.Parallel()
	runs := float64(some(25))
	for _, test := range []struct {
		name                                 string
		alike                                bool
		onceLow, onceHigh, everLow, everHigh float64
	}{
		{"servers that are alike, with moods", true, 0.05, 0.35, 0.5, 0.9},
		{"servers that differ for good", false, 0.9, 1, 0.95, 1},
	} {
		once, failed, ever := 0.0, 0.0, 0.0
		for seed := range int(runs) {
			w := usual(3, 60)
			w.past, w.gauges, w.autocorrelation, w.seed, w.alike = 0, 3, 0.6, uint64(seed), test.alike
			scores := looks(w)
			if scores[59] < evidence.KayentaPass {
				once++
			}
			if scores[59] < evidence.KayentaMarginal {
				failed++
			}
			for _, score := range scores[9:] {
				if score < evidence.KayentaPass {
					ever++
					break
				}
			}
		}
		t.Logf("%s: Kayenta's rule does not pass %.2f at one look after 60 min (fails %.2f), %.2f at some look from the 10th minute on",
			test.name, once/runs, failed/runs, ever/runs)
		off := func(n, low, high float64) bool {
			return n/runs < low-slack(int(runs)) || n/runs > high+slack(int(runs))
		}
		if off(once, test.onceLow, test.onceHigh) || off(ever, test.everLow, test.everHigh) {
			t.Errorf("%s: %.2f once, %.2f ever: not what the docstring says", test.name, once/runs, ever/runs)
		}
	}
}

func TestKayentaReports(t *testing.T) {
	t.Parallel()
	w := usual(3, 55)
	w.past, w.errorRatio, w.timeRatio, w.alike = 0, 5, 2, true
	k := metrics.NewKayenta()
	windows := w.windows()
	first := windows[0]
	first.Until = first.Since.Add(30e9)
	if got := k.Weigh(first)[0]; got.Ruling != segue.RulingReport || !strings.Contains(got.Text, "no points yet") {
		t.Errorf("half a minute: %+v", got)
	}
	var got []segue.Finding
	for i, window := range windows {
		got = k.Weigh(window)
		if i == 20 && !strings.Contains(got[0].Text, "(50 are advised)") {
			t.Errorf("20 minutes: %q", got[0].Text)
		}
	}
	want := "Kayenta's rule fails: score 0 of 100 over 4 metrics, 55 minutes: errors: errors High, latency: p50 High, latency: p90 High, latency: p99 High"
	if len(got) != 1 || got[0].Text != want || got[0].Ruling != segue.RulingReport {
		t.Errorf("%+v", got)
	}
}
