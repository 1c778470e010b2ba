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
	"github.com/segue-deploy/segue/internal/judge/template"
)

// summary is the finding about all lines together: it passes when the candidate was shown to log no more errors than stable does, and
// otherwise says what is missing.
func (j *Judge) summary(l *look, findings []segue.Finding) segue.Finding {
	logE := j.volume.logE()
	f := segue.Finding{
		Judge: j.Name(), Ruling: segue.RulingInconclusive, Release: l.Candidate, Unit: "per minute", ErrorRate: j.config.Alpha,
		Evidence: min(mostE, math.Exp(logE)), Threshold: passAt, Limit: inferior,
	}
	for _, line := range j.order {
		if j.counts(line) {
			f.Samples += line.units(candidate)
			f.BaselineSamples += line.units(others)
		}
	}
	f.Value = quotient(float64(f.Samples), j.exposure[candidate]/60)
	f.Baseline = quotient(float64(f.BaselineSamples), j.exposure[others]/60)
	f.Limit = max(tolerated, inferior*f.Baseline)
	what := "errors"
	if j.dark {
		what = "errors and lines that may be some"
	}
	rates := fmt.Sprintf("%.3g %s a minute and server on %s, %.3g on %s", f.Value, what, l.Candidate, f.Baseline, stable(l))
	if text := j.missing(l); text != "" {
		f.Text = text
		if !j.compared.IsZero() {
			f.Text += "; until then " + rates
		}
		return f
	}
	against := slices.ContainsFunc(findings, func(f segue.Finding) bool { return rank(f) < rank(segue.Finding{Ruling: segue.RulingInconclusive}) })
	written, due := j.mute(l)
	switch {
	case logE >= math.Log(passAt) && !against && written.slots < vanished*due.slots:
		f.Text = fmt.Sprintf("%s writes next to nothing (%.3g lines a minute and server, where %s writes %.3g), and silence is no pass: %s",
			l.Candidate, written.rate(), stable(l), due.rate(), rates)
	case logE >= math.Log(passAt) && !against:
		f.Ruling, f.Text = segue.RulingPass, "no more errors than usual: "+rates
	case against:
		f.Text = rates
	default:
		f.Left = left(logE, math.Log(passAt), l.Until.Sub(j.since))
		f.Text = "not enough seen yet to say that there are no more errors than usual: " + rates
	}
	return f
}

// mute gives how much the candidate writes, and how much it would if it wrote as stable does: since its processes are warm, or until then in all. None
// where that is too little to tell.
func (j *Judge) mute(l *look) (written, due voice) {
	sides := j.voices
	if sides[candidate].seconds == 0 {
		for side := range sides {
			sides[side] = voice{j.exposure[side], j.heard[side].all}
		}
	}
	of, to := l.all[candidate], l.all[others]
	share := quotient(sides[candidate].seconds, sides[others].seconds)
	if of.requests > 0 && to.requests > 0 {
		share *= min(1, quotient(of.requests, to.requests)/quotient(of.seconds, to.seconds))
	}
	due = voice{sides[candidate].seconds, share * sides[others].slots}
	if due.slots < leastDue {
		return voice{}, voice{}
	}
	return sides[candidate], due
}

// missing says in plain words why the sides cannot be compared now; "" when they can.
func (j *Judge) missing(l *look) string {
	late := func(name segue.ServerName) bool { return l.Until.Sub(j.unread[name]) > recent/2 || j.compared.IsZero() }
	var unread []string
	for _, e := range l.Servers {
		if since, ok := j.unread[e.Server]; ok && e.Release == l.Candidate && late(e.Server) {
			unread = append(unread, fmt.Sprintf("%s (since %s)", e.Server, since.UTC().Format(time.TimeOnly)))
		}
	}
	lost := make([]string, 0, len(j.lost))
	for _, name := range slices.Sorted(maps.Keys(j.lost)) {
		lost = append(lost, fmt.Sprintf("%d of %s", j.lost[name], name))
	}
	switch {
	case l.present[candidate] == 0:
		return fmt.Sprintf("no server runs %s at the moment", l.Candidate)
	case l.present[others] == 0:
		return "no stable server left to compare with"
	case len(unread) > 0:
		return "the logs cannot be read of " + strings.Join(unread, ", ")
	case !j.compared.IsZero() && l.Until.Sub(j.compared) <= recent/2:
		return ""
	case len(lost) > 0:
		return "lines were lost, so the logs cannot be compared: " + strings.Join(lost, ", ")
	default:
		return "the logs of no stable server can be read"
	}
}

// atStart reports in one finding what the candidate alone said in its first minute, where no start of stable was seen to compare with.
func (j *Judge) atStart(l *look) []segue.Finding {
	var news []*line
	for _, line := range j.order {
		if !line.bad() && !line.known() && !j.older(line) && line.starting > 0 && line.starting == line.units(candidate) && line.units(others) == 0 && line.start[others] == 0 {
			news = append(news, line)
		}
	}
	if len(news) == 0 {
		return nil
	}
	slices.SortStableFunc(news, func(a, b *line) int { return cmp.Compare(b.weight(), a.weight()) })
	f := j.finding(l, news[0], 0)
	f.Ruling, f.Low, f.High = segue.RulingReport, 0, 0
	seen := "no start of " + stable(l) + " was seen to compare with"
	if j.starts[others] > 0 {
		seen = fmt.Sprintf("none of %.0f starts of %s had them", j.starts[others], stable(l))
	}
	lines := "1 line that %s wrote only in its first minute is new (%s): %s"
	if len(news) > 1 {
		lines = fmt.Sprint(len(news)) + " lines that %s wrote only in its first minute are new (%s), one is: %s"
	}
	f.Text = fmt.Sprintf(lines, l.Candidate, seen, news[0].Text)
	return []segue.Finding{f}
}

// caveats reports those that have no effect any more: expired, or never matched.
func (j *Judge) caveats(l *look) []segue.Finding {
	for _, line := range j.order {
		if line.caveat != nil && !line.first.IsZero() {
			j.matched[line.caveat.ID] = true
		}
	}
	var findings []segue.Finding
	for i := range j.config.Caveats {
		c := &j.config.Caveats[i]
		if !c.applies(l.Service, l.Candidate) {
			continue
		}
		var text string
		switch {
		case c.expired(l.Until):
			text = fmt.Sprintf("caveat %s of %s expired on %s and has no effect: renew or remove it", c.ID, c.Owner, c.Expires.UTC().Format(time.DateOnly))
		case c.Match == "" && !ofLog(c.Fingerprint):
			continue
		case !j.matched[c.ID] && j.exposure[candidate] >= soon.Seconds() && c.due(j.exposure[candidate]):
			text = fmt.Sprintf("what caveat %s of %s is about did not come on %s: remove it if it is mended", c.ID, c.Owner, l.Candidate)
		default:
			continue
		}
		findings = append(findings, segue.Finding{
			Judge: j.Name(), Ruling: segue.RulingReport, Release: l.Candidate, Unit: "count", Caveat: c.ID, Fingerprint: c.Fingerprint, Text: text,
		})
	}
	return findings
}

// ofLog tells whether a fingerprint is that of a log template, rather than one of another judge's findings.
func ofLog(fingerprint string) bool {
	_, err := template.ParseID(fingerprint)
	return err == nil
}
