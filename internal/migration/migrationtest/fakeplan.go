package migrationtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// Plan implements migration.Driver: one change for each statement, sorted by its first words. `ALTER TABLE t ADD` and every CREATE and INSERT expand, UPDATE
// and DELETE are backfills, DROP and `ALTER TABLE t DROP` contract, RENAME breaks. A hint overrules that.
func (f *Fake) Plan(ctx context.Context, request migration.PlanRequest) (migration.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	plan := migration.Plan{Server: f.Server}
	if err := f.enter(ctx); err != nil {
		return plan, err
	}
	for _, file := range request.Files {
		f.sums[file.Version] = file.Sum
		plan.Files = append(plan.Files, f.planFile(&plan, file))
	}
	slices.SortStableFunc(plan.Changes, func(a, b migration.Change) int { return late(a) - late(b) })
	return plan, nil
}

func late(change migration.Change) int {
	if change.Phase == migration.PhaseContract {
		return 1
	}
	return 0
}

func (f *Fake) planFile(plan *migration.Plan, file migration.File) migration.FileState {
	state := migration.FileState{Version: file.Version, Path: file.Path, Status: migration.FilePending}
	if sum, known := f.recorded[file.Version]; known && sum != file.Sum {
		plan.Faults = append(plan.Faults, migration.Fault{
			At: migration.Position{Path: file.Path}, Message: file.Path + " was edited after its changes had been recorded", Hint: "write a new file",
		})
		return state
	}
	var changes []migration.Change
	mixed, settled := false, 0
	for _, statement := range file.Statements {
		change := classify(statement)
		mixed = mixed || change.Phase != migration.PhaseContract
		if i := f.index(change.ID); i >= 0 {
			if f.states[i].Status == migration.StatusDone || f.states[i].Status == migration.StatusForgiven {
				settled++
				continue
			}
			change = f.states[i].Change
		} else {
			plan.Classified++
		}
		changes = append(changes, change)
	}
	for _, change := range changes {
		change.Carried = mixed && change.Phase == migration.PhaseContract
		plan.Changes = append(plan.Changes, change)
	}
	switch {
	case len(file.Statements) > 0 && settled == len(file.Statements):
		state.Status, state.By = migration.FileApplied, "segue"
	case settled > 0:
		state.Status, state.By = migration.FilePartly, "segue"
	}
	return state
}

func (f *Fake) index(id migration.ChangeID) int {
	return slices.IndexFunc(f.states, func(s migration.ChangeState) bool { return s.Change.ID == id })
}

// classify makes the change of a statement.
func classify(statement migration.Statement) migration.Change {
	change := migration.Change{
		ID: migration.ChangeID(statement.ID), Phase: migration.PhaseExpand, Title: strings.ToLower(statement.SQL),
		Origin: []migration.StatementID{statement.ID}, At: statement.At, Wait: statement.Hints.After,
	}
	words := strings.Fields(strings.Map(func(r rune) rune {
		if isWord(r) {
			return r
		}
		return ' '
	}, statement.SQL))
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch strings.ToUpper(word(0)) {
	case "UPDATE":
		change.Table = word(1)
		change.Phase, change.Title = migration.PhaseBackfill, "fill "+word(1)
	case "DELETE":
		change.Table = word(2)
		change.Phase, change.Title = migration.PhaseBackfill, "delete from "+word(2)
	case "DROP":
		change.Phase, change.Title = migration.PhaseContract, fmt.Sprintf("drop %s %s", strings.ToLower(word(1)), word(2))
		change.Removes = []migration.Object{{Kind: migration.ObjectKind(strings.ToLower(word(1))), Name: word(2)}}
	case "ALTER":
		alter(&change, word)
	}
	rows := change.Phase == migration.PhaseBackfill
	if statement.Hints.Phase != "" {
		change.Phase = statement.Hints.Phase
	}
	if change.Phase == migration.PhaseContract && len(change.Removes) == 0 {
		change.Removes = []migration.Object{{Kind: migration.ObjectOther, Table: change.Table, Name: change.Title}}
	}
	if rows && (change.Phase == migration.PhaseBackfill || change.Phase == migration.PhaseContract) {
		change.Backfill = &migration.Backfill{Table: change.Table, Key: []string{"id"}}
	} else {
		change.Actions = []migration.Action{{SQL: statement.SQL}}
	}
	return change
}

func alter(change *migration.Change, word func(int) string) {
	change.Table = word(2)
	column := word(4)
	if strings.EqualFold(column, "column") {
		column = word(5)
	}
	switch strings.ToUpper(word(3)) {
	case "ADD":
		change.Title = fmt.Sprintf("add column %s.%s", change.Table, column)
	case "DROP":
		change.Phase, change.Title = migration.PhaseContract, fmt.Sprintf("drop column %s.%s", change.Table, column)
		change.Removes = []migration.Object{{Kind: migration.ObjectColumn, Table: change.Table, Name: column}}
	case "RENAME":
		change.Phase, change.Split = migration.PhaseBreaking, "add, fill and drop, over two releases"
	}
}
