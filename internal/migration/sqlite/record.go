package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Record implements migration.Lease. What this driver's last Plan read of the files is written down with the changes: without it an edit could not be told
// and the team's history table not be kept.
func (l *lease) Record(ctx context.Context, release segue.ReleaseName, plan migration.Plan) error {
	if len(plan.Faults) > 0 {
		return segue.Errorf(segue.KindInvalid, "record plan: it has %d faults, the first: %s", len(plan.Faults), plan.Faults[0]).WithHint("%s", plan.Faults[0].Hint)
	}
	_, err := l.update(ctx, 0, false, func(tx *sql.Conn) error {
		if err := l.recordFiles(ctx, tx, plan); err != nil {
			return err
		}
		now := time.Now()
		for _, change := range plan.Changes {
			if err := recordChange(ctx, tx, release, change, now); err != nil {
				return err
			}
		}
		return settleFiles(ctx, tx)
	})
	return l.driver.explain("record plan", err)
}

// recordFiles writes down the files that the plan's changes come from. What is there stays, as long as one of its changes does: it is what they were
// made from.
func (l *lease) recordFiles(ctx context.Context, tx *sql.Conn, plan migration.Plan) error {
	l.driver.mu.Lock()
	defer l.driver.mu.Unlock()
	if err := recordFolder(ctx, tx, l.driver.folder); err != nil {
		return err
	}
	for version, row := range l.driver.files {
		if !slices.ContainsFunc(plan.Changes, func(c migration.Change) bool { return ofVersion(c, version) }) {
			continue
		}
		file, err := json.Marshal(row.File)
		if err != nil {
			return fmt.Errorf("write file %s: %w", version, err)
		}
		history, err := json.Marshal(row.History)
		if err != nil {
			return fmt.Errorf("write file %s: %w", version, err)
		}
		// A repeatable file is a new one whenever its content is.
		const insert = `INSERT INTO segue_file (version, body, history) VALUES (?1, ?2, ?3) ON CONFLICT (version) DO UPDATE SET body = ?2, history = ?3, complete = 0
			WHERE ?4 AND body <> ?2 OR NOT EXISTS (SELECT 1 FROM segue_change WHERE substr(id, 1, length(?1) + 1) = ?1 || '#' AND status <> 'canceled')`
		written, err := tx.ExecContext(ctx, insert, version, string(file), string(history), row.File.Repeatable)
		if err != nil {
			return err
		}
		if n, err := written.RowsAffected(); err != nil || n == 0 || !row.File.Repeatable {
			continue
		}
		// What is still owed of the edition before would be done to what this one makes.
		const forget = `DELETE FROM segue_change WHERE status = 'owed' AND substr(id, 1, length(?1) + 1) = ?1 || '#'`
		if _, err := tx.ExecContext(ctx, forget, version); err != nil {
			return err
		}
	}
	return nil
}

// settleFiles writes the history of the files that have come to their end, in the transaction in which they do.
func settleFiles(ctx context.Context, tx *sql.Conn) error {
	states, err := readChanges(ctx, tx)
	if err != nil {
		return err
	}
	files, err := readFiles(ctx, tx)
	if err != nil {
		return err
	}
	var done []string
	for version, row := range files {
		if row.complete {
			done = append(done, version)
		}
	}
	for _, version := range slices.Sorted(maps.Keys(files)) {
		row := files[version]
		if row.complete || !complete(row.File, states) {
			continue
		}
		if err := writeHistory(ctx, tx, row, done); err != nil {
			return fmt.Errorf("write history of %s: %w", row.File.Path, err)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE segue_file SET complete = 1 WHERE version = ?", version); err != nil {
			return err
		}
		done = append(done, version)
	}
	return nil
}

// complete says whether every statement of a file is done, or not owed any more.
func complete(file migration.File, states []migration.ChangeState) bool {
	for _, statement := range file.Statements {
		changes := ofStatement(states, statement.ID)
		if len(changes) == 0 || slices.ContainsFunc(changes, func(s migration.ChangeState) bool { return !settled(s.Status) }) {
			return false
		}
	}
	return true
}

// settled says whether nothing more is to be done for a change.
func settled(status migration.Status) bool {
	return status == migration.StatusDone || status == migration.StatusForgiven
}

// ofStatement gives the recorded changes that stand for a statement.
func ofStatement(states []migration.ChangeState, id migration.StatementID) []migration.ChangeState {
	var found []migration.ChangeState
	for _, s := range states {
		if slices.Contains(s.Change.Origin, id) {
			found = append(found, s)
		}
	}
	return found
}

// Cancel implements migration.Lease. DDL in a transaction leaves nothing behind, so that only backfills have something to take back: their triggers. Rows
// that were written stay as they are.
func (l *lease) Cancel(ctx context.Context, id migration.ChangeID) error {
	l.working.Lock()
	defer l.working.Unlock()
	_, err := l.update(ctx, 0, false, func(tx *sql.Conn) error {
		state, err := readChange(ctx, tx, id)
		if err != nil {
			return err
		}
		switch state.Status {
		case migration.StatusDone:
			return segue.Errorf(segue.KindRefused, "cancel %s (%s): it is done", id, state.Change.Title).WithHint("write a migration that takes it back")
		case migration.StatusCanceled:
			return nil
		case migration.StatusOwed, migration.StatusRunning, migration.StatusForgiven:
		}
		if b := state.Change.Backfill; b != nil && b.Sync != nil {
			if err := execAll(ctx, tx, dropSync(b.Sync.Name)); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM segue_backfill WHERE change = ?", string(id)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE segue_change SET status = 'canceled', ended = ?, error = '' WHERE id = ?", time.Now().UnixNano(), string(id))
		return err
	})
	return l.driver.explain("cancel "+string(id), err)
}

// Forgive implements migration.Lease.
func (l *lease) Forgive(ctx context.Context, id migration.ChangeID, by, why string) error {
	_, err := l.update(ctx, 0, false, func(tx *sql.Conn) error {
		state, err := readChange(ctx, tx, id)
		if err != nil {
			return err
		}
		if state.Status == migration.StatusDone {
			return nil
		}
		_, err = tx.ExecContext(ctx, "UPDATE segue_change SET status = 'forgiven', ended = ?, forgiver = ?, reason = ? WHERE id = ?",
			time.Now().UnixNano(), by, why, string(id))
		if err != nil {
			return err
		}
		return settleFiles(ctx, tx)
	})
	return l.driver.explain("forgive "+string(id), err)
}
