package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// observer looks on, over a connection of its own, while another one works or waits.
type observer struct {
	conn *pgx.Conn
	// dated says that the server tells since when a lock is waited for (from PostgreSQL 14 on).
	dated bool
}

func (r *Runner) observe(ctx context.Context) (*observer, error) {
	conn, err := r.config.Connect(ctx)
	if err != nil {
		return nil, err
	}
	o := &observer{conn: conn}
	const query = `SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'pg_catalog.pg_locks'::regclass AND attname = 'waitstart'),
		set_config('statement_timeout', '10s', false)`
	if err := conn.QueryRow(ctx, query).Scan(&o.dated, new(string)); err != nil {
		return nil, fmt.Errorf("observe: %w", err)
	}
	return o, nil
}

// other is somebody else's session.
type other struct {
	pid              int32
	age              time.Duration // of its transaction
	role, app, state string
	query, kind      string
	waits            bool
}

// vacuums says whether it yields by itself to whoever waits a second for it.
func (o other) vacuums() bool { return o.kind == "autovacuum worker" }

// String names it for people, without the values in its statement.
func (o other) String() string {
	text := fmt.Sprintf("pid %d", o.pid)
	var about []string
	for _, part := range []string{o.role, o.app, o.state} {
		if part != "" {
			about = append(about, part)
		}
	}
	if o.vacuums() {
		about = []string{"autovacuum"}
	}
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	if o.age > 0 {
		text += " for " + o.age.Round(100*time.Millisecond).String()
	}
	if o.query != "" {
		text += ": " + shorten(mask(o.query))
	}
	return text
}

const selectOther = `SELECT a.pid, coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, coalesce(a.usename::text, ''),
	coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(left(a.query, 400), ''), coalesce(a.backend_type, ''), `

func scanOther(row pgx.CollectableRow) (o other, err error) {
	var seconds float64
	err = row.Scan(&o.pid, &seconds, &o.role, &o.app, &o.state, &o.query, &o.kind, &o.waits)
	o.age = time.Duration(seconds * float64(time.Second))
	return o, err
}

// inTheWay gives the sessions that have, or wait for, a lock against which one of ours would have to wait; the oldest first.
func (o *observer) inTheWay(ctx context.Context, locks []tableLock, own uint32) ([]other, error) {
	var all []other
	for _, lock := range locks {
		rows, err := o.conn.Query(ctx, selectOther+`NOT l.granted FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'relation' AND l.relation = $1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.pid <> $2 AND (l.mode = ANY($3) OR NOT l.granted) ORDER BY a.xact_start NULLS LAST`, lock.oid, int64(own), against(lock.mode))
		if err != nil {
			return nil, err
		}
		found, err := pgx.CollectRows(rows, scanOther)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// who looks sessions up.
func (o *observer) who(ctx context.Context, pids []int32) ([]other, error) {
	rows, err := o.conn.Query(ctx, selectOther+`false FROM pg_stat_activity a WHERE a.pid = ANY($1) ORDER BY a.xact_start NULLS LAST`, pids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOther)
}

// lag is that of the slowest standby, 0 for none or where it may not be seen.
func (o *observer) lag(ctx context.Context) (lag time.Duration, err error) {
	var seconds float64
	err = o.conn.QueryRow(ctx, `SELECT coalesce(extract(epoch FROM max(replay_lag)), 0)::float8 FROM pg_stat_replication`).Scan(&seconds)
	return time.Duration(seconds * float64(time.Second)), err
}

// waits is what was seen while a statement of ours was under way.
type waits struct {
	// own is how long ours waits now, and before whom; sum is how long it waited in all.
	own    time.Duration
	behind []int32
	sum    time.Duration
	// others are those that waited for us, and for how long at the most.
	others map[int32]time.Duration
}

// caused adds what others waited to a cost.
func (w *waits) caused(cost *migration.Report) {
	cost.Waiters += len(w.others)
	for _, waited := range w.others {
		cost.Caused = max(cost.Caused, waited)
	}
}

// follow looks who waits for pid and for whom pid waits, every tick until the end of ctx, and tells see after each look. The observer is not to be used
// for anything else meanwhile; wait ends it.
func (o *observer) follow(ctx context.Context, pid uint32, every time.Duration, see func(waits)) (wait func() waits) {
	w := waits{others: map[int32]time.Duration{}}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		began := map[int32]time.Time{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A look that is broken off would take the connection along; it is short, and so allowed to end.
			if o.look(context.WithoutCancel(ctx), pid, &w, began) == nil {
				see(w)
			}
		}
	})
	return func() waits {
		cancel()
		following.Wait()
		return w
	}
}

func (o *observer) look(ctx context.Context, pid uint32, w *waits, began map[int32]time.Time) error {
	since := "NULL::timestamptz"
	if o.dated {
		since = "min(l.waitstart)"
	}
	rows, err := o.conn.Query(ctx, `SELECT l.pid, coalesce(extract(epoch FROM clock_timestamp() - `+since+`), 0)::float8, pg_blocking_pids(l.pid)
		FROM pg_locks l WHERE NOT l.granted GROUP BY l.pid`)
	if err != nil {
		return err
	}
	now, seen := time.Now(), map[int32]bool{}
	before := w.own
	w.own, w.behind = 0, nil
	var waiter int32
	var seconds float64
	var blockers []int32
	_, err = pgx.ForEachRow(rows, []any{&waiter, &seconds, &blockers}, func() error {
		seen[waiter] = true
		if began[waiter].IsZero() {
			began[waiter] = now
		}
		waited := max(time.Duration(seconds*float64(time.Second)), now.Sub(began[waiter]))
		switch {
		case waiter == int32(pid):
			w.own, w.behind = waited, slices.Clone(blockers)
		case slices.Contains(blockers, int32(pid)):
			w.others[waiter] = max(w.others[waiter], waited)
		}
		return nil
	})
	w.sum += max(w.own-before, 0)
	for pid := range began {
		if !seen[pid] {
			delete(began, pid)
		}
	}
	return err
}
