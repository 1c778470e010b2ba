package logs

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// mostFindings is how many are given, the worst of them.
	mostFindings = 50
	// noteAt is the evidence at which a new line is reported that fails nothing.
	noteAt = 100
	// vanished is the share of what was expected below which a line is gone rather than rarer.
	vanished = 0.1
	// soon is how long a caveat has to match before it is missed.
	soon = 10 * time.Minute
	// mostE is the largest e-value that is told: JSON knows no infinity.
	mostE = 1e300
)

// findings gives what can be said now, the worst first, and one finding for all of it.
func (j *Judge) findings(l *look) []segue.Finding {
	rejected := map[string]bool{}
	for _, book := range []*evidence.Book{j.graves, j.births, j.notes} {
		for _, id := range book.Rejected() {
			rejected[id] = true
		}
	}
	var findings []segue.Finding
	for _, line := range j.order {
		if f, ok := j.more(l, line, rejected[line.ID]); ok {
			findings = append(findings, f)
		}
		if f, ok := j.less(l, line, rejected); ok {
			findings = append(findings, f)
		}
	}
	findings = append(findings, j.atStart(l)...)
	findings = append(findings, j.caveats(l)...)
	slices.SortStableFunc(findings, func(a, b segue.Finding) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Evidence/max(b.Threshold, 1), a.Evidence/max(a.Threshold, 1)), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	summary := j.summary(l, findings)
	summary.Text += j.blindness(l)
	if more := len(findings) - (mostFindings - 1); more > 0 {
		findings = findings[:mostFindings-1]
		summary.Text += fmt.Sprintf("; %d more findings are not shown", more)
	}
	at := 0
	for at < len(findings) && rank(findings[at]) < rank(summary) {
		at++
	}
	return slices.Insert(findings, at, summary)
}

func rank(f segue.Finding) int {
	switch f.Ruling {
	case segue.RulingFail:
		return 0
	case segue.RulingHold:
		return 1
	case segue.RulingInconclusive:
		return 2
	case segue.RulingPass:
		return 3
	default:
		return 4
	}
}

// more is the finding of a line that the candidate says more often.
func (j *Judge) more(l *look, line *line, rejected bool) (f segue.Finding, ok bool) {
	if line.first.IsZero() {
		return f, false
	}
	book, _ := j.books(line)
	logE, threshold := line.logMore, book.Threshold(line.ID)
	grown := line.volume != nil && line.volume.LogE() >= math.Log(threshold)
	if grown {
		logE = max(logE, line.volume.LogE())
	}
	ruling := j.rule(l, line, logE, rejected, grown)
	noted := !line.known() && logE >= math.Log(noteAt)
	if !rejected && !noted && ruling == segue.RulingReport {
		return f, false
	}
	f = j.finding(l, line, logE)
	f.Ruling, f.Threshold = ruling, min(mostE, threshold)
	if ruling == segue.RulingHold && line.grave() {
		f.Left = left(line.logMore, math.Log(f.Threshold), l.Until.Sub(line.first))
	}
	what := "is new"
	if j.older(line) {
		what = "was not there in the hour before, and is"
	}
	if f.BaselineSamples > 0 || line.known() {
		what = fmt.Sprintf("comes %s as often", times(f.Value, f.Baseline))
	}
	f.Text = fmt.Sprintf("%s %s on %s: %.3g a minute and server, %.3g on %s: %s", j.kind(line), what, l.Candidate, f.Value, f.Baseline, stable(l), line.Text)
	switch {
	case !line.bad() && j.expected(line):
		f.Ruling = segue.RulingReport
		f.Text += " (the release is known to bring it)"
	case ruling == segue.RulingHold && line.dim():
		f.Text += " (its severity is unreadable: it may be an error; if not, put it into judges.logs.expected)"
	}
	return f, true
}

// older tells whether the line was written before all that the rollout is compared with.
func (j *Judge) older(line *line) bool { return !line.First.IsZero() && line.First.Before(j.opened) }

// rule is the policy about a line that the candidate says more often. Errors fail it, by slots, or by lines if they clearly burst; so do
// warnings that burst. What may be either, since severities are unreadable, is held.
func (j *Judge) rule(l *look, line *line, logE float64, rejected, grown bool) segue.Ruling {
	suspicious := logE >= math.Log(holdAt)
	switch {
	case rejected && line.bad(), (rejected || grown) && line.grave() && j.bursts(l, line):
		return segue.RulingFail
	case line.bad() && (suspicious || grown),
		line.grave() && suspicious && j.bursts(l, line),
		suspicious && j.suspect(line) && (!line.known() || j.bursts(l, line)):
		return segue.RulingHold
	}
	return segue.RulingReport
}

// less is the finding of a line that the candidate says less often.
func (j *Judge) less(l *look, line *line, rejected map[string]bool) (f segue.Finding, ok bool) {
	if !rejected["-"+line.ID] {
		return f, false
	}
	f = j.finding(l, line, line.logLess)
	_, book := j.books(line)
	f.Threshold = min(mostE, book.Threshold("-"+line.ID))
	f.Ruling, f.Low, f.High, f.Left = segue.RulingReport, 0, 0, 0
	gone := f.Value <= vanished*f.Baseline
	if line.beat != nil {
		// Blocks tell at once, where the rate since the beginning would lag.
		gone = gone || line.beat.empty.logE() >= math.Log(f.Threshold)
	}
	heir := j.heir(line)
	switch {
	case !gone:
		f.Text = fmt.Sprintf("%s comes less often on %s: %.3g a minute and server, %.3g on %s: %s", j.kind(line), l.Candidate, f.Value, f.Baseline, stable(l), line.Text)
	case line.bad():
		f.Text = fmt.Sprintf("fixed? %s does not come on %s: %s", j.kind(line), l.Candidate, line.Text)
	case j.expected(line):
		f.Text = fmt.Sprintf("%s does not come on %s, as expected: %s", j.kind(line), l.Candidate, line.Text)
	case heir != nil:
		f.Text = fmt.Sprintf("%s does not come on %s; it may read now: %s; it was: %s", j.kind(line), l.Candidate, heir.Text, line.Text)
	case line.beat != nil:
		f.Ruling = segue.RulingFail
		f.Text = fmt.Sprintf("%s came at least once in each %s, and is gone on %s: %s (if that is meant, put it into judges.logs.expected)",
			j.kind(line), spell(line.beat.block), l.Candidate, line.Text)
	default:
		f.Text = fmt.Sprintf("%s does not come on %s: %s", j.kind(line), l.Candidate, line.Text)
	}
	return f, true
}

// spell writes whole minutes: minute, 5 minutes.
func spell(d time.Duration) string {
	if d == time.Minute {
		return "minute"
	}
	return fmt.Sprintf("%d minutes", d/time.Minute)
}

// finding fills in what all findings about a line have.
func (j *Judge) finding(l *look, line *line, logE float64) segue.Finding {
	f := segue.Finding{
		Judge: j.Name(), Release: l.Candidate, Unit: "per minute", ErrorRate: j.config.Alpha, At: line.first,
		Fingerprint: line.ID, Severity: line.Severity, Template: line.Text, Sample: line.Sample, Evidence: min(mostE, math.Exp(logE)),
		Samples: line.units(candidate), BaselineSamples: line.units(others), Counts: map[segue.ServerName]int64{},
	}
	for _, side := range []int{others, candidate} {
		maps.Copy(f.Counts, line.counts[side])
	}
	if len(line.counts[candidate]) == 1 {
		for name := range line.counts[candidate] {
			f.Server = name
		}
	}
	f.Value = quotient(float64(f.Samples), j.exposure[candidate]/60)
	f.Baseline = quotient(float64(f.BaselineSamples), j.exposure[others]/60)
	f.Limit = margin * f.Baseline
	if line.caveat != nil {
		f.Caveat = line.caveat.ID
		f.Limit = line.caveat.ceiling() * max(line.caveat.Rate, f.Baseline)
	}
	p := evidence.NewProcess(evidence.Options{})
	p.Add(evidence.Split{
		Candidate: float64(f.Samples), Others: float64(f.BaselineSamples), CandidateExposure: j.exposure[candidate], OthersExposure: j.exposure[others],
	})
	if f.Low, f.High = p.Interval(j.config.Alpha); math.IsInf(f.High, 0) {
		f.High = 0
	}
	return f
}

func (j *Judge) expected(line *line) bool {
	return slices.ContainsFunc(j.config.Expected, func(e Expectation) bool { return e.names(line.ID, line.Text) })
}

// kind names a line's severity for people.
func (j *Judge) kind(line *line) string {
	switch {
	case line.Trace:
		return "a stack trace"
	case line.Severity == "" || line.Severity == "unknown":
		return "a line"
	}
	return strings.ToUpper(line.Severity)
}

// times says how many times value is of baseline.
func times(value, baseline float64) string {
	if baseline == 0 {
		return "many times"
	}
	return fmt.Sprintf("%.3g times", value/baseline)
}

func stable(l *look) string {
	if l.Stable == "" {
		return "stable"
	}
	return string(l.Stable)
}

// left forecasts how much longer evidence takes to reach a threshold, if it goes on to grow as it did; 0 when it does not.
func left(logE, threshold float64, took time.Duration) time.Duration {
	if logE <= 0 || took <= 0 || logE >= threshold || math.IsInf(threshold, 0) {
		return 0
	}
	const most = 30 * 24 * time.Hour
	more := (threshold - logE) / logE * took.Seconds()
	if more > most.Seconds() {
		return 0
	}
	return time.Duration(more * float64(time.Second)).Round(time.Second)
}
