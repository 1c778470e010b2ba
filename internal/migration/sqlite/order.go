package sqlite

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// order puts the changes into the order in which they run: that of the statements, except that contracts come last. Then it goes through them on a second
// copy: what works in the files' order need not work in this one.
func (p *planner) order(ctx context.Context) (err error) {
	slices.SortStableFunc(p.changes, func(a, b migration.Change) int { return late(a) - late(b) })
	p.link()
	if len(p.faults) > 0 {
		return nil
	}
	s, err := newScratch(ctx, p.objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for i := range p.changes {
		change := &p.changes[i]
		if err := release(ctx, s, change); err != nil {
			return err
		}
		err := s.apply(ctx, *change)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case change.Phase == migration.PhaseContract:
			p.notes = append(p.notes, fmt.Sprintf("%s (%s) cannot run yet: %s", change.ID, change.Title, plain(err)))
		case change.Phase == migration.PhaseBreaking:
		default:
			change.Phase = migration.PhaseBreaking
			change.Why = fmt.Sprintf("it needs what comes before it in the files, and that waits until %s are gone: %s", p.older(), plain(err))
			change.Split = "bring it in a later release, when what it needs to be gone is gone; or take another name for what is new"
		}
	}
	return nil
}

func late(change migration.Change) int {
	if change.Phase == migration.PhaseContract {
		return 1
	}
	return 0
}

// link lets every change follow those before it on the same table.
func (p *planner) link() {
	for i := range p.changes {
		change := &p.changes[i]
		if slices.ContainsFunc(p.states, func(s migration.ChangeState) bool {
			return s.Change.ID == change.ID && s.Status != migration.StatusCanceled
		}) {
			continue
		}
		for _, before := range p.changes[:i] {
			same := before.Table == change.Table && change.Table != "" || before.Origin[0] == change.Origin[0]
			if same && !slices.Contains(change.After, before.ID) {
				change.After = append(change.After, before.ID)
			}
		}
	}
}

// isRecorded says whether a change is in the database's journal, and was not taken back.
func (p *planner) isRecorded(id migration.ChangeID) bool {
	return slices.ContainsFunc(p.states, func(s migration.ChangeState) bool { return s.Change.ID == id && s.Status != migration.StatusCanceled })
}

// release takes what was made on a twin column since out of the way of the swap, and makes it again after it, as it was: by then the old column has the
// twin's name. Other changes stay as they are.
func release(ctx context.Context, s *scratch, change *migration.Change) error {
	if !strings.HasSuffix(string(change.ID), "."+partSwap) {
		return nil
	}
	inTheWay := regexp.MustCompile(`error in (index|view|trigger) (.+) after drop column`)
	at := slices.IndexFunc(change.Actions, func(a migration.Action) bool {
		return regexp.MustCompile(`^ALTER TABLE .* DROP COLUMN `).MatchString(a.SQL)
	})
	change.Actions = slices.Clone(change.Actions)
	for at >= 0 {
		if err := s.exec(ctx, "SAVEPOINT swap"); err != nil {
			return err
		}
		failure := s.apply(ctx, *change)
		if err := s.exec(ctx, "ROLLBACK TO swap; RELEASE swap"); err != nil {
			return err
		}
		if failure == nil {
			return nil
		}
		match := inTheWay.FindStringSubmatch(plain(failure))
		if match == nil {
			return nil // order says it
		}
		o, found, err := s.named(ctx, match[1], match[2])
		if err != nil || !found {
			return err
		}
		change.Actions = slices.Insert(change.Actions, at, migration.Action{SQL: fmt.Sprintf("DROP %s %s", strings.ToUpper(match[1]), quote(o.name))})
		at++
		change.Actions = append(change.Actions, migration.Action{SQL: o.sql})
	}
	return nil
}
