package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/source"
)

// Plan implements migration.Driver.
func (d *Driver) Plan(ctx context.Context, request migration.PlanRequest) (plan migration.Plan, err error) {
	start := time.Now()
	if plan.Server, err = d.Inspect(ctx); err != nil {
		return plan, err
	}
	p := &planner{driver: d, request: request, fresh: map[string]bool{}, rows: map[string]int64{}}
	if err := p.read(ctx); err != nil {
		return plan, d.explain("plan", err)
	}
	if p.last, err = newScratch(ctx, p.objects); err != nil {
		return plan, d.explain("copy schema", err)
	}
	defer func() { err = errors.Join(err, p.last.close()) }()
	p.notes = append(p.notes, p.last.notes...)
	p.request.Files = source.Editions(request.Files, func(version string) (migration.File, bool) {
		before, known := p.recorded[version]
		return before.File, known
	})
	for _, file := range p.request.Files {
		state, err := p.file(ctx, file)
		if err != nil {
			return plan, d.explain("plan "+file.Path, err)
		}
		plan.Files = append(plan.Files, state)
	}
	plan.Files = append(plan.Files, p.unknownFiles()...)
	if err := p.order(ctx); err != nil {
		return plan, d.explain("plan", err)
	}
	plan.Changes, plan.Faults, plan.Notes, plan.Classified = p.changes, p.faults, p.notes, p.classified
	plan.Took = time.Since(start)
	d.remember(p.request)
	return plan, nil
}

// remember keeps the files for Record.
func (d *Driver) remember(request migration.PlanRequest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.folder = nil
	for _, file := range request.Files {
		d.folder = append(d.folder, file.Version)
		d.files[file.Version] = fileRow{File: file, History: request.History}
	}
}

// planner goes through the files in order.
type planner struct {
	driver  *Driver
	request migration.PlanRequest
	// What the database knows: its schema, Segue's journal, and the history of the team's own runner.
	objects  []object
	states   []migration.ChangeState
	recorded map[string]fileRow
	history  history
	// last is a copy on which every statement so far has been run, in the order of the files.
	last *scratch
	// fresh are tables ("t") and columns ("t.c") that are new in this plan: no older release knows them.
	fresh map[string]bool
	// rows are of the real tables.
	rows map[string]int64

	changes    []migration.Change
	faults     []migration.Fault
	notes      []string
	classified int
}

// read asks the database what it knows.
func (p *planner) read(ctx context.Context) (err error) {
	// In one transaction: what is done and what is there must be of the same moment.
	tx, err := p.driver.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	if p.objects, err = readObjects(ctx, tx); err != nil {
		return err
	}
	if p.states, err = readChanges(ctx, tx); err != nil {
		return err
	}
	if p.recorded, err = readFiles(ctx, tx); err != nil {
		return err
	}
	p.history, err = readHistory(ctx, tx, p.request.History, p.request.Files)
	p.faults = append(p.faults, p.history.faults...)
	return err
}

// file plans one file.
func (p *planner) file(ctx context.Context, file migration.File) (migration.FileState, error) {
	state := migration.FileState{Version: file.Version, Path: file.Path, Status: migration.FilePending}
	old, known := p.recorded[file.Version]
	own := slices.ContainsFunc(p.states, func(s migration.ChangeState) bool {
		return ofVersion(s.Change, file.Version) && s.Status != migration.StatusCanceled
	})
	if file.Repeatable && p.history.applied[file.Version] && old.File.Sum != file.Sum {
		own = false // the team's runner has run this content since
	}
	if known && own && !file.Repeatable && old.File.Sum != file.Sum {
		p.fault(migration.Position{Path: file.Path}, "put the file back as it was, and what is to be different into a new one",
			"%s was edited after its changes had been recorded in the database", file.Path)
		state.Status, state.By = migration.FilePartly, "segue"
		return state, nil
	}
	if p.history.applied[file.Version] && !own {
		state.Status, state.By = migration.FileApplied, p.request.History.Format
		return state, nil
	}
	from := len(p.changes)
	done, err := p.statements(ctx, file)
	if err != nil {
		return state, err
	}
	p.carry(from)
	if own && p.history.applied[file.Version] && done < len(file.Statements) {
		p.notes = append(p.notes, fmt.Sprintf("%s counts %s as applied, and changes of it are still owed here", p.request.History.Format, file.Path))
	}
	switch {
	case own && done == len(file.Statements):
		state.Status, state.By = migration.FileApplied, "segue"
	case own && slices.ContainsFunc(p.states, func(s migration.ChangeState) bool { return ofVersion(s.Change, file.Version) && settled(s.Status) }):
		state.Status, state.By = migration.FilePartly, "segue"
	}
	return state, nil
}

// statements plans those of a file; it gives how many of them have nothing left to do.
func (p *planner) statements(ctx context.Context, file migration.File) (done int, err error) {
	for i := 0; i < len(file.Statements); {
		known := ofStatement(p.states, file.Statements[i].ID)
		if slices.ContainsFunc(known, func(s migration.ChangeState) bool { return s.Status != migration.StatusCanceled }) {
			open, err := p.resume(ctx, known)
			if err != nil {
				return done, err
			}
			if open == 0 {
				done++
			}
			i++
			continue
		}
		n, err := p.classify(ctx, file, file.Statements[i:])
		if err != nil {
			return done, err
		}
		p.classified += n
		i += n
	}
	return done, nil
}

// resume takes recorded changes into the plan as they are, unless nothing is left to do for them. One that was taken back is offered again.
func (p *planner) resume(ctx context.Context, known []migration.ChangeState) (open int, err error) {
	for _, s := range known {
		if settled(s.Status) {
			continue
		}
		open++
		if slices.ContainsFunc(p.changes, func(c migration.Change) bool { return c.ID == s.Change.ID }) {
			continue
		}
		p.changes = append(p.changes, s.Change)
		if err := p.last.apply(ctx, s.Change); err != nil {
			if ctx.Err() != nil {
				return open, ctx.Err()
			}
			p.notes = append(p.notes, fmt.Sprintf("%s (%s), which is owed, does not fit the schema as it is now: %s", s.Change.ID, s.Change.Title, plain(err)))
		}
	}
	return open, nil
}

// carry says which contracts the release goes on without: all of them, but those of a file that holds nothing else.
func (p *planner) carry(from int) {
	mixed := false
	for _, change := range p.changes[from:] {
		mixed = mixed || change.Phase != migration.PhaseContract && !isAside(change.ID)
	}
	for i := from; i < len(p.changes); i++ {
		change := &p.changes[i]
		if change.Phase == migration.PhaseContract && !p.isRecorded(change.ID) {
			change.Carried = mixed
		}
	}
}

// unknownFiles are those that only the runner's history knows.
func (p *planner) unknownFiles() []migration.FileState {
	states := make([]migration.FileState, 0, len(p.history.unknown))
	for _, version := range p.history.unknown {
		states = append(states, migration.FileState{Version: version, Status: migration.FileApplied, By: p.request.History.Format})
	}
	return states
}

func (p *planner) fault(at migration.Position, hint, format string, args ...any) {
	p.faults = append(p.faults, migration.Fault{At: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// older names the releases that share the database with the new one.
func (p *planner) older() string {
	var names []segue.ReleaseName
	for _, name := range p.request.Running {
		if name != p.request.Release {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		return string(names[0])
	}
	return "older releases"
}
