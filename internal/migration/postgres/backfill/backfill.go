// Package backfill brings the rows of a large PostgreSQL table to a new form while applications go on using it: in small batches along a key, each a
// short transaction that also writes down how far it came, so that it can be broken off anywhere and goes on from there. Triggers keep the old and the
// new form in step meanwhile.
//
// A batch never makes an application's transaction the victim of a deadlock: it waits for a row for less, and holds its own rows for less, than the
// server's deadlock_timeout. Where it cannot have a row it gives back all that it has, and comes again with a smaller batch, at last of that row alone.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/pace"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
)

const (
	// Schema is where Segue keeps its own tables and functions.
	Schema = runner.Schema

	// DefaultBudget is as long working as resting.
	DefaultBudget = 0.5
	// defaultPatience is how long a backfill waits for one row or for the table, over all tries.
	defaultPatience = 10 * time.Minute
	// passes bounds how often a table is gone through: again where rows were found wanting that the backfill could still mend.
	passes = 3
	// keylessRows is up to how many rows a table without a key is done in one statement.
	keylessRows = 50_000
	// closing bounds what is still done when there is no time left.
	closing = 5 * time.Second
)

// Backfiller does the backfills of one database. It implements runner.Backfiller.
type Backfiller struct {
	// Connect opens a connection from which to look on while another one works.
	Connect func(ctx context.Context) (*pgx.Conn, error)
	// Budget is shared by all backfills of the database.
	Budget *pace.Budget
	// Limits are where a backfill stands still.
	Limits Limits

	batch pace.Bounds
}

// New makes a Backfiller with the default limits.
func New(connect func(ctx context.Context) (*pgx.Conn, error)) *Backfiller {
	batch := pace.Bounds{Target: batchTarget, First: batchFirst, Least: 1, Most: batchMost}
	return &Backfiller{Connect: connect, Budget: &pace.Budget{}, Limits: DefaultLimits(), batch: batch}
}

// Session is where a backfill works.
type Session struct {
	// Conn is for reading. It is the backfill's own until it ends, and its settings are changed.
	Conn *pgx.Conn
	// Update is a transaction on Conn that fails, and leaves nothing, when somebody else has the right to change the database by now.
	Update func(ctx context.Context, work func(pgx.Tx) error) error
}

// Run implements runner.Backfiller.
func (b *Backfiller) Run(
	ctx context.Context, session *runner.Session, change migration.Change, options migration.RunOptions, save func(migration.Progress) error,
) (migration.Report, error) {
	return b.Work(ctx, Session{Conn: session.Conn, Update: session.Update}, change, options, save)
}

// Work brings every row of change.Backfill to its new form, from wherever a run before it came to, and says what that came to. A run after the end finds
// nothing to do. save is called about once a second. ctx ends it between two batches.
//
// Errors: KindRefused when a row cannot be brought to its new form or violators are left, with the key of one; KindTimeout when a row or the table was not
// to be had within the patience; what Update and save fail with.
func (b *Backfiller) Work(
	ctx context.Context, session Session, change migration.Change, options migration.RunOptions, save func(migration.Progress) error,
) (migration.Report, error) {
	r := &run{backfiller: b, session: session, change: change, options: options, save: save}
	r.report.ID, r.report.Lock = change.ID, migration.LockRowExclusive
	if change.Backfill == nil {
		return r.report, segue.Errorf(segue.KindInvalid, "change %s is no backfill", change.ID)
	}
	if r.options.Budget <= 0 || r.options.Budget > 1 {
		r.options.Budget = DefaultBudget
	}
	if r.options.Patience <= 0 {
		r.options.Patience = defaultPatience
	}
	if err := r.open(ctx); err != nil {
		return r.report, fmt.Errorf("begin backfill of %s: %w", change.Backfill.Table, err)
	}
	defer r.close()
	if err := r.work(ctx); err != nil {
		return r.report, fmt.Errorf("backfill %s: %w", r.table, err)
	}
	return r.report, nil
}

// Cancel takes away the triggers of a backfill and what is written of its progress. Rows stay as they are. It may wait for the table as long as the
// transaction's lock_timeout says.
func (b *Backfiller) Cancel(ctx context.Context, tx pgx.Tx, change migration.Change) error {
	if change.Backfill == nil {
		return nil
	}
	if sync := change.Backfill.Sync; sync != nil {
		if err := cancelSync(ctx, tx, *sync); err != nil {
			return err
		}
	}
	var there bool
	if err := tx.QueryRow(ctx, selectThere).Scan(&there); err != nil || !there {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM "segue"."backfill" WHERE change = $1`, string(change.ID))
	return err
}

func cancelSync(ctx context.Context, tx pgx.Tx, sync migration.Sync) error {
	table, err := ReadTable(ctx, tx, sync.Table)
	if segue.KindOf(err) == segue.KindRefused {
		return nil // the trigger went with the table
	}
	if err != nil {
		return err
	}
	_, drop, err := SyncSQL(migration.Sync{Name: sync.Name}, table)
	return errors.Join(err, execAll(ctx, tx, drop))
}

func execAll(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
