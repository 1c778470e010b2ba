package metrics

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// mostE is the largest e-value that is told: JSON knows no infinity.
const mostE = 1e300

// findings gives what can be said now: what is wrong with single servers, then one finding per lane.
func (j *Judge) findings(window judge.Evidence) []segue.Finding {
	v := view{Judge: j, window: window}
	for _, row := range window.Servers {
		if row.Release == window.Candidate {
			v.present = append(v.present, j.subject(row.Server))
		} else {
			v.stable++
		}
	}
	slices.SortFunc(v.present, func(a, b *subject) int { return cmp.Compare(a.order, b.order) })
	findings := v.errors()
	findings = append(findings, v.latency()...)
	findings = append(findings, v.mix()...)
	return append(findings, v.gauges()...)
}

// view is a judge's state as of a window.
type view struct {
	*Judge
	window  judge.Evidence
	present []*subject
	stable  int
}

// blank is what findings have in common.
func (v view) blank(lane string, rate float64) segue.Finding {
	return segue.Finding{Judge: lane, Ruling: segue.RulingInconclusive, Release: v.window.Candidate, ErrorRate: rate}
}

// missing says why nothing can be compared at the moment; "" if it can.
func (v view) missing() string {
	var idle, cold []string
	for _, s := range v.present {
		switch {
		case s.asked == 0:
			idle = append(idle, string(s.name))
		case s.weighed == 0:
			cold = append(cold, string(s.name))
		}
	}
	stable := cmp.Or(string(v.window.Stable), "the stable release")
	switch {
	case len(v.present) == 0:
		return fmt.Sprintf("no server runs %s", v.window.Candidate)
	case len(idle) > 0:
		return fmt.Sprintf("no traffic: %s got no request since %s is there", list(idle), v.window.Candidate)
	case v.stable == 0:
		return fmt.Sprintf("no server with %s is left to compare with", stable)
	case len(cold) > 0:
		return fmt.Sprintf("%s is not compared yet: a process counts from the age of %v, with requests on both sides", list(cold), v.config.Warm)
	case v.compared == 0:
		return "nothing to compare with: servers with " + stable + " got no request"
	}
	return ""
}

// errors gives a finding for each server that is suspect, or one for all.
func (v view) errors() []segue.Finding {
	var findings []segue.Finding
	for _, s := range v.present {
		findings = append(findings, v.failingRoutes(s)...)
		if f, ok := v.severe(s); ok {
			findings = append(findings, f)
		} else if f, ok := v.failing(s); ok {
			findings = append(findings, f)
		}
	}
	if len(findings) > 0 {
		return findings
	}
	f := v.blank("error rate", 1.0/passAt)
	theirs := tally{}
	for _, s := range v.present {
		if s.theirs.requests > theirs.requests {
			theirs = s.theirs
		}
	}
	f.Value, f.Baseline, f.Unit = v.fine.tally.share(), theirs.share(), "share"
	f.Limit = max(inferior*f.Baseline, tolerated)
	f.Samples, f.BaselineSamples = int64(v.fine.tally.requests), int64(theirs.requests)
	logE := v.fine.logE()
	f.Evidence, f.Threshold = exponent(logE), passAt
	f.Low, f.High = finite(v.fine.low), finite(v.fine.high)
	shares := fmt.Sprintf("%s of answers failed on %s, %s on the others", percent(f.Value), v.window.Candidate, percent(f.Baseline))
	switch missing := v.missing(); {
	case missing != "":
		f.Text = missing
	case v.mixDiffers():
		f.Text = "not comparable, routes differ: " + shares
	case logE >= math.Log(passAt):
		f.Ruling = segue.RulingPass
		f.Text = fmt.Sprintf("%s; less than twice as many, by evidence %s of %d needed%s", shares, thousands(f.Evidence), passAt, v.visible(theirs))
	default:
		f.Left = left(logE, math.Log(passAt), v.compared)
		f.Text = fmt.Sprintf("not enough data yet: %s; evidence that it is less than twice as many is %s of %d needed", shares, thousands(f.Evidence), passAt)
	}
	return []segue.Finding{f}
}

// visible says what would have been found by now, most likely.
func (v view) visible(theirs tally) string {
	if v.stable == 0 || v.compared <= 0 {
		return ""
	}
	minutes, servers := v.compared.Minutes(), float64(len(v.present))
	outlook := evidence.Forecast(evidence.ForecastRequest{
		Rate: theirs.errors / minutes / float64(v.stable) * servers, Others: max(1, int(math.Round(float64(v.stable)/servers))), Null: errorMargin, Only: true,
		Minutes: minutes, Alpha: v.config.Budget.Errors,
	})
	if !outlook.Found {
		return ""
	}
	return fmt.Sprintf(" (%.1f times as many would have failed it by now, at 90 %%)", outlook.Ratio)
}

// severe is the finding of a server that nothing excuses.
func (v view) severe(s *subject) (segue.Finding, bool) {
	rate := evidence.Spend(v.config.Budget.Severe, s.order)
	logE := s.severeLogE()
	if logE < -math.Log(rate) || v.stable == 0 {
		return segue.Finding{}, false
	}
	totals := s.severe.Totals()
	f := v.blank("error rate", rate)
	f.Ruling, f.Server, f.Unit, f.Limit = segue.RulingFail, s.name, "count", severeMargin
	f.Evidence, f.Threshold = exponent(logE), threshold(rate)
	if s.drastic.logE() > s.severe.LogE() {
		f.Value, f.Baseline = s.drastic.mine.errors, s.drastic.theirs.errors
		f.Samples, f.BaselineSamples = int64(s.drastic.mine.requests), int64(s.drastic.theirs.requests)
		f.Text = fmt.Sprintf("%.0f of %d answers failed on %s and %.0f of %d on the others, more than any start excuses; evidence %s of %s needed",
			f.Value, f.Samples, s.name, f.Baseline, f.BaselineSamples, thousands(f.Evidence), thousands(f.Threshold))
		return f, true
	}
	f.Value, f.Baseline = totals.Candidate*v.history.errorPhi, totals.Others*v.history.errorPhi
	f.Samples, f.BaselineSamples = int64(f.Value), int64(f.Baseline)
	low, high := s.severe.Interval(rate)
	f.Low, f.High = finite(low), finite(high)
	f.Text = fmt.Sprintf("%.0f answers failed on %s and %.0f on the others, over %.0f times its part; evidence %s of %s needed",
		f.Value, s.name, f.Baseline, severeMargin, thousands(f.Evidence), thousands(f.Threshold))
	return f, true
}

// failing is the finding of a server with more errors than its part.
func (v view) failing(s *subject) (segue.Finding, bool) {
	rate := v.errorRate(s)
	if s.errorSuspicion() < math.Log(holdAt) {
		return segue.Finding{}, false
	}
	logE := s.errors.LogE()
	f := v.blank("error rate", rate)
	f.Server, f.Unit, f.Limit = s.name, "share", errorMargin*s.theirs.share()
	f.Value, f.Baseline = s.mine.share(), s.theirs.share()
	f.Samples, f.BaselineSamples = int64(s.mine.requests), int64(s.theirs.requests)
	f.Evidence, f.Threshold = exponent(logE), threshold(rate)
	low, high := s.ratio.Interval(rate)
	f.Low, f.High = finite(low), finite(high)
	f.Text = fmt.Sprintf("%s of answers failed on %s, %s on the others; evidence %s of %s needed",
		percent(f.Value), s.name, percent(f.Baseline), thousands(f.Evidence), thousands(f.Threshold))
	if logE < math.Log(holdAt) {
		f.Text += fmt.Sprintf(" to fail it, %s of %d to hold it", thousands(exponent(s.errorSuspicion())), holdAt)
	}
	if n, route := s.errorStrata.alone(); n > 0 {
		f.Text += fmt.Sprintf("; %.0f on routes that the others were not asked for, %s above all", n, route)
	}
	v.rule(&f, logE, s.stranger)
	if f.Ruling == segue.RulingHold {
		f.Left = v.errorsLeft(s, rate)
	}
	return f, true
}

// errorsLeft is how much longer it takes to fail the server, if its ratio stays what it is.
func (v view) errorsLeft(s *subject, rate float64) time.Duration {
	totals, minutes := s.ratio.Totals(), s.weighed.Minutes()
	if v.stable == 0 || totals.Others == 0 || minutes == 0 {
		return 0
	}
	outlook := evidence.Forecast(evidence.ForecastRequest{
		Rate: totals.Others / minutes / float64(v.stable), Others: v.stable, Null: errorMargin, Only: true, Ratio: s.times(), Alpha: rate, Power: 0.5,
	})
	if !outlook.Found {
		return 0
	}
	return max(0, time.Duration(outlook.Minutes*float64(time.Minute))-s.weighed).Round(time.Second)
}

// rule decides by evidence against the candidate that is enough to hold it at least.
func (v view) rule(f *segue.Finding, logE float64, stranger bool) {
	rate := f.ErrorRate
	f.Ruling, f.ErrorRate = segue.RulingHold, 1.0/holdAt
	switch {
	case v.stable == 0:
		f.Text += "; no server is left to compare with"
	case stranger:
		f.Text += v.history.lacks()
	case v.mixDiffers():
		f.Text += "; but it gets other routes than the others"
	case logE >= -math.Log(rate):
		f.Ruling, f.ErrorRate = segue.RulingFail, rate
	}
}

// latency gives a finding for each server that is suspect, or one for all: it passes when each server has shown that it is fine.
func (v view) latency() []segue.Finding {
	var findings []segue.Finding
	var worst *subject
	for _, s := range v.present {
		rate, logE := evidence.Spend(v.config.Budget.Latency, s.order), s.latency.logE()
		if worst == nil || s.latency.fineLogE() < worst.latency.fineLogE() {
			worst = s
		}
		if logE < math.Log(holdAt) {
			continue
		}
		f := v.blank("response time", rate)
		f.Server = s.name
		text := s.latency.figures(&f)
		f.Evidence, f.Threshold = exponent(logE), threshold(rate)
		f.Text = fmt.Sprintf("%s; evidence %s of %s needed", text, thousands(f.Evidence), thousands(f.Threshold))
		if v.rule(&f, logE, s.latency.stranger && !s.latency.drastic()); f.Ruling == segue.RulingHold {
			f.Left = left(logE, math.Log(f.Threshold), s.weighed)
		}
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return findings
	}
	f := v.blank("response time", 1.0/passAt)
	f.Unit = "ms"
	if missing := v.missing(); missing != "" {
		f.Text = missing
		return []segue.Finding{f}
	}
	f.Server = worst.name
	logE, text := worst.latency.fineLogE(), worst.latency.figures(&f)
	f.Evidence, f.Threshold = exponent(logE), passAt
	switch {
	case v.mixDiffers():
		f.Text = "not comparable, routes differ: " + text
	case logE >= math.Log(passAt):
		f.Ruling = segue.RulingPass
		f.Text = fmt.Sprintf("%s; less than %.0f %% slower, by evidence %s of %d needed", text, worst.latency.fineMargin(), thousands(f.Evidence), passAt)
	default:
		f.Left = left(logE, math.Log(passAt), worst.weighed)
		f.Text = fmt.Sprintf("not enough data yet: %s; evidence that it is less than %.0f %% slower is %s of %d needed",
			text, worst.latency.fineMargin(), thousands(f.Evidence), passAt)
	}
	return []segue.Finding{f}
}

// figures fills in the quantile that is furthest off.
func (c *chain) figures(f *segue.Finding) string {
	mine, theirs := c.seen()
	f.Unit, f.Samples, f.BaselineSamples = "ms", mine.Count, theirs.Count
	name, most := "p50", -1.0
	for _, q := range []float64{0.5, 0.9, 0.99} {
		value, baseline := ms(mine.Quantile(q)), ms(theirs.Quantile(q))
		if ratio := value / max(baseline, 1e-3); ratio > most {
			most, name = ratio, fmt.Sprintf("p%.0f", 100*q)
			f.Value, f.Baseline, f.Limit = value, baseline, baseline*(1+c.margin()/100)
		}
	}
	return fmt.Sprintf("%s is %.3g ms on %s, %.3g ms on the others", name, f.Value, f.Server, f.Baseline)
}

// drastic says that half of all answers take so much longer than half of the others' that no machine explains it, known or not.
func (c *chain) drastic() bool {
	const (
		times = 5
		least = 20 * time.Millisecond
		few   = 30
	)
	mine, theirs := c.seen()
	middle, usual := mine.Quantile(0.5), theirs.Quantile(0.5)
	return mine.Count >= few && theirs.Count >= few && middle >= times*usual && middle-usual >= least
}

// margin is by how much it may be slower, in percent.
func (c *chain) margin() float64 {
	if c.stranger {
		return 100 * (strangerMargin - 1)
	}
	return 100 * latencyMargin
}

// fineMargin is the one by which it may be slower and be called fine: wider where servers' moods allow nothing finer.
func (c *chain) fineMargin() float64 { return 100 * math.Expm1(c.wide) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// mixDiffers says that the candidate gets other routes.
func (v view) mixDiffers() bool { return v.Judge.mix.differs() }

// mix is a finding if the routes differ.
func (v view) mix() []segue.Finding {
	m := &v.Judge.mix
	if !m.differs() {
		return nil
	}
	f := v.blank("mix", 1.0/mixAt)
	f.Value, f.Limit, f.Unit = m.test.Distance(), m.limit(), "share"
	f.Evidence, f.Threshold = exponent(m.test.LogE()), mixAt
	for _, n := range m.mine {
		f.Samples += int64(n)
	}
	for _, n := range m.theirs {
		f.BaselineSamples += int64(n)
	}
	f.Text = fmt.Sprintf("%s gets other routes than the others, so they cannot be compared: %s", v.window.Candidate, m.describe())
	return []segue.Finding{f}
}

// left extrapolates how much longer it takes for evidence to reach what is needed; 0 when it does not grow.
func left(logE, goal float64, took time.Duration) time.Duration {
	if logE <= 0 || logE >= goal {
		return 0
	}
	more := float64(took) * (goal - logE) / logE
	if more > float64(30*24*time.Hour) {
		return 0
	}
	return time.Duration(more).Round(time.Second)
}

// finite is 0 for infinity, which JSON has no word for.
func finite(v float64) float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	return v
}

// threshold is the evidence that an error rate asks for.
func threshold(rate float64) float64 { return min(1/rate, mostE) }

func exponent(logE float64) float64 { return min(math.Exp(logE), mostE) }

// percent writes a share.
func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.2g %%", 100*share)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// thousands writes a number for people: 4,100.
func thousands(v float64) string {
	switch {
	case v >= 1e9:
		return "over 1e9"
	case v < 100:
		return fmt.Sprintf("%.2g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// list writes some names.
func list(names []string) string {
	const shown = 5
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
