package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
)

// Check implements migration.Driver: the statements of every release on copies of the schema as it is, expanded, and contracted.
func (d *Driver) Check(ctx context.Context, request migration.CheckRequest) (migration.Matrix, error) {
	start := time.Now()
	objects, err := readObjects(ctx, d.read)
	if err != nil {
		return migration.Matrix{}, d.explain("read schema", err)
	}
	m := matrix{objects: objects, queries: request.Queries, good: make([]*finding, len(request.Queries))}
	for _, s := range []struct {
		name    migration.Stage
		changes []migration.Change
	}{{migration.StageNow, nil}, {migration.StageExpanded, request.Before}, {migration.StageContracted, request.After}} {
		if err := m.stage(ctx, s.name, s.changes); err != nil {
			return migration.Matrix{}, d.explain("check compatibility", err)
		}
	}
	return migration.Matrix{Cells: m.cells, Took: time.Since(start)}, nil
}

// matrix is being filled, stage by stage.
type matrix struct {
	objects []object
	queries []migration.Query
	// good is what a query gave at the first stage at which it worked.
	good  []*finding
	cells []migration.Cell
	// done are the changes of the stages before.
	done []migration.Change
}

// stage tries every query once the changes have been made, and looks for the change at fault where one stops working.
func (m *matrix) stage(ctx context.Context, name migration.Stage, changes []migration.Change) (err error) {
	s, err := newScratch(ctx, m.objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, change := range slices.Concat(m.done, changes) {
		if err := s.apply(ctx, change); err != nil {
			return fmt.Errorf("apply %s to a copy: %w", change.ID, err)
		}
	}
	misfits := map[int]*migration.Misfit{}
	for i, query := range m.queries {
		now, err := find(ctx, s, query.SQL)
		if err != nil {
			return err
		}
		switch {
		case m.good[i] != nil:
			misfits[i] = now.against(*m.good[i], query)
		case now.broken != "":
			misfits[i] = &migration.Misfit{Query: query, Message: now.broken}
		default:
			m.good[i] = &now
		}
	}
	if err := m.blame(ctx, changes, misfits); err != nil {
		return err
	}
	m.done = append(m.done, changes...)
	m.gather(name, misfits)
	return nil
}

// blame finds, for each statement that stopped working at this stage, the change after which it did.
func (m *matrix) blame(ctx context.Context, changes []migration.Change, misfits map[int]*migration.Misfit) (err error) {
	open := map[int]*migration.Misfit{}
	for i, misfit := range misfits {
		if misfit != nil && m.good[i] != nil {
			open[i] = misfit
		}
	}
	if len(open) == 0 {
		return nil
	}
	s, err := newScratch(ctx, m.objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, change := range slices.Concat(m.done, changes) {
		if err := s.apply(ctx, change); err != nil {
			return err
		}
		for i, misfit := range open {
			now, err := find(ctx, s, misfit.Query.SQL)
			if err != nil {
				return err
			}
			if now.against(*m.good[i], misfit.Query) != nil {
				misfit.Change = change.ID
				delete(open, i)
			}
		}
	}
	return nil
}

// gather makes the cells of a stage: one for each release, in the order of their first queries.
func (m *matrix) gather(name migration.Stage, misfits map[int]*migration.Misfit) {
	from := len(m.cells)
	for i, query := range m.queries {
		at := from + slices.IndexFunc(m.cells[from:], func(c migration.Cell) bool { return c.Release == query.Release })
		if at < from {
			m.cells = append(m.cells, migration.Cell{Release: query.Release, Stage: name})
			at = len(m.cells) - 1
		}
		m.cells[at].Tried++
		if misfits[i] != nil {
			m.cells[at].Misfits = append(m.cells[at].Misfits, *misfits[i])
		}
	}
}
