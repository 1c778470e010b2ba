package backfill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

const (
	// retryFirst and retryMost bound the pause between two tries for a table's lock: whoever waited behind the first one goes before the second.
	retryFirst, retryMost = 50 * time.Millisecond, 2 * time.Second
	// yieldTries is after how many of them a vacuum is waited for so long that the server ends it.
	yieldTries = 5
)

// prepare makes the first entry and the triggers, unless an earlier run has. From their transaction's end on no write escapes them: it cannot begin before
// those that were under way have ended.
func (r *run) prepare(ctx context.Context) error {
	if err := r.makeTable(ctx); err != nil {
		return err
	}
	var found bool
	var err error
	if r.position, found, err = readPosition(ctx, r.session.Conn, r.change.ID); err != nil {
		return err
	}
	if r.position.state == stateDone {
		return nil
	}
	there, err := r.synced(ctx)
	if err != nil || found && there {
		return err
	}
	first := position{state: stateRows, pass: 1}
	if first.total, err = r.table.estimate(ctx, r.session.Conn); err != nil {
		return err
	}
	if len(r.words.key) == 0 && first.total > keylessRows {
		return r.refused("table %s has about %d rows and no key to go along", r.table, first.total).
			WithHint("give it a primary key, or a unique index over columns that are NOT NULL")
	}
	// What was written while the triggers were missing is not known: all of it is gone through again.
	err = r.locked(ctx, func(tx pgx.Tx) error {
		if err := first.write(ctx, tx, r.change.ID); err != nil || there {
			return err
		}
		create, _, err := SyncSQL(*r.change.Backfill.Sync, r.table)
		if err != nil {
			return err
		}
		return execAll(ctx, tx, create)
	})
	if err != nil {
		return fmt.Errorf("create triggers: %w", err)
	}
	r.position, _, err = readPosition(ctx, r.session.Conn, r.change.ID)
	return err
}

// makeTable makes the table of positions, in the schema that is there or is made.
func (r *run) makeTable(ctx context.Context) error {
	var there bool
	if err := r.session.Conn.QueryRow(ctx, selectThere).Scan(&there); err != nil || there {
		return err
	}
	err := r.session.Update(ctx, func(tx pgx.Tx) error {
		// Two that create the same at the same time would fail each other.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('segue.backfill'))"); err != nil {
			return err
		}
		var named bool
		if err := tx.QueryRow(ctx, "SELECT to_regnamespace('segue') IS NOT NULL").Scan(&named); err != nil {
			return err
		}
		if !named {
			if _, err := tx.Exec(ctx, "CREATE SCHEMA segue"); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, createPositions)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the table segue.backfill: %w", err)
	}
	return nil
}

// synced says whether the triggers are there, or none are needed.
func (r *run) synced(ctx context.Context) (there bool, err error) {
	sync := r.change.Backfill.Sync
	if sync == nil {
		return true, nil
	}
	err = r.session.Conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = $1 AND tgname = $2)", r.table.OID, sync.Name).Scan(&there)
	if err != nil {
		return false, fmt.Errorf("look for trigger %s: %w", sync.Name, err)
	}
	return there, nil
}

// conclude ends what was gone through. The backfill is done when there are no violators; another pass helps where it could still mend some; otherwise it
// is refused, and the next run begins by counting again.
func (r *run) conclude(ctx context.Context) error {
	p := r.position
	next := position{state: stateDone, pass: p.pass, rows: p.rows, total: p.total}
	switch {
	case p.pending > 0 && p.pass < passes:
		next.state, next.pass, next.rows = stateRows, p.pass+1, 0
	case p.violators > 0:
		next.state, next.pass = stateVerify, 1
	}
	err := r.locked(ctx, func(tx pgx.Tx) error {
		if err := next.write(ctx, tx, r.change.ID); err != nil {
			return err
		}
		sync := r.change.Backfill.Sync
		if next.state != stateDone || sync == nil || sync.Until != migration.PhaseBackfill {
			return nil
		}
		_, drop, err := SyncSQL(*sync, r.table)
		return errors.Join(err, execAll(ctx, tx, drop))
	})
	if err != nil {
		return fmt.Errorf("end it: %w", err)
	}
	if next.state == stateVerify {
		r.report.Violators = p.violators
		return r.refused("%d rows of %s are not as they should be, %s among them", p.violators, r.table, p.sample).
			WithHint("see them with: SELECT * FROM %s WHERE %s", r.table.sql(), r.words.violators)
	}
	r.position, _, err = readPosition(ctx, r.session.Conn, r.change.ID)
	return err
}

// locked is a transaction that needs a lock on the whole table for a moment. It waits for it only briefly at a time, since others wait behind it meanwhile.
func (r *run) locked(ctx context.Context, work func(pgx.Tx) error) error {
	began := time.Now()
	for try := 1; ; try++ {
		limit := limit{row: r.bounds.row, batch: r.bounds.single, durable: true}
		start := time.Now()
		err := r.session.Update(ctx, func(tx pgx.Tx) error { return r.briefly(ctx, tx, try, limit, work) })
		r.report.Tries++
		failure, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || failure.Code != "55P03" && failure.Code != "40P01" {
			if err == nil {
				r.report.LockWait += start.Sub(began)
			}
			return err
		}
		if err := r.wearyOf(time.Since(began)); err != nil {
			return err
		}
		back := min(retryFirst<<min(try, 10), retryMost)
		if err := pause(ctx, back/2+rand.N(back)); err != nil {
			return err
		}
	}
}

// briefly works within bounds, once autovacuum has given up what it would keep for long.
func (r *run) briefly(ctx context.Context, tx pgx.Tx, try int, bounds limit, work func(pgx.Tx) error) error {
	if try > yieldTries && r.gauge.vacuums() {
		if err := r.evict(ctx, tx, bounds); err != nil {
			return err
		}
	}
	if err := bounds.set(ctx, tx); err != nil {
		return err
	}
	return work(tx)
}

// evict makes autovacuum give the table up, by a lock that keeps nobody else waiting while it is asked for: whoever asked for a stronger one would have
// all others wait behind it for as long as autovacuum takes to give up.
func (r *run) evict(ctx context.Context, tx pgx.Tx, bounds limit) error {
	bounds.row = r.bounds.deadlock + batchTarget
	if err := bounds.set(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, server.Marked(server.Mark, "LOCK TABLE ONLY ")+r.table.sql()+" IN SHARE UPDATE EXCLUSIVE MODE")
	return err
}

// wearyOf says that the table's lock was waited for so long, and fails when that is too long.
func (r *run) wearyOf(waited time.Duration) error {
	what := fmt.Sprintf("a lock on %s%s", r.table, r.gauge.held())
	if waited > r.options.Patience {
		return segue.Errorf(segue.KindTimeout, "waited longer than %s for %s", r.options.Patience, what).
			WithHint("end that transaction, or wait for it, and run it again")
	}
	if waited <= stuckAfter {
		return nil
	}
	return r.tellDue(fmt.Sprintf("%s, for %.0f s", what, waited.Seconds()))
}
