package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Run implements migration.Lease.
func (l *lease) Run(ctx context.Context, id migration.ChangeID, options migration.RunOptions, watch func(migration.Progress)) (migration.Report, error) {
	l.working.Lock()
	defer l.working.Unlock()
	if err := l.check(ctx, l.driver.read); err != nil {
		return migration.Report{}, l.driver.explain("run "+string(id), err)
	}
	state, err := readChange(ctx, l.driver.read, id)
	if err != nil {
		return migration.Report{}, l.driver.explain("run "+string(id), err)
	}
	if state.Status == migration.StatusDone {
		return *state.Report, nil
	}
	r := run{lease: l, options: options, watch: watch}
	if r.change, r.began, err = r.start(ctx, id); err == nil {
		if r.change.Backfill != nil {
			err = r.backfill(ctx)
		} else {
			err = r.act(ctx)
		}
	}
	if err == nil {
		return r.report, nil
	}
	err = l.driver.explain(fmt.Sprintf("run %s (%s)", id, state.Change.Title), err)
	l.note(ctx, id, err)
	return migration.Report{}, err
}

// run is one run of one change.
type run struct {
	lease   *lease
	change  migration.Change
	options migration.RunOptions
	watch   func(migration.Progress)
	began   time.Time
	cost    hold
	report  migration.Report
}

// start marks a change as begun, when everything that must come first is done.
func (r *run) start(ctx context.Context, id migration.ChangeID) (change migration.Change, began time.Time, err error) {
	cost, err := r.lease.update(ctx, r.options.Patience, false, func(tx *sql.Conn) error {
		state, err := readChange(ctx, tx, id)
		if err != nil {
			return err
		}
		if state.Status == migration.StatusForgiven || state.Status == migration.StatusCanceled {
			return wrong("run", id, "it is %s", state.Status)
		}
		if err := open(ctx, tx, state.Change.After, id); err != nil {
			return err
		}
		change, began = state.Change, state.Began
		if began.IsZero() {
			began = time.Now()
		}
		_, err = tx.ExecContext(ctx, "UPDATE segue_change SET status = 'running', began = ?, error = '' WHERE id = ?", began.UnixNano(), string(id))
		return err
	})
	r.cost.add(cost)
	return change, began, err
}

// open fails when one of the changes that must come first is not done.
func open(ctx context.Context, tx *sql.Conn, first []migration.ChangeID, id migration.ChangeID) error {
	for _, before := range first {
		state, err := readChange(ctx, tx, before)
		if segue.KindOf(err) == segue.KindNotFound {
			return wrong("run", id, "%s must be done first, and is not recorded", before)
		}
		if err != nil {
			return err
		}
		if state.Status != migration.StatusDone && state.Status != migration.StatusForgiven {
			return wrong("run", id, "%s (%s) must be done first, and is %s", before, state.Change.Title, state.Status)
		}
	}
	return nil
}

// act carries out the actions of a change and writes down that they are done, in one transaction: there is no state between.
func (r *run) act(ctx context.Context) error {
	if err := r.lease.driver.adjust(ctx, &r.change); err != nil {
		return err
	}
	actions := r.change.Actions
	r.watch(migration.Progress{ID: r.change.ID, Action: min(1, len(actions)), Actions: len(actions)})
	for _, action := range actions {
		if !action.Alone {
			continue
		}
		// Such as VACUUM, which may be run again as often as one likes.
		if err := r.alone(ctx, action); err != nil {
			return err
		}
	}
	cost, err := r.lease.update(ctx, r.options.Patience, writesRows(actions), func(tx *sql.Conn) error {
		start := time.Now()
		orphans, err := countOrphans(ctx, tx, actions)
		if err != nil {
			return err
		}
		for i, action := range actions {
			if action.Alone {
				continue
			}
			if err := r.action(ctx, tx, action); err != nil {
				return fmt.Errorf("action %d of %d: %w", i+1, len(actions), err)
			}
			r.watch(migration.Progress{ID: r.change.ID, Action: i + 1, Actions: len(actions)})
		}
		more, err := countOrphans(ctx, tx, actions)
		if err != nil {
			return err
		}
		if more > orphans {
			return segue.Errorf(segue.KindRefused, "%d rows would refer to rows that are gone", more-orphans).
				WithHint("run `PRAGMA foreign_key_check` on a copy after the statements, and mend those rows first")
		}
		r.cost.held = max(r.cost.held, time.Since(start))
		return r.finish(ctx, tx)
	})
	r.cost.add(cost)
	return err
}

// adjust fits a change to what was made since it was planned.
func (d *Driver) adjust(ctx context.Context, change *migration.Change) (err error) {
	objects, err := readObjects(ctx, d.read)
	if err != nil {
		return err
	}
	s, err := newScratch(ctx, objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return release(ctx, s, change)
}

// alone runs an action outside of a transaction.
func (r *run) alone(ctx context.Context, action migration.Action) error {
	if err := r.lease.check(ctx, r.lease.driver.read); err != nil {
		return err
	}
	start := time.Now()
	_, err := r.lease.driver.write.ExecContext(ctx, action.SQL)
	r.cost.held = max(r.cost.held, time.Since(start))
	return err
}

// action runs one statement. Where data stands in the way, the rows are counted.
func (r *run) action(ctx context.Context, tx *sql.Conn, action migration.Action) error {
	_, err := tx.ExecContext(ctx, action.SQL)
	if action.Expect == "" || err != nil && code(err) != lib.SQLITE_CONSTRAINT && code(err) != lib.SQLITE_ERROR {
		return err
	}
	var violators int64
	if count := tx.QueryRowContext(ctx, action.Expect).Scan(&violators); count != nil {
		return fmt.Errorf("count rows that stand in the way: %w", count)
	}
	if violators > 0 {
		return segue.Errorf(segue.KindRefused, "%d rows stand in the way of %q", violators, shorten(action.SQL)).WithHint("see them with: %s", action.Expect)
	}
	return err
}

// finish writes down, in the transaction that did the last of it, that a change is done.
func (r *run) finish(ctx context.Context, tx *sql.Conn) error {
	now := time.Now()
	r.report.ID, r.report.Took = r.change.ID, now.Sub(r.began)
	r.report.Tries, r.report.LockWait, r.report.Held = r.cost.tries, r.cost.waited, r.cost.held
	r.report.Lock = migration.LockExclusive
	report, err := json.Marshal(r.report)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = tx.ExecContext(ctx, "UPDATE segue_change SET status = 'done', ended = ?, report = ?, error = '' WHERE id = ?",
		now.UnixNano(), string(report), string(r.change.ID))
	if err != nil {
		return err
	}
	return settleFiles(ctx, tx)
}

// note writes down why a run ended early, as far as that can still be written.
func (l *lease) note(ctx context.Context, id migration.ChangeID, failure error) {
	if kind := segue.KindOf(failure); kind == segue.KindCanceled || kind == segue.KindNotFound {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), busyRead)
	defer cancel()
	// The caller gets the error in any case; the journal's copy is for whoever looks later, and not worth a wait.
	_, _ = l.update(ctx, busySlice, false, func(tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "UPDATE segue_change SET error = ? WHERE id = ? AND status = 'running'", failure.Error(), string(id))
		return err
	})
}

// writesRows says whether foreign keys are to be enforced: as by an application that writes rows, and not while tables are rebuilt.
func writesRows(actions []migration.Action) bool {
	for _, action := range actions {
		switch firstWord(action.SQL) {
		case "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		default:
			return false
		}
	}
	return true
}

// countOrphans counts rows that refer to none, where actions could make such.
func countOrphans(ctx context.Context, tx *sql.Conn, actions []migration.Action) (n int64, err error) {
	for _, action := range actions {
		if strings.HasPrefix(strings.ToUpper(action.SQL), "DROP TABLE") {
			err := tx.QueryRowContext(ctx, "SELECT count(*) FROM pragma_foreign_key_check").Scan(&n)
			return n, err
		}
	}
	return 0, nil
}

func firstWord(statement string) string {
	fields := strings.FieldsFunc(statement, func(r rune) bool { return r <= ' ' || r == '(' || r == ';' })
	if len(fields) == 0 {
		return ""
	}
	return strings.ToUpper(fields[0])
}

// shorten brings a statement to one short line.
func shorten(statement string) string {
	const most = 80
	line := []rune(strings.Join(strings.Fields(statement), " "))
	if len(line) <= most {
		return string(line)
	}
	return string(line[:most-1]) + "…"
}
