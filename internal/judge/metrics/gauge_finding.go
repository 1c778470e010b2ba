package metrics

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// failAt is the evidence of a gauge that fails a candidate, together with suspicion in the fast lane.
	failAt = 1000
	// mostGauges is how many series are shown.
	mostGauges = 20
)

// gauges tells which series rose, which fell, which only one side has, and how far the lane is.
func (v view) gauges() []segue.Finding {
	g := &v.Judge.gauges
	var findings []segue.Finding
	for _, s := range v.present {
		rejected := s.book.Rejected()
		for _, id := range rejected {
			if key, grows := strings.CutPrefix(id, growthOf); !grows {
				findings = append(findings, v.risen(s, id, len(rejected)))
			} else if s.growth[key].lasts() {
				findings = append(findings, v.grows(s, key, len(rejected)))
			}
		}
		for _, key := range g.order {
			if r := s.gauges[key]; r.fall.LogE() >= math.Log(s.book.Threshold(key)) {
				f := v.gauge(s, key, r.fall.LogE())
				f.Ruling = segue.RulingReport
				f.Text = fmt.Sprintf("%s fell to %.3g on %s, %.3g was to be expected", key, f.Value, s.name, f.Baseline)
				findings = append(findings, f)
			}
		}
	}
	slices.SortStableFunc(findings, func(a, b segue.Finding) int { return order(a.Ruling) - order(b.Ruling) })
	more := max(0, len(findings)-mostGauges)
	findings = findings[:len(findings)-more]
	if more > 0 {
		findings[len(findings)-1].Text += fmt.Sprintf(" (and %d more)", more)
	}
	return append(findings, v.gaugeReports()...)
}

func order(r segue.Ruling) int {
	return slices.Index([]segue.Ruling{segue.RulingFail, segue.RulingHold, segue.RulingInconclusive, segue.RulingPass, segue.RulingReport}, r)
}

// risen is the finding of a series that is higher than it should be; with is how many are decided together.
func (v view) risen(s *subject, key string, with int) segue.Finding {
	logE := s.gauges[key].rise.LogE()
	f := v.gauge(s, key, logE)
	f.Ruling, f.Threshold = segue.RulingHold, f.Threshold/float64(with)
	f.Text = fmt.Sprintf("%s is %.3g on %s, %.3g was to be expected; evidence %s of %s needed",
		key, f.Value, s.name, f.Baseline, thousands(f.Evidence), thousands(f.Threshold))
	if logE >= math.Log(failAt) && s.suspicion() >= math.Log(holdAt) && v.stable > 0 && !v.mixDiffers() {
		f.Ruling = segue.RulingFail
		f.Text += ", and its requests are suspect too"
	}
	return f
}

func (v view) gauge(s *subject, key string, logE float64) segue.Finding {
	f := v.blank("gauges", evidence.Spend(v.config.Budget.Gauges, s.order))
	r := s.gauges[key]
	f.Server, f.Fingerprint, f.Unit = s.name, key, key
	f.Value, f.Baseline = r.value, r.expected
	f.Samples, f.BaselineSamples = int64(r.windows), int64(r.windows)
	f.Evidence, f.Threshold = exponent(logE), min(s.book.Threshold(key), mostE)
	return f
}

// gaugeReports say what was looked at, and what was not.
func (v view) gaugeReports() []segue.Finding {
	g := &v.Judge.gauges
	var findings []segue.Finding
	report := func(n int, text string) {
		f := v.blank("gauges", 0)
		f.Ruling, f.Value, f.Unit, f.Samples, f.Text = segue.RulingReport, float64(n), "count", int64(n), text
		findings = append(findings, f)
	}
	if n := len(g.order); n > 0 && len(v.present) > 0 {
		s := v.present[0]
		text := some(n, "series is", "series are") + " compared"
		if most := v.soonest(s); most > 0 {
			text += fmt.Sprintf("; with %s to compare with, it takes %.0f minutes at least to find one higher", some(v.stable, "server", "servers"), most.Minutes())
		}
		report(n, text)
	}
	if n := len(g.leftOut); n > 0 {
		report(n, fmt.Sprintf("%s not compared, since the history is too short or they wander: %s", some(n, "series is", "series are"), list(g.leftOut)))
	}
	if n := g.strangers(); n > 0 {
		report(n, fmt.Sprintf("%s not compared, since they were not read before the rollout", some(n, "series is", "series are")))
	}
	candidate, stable := g.oneSided()
	if n := len(candidate); n > 0 {
		report(n, fmt.Sprintf("%s new with %s: %s", some(n, "series is", "series are"), v.window.Candidate, list(candidate)))
	}
	if n := len(stable); n > 0 {
		report(n, fmt.Sprintf("%s gone with %s: %s", some(n, "series is", "series are"), v.window.Candidate, list(stable)))
	}
	return findings
}

// soonest is the time in which the first series can be found higher, however bad it is.
func (v view) soonest(s *subject) time.Duration {
	most := time.Duration(0)
	for _, key := range v.Judge.gauges.order {
		windows := evidence.NewSoftRank(v.stable).Fastest(s.book.Threshold(key))
		if took := time.Duration(windows) * lengths()[v.Judge.gauges.known[key].span]; took > 0 && (most == 0 || took < most) {
			most = took
		}
	}
	return most
}

// some writes a number with what it counts.
func some(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
