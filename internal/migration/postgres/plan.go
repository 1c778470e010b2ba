package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/oracle"
	"github.com/segue-deploy/segue/internal/migration/postgres/recipe"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/migration/source"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Plan implements migration.Driver.
func (d *Driver) Plan(ctx context.Context, request migration.PlanRequest) (plan migration.Plan, err error) {
	start := time.Now()
	if plan.Server, err = d.Inspect(ctx); err != nil {
		return plan, err
	}
	p := &planner{driver: d, request: request}
	if err := p.read(ctx); err != nil {
		return plan, err
	}
	p.request.Files = source.Editions(request.Files, func(version string) (migration.File, bool) {
		before, known := p.journal.Files[version]
		return before, known
	})
	for _, file := range p.request.Files {
		plan.Files = append(plan.Files, p.file(file))
	}
	plan.Files = append(plan.Files, p.past.unknownFiles(request.History.Format)...)
	if err := p.think(ctx); err != nil {
		return plan, err
	}
	plan.Changes, plan.Faults, plan.Notes, plan.Classified = p.changes, p.faults, p.notes, p.classified
	plan.Took = time.Since(start)
	d.runner.Remember(p.request.Files, request.History)
	return plan, nil
}

// planner goes through the files in order.
type planner struct {
	driver  *Driver
	request migration.PlanRequest
	// What the database knows: Segue's journal, and the history of the team's own runner.
	journal runner.Journal
	past    past
	// pending are the parts of files that nothing is recorded for; owed are recorded changes with something left to do.
	pending []recipe.File
	owed    []migration.Change

	changes    []migration.Change
	faults     []migration.Fault
	notes      []string
	classified int
}

func (p *planner) read(ctx context.Context) (err error) {
	if p.journal, err = p.driver.runner.Read(ctx); err != nil {
		return err
	}
	if p.past, err = readPast(ctx, p.driver.server.Pool(), p.request.History, p.request.Files); err != nil {
		return server.Explain("read the history of "+p.request.History.Format, err)
	}
	p.faults = append(p.faults, p.past.faults...)
	return nil
}

// file sorts the statements of a file: done, owed, or pending.
func (p *planner) file(file migration.File) migration.FileState {
	state := migration.FileState{Version: file.Version, Path: file.Path, Status: migration.FilePending}
	recorded := p.recorded(file.Version)
	if file.Repeatable && p.past.applied[file.Version] && p.journal.Files[file.Version].Sum != file.Sum {
		recorded = nil // the team's runner has run this content since
	}
	if before, known := p.journal.Files[file.Version]; known {
		if fault, edited := runner.Edited(before, file); edited {
			if slices.ContainsFunc(recorded, begun) {
				p.faults = append(p.faults, fault)
				state.Status, state.By = migration.FilePartly, "segue"
				return state
			}
			recorded = nil // the edit counts: what was owed is forgotten when the new one is recorded
		}
	}
	if p.past.applied[file.Version] && len(recorded) == 0 {
		state.Status, state.By = migration.FileApplied, p.request.History.Format
		return state
	}
	pending := recipe.File{Version: file.Version}
	done := 0
	for _, statement := range file.Statements {
		known := of(recorded, statement.ID)
		switch {
		case !slices.ContainsFunc(known, standing):
			pending.Statements = append(pending.Statements, recipe.Statement{Statement: statement, Shape: sqltext.Parse(sqltext.Postgres, statement.SQL)})
		case !p.owe(known):
			done++
		}
	}
	if len(pending.Statements) > 0 {
		p.pending = append(p.pending, pending)
	}
	switch {
	case len(recorded) > 0 && done == len(file.Statements):
		state.Status, state.By = migration.FileApplied, "segue"
	case slices.ContainsFunc(recorded, begun):
		state.Status, state.By = migration.FilePartly, "segue"
	}
	if p.past.applied[file.Version] && state.Status != migration.FileApplied {
		p.notes = append(p.notes, fmt.Sprintf("%s counts %s as applied, and changes of it are still owed here", p.request.History.Format, file.Path))
	}
	return state
}

// recorded gives the changes of a file in the journal; none when all of them were taken back.
func (p *planner) recorded(version string) []migration.ChangeState {
	var found []migration.ChangeState
	for _, state := range p.journal.Changes {
		if runner.OfVersion(state.Change, version) {
			found = append(found, state)
		}
	}
	if !slices.ContainsFunc(found, standing) {
		return nil
	}
	return found
}

// of gives those that stand for a statement.
func of(recorded []migration.ChangeState, id migration.StatementID) []migration.ChangeState {
	var found []migration.ChangeState
	for _, state := range recorded {
		if slices.Contains(state.Change.Origin, id) {
			found = append(found, state)
		}
	}
	return found
}

// owe takes recorded changes into the plan as they are, unless nothing is left to do for them. One that was taken back is offered again.
func (p *planner) owe(known []migration.ChangeState) (open bool) {
	for _, state := range known {
		if settled(state) {
			continue
		}
		open = true
		if !slices.ContainsFunc(p.owed, func(c migration.Change) bool { return c.ID == state.Change.ID }) {
			p.owed = append(p.owed, state.Change)
		}
	}
	return open
}

func settled(state migration.ChangeState) bool {
	return state.Status == migration.StatusDone || state.Status == migration.StatusForgiven
}

// standing says that a change was not taken back.
func standing(state migration.ChangeState) bool { return state.Status != migration.StatusCanceled }

func begun(state migration.ChangeState) bool {
	return standing(state) && state.Status != migration.StatusOwed
}

// think lets the server try the pending statements, and plans from what it did.
func (p *planner) think(ctx context.Context) (err error) {
	if len(p.pending) == 0 {
		p.changes = p.owed
		return nil
	}
	scratch, err := p.driver.server.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close(context.WithoutCancel(ctx))) }()
	for _, missing := range scratch.Missing {
		p.notes = append(p.notes, "the copy on which statements are tried lacks "+missing)
	}
	if err := p.catchUp(ctx, scratch); err != nil {
		return err
	}
	catalog, err := p.catalog(ctx, scratch)
	if err != nil {
		return err
	}
	var statements []string
	for _, file := range p.pending {
		for _, s := range file.Statements {
			statements = append(statements, s.SQL)
		}
	}
	facts, err := oracle.Classify(ctx, scratch, statements)
	if err != nil {
		return err
	}
	p.classified = len(facts)
	for _, file := range p.pending {
		for i := range file.Statements {
			file.Statements[i].Facts, facts = facts[0], facts[1:]
		}
	}
	running := slices.DeleteFunc(slices.Clone(p.request.Running), func(name segue.ReleaseName) bool { return name == p.request.Release })
	fresh, faults, notes := recipe.Plan(recipe.Request{
		Files: p.pending, Catalog: catalog, Syncs: p.syncs(), Version: p.driver.server.Version(), Release: p.request.Release, Running: running,
	})
	p.faults, p.notes = append(p.faults, faults...), append(p.notes, notes...)
	p.changes = inPhases(p.owed, behind(p.owed, fresh))
	return nil
}

// syncs are the names of all syncs that were ever recorded: triggers and functions of these names may be there, or still come.
func (p *planner) syncs() []string {
	var names []string
	for _, state := range p.journal.Changes {
		if b := state.Change.Backfill; b != nil && b.Sync != nil && standing(state) {
			names = append(names, b.Sync.Name)
		}
	}
	return names
}

// behind makes contracts of this release follow those that are owed on the same table: a trigger that keeps a column in step goes before the column.
func behind(owed, fresh []migration.Change) []migration.Change {
	for i := range fresh {
		for _, earlier := range owed {
			if fresh[i].Phase == migration.PhaseContract && earlier.Phase == migration.PhaseContract && fresh[i].Table != "" && fresh[i].Table == earlier.Table {
				fresh[i].After = append(fresh[i].After, earlier.ID)
			}
		}
	}
	return fresh
}

// inPhases puts what is owed before what is new, and contracts after everything, without parting what stands in an order.
func inPhases(owed, fresh []migration.Change) []migration.Change {
	var first, last []migration.Change
	for _, change := range owed {
		if change.Phase == migration.PhaseContract {
			last = append(last, change)
		} else {
			first = append(first, change)
		}
	}
	at := len(fresh)
	for at > 0 && fresh[at-1].Phase == migration.PhaseContract {
		at--
	}
	return slices.Concat(first, fresh[:at], last, fresh[at:])
}

// catchUp makes the copy what the team's files believe in: with everything done that is still owed.
func (p *planner) catchUp(ctx context.Context, scratch *server.Scratch) error {
	var statements []string
	var of []migration.Change
	for _, change := range p.owed {
		for _, action := range change.Actions {
			statements, of = append(statements, action.SQL), append(of, change)
		}
	}
	facts, err := oracle.Classify(ctx, scratch, statements)
	if err != nil {
		return err
	}
	told := map[migration.ChangeID]bool{}
	for i, fact := range facts {
		// An action that was done already is refused the second time, and that is as good.
		if fact.Error != "" && of[i].Phase == migration.PhaseContract && !told[of[i].ID] {
			told[of[i].ID] = true
			p.notes = append(p.notes, fmt.Sprintf("%s (%s), which is owed, does not fit the schema as it is now: %s", of[i].ID, of[i].Title, fact.Error))
		}
	}
	return nil
}

// catalog is the copy's, with the sizes of the real tables.
func (p *planner) catalog(ctx context.Context, scratch *server.Scratch) (server.Catalog, error) {
	catalog, err := p.driver.server.Catalog(ctx)
	if err != nil || len(p.owed) == 0 {
		return catalog, err
	}
	sizes := map[[2]string]server.Table{}
	for _, t := range catalog.Tables {
		sizes[[2]string{t.Schema, t.Name}] = t
	}
	ahead, err := scratch.Catalog(ctx)
	if err != nil {
		return catalog, err
	}
	for i := range ahead.Tables {
		t := &ahead.Tables[i]
		if real, there := sizes[[2]string{t.Schema, t.Name}]; there {
			t.Rows, t.Bytes, t.Heap, t.Owner = real.Rows, real.Bytes, real.Heap, real.Owner
		}
	}
	ahead.SearchPath = catalog.SearchPath
	return ahead, nil
}
