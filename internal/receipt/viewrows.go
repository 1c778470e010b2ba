package receipt

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

const (
	// listedShown bounds the single failures that the page shows, stepsShown the steps.
	listedShown = 50
	stepsShown  = 1000
)

// addFailures puts in the failures, by group and one by one, and what the witness found.
func (v *view) addFailures(r Receipt) {
	if r.Traffic != nil {
		for _, group := range r.Traffic.Failures {
			where := r.where(group.Plan, group.Step)
			if group.Estimated {
				where = "about " + where
			}
			v.Failures = append(v.Failures, failureRow{
				Count: count(group.Count), Cause: group.Cause, Server: orDash(string(group.Server)), Where: where,
			})
		}
		for _, f := range first(r.Traffic.Listed, listedShown) {
			row := listedRow{
				At: f.At.UTC().Format("15:04:05.000"), Server: orDash(string(f.Server)), Release: orDash(string(f.Release)), Cause: f.Cause,
				Request: strings.TrimSpace(f.Method + " " + f.Path), Status: "closed",
			}
			if f.Status > 0 {
				row.Status = strconv.Itoa(f.Status)
			}
			v.Listed = append(v.Listed, row)
		}
	}
	if r.Witness != nil {
		for _, f := range r.Witness.Findings {
			v.Findings = append(v.Findings, f.Text)
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// userFacts are what the witness and the balancer say of users.
func userFacts(r Receipt) []fact {
	var facts []fact
	if w := r.Witness; w != nil {
		facts = append(facts,
			fact{"Sessions", fmt.Sprintf("%d kept, %d lost", w.SessionsKept, w.SessionsLost), goodOrBad(w.SessionsLost > 0)},
			fact{"Moves to another server", fmt.Sprintf("%.1f on average, %d at most", w.MovesMean, w.MovesMax), ""},
			fact{"Requests of the witness", count(w.Requests) + ", " + count(w.Failed) + " failed" + countsText(w.Failures, " ("), goodOrBad(w.Failed > 0)})
		if w.Writes.Made+w.Writes.Lost+w.Writes.Doubled > 0 {
			text := fmt.Sprintf("%s made, %s read back, %s lost, %s applied twice", count(w.Writes.Made), count(w.Writes.Verified),
				count(w.Writes.Lost), count(w.Writes.Doubled))
			if w.Writes.Unverified > 0 {
				text += fmt.Sprintf(", %s not verified", count(w.Writes.Unverified))
			}
			facts = append(facts, fact{"Writes", text, goodOrBad(w.Writes.Lost+w.Writes.Doubled > 0)})
		}
		if w.Sockets.Opened > 0 {
			text := fmt.Sprintf("%s opened, %s closed properly%s, %s cut", count(w.Sockets.Opened), count(total(w.Sockets.Closed)),
				countsText(w.Sockets.Closed, " (code "), count(w.Sockets.Cut))
			facts = append(facts, fact{"WebSockets of the witness", text, goodOrBad(w.Sockets.Cut > 0)})
		}
	} else {
		facts = append(facts, fact{"Sessions", "not measured: there was no witness", "warn"})
	}
	if tr := r.Traffic; tr != nil {
		facts = append(facts, fact{
			"Long connections", fmt.Sprintf("%s closed properly at a drain deadline, %s cut", count(tr.Long.Closed), count(tr.Long.Cut)),
			goodOrBad(tr.Long.Cut > 0),
		})
		if tr.Moves != nil && tr.Users != nil {
			facts = append(facts, fact{"Sticky users of the balancer", fmt.Sprintf("%s moves, %s newcomers", count(*tr.Moves), count(*tr.Users)), ""})
		}
	}
	return facts
}

func stepRows(r Receipt) []stepRow {
	shown := first(r.Steps, stepsShown)
	rows := make([]stepRow, 0, len(shown))
	for _, s := range shown {
		row := stepRow{
			Number: strconv.Itoa(int(s.ID)), Title: s.title(), Status: string(s.Status), Duration: s.Duration.String(),
			Unavoidable: s.Unavoidable.String(), Overhead: s.Overhead.String(), Attempts: s.Attempts, Note: s.Note,
		}
		if len(r.Plans) > 1 {
			row.Number = fmt.Sprintf("%d.%d", s.Plan, s.ID)
		}
		if s.Failures > 0 {
			row.Failures = count(s.Failures)
		}
		if s.Deadline {
			row.Note = strings.TrimSpace(fmt.Sprintf("%s drain deadline: %d cut, %d long connections closed", row.Note, s.Cut, s.Closed))
		}
		switch s.Status {
		case StepFailed:
			row.Tone = "bad"
		case StepDone:
		case StepRunning, StepOvertaken:
			row.Tone = "warn"
		}
		rows = append(rows, row)
	}
	return rows
}

func verdictRows(r Receipt) []verdictRow {
	rows := make([]verdictRow, 0, len(r.Verdicts))
	for _, v := range r.Verdicts {
		row := verdictRow{Ruling: rulingWord(v.Ruling), Tone: rulingTone(v.Ruling), When: verdictWhen(r, v)}
		for _, f := range v.Findings {
			finding := findingRow{
				Ruling: rulingWord(f.Ruling), Tone: rulingTone(f.Ruling), Judge: f.Judge,
				Subject: strings.TrimSpace(string(f.Server) + " " + string(f.Release)), Text: f.Text,
				Value: figure(f.Value, f.Unit), Baseline: figure(f.Baseline, f.Unit), Limit: figure(f.Limit, f.Unit), Samples: count(f.Samples),
			}
			if f.Unit == "" {
				finding.Value, finding.Baseline, finding.Limit = "–", "–", "–"
			}
			if f.BaselineSamples > 0 {
				finding.Samples += " / " + count(f.BaselineSamples)
			}
			if f.Needed > 0 {
				finding.Samples += " (needs " + count(f.Needed) + ")"
			}
			if f.Threshold > 0 {
				finding.Evidence = fmt.Sprintf("evidence %.3g of %.3g, at an error rate of %.3g", f.Evidence, f.Threshold, f.ErrorRate)
			}
			if f.Ruling != segue.RulingPass {
				finding.Sample = f.Sample
			}
			row.Findings = append(row.Findings, finding)
		}
		rows = append(rows, row)
	}
	return rows
}

func rulingWord(ruling segue.Ruling) string {
	if ruling == segue.RulingInconclusive || ruling == "" {
		return "not enough data yet"
	}
	return string(ruling)
}

func rulingTone(ruling segue.Ruling) string {
	switch ruling {
	case segue.RulingPass:
		return "good"
	case segue.RulingFail:
		return "bad"
	case segue.RulingReport:
		return "faint"
	default:
		return "warn"
	}
}
