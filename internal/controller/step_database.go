package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// serverPatience bounds how long a database step waits for a server that does not answer.
const serverPatience = 2 * time.Minute

// database carries out a database step.
func (c *Controller) database(ctx context.Context, job job, monitor *monitor) (*segue.Outcome, error) {
	i := slices.IndexFunc(job.service.databases, func(d Database) bool { return d.Name == job.step.Database })
	if i < 0 {
		return nil, segue.Errorf(segue.KindFault, "database %s is not configured for %s any more", job.step.Database, job.name)
	}
	config, id := job.service.databases[i], migration.ChangeID(job.step.Change)
	if id == commandChange {
		return c.runCommand(ctx, job, config)
	}
	o, err := c.recordFor(ctx, config, question{service: job.name, candidate: job.step.Release, stable: job.stable, carry: true}, id)
	if err != nil {
		return nil, err
	}
	if known, ok := o.state.Change(id); ok && (known.Status == migration.StatusDone || known.Status == migration.StatusForgiven) {
		return outcomeOf(known.Report), nil
	}
	if job.step.Kind == segue.StepContract {
		return c.contract(ctx, o, id, contractWish{insist: job.step.Closes != "", monitor: monitor, by: "rollout " + job.Rollout.String()})
	}
	began := time.Now()
	report, err := o.desk.carryOut(ctx, id, work{budget: config.Budget, urgent: true})
	if err != nil {
		return nil, fmt.Errorf("database %s: %s: %w", config.Name, job.step.Title, err)
	}
	outcome := outcomeOf(&report)
	if job.step.Kind == segue.StepBackfill {
		outcome.Unavoidable = time.Since(began)
	}
	return outcome, nil
}

// recordFor looks at the database as it is now, and writes what is to be done into its journal unless the change stands there already.
func (c *Controller) recordFor(ctx context.Context, config Database, q question, id migration.ChangeID) (outlook, error) {
	d, err := c.desk(ctx, config)
	if err != nil {
		return outlook{}, err
	}
	state, err := c.awaitState(ctx, d)
	if err != nil {
		return outlook{}, fmt.Errorf("read state of database %s: %w", config.Name, err)
	}
	if known, ok := state.Change(id); ok {
		return outlook{
			config: config, desk: d, state: state, plan: migration.Plan{Changes: []migration.Change{known.Change}}, gates: map[migration.ChangeID]migration.Gate{},
		}, nil
	}
	o, err := c.outlook(ctx, config, q)
	if err != nil {
		return o, err
	}
	if _, ok := o.plan.Change(id); !ok {
		return o, segue.Errorf(segue.KindConflict, "database %s: change %s is not in its plan any more", config.Name, id).
			WithHint("the migrations or the database changed since; `segue db check %s` shows what they need now", q.candidate)
	}
	if err := o.record(ctx, q.candidate); err != nil {
		return o, err
	}
	o.state, err = d.driver.State(ctx)
	if err != nil {
		return o, fmt.Errorf("read state of database %s: %w", config.Name, err)
	}
	return o, nil
}

// awaitState reads a database's state, and waits for a server that is away: one that starts again, or hands over to its standby, is back within seconds or
// a minute, and no server of the service is touched meanwhile.
func (c *Controller) awaitState(ctx context.Context, d *desk) (migration.State, error) {
	began := time.Now()
	for try := 0; ; try++ {
		state, err := d.driver.State(ctx)
		if segue.KindOf(err) != segue.KindUnavailable || time.Since(began) > serverPatience {
			return state, err
		}
		if try == 0 {
			c.log.WarnContext(ctx, "database does not answer; the step waits for it", "database", d.name, "for", serverPatience, "error", err)
		}
		if wait(ctx, time.Second) != nil {
			return state, context.Cause(ctx)
		}
	}
}

// record writes the plan's changes into the database's journal.
func (o *outlook) record(ctx context.Context, release segue.ReleaseName) error {
	lease, giveBack, err := o.desk.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	if err := lease.Record(ctx, release, o.plan); err != nil {
		return fmt.Errorf("record changes of database %s: %w", o.config.Name, err)
	}
	return nil
}

// finalize ends a rollout. What its databases owe to it alone was in no step, and stands in no journal yet. That it cannot be written down does not undo a
// rollout: the next one plans it again.
func (c *Controller) finalize(ctx context.Context, job job) (*segue.Outcome, error) {
	outcome := &segue.Outcome{}
	if job.step.Release == job.stable {
		return outcome, nil
	}
	for _, config := range job.service.databases {
		if err := c.recordOwed(ctx, config, job); err != nil {
			c.log.WarnContext(ctx, "what stays owed is not recorded", "database", config.Name, "rollout", job.Rollout, "error", err)
			outcome.Note = fmt.Sprintf("what stays owed in database %s could not be recorded: %s", config.Name, err)
		}
	}
	return outcome, nil
}

// recordOwed writes the contracts that a release leaves owed into the database's journal, where no step has done so.
func (c *Controller) recordOwed(ctx context.Context, config Database, job job) error {
	if len(config.Files) == 0 {
		return nil
	}
	fleet, err := c.presences(ctx, config.Name, job.name)
	if err != nil {
		return err
	}
	o := outlook{config: config}
	request := migration.PlanRequest{Files: config.Files, History: config.History, Release: job.step.Release, Running: fleet.names()}
	if err := c.planFiles(ctx, &o, request); err != nil {
		return err
	}
	if o.state, err = o.desk.driver.State(ctx); err != nil {
		return fmt.Errorf("read state of database %s: %w", config.Name, err)
	}
	fresh := slices.DeleteFunc(slices.Clone(o.plan.Changes), func(change migration.Change) bool {
		_, known := o.state.Change(change.ID)
		return known
	})
	other := slices.ContainsFunc(fresh, func(change migration.Change) bool { return change.Phase != migration.PhaseContract })
	if len(fresh) == 0 || other {
		return nil
	}
	return o.record(ctx, job.step.Release)
}

// outcomeOf says what a change came to, for the journal.
func outcomeOf(report *migration.Report) *segue.Outcome {
	outcome := &segue.Outcome{}
	if report == nil {
		return outcome
	}
	outcome.Note = report.Note
	if text, err := json.Marshal(report); err == nil {
		outcome.Work = text
	}
	return outcome
}

// contractWish is who wants something removed, and how much.
type contractWish struct {
	// insist goes on where nothing is known: a person has said yes to that.
	insist  bool
	monitor *monitor
	by      string
}

// contract removes something: the gate is asked again, then what goes is hidden for a while, and only then is it removed. What may not be
// removed stays owed; that fails nothing.
func (c *Controller) contract(ctx context.Context, o outlook, id migration.ChangeID, wish contractWish) (*segue.Outcome, error) {
	change, _ := o.plan.Change(id)
	fleet, err := c.presences(ctx, o.config.Name)
	if err != nil {
		return nil, err
	}
	brought := o.brought(id, "")
	gate, err := o.ask(ctx, change, brought, fleet)
	if err != nil {
		return nil, err
	}
	if gate.Answer == migration.AnswerUnsafe || gate.Answer == migration.AnswerUnknown && !wish.insist {
		return &segue.Outcome{Owed: fmt.Sprintf("%s (%s)", change.Title, reasonOf(gate))}, nil
	}
	lease, giveBack, err := o.desk.take(ctx)
	if err != nil {
		return nil, err
	}
	defer giveBack()
	hidden, owed, err := o.brownOut(ctx, lease, change, wish.monitor)
	if err != nil || owed != "" {
		return &segue.Outcome{Owed: owed}, err
	}
	report, err := o.desk.carryOut(ctx, id, work{budget: o.config.Budget, urgent: true})
	if err != nil {
		if hidden {
			_ = lease.Restore(context.WithoutCancel(ctx), id)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return &segue.Outcome{Owed: fmt.Sprintf("%s (%s)", change.Title, err)}, nil
	}
	c.post(ctx, c.contracted(o.config.Name, change, fleet, brought, wish))
	outcome := outcomeOf(&report)
	outcome.Unavoidable = o.config.BrownOut
	return outcome, nil
}

// asker is a lease that can tell whether somebody has asked for what is hidden.
type asker interface {
	Asked(ctx context.Context, id migration.ChangeID) (who string, err error)
}

// brownOut hides what will go, for a while, and shows it again at once if anything asks for it.
func (o *outlook) brownOut(ctx context.Context, lease migration.Lease, change migration.Change, monitor *monitor) (hidden bool, owed string, err error) {
	if o.config.BrownOut <= 0 {
		return false, "", nil
	}
	switch err := lease.BrownOut(ctx, change.ID); {
	case segue.KindOf(err) == segue.KindUnsupported:
		return false, "", nil
	case err != nil:
		return false, "", fmt.Errorf("hide what %s removes: %w", change.ID, err)
	}
	show := func() { _ = lease.Restore(context.WithoutCancel(ctx), change.ID) }
	ticker := time.NewTicker(min(o.config.BrownOut, 200*time.Millisecond))
	defer ticker.Stop()
	for end := time.Now().Add(o.config.BrownOut); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			show()
			return false, "", context.Cause(ctx)
		case <-ticker.C:
		}
		who, err := "", error(nil)
		if asking, ok := lease.(asker); ok {
			who, err = asking.Asked(ctx, change.ID)
		}
		if who == "" && monitor.failing() {
			who = "the judges see the candidate fail"
		}
		if err != nil || who != "" {
			show()
			return false, fmt.Sprintf("%s (hidden, and shown again: %s)", change.Title, who), err
		}
	}
	return true, "", nil
}

// failing says whether the judges' last word is that the candidate fails.
func (m *monitor) failing() bool {
	if m == nil {
		return false
	}
	m.marks.Lock()
	defer m.marks.Unlock()
	return m.verdict != nil && m.verdict.Ruling == segue.RulingFail
}

// contracted tells the ledger what was removed, and who cannot come back: every older release that was not asked about.
func (c *Controller) contracted(database segue.DatabaseName, change migration.Change, fleet presences, brought segue.ReleaseName, wish contractWish) segue.Event {
	event := segue.DatabaseEvent{Verb: segue.DatabaseContracted, Change: string(change.ID), Title: change.Title, Release: brought, By: wish.by}
	present := fleet.names()
	for _, one := range fleet.registered {
		older := one.order < fleet.order(brought)
		if !older || slices.Contains(present, one.release) && !wish.insist {
			continue
		}
		event.Barred = append(event.Barred, segue.Barred{
			Service: one.service, Release: one.release,
			Why: fmt.Sprintf("%s in database %s, which %s brought", change.Title, database, nameOr(brought, "a later release")),
		})
	}
	return segue.Event{Kind: segue.EventDatabase, Database: database, Work: &event}
}
