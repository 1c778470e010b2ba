package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// state is what a backfill is at.
type state string

const (
	stateRows   state = "rows"   // bringing rows to their new form
	stateVerify state = "verify" // counting violators
	stateEnd    state = "end"    // all was gone through
	stateDone   state = "done"
)

// The rows are small and written again and again: with room in the page none of it has to touch the index.
const createPositions = `CREATE TABLE IF NOT EXISTS "segue"."backfill" (
	change text PRIMARY KEY, state text NOT NULL, pass integer NOT NULL, cursor jsonb NOT NULL, rows bigint NOT NULL, total bigint NOT NULL,
	changed bigint NOT NULL DEFAULT 0, batches bigint NOT NULL DEFAULT 0, violators bigint NOT NULL DEFAULT 0, pending bigint NOT NULL DEFAULT 0,
	sample text, began timestamptz NOT NULL DEFAULT now(), ended timestamptz
) WITH (fillfactor = 20)`

const selectThere = `SELECT to_regclass('"segue"."backfill"') IS NOT NULL`

const returning = ` RETURNING b.changed, b.batches, b.violators, b.pending, coalesce(b.sample, '')`

// position is how far a backfill is, as the table segue.backfill has it.
type position struct {
	state state
	pass  int
	// cursor is the key of the last row that was done, as text; nil before the first.
	cursor []string
	// rows looked at in this pass, of an estimated total.
	rows, total int64
	// changed and batches over all; violators of those counted so far, pending of them that the backfill could still mend, sample the key of one.
	changed, batches, violators, pending int64
	sample                               string
	began, ended                         time.Time
}

// readPosition gives false when the backfill has not begun.
func readPosition(ctx context.Context, q Querier, id migration.ChangeID) (p position, found bool, err error) {
	var cursor []byte
	var ended *time.Time
	const query = `SELECT state, pass, cursor, rows, total, changed, batches, violators, pending, coalesce(sample, ''), began, ended
		FROM "segue"."backfill" WHERE change = $1`
	err = q.QueryRow(ctx, query, string(id)).Scan(&p.state, &p.pass, &cursor, &p.rows, &p.total, &p.changed, &p.batches, &p.violators, &p.pending,
		&p.sample, &p.began, &ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(cursor, &p.cursor)
	}
	if err != nil {
		return p, false, fmt.Errorf("read how far the backfill is: %w", err)
	}
	if ended != nil {
		p.ended = *ended
	}
	return p, true, nil
}

// Positions gives how far backfills are that have begun and not ended: what is written with every batch, where progress is told once a second.
func Positions(ctx context.Context, q Querier) (map[migration.ChangeID]migration.Progress, error) {
	found := map[migration.ChangeID]migration.Progress{}
	var there bool
	if err := q.QueryRow(ctx, selectThere).Scan(&there); err != nil || !there {
		return found, err
	}
	rows, err := q.Query(ctx, `SELECT change, state, rows, total, changed FROM "segue"."backfill" WHERE state <> 'done'`)
	if err != nil {
		return nil, err
	}
	var p position
	var id migration.ChangeID
	_, err = pgx.ForEachRow(rows, []any{&id, &p.state, &p.rows, &p.total, &p.changed}, func() error {
		found[id] = p.progress(id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read how far backfills are: %w", err)
	}
	return found, nil
}

// write puts the position down as it is, in place of what is there. Counts begin again, but for those of all passes.
func (p position) write(ctx context.Context, tx pgx.Tx, id migration.ChangeID) error {
	cursor, err := json.Marshal(p.cursor)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO "segue"."backfill" AS b (change, state, pass, cursor, rows, total) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (change) DO UPDATE SET state = $2, pass = $3, cursor = $4, rows = $5, total = $6, violators = 0, pending = 0, sample = NULL,
			ended = CASE WHEN $2 = 'done' THEN clock_timestamp() END`,
		string(id), string(p.state), p.pass, cursor, p.rows, p.total)
	if err != nil {
		return fmt.Errorf("write down how far the backfill is: %w", err)
	}
	return nil
}

// progress is the position for people. Once all rows were looked at their number is known.
func (p position) progress(id migration.ChangeID) migration.Progress {
	total := p.rows
	if p.state == stateRows {
		total = max(p.total, p.rows)
	}
	return migration.Progress{ID: id, Done: p.rows, Total: total, Changed: p.changed}
}
