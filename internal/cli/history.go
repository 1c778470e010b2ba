package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue/internal/api"
)

func newHistory(s *session) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "history",
		Short: "List the latest rollouts",
		Long:  "History lists the latest rollouts, the newest first, with how each ended and what its receipt counted.",
		Example: `  segue history
  segue history --limit 100 --json`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return usage(c, "--limit %d: give 1 to 1,000", limit)
			}
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			history, err := controller.History(c.Context(), limit)
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(append([]api.HistoryEntry{}, history...))
			}
			if len(history) == 0 {
				s.print("There was no rollout yet.")
				return nil
			}
			width, _ := s.size()
			for _, line := range historyLines(history, s.paint(), s.d.Now()) {
				if s.d.IsTerminal(s.out) {
					line = clip(line, width)
				}
				s.print("%s", line)
			}
			return nil
		},
	}
	c.Flags().IntVarP(&limit, "limit", "n", 20, "list so `many`")
	return c
}

// historyLines lays rollouts out as a table.
func historyLines(history []api.HistoryEntry, paint palette, now time.Time) []string {
	t := &table{
		head:  []string{"no.", "opened", "service", "release", "end", "took", "requests", "failed", "by"},
		right: map[int]bool{0: true, 5: true, 6: true, 7: true},
	}
	for _, entry := range history {
		took := span(now.Sub(entry.OpenedAt))
		if !entry.EndedAt.IsZero() {
			took = span(entry.EndedAt.Sub(entry.OpenedAt))
		}
		requests, failed := "", ""
		if entry.Requests != nil {
			requests = count(*entry.Requests)
		}
		if entry.Failed != nil {
			failed = paint.good("0")
			if *entry.Failed > 0 {
				failed = paint.bad(count(*entry.Failed))
			}
		}
		t.row(entry.ID.String(), moment(entry.OpenedAt), string(entry.Service), journey(paint, entry.Stable, entry.Candidate),
			paint.phase(entry.Phase, string(entry.Phase)), took, requests, failed, printable(entry.By))
	}
	return t.lines(paint)
}
