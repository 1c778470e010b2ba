package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

func newPrepare(s *session) *cobra.Command {
	var wait bool
	var by, why string
	c := &cobra.Command{
		Use:   "prepare {RELEASE | SERVICE=RELEASE...}",
		Short: "Begin the long database work that a release will need, days ahead of its deploy",
		Long: `Prepare adds what the release needs to the database and begins its backfills, in batches that leave the application its share.
It goes on without this command, across restarts, and rests while a rollout is under way. The deploy of the release waits for its
end. ` + "`segue db status`" + ` shows how far it is; ` + "`segue db pause`, `resume` and `cancel`" + ` direct it.`,
		Example: `  segue prepare v2
  segue prepare v2 --wait`,
		Args:              needs(1, -1, "a release, or SERVICE=RELEASE"),
		ValidArgsFunction: s.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return s.aboutReleases(c, args, func(controller api.Controller, project api.Project, to []api.Target) error {
				reply, err := controller.Prepare(c.Context(), operator.PrepareRequest{Project: project, Targets: to, By: by, Why: why})
				if err != nil {
					return err
				}
				if s.json && !wait {
					return s.writeJSON(reply)
				}
				for _, note := range reply.Notes {
					s.tell(printable(note))
				}
				if !wait {
					s.print("It goes on without this command. Follow it with %s", s.paint().strong(s.command("db", "status", "--watch")))
					return nil
				}
				return s.awaitPrepared(c.Context(), controller.Databases)
			})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "stay until it is done")
	addBy(s, c, &by, &why)
	return c
}

// tell prints a line for people; with --json it is silent.
func (s *session) tell(line string) {
	if !s.json {
		s.print("%s", line)
	}
}

// awaitPrepared follows the preparation to its end.
func (s *session) awaitPrepared(ctx context.Context, ask func(context.Context) (operator.DatabasesReply, error)) error {
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	var failed *segue.Failure
	err = s.watchDatabases(ctx, controller, func(reply operator.DatabasesReply) bool {
		busy := false
		for _, d := range reply.Databases {
			if p := d.Preparing; p != nil {
				if p.Failure != nil {
					failed = p.Failure
				}
				busy = busy || !p.Done && p.Failure == nil && !p.Paused
			}
		}
		return !busy
	})
	if err != nil {
		return err
	}
	if _, err := ask(ctx); err != nil {
		return err
	}
	if failed != nil {
		return failed.Err()
	}
	return nil
}

func newDBPause(s *session) *cobra.Command {
	return newDatabaseOrder(s, segue.DatabasePause, "pause", "Let the work ahead of a release rest after its present batch",
		"Pause lets the backfills of `segue prepare` rest. Nothing is lost: the place where they stand is kept in the database.")
}

func newDBResume(s *session) *cobra.Command {
	return newDatabaseOrder(s, segue.DatabaseResume, "resume", "Go on with it, also after it stopped at a failure",
		"Resume goes on where the work ahead of a release was paused, or where it stopped because something failed.")
}

func newDBCancel(s *session) *cobra.Command {
	return newDatabaseOrder(s, segue.DatabaseCancel, "cancel", "Give the work ahead of a release up, and take back what it had begun",
		"Cancel ends the work of `segue prepare` for good: half-built indexes, triggers and added columns are taken back where nothing can have\nused them; what cannot be taken back is named.")
}

func newContract(s *session) *cobra.Command {
	return newDatabaseOrder(s, segue.DatabaseContract, "contract", "Remove what nothing needs any more, as far as its gate is open",
		`Contract asks the gate of every change that is owed, or of the one that is named: no release that needs it may run or come back, and
no statement that was seen may fail without it. What goes is hidden first, for the brown-out time, and shown again at once if
anything asks for it. After that the releases that needed it cannot come back, and are refused by name.`)
}

func newDBForgive(s *session) *cobra.Command {
	return newDatabaseOrder(s, segue.DatabaseForgive, "forgive", "Strike a change off what is owed, with a reason",
		"Forgive says that a change that is owed will not be done: later plans do not carry it any more. Who said so and why is kept.")
}

// newDatabaseOrder makes the command for one order.
func newDatabaseOrder(s *session, verb segue.DatabaseVerb, name, short, long string) *cobra.Command {
	var database, by, why string
	named := verb == segue.DatabaseContract || verb == segue.DatabaseForgive
	c := &cobra.Command{
		Use: name, Short: short, Long: long, Args: needs(0, 0, ""),
		RunE: func(c *cobra.Command, args []string) error {
			order := operator.DatabaseOrder{Verb: verb, By: by, Why: why}
			var err error
			if order.Database, err = databaseName(database); err != nil {
				return err
			}
			if len(args) > 0 {
				order.Change = args[0]
			}
			return s.orderDatabase(c.Context(), order)
		},
	}
	c.Example = "  segue db " + name + "\n  segue db " + name + " --database main"
	if named {
		c.Use, c.Args = name+" [CHANGE]", needs(0, 1, "a change, as `segue db status` names it")
		c.Example = fmt.Sprintf("  segue %s\n  segue %s 0003#1", name, name)
	}
	if verb == segue.DatabaseForgive {
		c.Use, c.Args = name+" CHANGE", needs(1, 1, "a change, as `segue db status --json` names it")
		c.Example = "  segue db forgive 0003#1 --why \"the table stays for the auditors\""
	}
	databaseFlag(c, &database)
	addBy(s, c, &by, &why)
	return c
}

func (s *session) orderDatabase(ctx context.Context, order operator.DatabaseOrder) error {
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	reply, err := controller.OrderDatabase(ctx, order)
	if err != nil {
		return err
	}
	if s.json {
		return s.writeJSON(reply)
	}
	for _, note := range reply.Notes {
		s.print("%s", printable(note))
	}
	s.showDatabases(reply)
	return nil
}

func newDBWhy(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "why CHANGE",
		Short: "Say everything that the gate of a change looked at",
		Long: `Why explains one change: what it runs, where it is written, which lock it takes; and for one that removes something, every ground that
its gate looked at: releases, statements that were seen, views, functions, replicas. Silence is never taken for a yes.`,
		Example: "  segue db why 0003#1",
		Args:    needs(1, 1, "a change, as `segue db status` names it"),
		RunE: func(c *cobra.Command, args []string) error {
			controller, done, err := s.connect(c.Context())
			if err != nil {
				return err
			}
			defer done()
			reply, err := controller.Databases(c.Context())
			if err != nil {
				return err
			}
			for _, d := range reply.Databases {
				for _, change := range d.Changes {
					if change.ID == args[0] || change.Title == args[0] {
						if s.json {
							return s.writeJSON(change)
						}
						s.explainChange(change)
						return nil
					}
				}
			}
			return segue.Errorf(segue.KindNotFound, "no change %q is recorded in any database", args[0]).WithHint("`segue db status` lists them")
		},
	}
}

// explainChange prints all that is known of a change.
func (s *session) explainChange(change operator.Change) {
	paint := s.paint()
	s.print("%s  %s", paint.strong(printable(change.Title)), paint.faint(change.ID+", "+change.Phase+", "+change.Status))
	for _, line := range checkedChange(paint, change, true, s.textWidth())[1:] {
		s.print("%s", line)
	}
	if change.Gate == nil {
		return
	}
	s.print("%s", paint.strong("  the gate says "+change.Gate.Answer)+paint.faint(fmt.Sprintf("  %s tried in %s", plural(change.Gate.Statements, "statement"), span(change.Gate.Took))))
	t := table{head: []string{"looked at", "answer", "what was found"}}
	for _, g := range change.Gate.Grounds {
		text := printable(g.Text)
		if !g.Until.IsZero() {
			text += paint.faint(" until " + moment(g.Until))
		}
		t.row(g.Check, answerWord(paint, g.Answer), text)
		if g.Statement != "" {
			t.row("", "", paint.faint(shorten(printable(g.Statement), 100)))
		}
	}
	for _, line := range t.lines(paint) {
		s.print("    %s", line)
	}
}

func answerWord(paint palette, answer string) string {
	switch answer {
	case "safe":
		return paint.good(answer)
	case "unsafe":
		return paint.bad(answer)
	default:
		return paint.warn(answer)
	}
}
