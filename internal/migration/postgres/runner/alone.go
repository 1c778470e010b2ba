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

// lookAloneEvery is how often is looked for whom a statement outside of a transaction waits: that keeps nobody else waiting.
const lookAloneEvery = 100 * time.Millisecond

// alone carries out an action that cannot be in a transaction. That it begins is written down first; after a break, the catalogue says how far it came.
func (r *run) alone(ctx context.Context) error {
	action := r.change.Actions[r.action]
	_, again := r.entries[r.action]
	there, err := r.prepare(ctx, action, again)
	if err != nil {
		return err
	}
	if !there {
		if _, err := r.count(ctx, action); err != nil {
			return err
		}
		if err := r.session.Update(ctx, func(tx pgx.Tx) error { return r.line(ctx, tx, false) }); err != nil {
			return err
		}
		err := r.unbound(ctx, action.SQL)
		if err != nil && (!again || !came(action.SQL, codeOf(err))) {
			r.cleanUp(ctx, action)
			return r.inTheWay(ctx, action, err)
		}
		if err := r.verify(ctx, action); err != nil {
			return err
		}
	} else if !again {
		r.cost.Note = action.Leaves + " was there already"
	}
	return r.session.Update(ctx, func(tx pgx.Tx) error {
		if err := r.line(ctx, tx, true); err != nil {
			return err
		}
		return r.price(ctx, tx)
	})
}

// came says whether an error only means that an earlier try, of which the end was not seen, had come to its end.
func came(statement, code string) bool {
	switch firstWord(statement) {
	case "CREATE":
		return code == "42P07" || code == "42710"
	case "DROP":
		return code == "42P01" || code == "42704"
	case "ALTER":
		return code == "42710" || code == "42701" || code == "42P01" || code == "55000"
	}
	return false
}

// prepare looks what is there of an action's result, and clears away what a broken try left. there means that nothing is left to do.
func (r *run) prepare(ctx context.Context, action migration.Action, again bool) (there bool, err error) {
	if action.Leaves == "" {
		return false, nil
	}
	for {
		found, err := r.index(ctx, action.Leaves)
		if err != nil {
			return false, err
		}
		switch creates := firstWord(action.SQL) == "CREATE"; {
		case found.name == "":
			return again && firstWord(action.SQL) == "DROP", nil
		case !creates && firstWord(action.SQL) == "DROP":
			return false, nil
		case found.builder != 0:
			// Somebody else's hand is at it.
			r.show(fmt.Sprintf("%s, which pid %d builds", found.name, found.builder))
			if err := sleep(ctx, lookAloneEvery); err != nil {
				return false, err
			}
			continue
		case creates && found.valid:
			return true, nil
		}
		return false, r.repair(ctx, action)
	}
}

// repair takes away what a broken try left.
func (r *run) repair(ctx context.Context, action migration.Action) error {
	if action.Repair == "" {
		return segue.Errorf(segue.KindConflict, "%s is there, is not valid, and nothing is known of how to take it away", action.Leaves).
			WithHint("DROP INDEX CONCURRENTLY %s, then run it again", action.Leaves)
	}
	r.cost.Note = "what an earlier try left was dropped first"
	if err := r.unbound(ctx, action.Repair); err != nil {
		return fmt.Errorf("repair %s: %w", action.Leaves, err)
	}
	return nil
}

// cleanUp takes away at once what a failed try left, where that is quickly done: an index that is not valid costs every writer, and a unique one refuses
// rows. Otherwise the next try does it.
func (r *run) cleanUp(ctx context.Context, action migration.Action) {
	if action.Repair == "" || firstWord(action.SQL) == "DROP" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	s, err := r.lease.session(ctx, r.change.ID)
	if err != nil {
		return
	}
	defer func() { _ = shut(ctx, s.Conn) }()
	_ = r.exec(ctx, s.Conn, action.Repair) // see above
}

// verify asks the catalogue whether an action really came to its end.
func (r *run) verify(ctx context.Context, action migration.Action) error {
	if action.Leaves == "" || firstWord(action.SQL) != "CREATE" {
		return nil
	}
	found, err := r.index(ctx, action.Leaves)
	if err != nil {
		return err
	}
	if !found.valid {
		return segue.Errorf(segue.KindFault, "the server says that %q is done, and its catalogue that %s is not valid", shorten(action.SQL), action.Leaves).
			WithHint("run it again: what is there is dropped first")
	}
	return nil
}

// unbound runs a statement outside of a transaction, for as long as it takes, and bounds only how long it waits for others.
func (r *run) unbound(ctx context.Context, statement string) error {
	if err := r.session.Check(ctx); err != nil {
		return err
	}
	limit := r.options.Patience
	if limit <= 0 {
		limit = patienceAlone
	}
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cost.Tries++
	look := r.eye.follow(ctx, r.session.Conn.PgConn().PID(), lookAloneEvery, func(seen waits) { r.waits(ctx, seen, limit, cancel) })
	err := r.exec(work, r.session.Conn, statement)
	seen := look()
	seen.caused(&r.cost)
	r.cost.LockWait += seen.sum
	if late, ok := errors.AsType[*segue.Error](context.Cause(work)); ok && err != nil && ctx.Err() == nil {
		return late
	}
	return err
}

// waits says for whom a statement waits, and breaks it off when that takes too long.
func (r *run) waits(ctx context.Context, seen waits, limit time.Duration, cancel context.CancelCauseFunc) {
	if seen.own < time.Second && seen.own < limit {
		return
	}
	who := ""
	if others, err := r.eye.who(context.WithoutCancel(ctx), seen.behind); err == nil && len(others) > 0 {
		who = others[0].String()
	}
	r.show("transactions that began before it, such as " + who)
	if seen.own >= limit {
		cancel(segue.Errorf(segue.KindTimeout, "it waited longer than %s for %s", limit.Round(time.Millisecond), who).
			WithHint("end that transaction, or wait for it; then run it again: what was left is cleared away first"))
	}
}

// built is an index as the catalogue has it.
type built struct {
	name    string
	valid   bool
	builder int32
}

// index looks one up by its name, quoted or not, qualified or not; its name is "" when there is none.
func (r *run) index(ctx context.Context, name string) (built, error) {
	rows, err := r.session.Conn.Query(ctx, `SELECT format('%I.%I', n.nspname, c.relname), i.indisvalid AND i.indisready,
		coalesce((SELECT min(p.pid) FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid()), 0)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE $1 IN (n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname), format('"%s"."%s"', n.nspname, c.relname))
		OR $1 IN (c.relname, quote_ident(c.relname), '"' || c.relname || '"') AND pg_table_is_visible(c.oid)`, name)
	if err != nil {
		return built{}, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b built, err error) {
		return b, row.Scan(&b.name, &b.valid, &b.builder)
	})
	if err != nil || len(found) == 0 {
		return built{}, err
	}
	return found[0], nil
}
