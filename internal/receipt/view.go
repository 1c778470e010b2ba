package receipt

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

// view is what the page shows: texts are ready, places are computed; the template only puts them in.
type view struct {
	// Style is the page's own sheet, embedded with it: no text from outside is in it.
	Style    template.CSS
	Title    string
	Badge    string
	Tone     string
	Headline string
	Sentence string
	Meta     []string
	Why      string
	Partial  bool
	Cards    []card
	Chart    *chart
	Database []databaseRow
	Latency  []latencyRow
	Time     []timePart
	TimeText string
	Mixed    string
	Releases []releaseRow
	Failures []failureRow
	Listed   []listedRow
	Users    []fact
	Findings []string
	Steps    []stepRow
	// Fold closes the long table of steps.
	Fold      bool
	Verdicts  []verdictRow
	Orders    []orderRow
	Incidents []string
	Notes     []string
	Version   int
	Rollout   string
}

type card struct{ Name, Value, Detail, Tone string }

type fact struct{ Name, Value, Tone string }

type latencyRow struct {
	Source, Quantile string
	Cells            [3]latencyCell
}

// latencyCell has a bar whose length compares the three.
type latencyCell struct {
	Text    string
	Percent float64
	Tone    string
}

type timePart struct {
	Name, Text, Class string
	Percent           float64
}

type releaseRow struct {
	Name, Class, Requests, Classes, Failed, P50, P99 string
	Bad                                              bool
}

type failureRow struct{ Count, Cause, Server, Where string }

type listedRow struct{ At, Server, Release, Cause, Status, Request string }

type stepRow struct {
	Number, Title, Status, Tone, Duration, Unavoidable, Overhead, Failures, Note string
	Attempts                                                                     int
}

type verdictRow struct {
	Ruling, Tone, When string
	Findings           []findingRow
}

type findingRow struct {
	Ruling, Tone, Judge, Subject, Value, Baseline, Limit, Samples, Text string
	// Evidence is what speaks against it, beside what decides; Sample a line or values that it stands for.
	Evidence, Sample string
}

type orderRow struct{ At, Verb, By, Why, What string }

func newView(r Receipt) view {
	v := view{
		Style: template.CSS(pageStyle), Title: r.title(), Headline: r.Headline(), Sentence: r.Sentence, Why: r.Why,
		Partial: r.Partial, Notes: r.Notes, Version: r.Version, Rollout: r.Rollout.String(),
		Badge: badges(r.Outcome), Tone: toneName(r),
		Cards: cards(r), Chart: newChart(r), Database: databaseRows(r), Latency: latencyRows(r), Mixed: r.Time.Mixed.String(),
		Releases: releaseRows(r), Users: userFacts(r), Steps: stepRows(r), Fold: len(r.Steps) > 24, Verdicts: verdictRows(r),
	}
	v.Meta = []string{"rollout " + r.Rollout.String(), string(r.Strategy)}
	if !r.Started.IsZero() {
		v.Meta = append(v.Meta, r.Started.UTC().Format("2 January 2006, 15:04:05")+" to "+r.Ended.UTC().Format("15:04:05")+" UTC")
	}
	if r.By != "" {
		v.Meta = append(v.Meta, "by "+r.By)
	}
	if more := len(r.Steps) - stepsShown; more > 0 {
		v.Notes = append(slices.Clone(v.Notes), fmt.Sprintf("%s are in the JSON", plural(int64(more), "further step")))
	}
	v.Time, v.TimeText = timeParts(r)
	v.addFailures(r)
	for _, o := range r.Orders {
		row := orderRow{At: o.At.UTC().Format("15:04:05"), Verb: string(o.Verb), By: o.By, Why: o.Why}
		for _, server := range o.Servers {
			row.What += string(server) + " "
		}
		if o.Step != 0 {
			row.What += r.where(o.Plan, o.Step)
		}
		if o.All {
			row.What += "all observations"
		}
		v.Orders = append(v.Orders, row)
	}
	for _, incident := range r.Incidents {
		text := strings.TrimSuffix(fmt.Sprintf("%s UTC: %s %s %s: %s", incident.At.UTC().Format("15:04:05"), incident.Kind, incident.Server,
			incident.Release, incident.Text), ": ")
		v.Incidents = append(v.Incidents, strings.Join(strings.Fields(text), " "))
	}
	return v
}

func badges(phase segue.Phase) string {
	switch phase {
	case segue.PhaseSucceeded:
		return "Done"
	case segue.PhaseRolledBack:
		return "Rolled back"
	case segue.PhaseMixed:
		return "Mixed"
	case segue.PhaseHeld:
		return "Held"
	case segue.PhasePaused:
		return "Paused"
	case segue.PhaseObserving:
		return "Observing"
	case segue.PhaseRollingBack:
		return "Rolling back"
	case segue.PhaseQueued:
		return "Queued"
	default:
		return "Under way"
	}
}

// toneName is "good", "warn" or "bad", for the whole receipt.
func toneName(r Receipt) string {
	n, _ := r.Failed()
	switch {
	case r.Outcome == segue.PhaseMixed, n > 0, r.Witness != nil && r.Witness.SessionsLost > 0:
		return "bad"
	case r.Outcome == segue.PhaseSucceeded && r.clean():
		return "good"
	}
	return "warn"
}

func goodOrBad(bad bool) string {
	if bad {
		return "bad"
	}
	return "good"
}

// cards are the figures that are read first.
func cards(r Receipt) []card {
	list := []card{{Name: "Duration", Value: r.Duration.String(), Detail: ratioText(r)}}
	if tr := r.Traffic; tr == nil {
		list = append(list, card{Name: "Requests", Value: "–", Detail: notMeasured, Tone: "warn"})
	} else {
		hold := "none held"
		if tr.Held > 0 {
			hold = fmt.Sprintf("%s held, longest %s%s", count(tr.Held), atMost(tr), tr.LongestHold)
		}
		list = append(list,
			card{Name: "Requests", Value: count(tr.Requests), Detail: rateText(r)},
			card{Name: "Failed", Value: count(tr.Failed), Detail: fmt.Sprintf("%s retried, %s", count(tr.Retries), hold), Tone: goodOrBad(tr.Failed > 0)})
	}
	if w := r.Witness; w == nil {
		list = append(list, card{Name: "Sessions kept", Value: "–", Detail: "no witness", Tone: "warn"})
	} else {
		list = append(list, card{
			Name: "Sessions kept", Value: fmt.Sprintf("%s of %s", count(int64(w.SessionsKept)), count(int64(w.Users))),
			Detail: fmt.Sprintf("moved %.1f times on average, %d at most", w.MovesMean, w.MovesMax), Tone: goodOrBad(w.SessionsLost > 0),
		})
	}
	if tr := r.Traffic; tr != nil && tr.During != nil {
		detail := "before: " + notMeasured
		if tr.Before != nil {
			detail = "before: " + tr.Before.P99.String()
		}
		list = append(list, card{Name: "p99 during", Value: tr.During.P99.String(), Detail: detail})
	}
	return list
}

func ratioText(r Receipt) string {
	if r.Time.Ratio == nil {
		return fmt.Sprintf("fleet mixed for %s", r.Time.Mixed)
	}
	return fmt.Sprintf("%.2f × what could not be avoided", *r.Time.Ratio)
}

func atMost(tr *Traffic) string {
	if tr.AtMost {
		return "at most "
	}
	return ""
}

func rateText(r Receipt) string {
	span := r.Traffic.Until.Sub(r.Traffic.Since).Seconds()
	if span <= 0 {
		return ""
	}
	return fmt.Sprintf("%s per second", figureOf(float64(r.Traffic.Requests)/span))
}

func figureOf(value float64) string {
	if value >= 100 {
		return count(int64(value + 0.5))
	}
	return strconv.FormatFloat(value, 'g', 2, 64)
}

func latencyRows(r Receipt) []latencyRow {
	var rows []latencyRow
	add := func(source string, parts [3]*Latency) {
		for which, name := range []string{"p50", "p99"} {
			row := latencyRow{Source: source, Quantile: name}
			var most Seconds
			for _, l := range parts {
				most = max(most, quantileOf(l, which))
			}
			for i, l := range parts {
				cell := latencyCell{Text: quantileText(l, which), Tone: []string{"before", "during", "after"}[i]}
				if most > 0 {
					cell.Percent = round(100 * float64(quantileOf(l, which)) / float64(most))
				}
				row.Cells[i] = cell
			}
			rows = append(rows, row)
		}
	}
	if tr := r.Traffic; tr != nil {
		add("Balancer", [3]*Latency{tr.Before, tr.During, tr.After})
	}
	if w := r.Witness; w != nil {
		add("Witness", [3]*Latency{w.Before, w.During, w.After})
	}
	return rows
}

func quantileOf(l *Latency, which int) Seconds {
	switch {
	case l == nil:
		return 0
	case which == 0:
		return l.P50
	}
	return l.P99
}

func timeParts(r Receipt) (parts []timePart, text string) {
	if r.Duration <= 0 {
		return nil, ""
	}
	for _, p := range []struct {
		name, class string
		d           Seconds
	}{
		{"could not be avoided (boots, drains, bakes)", "unavoidable", r.Time.Unavoidable},
		{"waiting for a person", "person", r.Time.Person},
		{"overhead", "overhead", r.Time.Overhead},
	} {
		if p.d > 0 {
			parts = append(parts, timePart{Name: p.name, Text: p.d.String(), Class: p.class, Percent: round(100 * float64(p.d) / float64(r.Duration))})
		}
	}
	return parts, r.Duration.String()
}

func releaseRows(r Receipt) []releaseRow {
	if r.Traffic == nil {
		return nil
	}
	var rows []releaseRow
	for _, release := range r.Traffic.Releases {
		var classes []string
		for _, class := range slices.Sorted(maps.Keys(release.Classes)) {
			classes = append(classes, class+" "+count(release.Classes[class]))
		}
		rows = append(rows, releaseRow{
			Name: string(release.Release), Class: releaseClass(r, release.Release), Requests: count(release.Requests),
			Classes: strings.Join(classes, " · "), Failed: count(release.Failed), Bad: release.Failed > 0,
			P50: quantileText(release.Latency, 0), P99: quantileText(release.Latency, 1),
		})
	}
	return rows
}

func releaseClass(r Receipt, release segue.ReleaseName) string {
	switch release {
	case r.To:
		return "candidate"
	case r.From:
		return "stable"
	}
	return "third"
}
