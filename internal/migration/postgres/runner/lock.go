package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

const (
	// patience bounds the whole wait for the locks of a change; that of a statement which keeps nobody waiting while it waits is longer.
	patience, patienceAlone = 2 * time.Minute, time.Hour
	// firstAsk and longestAsk are how long a lock is asked for at a time: so long may others have to wait behind us. yieldAsk is for the lock at which
	// autovacuum gives up, to whoever waited for a second (deadlock_timeout). freeAsk is for a lock whose wait keeps nobody else waiting.
	firstAsk, longestAsk, yieldAsk, freeAsk = 200 * time.Millisecond, time.Second, 1500 * time.Millisecond, 10 * time.Second
	// firstPause and longestPause are between two tries.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// long is the age from which a transaction is waited for beside the queue.
	long = time.Second
	// lagLimit is how far a standby may be behind when a lock is asked for that it will have to take as well.
	lagLimit = 10 * time.Second
	// briefLimit breaks off a statement that was said to be brief, and has a lock that keeps others waiting.
	briefLimit = 5 * time.Second
	// lookEvery is how often is looked who waits, while a lock is asked for or held.
	lookEvery = 20 * time.Millisecond
)

// tableLock is a lock on a table that a statement will take.
type tableLock struct {
	oid   uint32
	name  string // quoted
	title string
	mode  migration.Lock
}

// against lists the modes, by the server's names, that do not go with a lock.
func against(lock migration.Lock) []string {
	const rowShare, rowExclusive, shareUpdate, share = "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock"
	strong := []string{"ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
	switch lock {
	case migration.LockNone:
		return []string{}
	case migration.LockAccessShare:
		return strong[2:]
	case migration.LockRowShare:
		return strong[1:]
	case migration.LockRowExclusive:
		return append(strong, share)
	case migration.LockShareUpdateExclusive:
		return append(strong, share, shareUpdate)
	case migration.LockShare:
		return append(strong, shareUpdate, rowExclusive)
	case migration.LockShareRowExclusive:
		return append(strong, share, shareUpdate, rowExclusive)
	case migration.LockExclusive:
		return append(strong, share, shareUpdate, rowExclusive, rowShare)
	default:
		return append(strong, share, shareUpdate, rowExclusive, rowShare, "AccessShareLock")
	}
}

// locks says which locks a statement will take on tables that are there. exact is false where that is only the most that it can be.
func (r *run) locks(ctx context.Context, action migration.Action) (found []tableLock, exact bool, err error) {
	wanted := r.change.Facts.Locks
	exact = len(r.change.Actions) == 1 && len(wanted) > 0
	if !exact {
		wanted = map[string]migration.Lock{}
		for name := range r.change.Facts.Locks {
			wanted[name] = migration.LockAccessExclusive
		}
		if r.change.Table != "" {
			wanted[r.change.Table] = migration.LockAccessExclusive
		}
	}
	validates := strings.Contains(strings.ToUpper(action.SQL), "VALIDATE CONSTRAINT")
	const find = `SELECT w.name, c.oid, n.nspname, c.relname FROM unnest($1::text[]) w(name) JOIN pg_class c ON c.relkind IN ('r', 'p')
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE w.name IN (n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname))
		OR w.name IN (c.relname, quote_ident(c.relname)) AND pg_table_is_visible(c.oid) ORDER BY n.nspname, c.relname`
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	rows, err := r.eye.conn.Query(ctx, find, names)
	if err != nil {
		return nil, false, err
	}
	var name, schema, table string
	var oid uint32
	_, err = pgx.ForEachRow(rows, []any{&name, &oid, &schema, &table}, func() error {
		lock := tableLock{oid: oid, name: qualify(schema, table), title: schema + "." + table, mode: wanted[name]}
		if validates {
			lock.mode = min(lock.mode, migration.LockShareUpdateExclusive)
		}
		if !slices.ContainsFunc(found, func(l tableLock) bool { return l.oid == oid }) {
			found = append(found, lock)
		}
		return nil
	})
	return found, exact, err
}

// had notes the strongest lock that the transaction really has on tables, where a change has several actions: its facts are of all of them together.
func (r *run) had(ctx context.Context, tx pgx.Tx, locks []tableLock) error {
	if len(r.change.Actions) < 2 || len(locks) == 0 {
		return nil
	}
	oids := make([]uint32, len(locks))
	for i, lock := range locks {
		oids[i] = lock.oid
	}
	const query = `SELECT DISTINCT mode FROM pg_locks WHERE locktype = 'relation' AND pid = pg_backend_pid() AND granted AND relation = ANY($1)
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	rows, err := tx.Query(ctx, query, oids)
	if err != nil {
		return err
	}
	modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	r.cost.Lock = migration.LockNone
	for _, mode := range modes {
		r.cost.Lock = max(r.cost.Lock, lockOf(mode))
	}
	return err
}

// lockOf reads the server's name of a mode ("ShareUpdateExclusiveLock").
func lockOf(mode string) (lock migration.Lock) {
	for lock = migration.LockAccessExclusive; lock > migration.LockNone; lock-- {
		if strings.EqualFold(strings.ReplaceAll(lock.String(), " ", "")+"Lock", mode) {
			return lock
		}
	}
	return lock
}

// strongest gives the strongest of locks.
func strongest(locks []tableLock) migration.Lock {
	most := migration.LockNone
	for _, lock := range locks {
		most = max(most, lock.mode)
	}
	return most
}

// wait is one statement's wait for its locks, over all tries.
type wait struct {
	began    time.Time
	patience time.Duration
	ask      time.Duration
	pause    time.Duration
	// behind is who was last seen in the way; vacuumed are the locks, if autovacuum was.
	behind   string
	vacuumed []tableLock
	// granted is when work had its locks, and exact that it asked for them before anything else; otherwise the time from its statement on counts, without
	// what it was seen to wait.
	granted time.Time
	exact   bool
}

func (r *run) newWait(locks []tableLock) *wait {
	w := &wait{began: time.Now(), patience: r.options.Patience, ask: firstAsk, pause: firstPause}
	if w.patience <= 0 {
		w.patience = patience
	}
	if len(locks) > 0 && strongest(locks).Blocks() == "" {
		w.ask = freeAsk
	}
	w.ask = min(w.ask, w.patience)
	return w
}

// over says whether a share of the patience is used up.
func (w *wait) over(share float64) bool {
	return time.Since(w.began) >= time.Duration(share*float64(w.patience))
}

// rest waits between two tries: longer each time, and not at the same moments as others.
func (w *wait) rest(ctx context.Context) error {
	pause := time.Duration((0.5 + rand.Float64()/2) * float64(w.pause)) //nolint:gosec // no secret
	w.pause = min(w.pause*3/2, longestPause)
	return sleep(ctx, min(pause, max(w.patience-time.Since(w.began), time.Millisecond)))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// clear waits beside the queue until nobody is in the way who looks like staying. It gives up looking after half of the patience: a table that is never
// clear may still have a moment for whoever asks.
func (r *run) clear(ctx context.Context, locks []tableLock, w *wait) error {
	for !w.over(0.5) {
		w.vacuumed = nil
		others, err := r.eye.inTheWay(ctx, locks, r.session.Conn.PgConn().PID())
		if err != nil {
			return err
		}
		behind := w.staying(others, locks)
		if behind == "" && strongest(locks) >= migration.LockAccessExclusive && !w.over(0.25) {
			lag, err := r.eye.lag(ctx)
			if err != nil {
				return err
			}
			if lag > lagLimit {
				behind = fmt.Sprintf("replication lag %.1f s", lag.Seconds())
			}
		}
		if behind == "" {
			return nil
		}
		r.show(behind)
		if err := w.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// staying says who is in the way and looks like staying; "" for nobody.
func (w *wait) staying(others []other, locks []tableLock) string {
	for _, o := range others {
		if (o.age >= long || o.waits) && !o.vacuums() {
			w.behind = o.String()
			return "lock on " + titles(locks) + ", held by " + o.String()
		}
		if o.vacuums() {
			w.vacuumed = locks
		}
	}
	return ""
}

func titles(locks []tableLock) string {
	names := make([]string, len(locks))
	for i, lock := range locks {
		names[i] = strings.TrimPrefix(lock.title, "public.")
	}
	if len(names) == 0 {
		return "what it changes"
	}
	return strings.Join(names, ", ")
}

// locked carries out work in a transaction that has its locks soon or not at all, and tries again until the patience is over.
func (r *run) locked(ctx context.Context, locks []tableLock, work func(tx pgx.Tx, w *wait) error) error {
	w := r.newWait(locks)
	for {
		if err := r.clear(ctx, locks, w); err != nil {
			return err
		}
		r.cost.Tries++
		err := r.try(ctx, w, work)
		switch codeOf(err) {
		case codeLockNotAvailable, codeDeadlock, codeSerialization:
		default:
			return err
		}
		if w.over(1) {
			failure := segue.Errorf(segue.KindTimeout, "the lock on %s could not be had within %s", titles(locks), w.patience.Round(time.Millisecond)).
				WithHint("nothing is left waiting; run it again when that transaction has ended")
			if w.behind != "" {
				failure.Message += ": " + w.behind + " has it"
			}
			return failure
		}
		if w.behind != "" {
			r.show("lock on " + titles(locks) + ", held by " + w.behind)
		}
		if err := w.rest(ctx); err != nil {
			return err
		}
		if w.ask < longestAsk {
			w.ask = min(w.ask*3/2, longestAsk)
		}
	}
}

// try carries out work once, and looks on.
func (r *run) try(ctx context.Context, w *wait, work func(tx pgx.Tx, w *wait) error) error {
	var behind []int32
	look := r.eye.follow(ctx, r.session.Conn.PgConn().PID(), lookEvery, func(seen waits) {
		if len(seen.behind) > 0 {
			behind = seen.behind
		}
	})
	w.granted, w.exact = time.Time{}, false
	var evicted time.Duration
	err := r.session.Update(ctx, func(tx pgx.Tx) error {
		start := time.Now()
		if err := evict(ctx, tx, w.vacuumed); err != nil {
			return err
		}
		evicted = time.Since(start)
		// A lock that is asked for long is one that keeps nobody waiting; all others are bounded, whatever statement asks.
		if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", strconv.FormatInt(w.ask.Milliseconds(), 10)); err != nil {
			return err
		}
		return work(tx, w)
	})
	seen := look()
	seen.caused(&r.cost)
	if !w.granted.IsZero() && err == nil {
		r.cost.Held = max(r.cost.Held, time.Since(w.granted)-seen.sum)
	}
	if w.granted.IsZero() || !w.exact {
		r.cost.LockWait += seen.sum
	} else {
		r.cost.LockWait += evicted
	}
	if len(behind) > 0 {
		if others, whoErr := r.eye.who(ctx, behind); whoErr == nil && len(others) > 0 {
			w.behind = others[0].String()
		}
	}
	return err
}

// evict makes autovacuum give tables up, and keeps it out until the transaction ends, by a lock that keeps nobody else waiting while it is asked for.
// Whoever asked for a stronger one would have all others wait behind it for the second that autovacuum takes to give up.
func evict(ctx context.Context, tx pgx.Tx, locks []tableLock) error {
	if len(locks) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", strconv.FormatInt(yieldAsk.Milliseconds(), 10)); err != nil {
		return err
	}
	for _, lock := range locks {
		if lock.mode.Blocks() == "" {
			continue
		}
		if _, err := tx.Exec(ctx, server.Marked(server.Mark, "LOCK TABLE ONLY ")+lock.name+" IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
			return err
		}
	}
	return nil
}
