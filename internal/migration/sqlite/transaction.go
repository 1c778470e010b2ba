package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/segue-deploy/segue"
)

// hold is what write transactions cost: how long the write lock was waited for and, at the longest, held.
type hold struct {
	tries        int
	waited, held time.Duration
}

// add counts another transaction.
func (h *hold) add(other hold) {
	h.tries += other.tries
	h.waited += other.waited
	h.held = max(h.held, other.held)
}

// begin takes the write lock. It asks in slices, so that a cancel is noticed soon, and gives up when the patience is over.
func (d *Driver) begin(ctx context.Context, conn *sql.Conn, patience time.Duration) (h hold, err error) {
	if patience <= 0 {
		patience = defaultPatience
	}
	start := time.Now()
	for {
		h.tries++
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		h.waited = time.Since(start)
		switch busy := code(err) == lib.SQLITE_BUSY; {
		case err == nil:
			return h, nil
		case ctx.Err() != nil:
			return h, d.explain("wait for the write lock", ctx.Err())
		case !busy:
			return h, d.explain("begin transaction", err)
		case h.waited >= patience:
			return h, segue.Errorf(segue.KindTimeout, "the write lock of %s could not be had within %s: another process holds it", d.path, patience).
				WithHint("look for a transaction that an application keeps open; nothing of this change is left waiting, run it again")
		}
	}
}

// transact carries out work in one transaction that holds the write lock from its beginning, all or nothing. Foreign keys are enforced or not, whatever
// work is: SQLite only lets that be said outside of transactions.
func (d *Driver) transact(ctx context.Context, patience time.Duration, foreignKeys bool, work func(*sql.Conn) error) (h hold, err error) {
	conn, err := d.write.Conn(ctx)
	if err != nil {
		return h, d.explain("connect", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA foreign_keys = %t", foreignKeys)); err != nil {
		return h, d.explain("connect", err)
	}
	if h, err = d.begin(ctx, conn, patience); err != nil {
		return h, err
	}
	start := time.Now()
	// From here on the caller's impatience must not leave a transaction open.
	settled := context.WithoutCancel(ctx)
	err = work(conn)
	if err == nil {
		err = commit(settled, conn, start.Add(max(patience, defaultPatience)))
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors, and then says that there is nothing to roll back.
		_, _ = conn.ExecContext(settled, "ROLLBACK")
	}
	h.held = time.Since(start)
	return h, err
}

// commit ends a transaction well. Without WAL it may have to wait until readers have gone.
func commit(ctx context.Context, conn *sql.Conn, until time.Time) error {
	for {
		_, err := conn.ExecContext(ctx, "COMMIT")
		if code(err) != lib.SQLITE_BUSY || time.Now().After(until) {
			return err
		}
	}
}
