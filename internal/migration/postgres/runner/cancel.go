package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Cancel implements migration.Lease. An expand change that is done can be taken back as well; that nobody uses it yet is for the caller to know.
func (l *Lease) Cancel(ctx context.Context, id migration.ChangeID) error {
	verb := "cancel " + string(id)
	ctx, end, err := l.begin(ctx, id)
	if err != nil {
		return explain(verb, err)
	}
	defer end()
	r := &run{lease: l, watch: func(migration.Progress) {}, report: migration.Report{ID: id}}
	if err = r.open(ctx, id); err == nil {
		err = r.cancel(ctx, id)
	}
	defer r.close(ctx)
	if err != nil && r.eye != nil {
		err = grant(ctx, r.eye.conn, r.change, l.cause(ctx, err))
	}
	return explain(verb, l.cause(ctx, err))
}

// cancel undoes the actions, the last first, each with its line in the journal: it goes on where it was broken off.
func (r *run) cancel(ctx context.Context, id migration.ChangeID) error {
	err := r.session.Update(ctx, func(tx pgx.Tx) error { return r.cancellable(ctx, tx, id) })
	if err != nil || r.over {
		return err
	}
	for _, i := range slices.Backward(slices.Sorted(maps.Keys(r.entries))) {
		r.action = i
		if err := r.undo(ctx, r.change.Actions[i], r.entries[i].done); err != nil {
			return fmt.Errorf("take back action %d: %w", i+1, err)
		}
	}
	return r.session.Update(ctx, func(tx pgx.Tx) error {
		if r.change.Backfill != nil && r.lease.runner.config.Backfiller != nil {
			if err := r.lease.runner.config.Backfiller.Cancel(ctx, tx, r.change); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE "segue"."change" SET status = 'canceled', ended = now(), error = '', progress = NULL, report = NULL WHERE id = $1`, string(id))
		return err
	})
}

// cancellable refuses what cannot be taken back, and marks the rest as under way again: from then on the file is not done.
func (r *run) cancellable(ctx context.Context, tx pgx.Tx, id migration.ChangeID) error {
	state, err := readChange(ctx, tx, id)
	if err != nil {
		return err
	}
	r.change = state.Change
	switch {
	case state.Status == migration.StatusCanceled:
		r.over = true
		return nil
	case state.Status == migration.StatusDone && r.change.Phase != migration.PhaseExpand:
		return segue.Errorf(segue.KindRefused, "cancel %s (%s): it is done, and a %s cannot be taken back", id, r.change.Title, r.change.Phase).
			WithHint("write a migration that brings back what is missing")
	}
	if r.entries, err = readActions(ctx, tx, id); err != nil {
		return err
	}
	for i, e := range r.entries {
		if i >= len(r.change.Actions) || e.done && r.change.Actions[i].Undo == "" {
			return segue.Errorf(segue.KindRefused, "cancel %s (%s): its action %d is done, and nothing undoes it", id, r.change.Title, i+1).
				WithHint("run it to its end, and write a migration that takes it back")
		}
	}
	if err := r.unneeded(ctx, tx, id); err != nil {
		return err
	}
	if state.Hidden {
		if err := show(ctx, tx, id); err != nil {
			return err
		}
	}
	if err := r.reopen(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE "segue"."change" SET status = 'running', ended = NULL, report = NULL WHERE id = $1 AND status <> 'owed'`, string(id))
	return err
}

// unneeded refuses when something that was begun stands on the change.
func (r *run) unneeded(ctx context.Context, tx pgx.Tx, id migration.ChangeID) error {
	rows, err := tx.Query(ctx, `SELECT id || ' (' || coalesce(body->>'title', '') || ')' FROM "segue"."change"
		WHERE status IN ('running', 'done') AND body->'after' ? $1 ORDER BY seq DESC`, string(id))
	if err != nil {
		return err
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(users) == 0 {
		return err
	}
	return segue.Errorf(segue.KindRefused, "cancel %s (%s): %s was begun after it and may stand on it", id, r.change.Title, users[0]).
		WithHint("cancel that one first")
}

// reopen takes the files of a change out of the team's history again.
func (r *run) reopen(ctx context.Context, tx pgx.Tx) error {
	files, err := readFiles(ctx, tx)
	if err != nil {
		return err
	}
	for _, version := range versionsOf(r.change) {
		row, there := files[version]
		if !there || !row.complete {
			continue
		}
		if history := r.lease.runner.config.History; history != nil {
			if err := history.TakenBack(ctx, tx, row.file, row.history); err != nil {
				return fmt.Errorf("take %s out of the history: %w", row.file.Path, err)
			}
		}
		if _, err := tx.Exec(ctx, `UPDATE "segue"."file" SET complete = NULL WHERE version = $1`, version); err != nil {
			return err
		}
	}
	return nil
}

// undo takes back one action.
func (r *run) undo(ctx context.Context, action migration.Action, done bool) error {
	forget := func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM "segue"."action" WHERE change = $1 AND ordinal = $2`, string(r.change.ID), r.action)
		return err
	}
	back := action.Undo
	if !done && action.Repair != "" {
		back = action.Repair
	}
	if !action.Alone {
		locks, _, err := r.locks(ctx, migration.Action{SQL: back})
		if err != nil {
			return err
		}
		return r.locked(ctx, locks, func(tx pgx.Tx, w *wait) error {
			if err := forget(tx); err != nil {
				return err
			}
			return r.exec(ctx, r.session.Conn, back)
		})
	}
	// A drop that was broken off may have left an index that nobody can use: it is made anew.
	if !done && firstWord(action.SQL) == "DROP" {
		if err := r.unbound(ctx, action.Repair); err != nil {
			return err
		}
		back = action.Undo
	}
	if back != "" {
		if err := r.unbound(ctx, back); err != nil {
			return err
		}
	}
	return r.session.Update(ctx, forget)
}
