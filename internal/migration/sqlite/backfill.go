package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

const (
	// passes bounds how often a table is gone through: again when rows were found wanting at the end.
	passes = 3
)

// position is how far a backfill is, as its journal has it.
type position struct {
	// cursor is the key of the last row that was done, as SQL literals; nil before the first.
	cursor               []string
	pass                 int
	rows, changed, total int64
}

// backfill brings the rows of a table to a new form, in batches along its key. Each batch is a transaction with the new position in it.
func (r *run) backfill(ctx context.Context) error {
	t, found, err := readTable(ctx, r.lease.driver.read, r.change.Backfill.Table)
	if err != nil {
		return err
	}
	if !found {
		return segue.Errorf(segue.KindRefused, "there is no table %s", r.change.Backfill.Table)
	}
	p, err := r.prepare(ctx, t)
	if err != nil {
		return err
	}
	for {
		if err := r.walk(ctx, t, &p); err != nil {
			return err
		}
		violators, err := r.violators(ctx)
		if err != nil {
			return err
		}
		if violators == 0 {
			break
		}
		if p.pass >= passes {
			return segue.Errorf(segue.KindRefused, "%d rows of %s are not as they should be after %d passes", violators, t.name, p.pass).
				WithHint("see them with: SELECT * FROM %s WHERE %s", quote(t.name), r.change.Backfill.Violators)
		}
		p.pass, p.cursor = p.pass+1, nil
	}
	r.report.Rows, r.report.Changed = p.rows, p.changed
	cost, err := r.lease.update(ctx, r.options.Patience, false, func(tx *sql.Conn) error {
		settled := context.WithoutCancel(ctx)
		if sync := r.change.Backfill.Sync; sync != nil && sync.Until == migration.PhaseBackfill {
			if err := execAll(settled, tx, dropSync(sync.Name)); err != nil {
				return err
			}
		}
		return r.finish(settled, tx)
	})
	r.cost.add(cost)
	return err
}

// prepare installs the triggers and makes the first entry, unless an earlier run has; it gives where to go on.
func (r *run) prepare(ctx context.Context, t table) (p position, err error) {
	total, err := countRows(ctx, r.lease.driver.read, t)
	if err != nil {
		return p, err
	}
	cost, err := r.lease.update(ctx, r.options.Patience, false, func(tx *sql.Conn) error {
		var cursor string
		row := tx.QueryRowContext(ctx, "SELECT cursor, pass, rows, changed, total FROM segue_backfill WHERE change = ?", string(r.change.ID))
		err := row.Scan(&cursor, &p.pass, &p.rows, &p.changed, &p.total)
		if err == nil {
			return json.Unmarshal([]byte(cursor), &p.cursor)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		p = position{pass: 1, total: total}
		if sync := r.change.Backfill.Sync; sync != nil {
			if err := execAll(ctx, tx, createSync(*sync, t)); err != nil {
				return fmt.Errorf("create triggers: %w", err)
			}
		}
		return p.save(ctx, tx, r.change.ID)
	})
	r.cost.add(cost)
	return p, err
}

func (p position) save(ctx context.Context, tx *sql.Conn, id migration.ChangeID) error {
	cursor, err := json.Marshal(p.cursor)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO segue_backfill (change, cursor, pass, rows, changed, total) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
		ON CONFLICT (change) DO UPDATE SET cursor = ?2, pass = ?3, rows = ?4, changed = ?5`, string(id), string(cursor), p.pass, p.rows, p.changed, p.total)
	return err
}

// walk goes through the table once, from the position to its end.
func (r *run) walk(ctx context.Context, t table, p *position) error {
	pacer := newPacer(r, p)
	for {
		// The first of them tells where it stands.
		if err := pacer.await(ctx); err != nil {
			return err
		}
		n := pacer.Size()
		rows, cost, err := r.batch(ctx, t, p, n)
		if err != nil {
			return err
		}
		if rows < int64(n) || len(r.change.Backfill.Key) == 0 {
			pacer.tell("")
			return nil
		}
		if err := pacer.rest(ctx, rows, cost); err != nil {
			return err
		}
	}
}

// batch does the next n rows and moves the position, in one transaction. rows is how many it found; fewer than n are the last ones.
func (r *run) batch(ctx context.Context, t table, p *position, n int) (rows int64, cost hold, err error) {
	next := *p
	cost, err = r.lease.update(ctx, r.options.Patience, true, func(tx *sql.Conn) error {
		settled := context.WithoutCancel(ctx)
		last, err := r.bound(settled, tx, p.cursor, n)
		if err != nil {
			return err
		}
		within := between(r.change.Backfill.Key, p.cursor, last)
		rows = int64(n)
		if last == nil {
			if err := tx.QueryRowContext(settled, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", quote(t.name), within)).Scan(&rows); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(settled, statement(*r.change.Backfill, within))
		if err != nil {
			return fmt.Errorf("rows after %s: %w", describe(p.cursor), err)
		}
		changed, err := result.RowsAffected()
		if err != nil {
			return err
		}
		next.rows, next.changed = next.rows+rows, next.changed+changed
		if last != nil {
			next.cursor = last
		}
		return next.save(settled, tx, r.change.ID)
	})
	if err == nil {
		*p = next
		r.report.Batches++
	}
	r.cost.add(cost)
	return rows, cost, err
}

// bound gives the key of the n-th row after the cursor, nil when there are fewer.
func (r *run) bound(ctx context.Context, tx *sql.Conn, cursor []string, n int) ([]string, error) {
	key := r.change.Backfill.Key
	if len(key) == 0 {
		return nil, nil
	}
	values, into := make([]string, len(key)), make([]any, len(key))
	columns := make([]string, len(key))
	for i, c := range key {
		// SQLite writes the literal itself: every type comes back as it was.
		columns[i], into[i] = "quote("+quote(c)+")", &values[i]
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %d",
		strings.Join(columns, ", "), quote(r.change.Backfill.Table), between(key, cursor, nil), quoteAll(key), n-1)
	err := tx.QueryRowContext(ctx, query).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return values, err
}

// between is the condition for rows after the one key and up to the other; nil is no bound.
func between(key, after, upTo []string) string {
	condition := "TRUE"
	if after != nil {
		condition = fmt.Sprintf("(%s) > (%s)", quoteAll(key), strings.Join(after, ", "))
	}
	if upTo != nil {
		condition += fmt.Sprintf(" AND (%s) <= (%s)", quoteAll(key), strings.Join(upTo, ", "))
	}
	return condition
}

// statement is a backfill's UPDATE or DELETE within a range. Rows that are as they should be already are not written again.
func statement(b migration.Backfill, within string) string {
	where := within
	if b.Where != "" {
		where += " AND (" + b.Where + ")"
	}
	if b.Delete {
		return fmt.Sprintf("DELETE FROM %s WHERE %s", quote(b.Table), where)
	}
	done := holds(b.Set)
	if b.Sync != nil {
		done = agree(*b.Sync)
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s AND NOT (%s)", quote(b.Table), assign(b.Set), where, done)
}

// violators counts the rows that are not as they should be.
func (r *run) violators(ctx context.Context) (n int64, err error) {
	b := r.change.Backfill
	if b.Violators == "" {
		return 0, nil
	}
	err = r.lease.driver.read.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", quote(b.Table), b.Violators)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count rows that are not as they should be: %w", err)
	}
	return n, nil
}

func describe(cursor []string) string {
	if cursor == nil {
		return "the beginning"
	}
	return "key " + strings.Join(cursor, ", ")
}
