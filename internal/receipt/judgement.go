package receipt

import (
	"fmt"
	"strings"

	"github.com/segue-deploy/segue"
)

// judgements lists verdicts with their figures, and orders.
func (t *text) judgements() {
	var rows []string
	for _, v := range t.r.Verdicts {
		rows = append(rows, t.ruling(v.Ruling)+t.paint(faint, printable(verdictWhen(t.r, v))))
		shown := first(v.Findings, 8)
		for _, f := range shown {
			rows = append(rows, t.finding(f)...)
		}
		rows = append(rows, t.more(len(v.Findings)-len(shown), "further finding")...)
	}
	t.section("Verdicts", rows)
	orders := make([]string, 0, len(t.r.Orders))
	for _, o := range t.r.Orders {
		orders = append(orders, t.fit(orderText(o)))
	}
	t.section("Orders", orders)
}

// finding writes one in words, with the figures that it was ruled on where it was ruled against the candidate, and what it stands for.
func (t *text) finding(f segue.Finding) []string {
	indent := pad("", 16)
	var rows []string
	words := f.Judge + ": " + f.Text
	if f.Text == "" {
		words = findingText(f)
	}
	for i, row := range t.wrap(words, len(indent)) {
		lead := indent
		if i == 0 {
			lead = "  " + t.ruling(f.Ruling)
		}
		rows = append(rows, lead+row)
	}
	against := f.Ruling == segue.RulingFail || f.Ruling == segue.RulingHold || f.Ruling == segue.RulingReport
	if f.Text != "" && against {
		for _, row := range t.wrap(findingFigures(f), len(indent)) {
			rows = append(rows, indent+t.paint(faint, row))
		}
	}
	if f.Sample != "" && against {
		rows = append(rows, indent+clip("“"+printable(f.Sample)+"”", t.o.Width-labelWidth-18))
	}
	return rows
}

func (t *text) ruling(ruling segue.Ruling) string {
	tone := warn
	switch ruling {
	case segue.RulingPass:
		tone = good
	case segue.RulingFail:
		tone = bad
	case segue.RulingReport:
		tone = faint
	case segue.RulingHold:
	default:
		ruling = segue.RulingInconclusive
	}
	return t.paint(tone, pad(string(ruling), 14))
}

func (t *text) notes() {
	const most = 8
	var rows []string
	for _, note := range first(t.r.Notes, most) {
		for _, row := range t.prose(note) {
			rows = append(rows, t.paint(faint, row))
		}
	}
	t.section("Notes", append(rows, t.more(len(t.r.Notes)-most, "further note")...))
}

// verdictWhen says when a verdict was given and of which step.
func verdictWhen(r Receipt, v Verdict) string {
	text := v.At.UTC().Format("15:04:05")
	if v.Step != 0 {
		text += " · " + r.where(v.Plan, v.Step)
	}
	if v.Given > 1 {
		text += fmt.Sprintf(" · the last of %d", v.Given)
	}
	return text
}

// findingText writes a finding that has no words of its own: "errors v2: 2.1 %, baseline 0.04 %, limit 1 %, 1,240 samples against 3,720".
func findingText(f segue.Finding) string {
	about := []string{f.Judge}
	if f.Server != "" {
		about = append(about, string(f.Server))
	}
	if f.Release != "" {
		about = append(about, string(f.Release))
	}
	return strings.Join(about, " ") + ": " + findingFigures(f)
}

// findingFigures writes what a finding was ruled on: "2.1 %, baseline 0.04 %, limit 1 %, 1,240 samples against 3,720, evidence 812 of 66".
func findingFigures(f segue.Finding) string {
	parts := []string{}
	if f.Unit != "" {
		parts = []string{figure(f.Value, f.Unit), "baseline " + figure(f.Baseline, f.Unit), "limit " + figure(f.Limit, f.Unit)}
	}
	if f.Samples > 0 || len(parts) == 0 {
		samples := plural(f.Samples, "sample")
		if f.BaselineSamples > 0 {
			samples += " against " + count(f.BaselineSamples)
		}
		if f.Needed > 0 {
			samples += ", " + count(f.Needed) + " needed"
		}
		parts = append(parts, samples)
	}
	if f.Threshold > 0 {
		parts = append(parts, fmt.Sprintf("evidence %.3g of %.3g", f.Evidence, f.Threshold))
	}
	if f.ErrorRate > 0 {
		parts = append(parts, fmt.Sprintf("error rate %.3g", f.ErrorRate))
	}
	return strings.Join(parts, ", ")
}

// figure writes a number in its unit.
func figure(value float64, unit string) string {
	switch unit {
	case "share":
		return fmt.Sprintf("%.3g %%", 100*value)
	case "count":
		return fmt.Sprintf("%.4g", value)
	}
	return fmt.Sprintf("%.4g %s", value, unit)
}

// orderText writes an order with who, when and why.
func orderText(o Order) string {
	words := []string{o.At.UTC().Format("15:04:05"), string(o.Verb)}
	if o.All {
		words = append(words, "--all")
	}
	for _, server := range o.Servers {
		words = append(words, string(server))
	}
	if o.Step != 0 {
		words = append(words, fmt.Sprintf("step %d", o.Step))
	}
	if o.By != "" {
		words = append(words, "by "+o.By)
	}
	text := strings.Join(words, " ")
	if o.Why != "" {
		text += ": " + o.Why
	}
	return text
}
