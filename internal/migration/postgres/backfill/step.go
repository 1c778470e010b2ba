package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// stuckAfter is from when on is said whom it waits for.
const stuckAfter = time.Second

// step does the next batch, of rows or of counting, and sizes the one after. Of a batch that others stood in the way of, or that met a row which cannot be
// done, nothing is left, and the next one is smaller.
func (r *run) step(ctx context.Context) error {
	n := r.sizer.Size()
	took, rows, upTo, err := r.batch(ctx, n)
	if err != nil {
		return r.smaller(ctx, n, upTo, err)
	}
	r.stuck = time.Time{}
	r.report.Held = max(r.report.Held, took)
	if limit := r.backfiller.Limits.Caused; limit > 0 && r.gauge.takeCaused() > limit {
		r.sizer.Shrink()
	} else {
		r.sizer.Observe(int(rows), took)
	}
	return nil
}

// batch does the next n rows and moves the position, in one transaction, which took so long. It is not broken off halfway: the server bounds it.
func (r *run) batch(ctx context.Context, n int) (took time.Duration, rows int64, upTo []string, err error) {
	if upTo, rows, err = r.bound(ctx, n); err != nil {
		return 0, 0, nil, fmt.Errorf("look for the end of the next batch: %w", err)
	}
	limits := r.limits(n)
	settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.batch+closing)
	defer cancel()
	next := r.position
	next.cursor, next.state = upTo, r.after(upTo)
	if next.state != r.position.state {
		next.cursor = nil
	}
	if r.position.state == stateRows {
		next.rows += rows
	}
	cursor, err := json.Marshal(next.cursor)
	if err != nil {
		return 0, 0, nil, err
	}
	var a args
	statement := r.words.sql(&a, r.position, batchEnd{position: next, upTo: upTo, cursor: cursor}, r.change.ID)
	start := time.Now()
	err = r.session.Update(settled, func(tx pgx.Tx) error {
		if err := limits.set(settled, tx); err != nil {
			return err
		}
		return tx.QueryRow(settled, statement, a...).Scan(&next.changed, &next.batches, &next.violators, &next.pending, &next.sample)
	})
	if err != nil {
		return 0, 0, upTo, err
	}
	r.position = next
	return time.Since(start), rows, upTo, nil
}

// after is the state after a batch up to a key, nil for the end of the table.
func (r *run) after(upTo []string) state {
	switch {
	case upTo != nil:
		return r.position.state
	case r.position.state == stateRows && r.words.violators != "":
		return stateVerify
	default:
		return stateEnd
	}
}

// bound gives the key of the n-th row from here, or nil and the number of rows when there are fewer: the last batch is open at its end, and takes in what
// arrives meanwhile.
func (r *run) bound(ctx context.Context, n int) (upTo []string, rows int64, err error) {
	var a args
	if len(r.words.key) > 0 {
		statement := r.words.bound(&a, r.position.cursor, n)
		err := r.session.Conn.QueryRow(ctx, server.Marked(server.Mark, statement), a...).Scan(&upTo)
		if !errors.Is(err, pgx.ErrNoRows) {
			return upTo, int64(n), err
		}
	}
	a = nil
	statement := r.words.count(&a, r.position.cursor)
	return nil, rows, r.session.Conn.QueryRow(ctx, server.Marked(server.Mark, statement), a...).Scan(&rows)
}

// limit is what bounds a transaction on the server.
type limit struct {
	row, batch time.Duration
	// durable waits at the commit for the disk, and for standbys where the server is set so.
	durable bool
}

// limits of a batch of n rows.
func (r *run) limits(n int) limit {
	switch {
	case len(r.words.key) == 0:
		return limit{row: r.bounds.row, batch: r.bounds.single}
	case r.position.state == stateVerify: // holds no row
		return limit{row: r.bounds.row, batch: r.bounds.single}
	case n == 1:
		return limit{row: r.bounds.batch, batch: r.bounds.single}
	default:
		return limit{row: r.bounds.row, batch: r.bounds.batch}
	}
}

// set bounds the transaction. The commit of a batch waits for no disk and no standby, and gives its rows back that much sooner: if the server dies the
// position is lost together with the rows, and what ends the backfill does wait.
func (l limit) set(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true), set_config('segue.side', $3, true),
		set_config('synchronous_commit', CASE WHEN $4 THEN current_setting('synchronous_commit') ELSE 'off' END, true)`,
		fmt.Sprint(l.row.Milliseconds()), fmt.Sprint(l.batch.Milliseconds()), sideBackfill, l.durable)
	if err != nil {
		return fmt.Errorf("bound the transaction: %w", err)
	}
	return nil
}

// smaller answers an error: by a smaller batch where that may help.
func (r *run) smaller(ctx context.Context, n int, upTo []string, err error) error {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || ctx.Err() != nil {
		return err
	}
	alone := n == 1 || len(r.words.key) == 0
	switch class := failure.Code; {
	case class == "55P03" || class == "40P01" || class == "40001":
		r.sizer.Shrink()
		return r.blocked(alone)
	case class == "57014" && !alone: // statement_timeout; one that a person canceled is tried again, too
		r.sizer.Shrink()
		return nil
	case class == "57014":
		return segue.Errorf(segue.KindTimeout, "a batch that cannot be any smaller took longer than %s: %w", r.limits(n).batch, err).
			WithHint("see what makes it slow: triggers, a missing index of a foreign key, the expression")
	case strings.HasPrefix(class, "22") || strings.HasPrefix(class, "23") || class == "P0001":
		if !alone {
			r.sizer.Shrink()
			return nil
		}
		return r.refused("%s cannot be brought to its new form: %s (SQLSTATE %s)", r.which(upTo), unquoted(failure.Message), class).
			WithHint("mend the row or the expression, and run it again: it goes on from there")
	}
	return err
}

// which names a row by its key.
func (r *run) which(key []string) string {
	if len(key) == 0 {
		return "a row of " + r.table.String()
	}
	return fmt.Sprintf("the row of %s with %s = %s", r.table, strings.Join(r.change.Backfill.Key, ", "), strings.Join(key, ", "))
}

// unquoted is a message without the values that it quotes: they are the application's.
func unquoted(message string) string {
	text, _, _ := strings.Cut(message, `: "`)
	return text
}

// blocked takes in that rows could not be had.
func (r *run) blocked(alone bool) error {
	now := time.Now()
	if r.stuck.IsZero() {
		r.stuck = now
	}
	r.report.Tries++
	waited := now.Sub(r.stuck)
	what := "a row lock on " + r.table.String() + r.gauge.held()
	if waited > r.options.Patience {
		return segue.Errorf(segue.KindTimeout, "waited longer than %s for %s", r.options.Patience, what).
			WithHint("end that transaction, or wait for it, and run it again: it goes on from there")
	}
	r.report.LockWait = max(r.report.LockWait, waited)
	if alone && waited > stuckAfter {
		return r.tellDue(fmt.Sprintf("%s, for %.0f s", what, waited.Seconds()))
	}
	return nil
}
