package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// outlook is what one database needs for a release, looked at and not begun.
type outlook struct {
	config Database
	desk   *desk
	plan   migration.Plan
	state  migration.State
	// gates are of the contract changes.
	gates map[migration.ChangeID]migration.Gate
	work  []segue.Work
	notes []string
	// refused says why no rollout may begin; nil when it may.
	refused error
}

// question is what an outlook is asked for.
type question struct {
	service   segue.ServiceName
	candidate segue.ReleaseName
	// stable is "" for a first deploy.
	stable segue.ReleaseName
	// carry leaves contract steps owed instead of refusing for them.
	carry bool
}

// outlooks looks at every database of a service.
func (c *Controller) outlooks(ctx context.Context, databases []Database, q question) ([]outlook, error) {
	found := make([]outlook, 0, len(databases))
	for _, config := range databases {
		o, err := c.outlook(ctx, config, q)
		if err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, nil
}

func (c *Controller) outlook(ctx context.Context, config Database, q question) (outlook, error) {
	o := outlook{config: config, gates: map[migration.ChangeID]migration.Gate{}}
	if config.Missing != "" {
		return o, segue.Errorf(segue.KindInvalid, "database %s: no folder of migrations %s for release %s", config.Name, config.Missing, q.candidate).
			WithHint("put the release's migrations there, or correct databases.%s.migrations", config.Name)
	}
	fleet, err := c.presences(ctx, config.Name, q.service)
	if err != nil {
		return o, err
	}
	err = c.planFiles(ctx, &o, migration.PlanRequest{Files: config.Files, History: config.History, Release: q.candidate, Running: fleet.names()})
	if err != nil {
		return o, err
	}
	if o.state, err = o.desk.driver.State(ctx); err != nil {
		return o, fmt.Errorf("read state of database %s: %w", config.Name, err)
	}
	for _, note := range o.plan.Notes {
		o.notes = append(o.notes, fmt.Sprintf("%s: %s", config.Name, note))
	}
	o.commandWork(q)
	for _, change := range o.plan.Changes {
		if err := o.take(ctx, change, q, fleet); err != nil {
			return o, err
		}
	}
	if len(config.Schemas) > 0 && q.candidate != q.stable {
		stable, _ := c.databaseOf(ctx, q.service, q.stable, config.Name)
		return o, o.compareSchemas(ctx, stable, q)
	}
	return o, nil
}

// planFiles asks the database what is to be done for files. What is wrong with one that was applied before, by the team's own runner, is nobody's concern any
// more: it will not be run, and may not be edited.
func (c *Controller) planFiles(ctx context.Context, o *outlook, request migration.PlanRequest) (err error) {
	faults := o.config.Faults
	if o.desk, err = c.desk(ctx, o.config); err == nil {
		o.plan, err = o.desk.driver.Plan(ctx, request)
	}
	if err == nil {
		faults = faultsLeft(faults, o.plan.Files)
	}
	switch {
	case len(faults) > 0:
		return faulty(o.config.Name, faults)
	case err != nil:
		return fmt.Errorf("plan database %s: %w", o.config.Name, err)
	case len(o.plan.Faults) > 0:
		return faulty(o.config.Name, o.plan.Faults)
	}
	return nil
}

// faultsLeft gives the faults of files that are still to be run.
func faultsLeft(faults []migration.Fault, files []migration.FileState) []migration.Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(fault migration.Fault) bool {
		return slices.ContainsFunc(files, func(f migration.FileState) bool { return f.Path == fault.At.Path && f.Status == migration.FileApplied })
	})
}

// faulty says everything that is wrong with a database's migrations at once.
func faulty(name segue.DatabaseName, faults []migration.Fault) error {
	lines := make([]string, 0, len(faults))
	for _, fault := range faults {
		lines = append(lines, withHint(fault))
	}
	return segue.Errorf(segue.KindInvalid, "migrations of database %s: %s", name, strings.Join(lines, "\n"))
}

// withHint says a fault, and what to do about it.
func withHint(fault migration.Fault) string {
	if fault.Hint == "" {
		return fault.String()
	}
	return fault.String() + "; " + fault.Hint
}

// take decides what becomes of a change in a rollout.
func (o *outlook) take(ctx context.Context, change migration.Change, q question, fleet presences) error {
	work := segue.Work{
		Database: o.config.Name, Change: string(change.ID), Title: change.Title, Why: change.Why, Takes: change.Estimate.Time,
		Breaking: change.Phase == migration.PhaseBreaking, Split: change.Split,
	}
	switch change.Phase {
	case migration.PhaseBackfill:
		work.Kind = segue.StepBackfill
	case migration.PhaseContract:
		return o.takeContract(ctx, change, work, q, fleet)
	default:
		work.Kind = segue.StepExpand
		if work.Breaking && q.stable != "" {
			work.Closes = fmt.Sprintf("%s cannot work with the database after %s", q.stable, change.Title)
		}
	}
	o.work = append(o.work, work)
	return nil
}

// takeContract puts a contract step into the plan when its gate is open, leaves it owed, or refuses.
func (o *outlook) takeContract(ctx context.Context, change migration.Change, work segue.Work, q question, fleet presences) error {
	work.Kind = segue.StepContract
	brought := o.brought(change.ID, q.candidate)
	gate, err := o.ask(ctx, change, brought, fleet)
	if err != nil {
		return err
	}
	meant := !change.Carried && brought == q.candidate && !q.carry && q.stable != ""
	switch {
	case gate.Answer == migration.AnswerSafe:
		o.work = append(o.work, work)
	case !meant:
		o.notes = append(o.notes, fmt.Sprintf("%s: stays owed: %s: %s", o.config.Name, change.Title, reasonOf(gate)))
	case gate.Answer == migration.AnswerUnknown:
		work.Closes = fmt.Sprintf("%s may need what %s removes: %s", q.stable, change.Title, reasonOf(gate))
		o.work = append(o.work, work)
	case o.refused == nil:
		refusal := segue.Errorf(segue.KindRefused, "database %s: %s must wait: %s", o.config.Name, change.Title, reasonOf(gate))
		o.refused = refusal.WithHint("%s`segue deploy --carry` rolls %s out now and leaves the step owed", untilHint(gate), q.candidate)
	}
	return nil
}

// brought says which release a change came with.
func (o *outlook) brought(id migration.ChangeID, candidate segue.ReleaseName) segue.ReleaseName {
	if known, ok := o.state.Change(id); ok && known.Release != "" {
		return known.Release
	}
	return candidate
}

// ask puts a contract change before its gate. One that comes after another, which is still owed, cannot have a better answer than that one.
func (o *outlook) ask(ctx context.Context, change migration.Change, brought segue.ReleaseName, fleet presences) (migration.Gate, error) {
	now := time.Now()
	behind := change
	for _, earlier := range o.owedBefore(change) {
		first, asked := o.gates[earlier.ID]
		if !asked {
			var err error
			if first, err = o.ask(ctx, earlier, o.brought(earlier.ID, brought), fleet); err != nil {
				return first, err
			}
		}
		if first.Answer != migration.AnswerSafe {
			gate := after(change, earlier, first, now)
			o.gates[change.ID] = gate
			return gate, nil
		}
		// On a copy of the schema as it is, it can only be tried behind that one.
		behind.Actions = slices.Concat(earlier.Actions, behind.Actions)
	}
	gate, err := o.desk.driver.Gate(ctx, migration.GateRequest{
		Change: behind, Releases: fleet.all, Brought: brought, Recorded: fleet.queries, Now: now,
		// None asked for is as good as the shortest: 0 would be the driver's own.
		Window: max(o.config.Watch, time.Nanosecond),
	})
	if err != nil {
		return gate, fmt.Errorf("ask gate of %s in database %s: %w", change.ID, o.config.Name, err)
	}
	for i := range gate.Grounds {
		fleet.explain(&gate.Grounds[i], now)
	}
	if ground, ok := fleet.waiting(brought, max(change.Wait, o.config.After), now); ok {
		gate.Grounds = append(gate.Grounds, ground)
		gate.Settle()
	}
	o.gates[change.ID] = gate
	return gate, nil
}

// owedBefore gives the contracts that a change comes after and that are not done, in the reverse of their order.
func (o *outlook) owedBefore(change migration.Change) []migration.Change {
	var owed []migration.Change
	for _, id := range slices.Backward(change.After) {
		known, recorded := o.state.Change(id)
		earlier, there := known.Change, recorded && (known.Status == migration.StatusOwed || known.Status == migration.StatusRunning)
		if !recorded {
			earlier, there = o.plan.Change(id)
		}
		if there && earlier.Phase == migration.PhaseContract {
			owed = append(owed, earlier)
		}
	}
	return owed
}

// after is the gate of a change that waits for another one.
func after(change, earlier migration.Change, first migration.Gate, now time.Time) migration.Gate {
	ground := migration.Ground{
		Check: "order", Answer: first.Answer, Text: fmt.Sprintf("it comes after %s (%s), which must wait", earlier.ID, earlier.Title),
	}
	ground.Until = untilOf(first)
	return migration.Gate{Change: change.ID, Answer: first.Answer, Grounds: []migration.Ground{ground}, At: now}
}

// reasonOf gives the grounds that keep a gate shut, in one clause.
func reasonOf(gate migration.Gate) string {
	var clauses []string
	told := map[segue.ReleaseName]bool{}
	for _, answer := range []migration.Answer{migration.AnswerUnsafe, migration.AnswerUnknown} {
		for _, ground := range gate.Grounds {
			if ground.Answer != answer || said(clauses, ground.Text) || told[ground.Release] {
				continue
			}
			// One clause for a release is enough: the others are in `segue db why`.
			told[ground.Release] = ground.Release != ""
			clauses = append(clauses, ground.Text)
		}
		if len(clauses) > 0 {
			break
		}
	}
	const most = 3
	switch {
	case len(clauses) == 0:
		return "nothing is known of who needs it"
	case len(clauses) > most:
		return strings.Join(clauses[:most], "; ") + fmt.Sprintf("; and %d more", len(clauses)-most)
	default:
		return strings.Join(clauses, "; ")
	}
}

// said says whether a clause is told within an earlier one: that of a release quotes what the matrix found.
func said(clauses []string, text string) bool {
	return slices.ContainsFunc(clauses, func(earlier string) bool { return strings.Contains(earlier, text) })
}

// untilHint says when a gate will be open by itself, as far as that is known.
func untilHint(gate migration.Gate) string {
	until := untilOf(gate)
	if until.IsZero() {
		return ""
	}
	return fmt.Sprintf("try again after %s, or ", until.Local().Format(time.DateTime))
}

// untilOf is when a gate will be open by itself, zero where that is not known.
func untilOf(gate migration.Gate) time.Time {
	var until time.Time
	for _, ground := range gate.Grounds {
		if ground.Answer == migration.AnswerSafe {
			continue
		}
		if ground.Until.IsZero() {
			return time.Time{}
		}
		if ground.Until.After(until) {
			until = ground.Until
		}
	}
	return until
}

// workOf gathers the work of all databases, and what there is to say about it.
func workOf(outlooks []outlook) (work []segue.Work, notes []string, refused error) {
	for _, o := range outlooks {
		work = append(work, o.work...)
		notes = append(notes, o.notes...)
		if refused == nil {
			refused = o.refused
		}
	}
	return work, notes, refused
}
