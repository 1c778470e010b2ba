package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

func newDB(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "db",
		Short: "See and direct what databases need for a release",
		Long: `A release and the one before it share the database while one replaces the other. What the new one needs is added before it
starts (expand), rows are brought to their new form in batches (backfill), and what only the old one needed goes when nothing
can come back to it (contract). A deploy does all of that by itself, in this order; these commands look at it, begin the
long parts days ahead, and do what is owed afterwards.`,
		Example: `  segue db status
  segue db check v2
  segue db prepare v2`,
		Args: func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newDBStatus(s), newDBCheck(s), newPrepare(s), newDBPause(s), newDBResume(s), newDBCancel(s), newContract(s), newDBForgive(s), newDBWhy(s))
	return c
}

func newDBStatus(s *session) *cobra.Command {
	var watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say what was done to each database, what is under way and what is owed",
		Long: `Status asks every database for Segue's journal in it: changes that are done, with the locks they held and the rows they wrote; those
under way, with rate and time left; and those that are owed, with what their gate says now. Below it stands which releases this
schema can serve.`,
		Example: `  segue db status
  segue db status --watch`,
		Args: needs(0, 0, ""),
		RunE: func(c *cobra.Command, _ []string) error {
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if watch {
				return s.watchDatabases(c.Context(), controller, func(operator.DatabasesReply) bool { return false })
			}
			reply, err := controller.Databases(c.Context())
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(reply)
			}
			s.showDatabases(reply)
			return nil
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it live until Ctrl-C")
	return c
}

// watchDatabases shows databases live until done says so. Elsewhere than on a terminal it prints a line whenever something moves on.
func (s *session) watchDatabases(ctx context.Context, controller api.Controller, done func(operator.DatabasesReply) bool) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	drawn, before := 0, ""
	for {
		reply, err := controller.Databases(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		lines := s.databaseLines(reply)
		switch text := strings.Join(lines, "\n"); {
		case s.json:
		case s.live():
			s.redraw(drawn, lines)
			drawn = len(lines)
		case text != before:
			for _, line := range progressLines(reply) {
				s.print("%s %s", stamp(s.d.Now()), line)
			}
			before = text
		}
		if done(reply) {
			if s.json {
				return s.writeJSON(reply)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// redraw rewrites the block of lines that was drawn last.
func (s *session) redraw(drawn int, lines []string) {
	var text strings.Builder
	if drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", drawn)
	}
	for _, line := range lines {
		text.WriteString(line + "\n")
	}
	fmt.Fprint(s.out, text.String())
}

// progressLines says in a line each what is under way.
func progressLines(reply operator.DatabasesReply) []string {
	var lines []string
	for _, d := range reply.Databases {
		for _, change := range d.Changes {
			if change.Status == "running" || change.Progress != nil {
				lines = append(lines, fmt.Sprintf("%s: %s: %s", d.Name, printable(change.Title), progressText(change)))
			}
		}
		if p := d.Preparing; p != nil {
			lines = append(lines, fmt.Sprintf("%s: %s", d.Name, preparationText(*p)))
		}
	}
	return lines
}

func preparationText(p operator.Preparation) string {
	switch {
	case p.Done:
		return fmt.Sprintf("prepared for %s", p.Release)
	case p.Failure != nil:
		return fmt.Sprintf("preparation for %s stopped: %s", p.Release, printable(p.Failure.Message))
	case p.Paused:
		return fmt.Sprintf("preparation for %s is paused", p.Release)
	default:
		return fmt.Sprintf("being prepared for %s", p.Release)
	}
}

// progressText says how far a change is.
func progressText(change operator.Change) string {
	p := change.Progress
	if p == nil {
		return change.Status
	}
	if p.Total <= 0 && p.Done == 0 {
		return nonEmpty(printable(p.Waiting), "under way")
	}
	text := fmt.Sprintf("%s of about %s rows", count(p.Done), count(max(p.Done, p.Total)))
	if p.Rate > 0 {
		text += fmt.Sprintf(", %s rows/s", count(int64(p.Rate)))
	}
	if p.Left > 0 {
		text += ", about " + clock(p.Left) + " left"
	}
	if p.Waiting != "" {
		text += "; waits: " + printable(p.Waiting)
	}
	return text
}

func nonEmpty(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// showDatabases prints databases for people.
func (s *session) showDatabases(reply operator.DatabasesReply) {
	if len(reply.Databases) == 0 {
		s.print("No service that was deployed or prepared here uses a database.")
		return
	}
	for _, line := range s.databaseLines(reply) {
		s.print("%s", line)
	}
}

func (s *session) databaseLines(reply operator.DatabasesReply) []string {
	var lines []string
	paint := s.paint()
	for i, d := range reply.Databases {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, paint.strong(string(d.Name))+paint.faint(fmt.Sprintf("  %s, used by %s", nonEmpty(d.Server, d.Driver), names(d.Services))))
		if d.Error != "" {
			lines = append(lines, "  "+paint.bad(printable(d.Error)))
		}
		for _, fault := range d.Faults {
			lines = append(lines, "  "+paint.warn(printable(fault)))
		}
		if p := d.Preparing; p != nil {
			lines = append(lines, "  "+paint.strong(preparationText(*p))+paint.faint(byLine(p.By, p.Since)))
		}
		lines = append(lines, changeTable(paint, d.Changes)...)
		lines = append(lines, horizonLines(paint, d.Horizon)...)
	}
	return lines
}

func byLine(by string, since time.Time) string {
	if by == "" {
		return "  since " + moment(since)
	}
	return fmt.Sprintf("  by %s, %s", printable(by), moment(since))
}

func changeTable(paint palette, changes []operator.Change) []string {
	t := table{head: []string{"", "change", "phase", "release", "state"}}
	for _, change := range changes {
		t.row(changeMark(paint, change), printable(change.Title), change.Phase, string(change.Release), changeState(paint, change))
	}
	if len(t.rows) == 0 {
		return []string{"  " + paint.faint("nothing was changed by Segue, and nothing is owed")}
	}
	var lines []string
	for _, line := range t.lines(paint) {
		lines = append(lines, "  "+line)
	}
	return lines
}

func changeMark(paint palette, change operator.Change) string {
	switch {
	case change.Status == "done":
		return paint.good("✓")
	case change.Error != "" && change.Progress == nil:
		return paint.bad("✗")
	case change.Status == "running":
		return paint.candidate("●")
	case change.Status == "forgiven" || change.Status == "canceled":
		return paint.faint("–")
	default:
		return paint.warn("○")
	}
}

func changeState(paint palette, change operator.Change) string {
	switch {
	case change.Status == "done" && change.Report != nil:
		return "done " + moment(change.Ended) + paint.faint(", "+reportText(*change.Report))
	case change.Status == "done":
		return "done " + moment(change.Ended)
	case change.Progress != nil:
		return progressText(change)
	case change.Error != "":
		return paint.bad(printable(change.Error))
	case change.Hidden:
		return paint.warn("hidden for a while, before it goes")
	case change.Gate != nil:
		return change.Status + ": " + gateText(paint, *change.Gate)
	default:
		return change.Status
	}
}

// reportText says in a clause what a change came to.
func reportText(r operator.ChangeReport) string {
	text := "took " + span(r.Took)
	if r.Rows > 0 {
		text += fmt.Sprintf(", %s rows", count(r.Rows))
	}
	if r.Held > 0 && r.Lock != "" {
		text += fmt.Sprintf(", %s lock held %s", r.Lock, span(r.Held))
	}
	if r.Waiters > 0 {
		text += fmt.Sprintf(", %s waited, %s at most", plural(r.Waiters, "statement"), span(r.Caused))
	}
	return text
}

func gateText(paint palette, gate operator.Gate) string {
	switch gate.Answer {
	case "safe":
		return paint.good("nothing needs it: `segue contract` does it now")
	case "unsafe":
		return paint.warn(groundText(gate, "unsafe"))
	default:
		return paint.warn("not known: " + groundText(gate, "unknown"))
	}
}

func groundText(gate operator.Gate, answer string) string {
	for _, ground := range gate.Grounds {
		if ground.Answer == answer {
			return printable(ground.Text)
		}
	}
	return "nothing was seen"
}

func horizonLines(paint palette, fits []operator.Fit) []string {
	var can, cannot []string
	for _, fit := range fits {
		name := fmt.Sprintf("%s %s", fit.Service, fit.Release)
		if fit.Fits {
			can = append(can, name)
			continue
		}
		cannot = append(cannot, fmt.Sprintf("%s (%s)", name, printable(fit.Why)))
	}
	var lines []string
	if len(can) > 0 {
		lines = append(lines, "  "+paint.faint("works with  ")+strings.Join(can, ", "))
	}
	if len(cannot) > 0 {
		lines = append(lines, "  "+paint.faint("no more with  ")+strings.Join(cannot, ", "))
	}
	return lines
}

// databaseFlag adds the flag that names a database.
func databaseFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "database", "", "`name` of the database; needed where there are several")
}

func databaseName(text string) (segue.DatabaseName, error) {
	if text == "" {
		return "", nil
	}
	return segue.ParseDatabaseName(text)
}
