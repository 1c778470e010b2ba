package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// line writes the journal's line of the action under way; done says that the transaction does it. With the last one, the change is done, and so may be a
// file of the team's.
func (r *run) line(ctx context.Context, tx pgx.Tx, done bool) error {
	_, err := tx.Exec(ctx, `INSERT INTO "segue"."action" (change, ordinal, sum, began, done) VALUES ($1, $2, $3, now(), CASE WHEN $4 THEN now() END)
		ON CONFLICT (change, ordinal) DO UPDATE SET done = excluded.done`,
		string(r.change.ID), r.action, sumOf(r.change.Actions[r.action].SQL), done)
	if err != nil || !done || r.action < len(r.change.Actions)-1 {
		return err
	}
	return r.finish(ctx, tx)
}

// price writes down what the action under way cost.
func (r *run) price(ctx context.Context, tx pgx.Tx) error {
	body, err := encode("cost of change "+string(r.change.ID), r.cost)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE "segue"."action" SET cost = $3 WHERE change = $1 AND ordinal = $2`, string(r.change.ID), r.action, body)
	return err
}

// finish marks a change as done, and writes the history of the files that are done with it.
func (r *run) finish(ctx context.Context, tx pgx.Tx) error {
	if err := giveBack(ctx, tx, r.change.ID); err != nil {
		return err
	}
	body, err := encode("report of change "+string(r.change.ID), r.report)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE "segue"."change" SET status = 'done', ended = clock_timestamp(), report = $2, error = '', hidden = NULL, restore = NULL WHERE id = $1`,
		string(r.change.ID), body)
	if err != nil {
		return err
	}
	return r.lease.settle(ctx, tx, versionsOf(r.change))
}

// giveBack gives back the privileges that a brown-out took, even once what it hid is gone: they were given for the table, and for columns to come. What was
// about a thing or a role that is gone fails, and is left away.
func giveBack(ctx context.Context, tx pgx.Tx, id migration.ChangeID) error {
	var body []byte
	if err := tx.QueryRow(ctx, `SELECT coalesce(restore, '[]') FROM "segue"."change" WHERE id = $1`, string(id)).Scan(&body); err != nil {
		return err
	}
	var restore []string
	if err := decode("restore of change "+string(id), bodyFormat, body, &restore); err != nil {
		return err
	}
	for _, statement := range restore {
		inner, err := tx.Begin(ctx) // a savepoint
		if err != nil {
			return err
		}
		_, err = inner.Exec(ctx, statement)
		switch code := codeOf(err); {
		case err == nil:
			err = inner.Commit(ctx)
		case code == "42P01" || code == "42703" || code == "42704":
			err = inner.Rollback(ctx)
		default:
			err = errors.Join(err, inner.Rollback(ctx))
		}
		if err != nil {
			return fmt.Errorf("give back privileges: %w", err)
		}
	}
	return nil
}

// conclude marks a change as done, unless its last action did, and completes the report: what a transaction cost is only known when it has ended.
func (r *run) conclude(ctx context.Context) error {
	return r.session.Update(ctx, func(tx pgx.Tx) error {
		state, err := readChange(ctx, tx, r.change.ID)
		if err != nil {
			return err
		}
		if state.Status != migration.StatusDone {
			if err := r.finish(ctx, tx); err != nil {
				return err
			}
		}
		// What an action writes down of its end it writes before its lock is had, and so before the work.
		var ended time.Time
		const end = `UPDATE "segue"."change" SET ended = CASE WHEN $2 THEN clock_timestamp() ELSE ended END WHERE id = $1 RETURNING ended`
		if err := tx.QueryRow(ctx, end, string(r.change.ID), r.acted).Scan(&ended); err != nil {
			return err
		}
		r.report.Took = ended.Sub(r.began)
		if r.report.Lock.Blocks() == "" {
			r.report.Held = 0
		}
		body, err := encode("report of change "+string(r.change.ID), r.report)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE "segue"."change" SET report = $2 WHERE id = $1`, string(r.change.ID), body)
		return err
	})
}

// note writes down why a run ended early, as far as that can still be written.
func (r *run) note(ctx context.Context, failure error) {
	if kind := segue.KindOf(failure); r.session == nil || kind == segue.KindCanceled || kind == segue.KindNotFound {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	// The caller has the error in any case; the journal's copy is for whoever looks later.
	_, _ = r.session.Conn.Exec(ctx, `UPDATE "segue"."change" SET error = $2 WHERE id = $1 AND status IN ('owed', 'running') AND (SELECT token FROM "segue"."lease") = $3`,
		string(r.change.ID), failure.Error(), r.lease.token)
}
