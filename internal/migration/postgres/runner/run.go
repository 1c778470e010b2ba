package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// Run implements migration.Lease.
func (l *Lease) Run(ctx context.Context, id migration.ChangeID, options migration.RunOptions, watch func(migration.Progress)) (migration.Report, error) {
	ctx, end, err := l.begin(ctx, id)
	if err != nil {
		return migration.Report{}, explain("run "+string(id), err)
	}
	defer end()
	r := &run{lease: l, options: options, watch: watch, report: migration.Report{ID: id}}
	if err = r.open(ctx, id); err == nil {
		err = r.start(ctx, id)
		if err == nil && !r.over {
			err = r.work(ctx)
		}
		if err != nil && r.change.ID != "" {
			err = grant(ctx, r.eye.conn, r.change, l.cause(ctx, err))
		}
	}
	defer r.close(ctx)
	if err == nil {
		return r.report, nil
	}
	verb := "run " + string(id)
	if r.change.Title != "" {
		verb += " (" + r.change.Title + ")"
	}
	err = explain(verb, l.cause(ctx, err))
	r.note(ctx, err)
	return migration.Report{}, err
}

// run is one run of one change.
type run struct {
	lease   *Lease
	session *Session
	eye     *observer
	change  migration.Change
	options migration.RunOptions
	watch   func(migration.Progress)
	// entries are the journal's lines of its actions; action is the one under way, from 0.
	entries map[int]entry
	action  int
	began   time.Time
	// acted says that this run has carried out an action.
	acted bool
	// cost is that of the action under way, report of all; over says that there is nothing to do.
	cost, report migration.Report
	over         bool
}

// open connects twice: to work, and to look on.
func (r *run) open(ctx context.Context, id migration.ChangeID) (err error) {
	if r.session, err = r.lease.session(ctx, id); err != nil {
		return err
	}
	if r.eye, err = r.lease.runner.observe(ctx); err != nil {
		return err
	}
	// What an earlier run of ours left at work on the server, when its connection broke, must not go on beside this one.
	_, err = r.session.Conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()`)
	return err
}

func (r *run) close(ctx context.Context) {
	if r.session != nil {
		_ = shut(ctx, r.session.Conn)
	}
	if r.eye != nil {
		_ = shut(ctx, r.eye.conn)
	}
}

// start marks a change as begun, when everything that must come first is done.
func (r *run) start(ctx context.Context, id migration.ChangeID) error {
	return r.session.Update(ctx, func(tx pgx.Tx) error {
		state, err := readChange(ctx, tx, id)
		if err != nil {
			return err
		}
		r.change, r.began = state.Change, state.Began
		switch state.Status {
		case migration.StatusDone:
			r.over = true
			if state.Report != nil {
				r.report = *state.Report
			}
			return nil
		case migration.StatusForgiven, migration.StatusCanceled:
			return wrong("run", id, "it is %s", state.Status)
		case migration.StatusOwed, migration.StatusRunning:
		}
		if err := after(ctx, tx, state.Change); err != nil {
			return err
		}
		if r.entries, err = readActions(ctx, tx, id); err != nil {
			return err
		}
		const begin = `UPDATE "segue"."change" SET status = 'running', began = coalesce(began, now()), error = '' WHERE id = $1 RETURNING began`
		return tx.QueryRow(ctx, begin, string(id)).Scan(&r.began)
	})
}

// after fails when one of the changes that must come first is not done.
func after(ctx context.Context, tx pgx.Tx, change migration.Change) error {
	for _, id := range change.After {
		var status migration.Status
		var title string
		err := tx.QueryRow(ctx, `SELECT status, coalesce(body->>'title', '') FROM "segue"."change" WHERE id = $1`, string(id)).Scan(&status, &title)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return wrong("run", change.ID, "%s must be done first, and is not recorded", id)
		case err != nil:
			return err
		case status != migration.StatusDone && status != migration.StatusForgiven:
			return wrong("run", change.ID, "%s (%s) must be done first, and is %s", id, title, status)
		}
	}
	return nil
}

// work carries out what is left of a change.
func (r *run) work(ctx context.Context) error {
	if r.change.Backfill != nil {
		return r.backfill(ctx)
	}
	for i := range r.change.Actions {
		if e, there := r.entries[i]; there && e.sum != sumOf(r.change.Actions[i].SQL) {
			return wrong("run", r.change.ID, "action %d was begun as another statement than it is now (%s)", i+1, r.change.At).
				WithHint("put the file back as it was, and write what you mean in a new one")
		} else if there && e.done {
			r.report = merged(r.report, e.cost)
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.action, r.cost = i, migration.Report{}
		r.show("")
		act := r.transact
		if r.change.Actions[i].Alone {
			act = r.alone
		}
		if err := act(ctx); err != nil {
			return fmt.Errorf("action %d of %d: %w", i+1, len(r.change.Actions), err)
		}
		r.acted, r.report = true, merged(r.report, r.cost)
	}
	return r.conclude(ctx)
}

// show reports where it is, and what it waits for.
func (r *run) show(waiting string) {
	r.watch(migration.Progress{ID: r.change.ID, Action: min(r.action+1, len(r.change.Actions)), Actions: len(r.change.Actions), Waiting: waiting})
}

// merged is the cost of a change so far with that of another action. A lock behind which nobody waits (VALIDATE CONSTRAINT) may be held for long.
func merged(sum, one migration.Report) migration.Report {
	sum.Tries += one.Tries
	sum.LockWait += one.LockWait
	if one.Lock.Blocks() != "" {
		sum.Held = max(sum.Held, one.Held)
	}
	sum.Lock = max(sum.Lock, one.Lock)
	sum.Caused = max(sum.Caused, one.Caused)
	sum.Waiters += one.Waiters
	if one.Note != "" {
		sum.Note = strings.TrimPrefix(sum.Note+"; "+one.Note, "; ")
	}
	return sum
}

// transact carries out an action and writes down that it is done, in one transaction: there is no state between.
func (r *run) transact(ctx context.Context) error {
	action := r.change.Actions[r.action]
	counted, err := r.count(ctx, action)
	if err != nil {
		return err
	}
	locks, exact, err := r.locks(ctx, action)
	if err != nil {
		return err
	}
	exact = exact && len(r.change.Facts.Scanned)+len(r.change.Facts.Rewritten)+len(r.change.Facts.Built) == 0
	r.cost.Lock = r.change.Facts.Locks[""]
	for _, lock := range locks {
		r.cost.Lock = max(r.cost.Lock, lock.mode)
	}
	return r.locked(ctx, locks, func(tx pgx.Tx, w *wait) error {
		// All that is to be written is, before the lock is had: with the lock, nothing is done but what needs it.
		if err := r.line(ctx, tx, true); err != nil {
			return err
		}
		if exact && strongest(locks).Blocks() != "" {
			if err := r.take(ctx, tx, locks, w); err != nil {
				return err
			}
		}
		if w.granted.IsZero() {
			w.granted = time.Now()
		}
		if err := r.exec(ctx, r.session.Conn, action.SQL); err != nil {
			return r.inTheWay(ctx, action, err)
		}
		if err := expect(ctx, tx, action, counted); err != nil {
			return err
		}
		return r.after(ctx, tx, locks, w)
	})
}

// after does what belongs to a statement in its transaction, and notes what it cost.
func (r *run) after(ctx context.Context, tx pgx.Tx, locks []tableLock, w *wait) error {
	if err := r.renew(ctx, tx, locks); err != nil {
		return err
	}
	r.cost.Held = time.Since(w.granted)
	if err := r.had(ctx, tx, locks); err != nil {
		return err
	}
	return r.price(ctx, tx)
}

// expect counts what an action must have left none of, unless that was counted before it.
func expect(ctx context.Context, tx pgx.Tx, action migration.Action, counted bool) error {
	if action.Expect == "" || counted {
		return nil
	}
	var violators int64
	if err := tx.QueryRow(ctx, server.Marked(server.MarkTeam, action.Expect)).Scan(&violators); err != nil || violators > 0 {
		return refusal(action, violators, err)
	}
	return nil
}

// take takes the locks that the statement needs before it, so that it is known when they were had; and bounds how long they are kept.
func (r *run) take(ctx context.Context, tx pgx.Tx, locks []tableLock, w *wait) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true)", strconv.FormatInt(briefLimit.Milliseconds(), 10)); err != nil {
		return err
	}
	start := time.Now()
	for _, lock := range locks {
		if lock.mode < migration.LockShareUpdateExclusive {
			continue
		}
		_, err := tx.Exec(ctx, server.Marked(server.Mark, "LOCK TABLE ONLY ")+lock.name+" IN "+strings.ToUpper(lock.mode.String())+" MODE")
		if err != nil {
			r.cost.LockWait += time.Since(start)
			w.granted = time.Time{}
			return err
		}
		if w.granted.IsZero() {
			w.granted, w.exact = time.Now(), true
		}
	}
	r.cost.LockWait += time.Since(start)
	return nil
}

// exec runs one statement of a change, and cancels it on the server when the caller gives up: the connection, and what it is in the middle of, stay whole.
func (r *run) exec(ctx context.Context, conn *pgx.Conn, statement string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	patient, give := context.WithCancel(context.WithoutCancel(ctx))
	defer give()
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(patient, closing)
		defer cancel()
		if conn.PgConn().CancelRequest(bounded) != nil {
			give()
			return
		}
		<-bounded.Done() // an answer ends the wait, and so does a server that gives none
		give()
	})
	defer stop()
	err := conn.PgConn().Exec(patient, server.Marked(server.MarkTeam, statement)).Close()
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case codeOf(err) == codeCanceled:
		return segue.Errorf(segue.KindTimeout, "%q was broken off after %s (statement_timeout, or an administrator): %w", shorten(statement), briefLimit, err).
			WithHint("it holds a lock that keeps others waiting, and was expected to be brief; nothing of it is left; try at a quieter hour")
	}
	return err
}

// count looks, before an action and without any lock that matters, for rows that stand in its way. counted is false where that cannot be asked before.
func (r *run) count(ctx context.Context, action migration.Action) (counted bool, err error) {
	if action.Expect == "" || slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "WITH"}, firstWord(action.SQL)) {
		return false, nil
	}
	var violators int64
	err = r.session.Conn.QueryRow(ctx, server.Marked(server.MarkTeam, action.Expect)).Scan(&violators)
	if code := codeOf(err); code == "42P01" || code == "42703" {
		return false, nil // it asks for what the action makes
	}
	if err != nil || violators > 0 {
		return true, refusal(action, violators, err)
	}
	return true, nil
}

// inTheWay counts the rows because of which the server refused an action.
func (r *run) inTheWay(ctx context.Context, action migration.Action, cause error) error {
	if action.Expect == "" || !strings.HasPrefix(codeOf(cause), "23") {
		return cause
	}
	var violators int64
	if err := r.eye.conn.QueryRow(ctx, server.Marked(server.MarkTeam, action.Expect)).Scan(&violators); err != nil || violators == 0 {
		return cause
	}
	return refusal(action, violators, nil)
}

func refusal(action migration.Action, violators int64, err error) error {
	if err != nil {
		return fmt.Errorf("count rows that stand in the way: %w", err)
	}
	return segue.Errorf(segue.KindRefused, "%d rows stand in the way of %q", violators, shorten(action.SQL)).WithHint("see them with: %s", action.Expect)
}

// backfill leaves the work to the one who knows how.
func (r *run) backfill(ctx context.Context) error {
	worker := r.lease.runner.config.Backfiller
	if worker == nil {
		return segue.Errorf(segue.KindUnsupported, "run %s: there is nothing here that could do a backfill", r.change.ID)
	}
	report, err := worker.Run(ctx, r.session, r.change, r.options, func(p migration.Progress) error {
		p.ID = r.change.ID
		r.watch(p)
		body, err := encode("progress of change "+string(r.change.ID), p)
		if err != nil {
			return err
		}
		_, err = r.session.Conn.Exec(ctx, `UPDATE "segue"."change" SET progress = $2 WHERE id = $1 AND (SELECT token FROM "segue"."lease") = $3`,
			string(r.change.ID), body, r.lease.token)
		return err
	})
	if err != nil {
		return err
	}
	report.ID = r.change.ID
	r.report = report
	return r.conclude(ctx)
}

// firstWord of a statement, in capitals.
func firstWord(statement string) string {
	fields := strings.FieldsFunc(statement, func(r rune) bool { return r <= ' ' || r == '(' || r == ';' })
	if len(fields) == 0 {
		return ""
	}
	return strings.ToUpper(fields[0])
}
