package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// lines shows a report to people; the last one says it in a sentence.
func (r tryReport) lines(paint palette, cells int) []string {
	lines := append([]string{r.headline(paint)}, wrap("the candidate "+r.Candidate, cells)...)
	for _, note := range r.Notes {
		for _, line := range wrap("note: "+note, cells) {
			lines = append(lines, paint.warn(line))
		}
	}
	lines = append(lines, "")
	t := &table{head: []string{"by", "ruling", "rollouts", "share", "95 %", "half within", "9 of 10 within"}, right: map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true}}
	row := func(by string, ruling segue.Ruling, word string, c counts) {
		within := func(seconds float64) string {
			if c.Rollouts == 0 || ruling == segue.RulingInconclusive {
				return "–"
			}
			return span(time.Duration(seconds * float64(time.Second)))
		}
		t.row(by, paint.ruling(ruling, word), count(int64(c.Rollouts)), percent(c.Share), interval(c), within(c.Median), within(c.P90))
	}
	row("judges", segue.RulingFail, "failed", r.Judges.Failed)
	row("", segue.RulingHold, "held", r.Judges.Held)
	row("", segue.RulingPass, "passed", r.Judges.Passed)
	row("", segue.RulingInconclusive, "inconclusive", r.Judges.Inconclusive)
	row("new line", segue.RulingFail, "failed", r.Naive.Failed)
	for _, line := range t.lines(paint) {
		lines = append(lines, "  "+line)
	}
	lines = append(lines, "")
	if len(r.Judges.By) > 1 {
		lines = append(lines, "  failed by "+r.failedBy())
	}
	if r.First != nil {
		lines = append(lines, r.firstLines(paint, cells)...)
	}
	return append(lines, wrap(r.sentence(), cells)...)
}

func (r tryReport) headline(paint palette) string {
	of := string(r.Service)
	if r.Defaults {
		of = "defaults"
	}
	style := "each in a style of its own"
	if r.Style != "" {
		style = "log in " + r.Style
	}
	about := []string{
		plural(r.Judges.Rollouts, "rollout") + " of " + span(time.Duration(r.Seconds*float64(time.Second))), plural(r.Servers, "server"), fmt.Sprintf("%.3g requests/s each", r.PerMinute/60), style,
		fmt.Sprintf("seeds from %d", r.Seed),
	}
	return paint.strong(of) + "  " + paint.faint(strings.Join(about, " · "))
}

func (r tryReport) failedBy() string {
	judges := slices.SortedFunc(maps.Keys(r.Judges.By), func(a, b string) int { return cmp.Or(cmp.Compare(r.Judges.By[b], r.Judges.By[a]), cmp.Compare(a, b)) })
	parts := make([]string, len(judges))
	for i, name := range judges {
		parts[i] = fmt.Sprintf("%s %d", name, r.Judges.By[name])
	}
	return strings.Join(parts, ", ")
}

func (r tryReport) firstLines(paint palette, cells int) []string {
	f := r.First.Finding
	about := f.Judge
	if f.Server != "" {
		about += " on " + string(f.Server)
	}
	lines := []string{"  " + paint.ruling(f.Ruling, "▌") + fmt.Sprintf(" seed %d, after %s, %s:", r.First.Seed, span(time.Duration(r.First.After*float64(time.Second))), printable(about))}
	for _, line := range wrap(printable(f.Text), max(0, cells-4)) {
		lines = append(lines, "    "+line)
	}
	return append(lines, "")
}

// sentence is the whole in one.
func (r tryReport) sentence() string {
	failed, all := r.Judges.Failed, plural(r.Judges.Rollouts, "rollout")
	if r.Faulty {
		found := failed.Rollouts + r.Judges.Held.Rollouts
		text := fmt.Sprintf("%s: %d of %s failed or held", r.Service, found, all)
		if failed.Rollouts > 0 {
			text += ", half of the fails within " + span(time.Duration(failed.Median*float64(time.Second)))
		}
		return text + "."
	}
	text := fmt.Sprintf("%s: %s in %s, %s (95 %%: %s)", r.Service, plural(failed.Rollouts, "false alarm"), all, percent(failed.Share), interval(failed))
	plain := 0
	for _, name := range plainJudges() {
		plain += r.Judges.By[name]
	}
	if plain > 0 {
		text += fmt.Sprintf(", %d by plain limits, which have no budget", plain)
	}
	if r.Budget > 0 {
		text += fmt.Sprintf("; the budget of the others is %s", percent(r.Budget))
	}
	return text + fmt.Sprintf(". The rule of the new line has %d, %s.", r.Naive.Failed.Rollouts, percent(r.Naive.Failed.Share))
}

// plainJudges are the judges of plain limits.
func plainJudges() []string { return []string{"readiness", "crashes", "errors", "latency", "witness"} }

// percent writes a share: "0.5 %", "9.5 %", "95 %".
func percent(share float64) string { return hundredths(share) + " %" }

// interval writes the bounds of a share: "64 to 95 %".
func interval(c counts) string { return hundredths(c.Low) + " to " + percent(c.High) }

func hundredths(share float64) string {
	if share >= 0.0995 {
		return fmt.Sprintf("%.0f", 100*share)
	}
	return fmt.Sprintf("%.2g", 100*share)
}
