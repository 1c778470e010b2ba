package gate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// Check is the compatibility matrix: the statements of every release on a copy of the schema as it is, expanded, and contracted.
func (k *Gatekeeper) Check(ctx context.Context, request migration.CheckRequest) (matrix migration.Matrix, err error) {
	start := time.Now()
	m := &check{queries: request.Queries, statements: make([]*statement, len(request.Queries))}
	for i, query := range request.Queries {
		m.statements[i], _ = newStatement(query)
	}
	stages := []stage{{migration.StageNow, nil}, {migration.StageExpanded, request.Before}, {migration.StageContracted, request.After}}
	if err := k.onCopy(ctx, func(p *prober) error { return m.walk(ctx, p, stages) }); err != nil {
		return matrix, err
	}
	if len(m.broken) > 0 {
		changes := slices.Concat(request.Before, request.After)
		if err := k.onCopy(ctx, func(p *prober) error { return m.blame(ctx, p, changes) }); err != nil {
			return matrix, err
		}
	}
	return migration.Matrix{Cells: m.cells(stages), Took: time.Since(start)}, nil
}

// onCopy does something with a scratch copy of its own.
func (k *Gatekeeper) onCopy(ctx context.Context, do func(*prober) error) (err error) {
	scratch, err := k.config.Server.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close(context.WithoutCancel(ctx))) }()
	conn, err := scratch.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	p, err := newProber(ctx, conn)
	if err != nil {
		return err
	}
	return do(p)
}

// check is a matrix that is being filled.
type check struct {
	queries    []migration.Query
	statements []*statement
	// found are the misfits of each stage, by query; nil for none.
	found [][]*migration.Misfit
	// broken are those of statements that worked before, for which a change is to be named.
	broken map[*statement][]*migration.Misfit
	// lame is what was wrong with a statement from the first, by no change's fault.
	lame map[*statement]string
}

type stage struct {
	name    migration.Stage
	changes []migration.Change
}

// walk goes through the stages.
func (m *check) walk(ctx context.Context, p *prober, stages []stage) error {
	m.broken, m.lame = map[*statement][]*migration.Misfit{}, map[*statement]string{}
	for _, stage := range stages {
		for _, change := range stage.changes {
			if err := p.apply(ctx, change); err != nil {
				return err
			}
		}
		if err := m.try(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// apply does a change to the copy.
func (p *prober) apply(ctx context.Context, change migration.Change) error {
	if err := p.look(ctx, ""); err != nil {
		return err
	}
	return server.Explain("check compatibility", apply(ctx, p.conn, change))
}

// try tries every statement at one stage: those that worked before against what they gave then, the others for the first time.
func (m *check) try(ctx context.Context, p *prober) error {
	now, err := readSchema(ctx, p.conn)
	if err != nil {
		return err
	}
	outcomes, err := p.again(ctx, m.statements)
	if err != nil {
		return err
	}
	if err := p.settle(ctx, m.statements, now); err != nil {
		return err
	}
	found := make([]*migration.Misfit, len(m.statements))
	for i, s := range m.statements {
		after, worked := outcomes[s]
		switch {
		case worked:
			if found[i] = s.misfit(after, now); found[i] != nil && found[i].Message != m.lame[s] {
				m.broken[s] = append(m.broken[s], found[i])
			}
		case s.form != "":
			if found[i] = s.omission(now); found[i] != nil {
				m.lame[s] = found[i].Message
			}
		case s.read.planned():
			found[i] = &migration.Misfit{Query: s.Query, Code: s.worked.code, Message: s.worked.message}
		}
	}
	m.found = append(m.found, found)
	return nil
}

// blame finds the changes after which statements stopped working, by doing them again one by one.
func (m *check) blame(ctx context.Context, p *prober, changes []migration.Change) error {
	for _, change := range changes {
		if err := p.apply(ctx, change); err != nil {
			return err
		}
		open := slices.DeleteFunc(slices.Clone(m.statements), func(s *statement) bool { return len(m.broken[s]) == 0 })
		if len(open) == 0 {
			return nil
		}
		now, err := readSchema(ctx, p.conn)
		if err != nil {
			return err
		}
		outcomes, err := p.again(ctx, open)
		if err != nil {
			return err
		}
		for _, s := range open {
			m.name(s, s.misfit(outcomes[s], now), change.ID)
		}
	}
	return nil
}

// name gives the misfits of a statement that are like one the change at fault.
func (m *check) name(s *statement, like *migration.Misfit, change migration.ChangeID) {
	if like == nil {
		return
	}
	m.broken[s] = slices.DeleteFunc(m.broken[s], func(one *migration.Misfit) bool {
		if one.Code != like.Code || one.Message != like.Message {
			return false
		}
		one.Change = change
		return true
	})
}

// cells gathers each stage's: one for each release, in the order of their first queries.
func (m *check) cells(stages []stage) []migration.Cell {
	var cells []migration.Cell
	for at, stage := range stages {
		from := len(cells)
		for i, query := range m.queries {
			if m.statements[i].form == "" && !m.statements[i].read.planned() {
				continue // no query, or one that needs nothing
			}
			j := slices.IndexFunc(cells[from:], func(c migration.Cell) bool { return c.Release == query.Release })
			if j < 0 {
				j = len(cells) - from
				cells = append(cells, migration.Cell{Release: query.Release, Stage: stage.name})
			}
			cell := &cells[from+j]
			cell.Tried++
			if misfit := m.found[at][i]; misfit != nil {
				cell.Misfits = append(cell.Misfits, *misfit)
			}
		}
	}
	return cells
}
