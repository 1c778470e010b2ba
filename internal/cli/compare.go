package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

func newCompare(s *session) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "compare",
		Short: "Compare the candidate with stable: what the judges have found so far",
		Long: `Compare shows, for each service with a rollout under way, what every judge says by now: the value on the candidate and on stable,
how many samples, the evidence against the candidate and how much of it would decide, and how long that may take. A line of a log is shown
as one sample with counts per server. One may look as often as one likes: the rate of false alarms holds all the same.

Below stands what came of placebo trials, in which a stable server is judged as if it ran something new.`,
		Example: `  segue compare
  segue compare --watch`,
		Args: needs(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if watch && !s.json {
				return s.watchComparison(c.Context(), controller)
			}
			all, err := controller.Compare(c.Context())
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(all)
			}
			for _, line := range compareLines(all, s.paint(), s.d.Now()) {
				s.print("%s", line)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it live until Ctrl-C")
	return c
}

// watchComparison shows it once a second.
func (s *session) watchComparison(ctx context.Context, controller api.Controller) error {
	ctx, stop := s.untilInterrupt(ctx)
	defer stop()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	drawn, before := 0, ""
	for {
		all, err := controller.Compare(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		lines := compareLines(all, s.paint(), s.d.Now())
		switch text := strings.Join(lines, "\n"); {
		case s.live():
			s.redraw(drawn, lines)
			drawn = len(lines)
		case text != before:
			for _, line := range lines {
				s.print("%s", line)
			}
			before = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// compareLines shows services with a rollout first, the others in a line each.
func compareLines(all []operator.Comparison, paint palette, now time.Time) []string {
	var lines, idle []string
	for _, one := range all {
		if one.Rollout == 0 && one.Verdict == nil && one.Note != "" {
			about := []string{one.Note}
			if text := placeboText(one.Placebo, now); text != "" {
				about = append(about, text)
			}
			idle = append(idle, paint.strong(string(one.Service))+"  "+paint.faint(strings.Join(about, " · ")))
			continue
		}
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, comparisonHead(one, paint, now), "")
		if one.Verdict != nil {
			lines = append(lines, evidenceLines(*one.Verdict, paint)...)
		}
		if one.Note != "" {
			lines = append(lines, "  "+one.Note)
		}
		if text := placeboText(one.Placebo, now); text != "" {
			lines = append(lines, "", "  "+paint.faint(text))
		}
	}
	if len(lines) > 0 && len(idle) > 0 {
		lines = append(lines, "")
	}
	return append(lines, idle...)
}

func comparisonHead(one operator.Comparison, paint palette, now time.Time) string {
	head := paint.strong(string(one.Service))
	if one.Rollout != 0 {
		head += "  " + journey(paint, one.Stable, one.Candidate)
	}
	if one.Verdict != nil {
		head += "  " + paint.ruling(one.Verdict.Ruling, rulingWord(one.Verdict.Ruling))
	}
	about := []string{}
	if one.Rollout != 0 {
		about = append(about, "rollout "+one.Rollout.String())
	}
	if one.Windows > 0 {
		about = append(about, plural(one.Windows, "look")+" in "+span(now.Sub(one.Since).Round(time.Second)))
	}
	if one.Budget > 0 {
		about = append(about, fmt.Sprintf("false alarms at most %g %% of rollouts", 100*one.Budget))
	}
	return strings.TrimRight(head+"  "+paint.faint(strings.Join(about, " · ")), " ")
}

// evidenceLines lists findings, the worst first, each with its sentence, its sample and its counts.
func evidenceLines(verdict segue.Verdict, paint palette) []string {
	const most = 20
	findings := slices.Clone(verdict.Findings)
	slices.SortStableFunc(findings, func(a, b segue.Finding) int { return cmp.Compare(rulingRank(a.Ruling), rulingRank(b.Ruling)) })
	t := &table{
		head:  []string{"ruling", "judge", "candidate", "stable", "samples", "evidence", "decides in", "what"},
		right: map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true},
	}
	var below []string
	for i, f := range findings {
		if i == most {
			below = append(below, fmt.Sprintf("  and %s more", plural(len(findings)-most, "finding")))
			break
		}
		about := f.Judge
		if f.Server != "" {
			about += " " + string(f.Server)
		}
		left := ""
		if f.Left > 0 {
			left = span(f.Left.Round(time.Second))
		}
		t.row(paint.ruling(f.Ruling, rulingWord(f.Ruling)), printable(about), figure(f.Value, f.Unit), figure(f.Baseline, f.Unit), samples(f), evidenceText(f), left,
			clip(printable(f.Text), 90))
		below = append(below, sampleLines(f, paint)...)
	}
	lines := t.lines(paint)
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	if len(below) > 0 {
		lines = append(append(lines, ""), below...)
	}
	return lines
}

func rulingRank(ruling segue.Ruling) int {
	return slices.Index([]segue.Ruling{segue.RulingFail, segue.RulingHold, segue.RulingInconclusive, "", segue.RulingReport, segue.RulingPass}, ruling)
}

// evidenceText gives "41 of 330".
func evidenceText(f segue.Finding) string {
	switch {
	case f.Threshold <= 0 && f.Evidence <= 0:
		return ""
	case f.Threshold <= 0:
		return short(f.Evidence)
	default:
		return short(f.Evidence) + " of " + short(f.Threshold)
	}
}

// short writes a figure that may be of any size.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return fmt.Sprintf("%.0e", value)
	case value >= 10:
		return fmt.Sprintf("%.0f", value)
	default:
		return fmt.Sprintf("%.2g", value)
	}
}

// sampleLines shows what a finding stands for: a line, and how often each server had it.
func sampleLines(f segue.Finding, paint palette) []string {
	if f.Sample == "" || f.Ruling == segue.RulingPass {
		return nil
	}
	lines := []string{"  " + paint.ruling(f.Ruling, "▌") + " " + clip(printable(f.Sample), 150)}
	var counts []string
	servers := make([]segue.ServerName, 0, len(f.Counts))
	for server := range f.Counts {
		servers = append(servers, server)
	}
	slices.SortFunc(servers, func(a, b segue.ServerName) int {
		return cmp.Or(cmp.Compare(f.Counts[b], f.Counts[a]), cmp.Compare(a, b))
	})
	const most = 6
	for i, server := range servers {
		if i == most {
			counts = append(counts, fmt.Sprintf("%d more servers", len(servers)-most))
			break
		}
		counts = append(counts, fmt.Sprintf("%s %d", server, f.Counts[server]))
	}
	about := strings.Join(counts, ", ")
	if f.Fingerprint != "" {
		about = strings.TrimPrefix(about+" · fingerprint "+f.Fingerprint, " · ")
	}
	if f.Caveat != "" {
		about += " · caveat " + f.Caveat
	}
	if about != "" {
		lines = append(lines, "    "+paint.faint(printable(about)))
	}
	return lines
}

func placeboText(p operator.Placebo, now time.Time) string {
	if p.Since.IsZero() {
		return ""
	}
	text := fmt.Sprintf("placebo: %s in %s since %s ago", plural(p.Alarms, "false alarm"), plural(p.Trials, "trial"), span(now.Sub(p.Since).Round(time.Minute)))
	if p.Last != "" {
		text += "; the last: " + p.Last
	}
	return text
}
