package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// commandChange names the step that runs the team's own migration runner.
const commandChange = "command"

// commandWork is that step in a plan: first of all, for the new release needs what it does.
func (o *outlook) commandWork(q question) {
	if len(o.config.Command) == 0 || q.candidate == q.stable {
		return
	}
	o.work = append(o.work, segue.Work{
		Database: o.config.Name, Change: commandChange, Kind: segue.StepExpand, Title: "run " + strings.Join(o.config.Command, " "),
		Why: "the team's own runner: what it does is not looked at beforehand, and must serve the release that runs as well",
	})
}

// runCommand runs the team's own migration runner under the lease, watched so that it keeps nobody waiting for long. Doing it again is its own matter: runners
// know what they have done.
func (c *Controller) runCommand(ctx context.Context, job job, config Database) (*segue.Outcome, error) {
	if c.options.Command == nil {
		return nil, segue.Errorf(segue.KindUnsupported, "database %s: no command is run here", config.Name)
	}
	d, err := c.desk(ctx, config)
	if err != nil {
		return nil, err
	}
	_, giveBack, err := d.take(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	log := c.log.With("database", config.Name, "release", job.step.Release)
	report, err := c.options.Command(ctx, config, job.step.Release, func(line string) { log.InfoContext(ctx, "migration runner", "line", line) })
	if err != nil {
		return nil, fmt.Errorf("database %s: %s: %w", config.Name, job.step.Title, err)
	}
	outcome := outcomeOf(&report)
	outcome.Note = report.Note
	return outcome, nil
}

// CommandRunner runs a database's command for a release, and says what it came to.
type CommandRunner func(ctx context.Context, database Database, release segue.ReleaseName, line func(string)) (migration.Report, error)
