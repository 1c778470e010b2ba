package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

const (
	// lockClass and lockObject name the advisory lock in a database: "SEGU", 1.
	lockClass, lockObject = 0x53454755, 1
	// keepalive is how often a lease looks whether it is still the one, and keepaliveLimit how long the server may take to say so.
	keepalive, keepaliveLimit = time.Second, 5 * time.Second
	// sweepLimit bounds the wait for the end of what an earlier holder left behind: longer than its transactions may be idle.
	sweepLimit, sweepEvery = idleInTransaction + 5*time.Second, 20 * time.Millisecond
	// poolerTries is how often is looked whether a pooler changes sessions.
	poolerTries = 3
	// workName begins the application name of connections that work; the token follows.
	workName = "segue/"
)

// Lease is a migration.Lease. Its connection does nothing but to hold the advisory lock; every piece of work has one of its own.
type Lease struct {
	runner *Runner
	conn   *pgx.Conn
	token  int64

	lost     chan struct{}
	stop     chan struct{}
	lose     func()
	dropping sync.Once
	watching sync.WaitGroup

	// mu guards running, and keeps work from beginning once the lease is lost.
	mu      sync.Mutex
	running map[migration.ChangeID]bool
	work    sync.WaitGroup
}

var _ migration.Lease = (*Lease)(nil)

// Lease takes the right to change the database; see migration.Driver.
func (r *Runner) Lease(ctx context.Context, holder string) (_ *Lease, err error) {
	conn, err := r.config.Connect(ctx)
	if err != nil {
		return nil, explain("take lease", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(explain("take lease", err), shut(ctx, conn))
		}
	}()
	if err := refusePooler(ctx, conn, r.config.Connect); err != nil {
		return nil, err
	}
	if err := setUp(ctx, conn, "segue lease"); err != nil {
		return nil, err
	}
	if have, err := seize(ctx, conn); err != nil {
		return nil, err
	} else if !have {
		return nil, held(ctx, conn)
	}
	if err := makeSchema(ctx, conn); err != nil {
		return nil, err
	}
	l := &Lease{runner: r, conn: conn, lost: make(chan struct{}), stop: make(chan struct{}), running: map[migration.ChangeID]bool{}}
	l.lose = sync.OnceFunc(func() { close(l.lost) })
	if err := l.succeed(ctx, holder); err != nil {
		return nil, err
	}
	if err := l.reveal(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.leases[l] = struct{}{}
	r.mu.Unlock()
	l.watching.Go(l.watch)
	return l, nil
}

// seizeWithin is how long a lease is tried to be had: the server takes a moment to notice that the session of one who is gone has ended.
const seizeWithin = 2 * time.Second

// seize takes the lock, or says that somebody has it.
func seize(ctx context.Context, conn *pgx.Conn) (have bool, err error) {
	for began := time.Now(); ; {
		err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", lockClass, lockObject).Scan(&have)
		if have || err != nil || time.Since(began) > seizeWithin {
			return have, err
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, context.Cause(ctx)
		}
	}
}

// held says who has the lease.
func held(ctx context.Context, conn *pgx.Conn) error {
	conflict := segue.Errorf(segue.KindConflict, "the database is being changed by another process").
		WithHint("wait for it to end; its lease ends with its process")
	if there, err := checkSchema(ctx, conn); err != nil || !there {
		return errors.Join(conflict, err)
	}
	switch holder, since, err := readHolder(ctx, conn); {
	case err != nil:
		return errors.Join(conflict, err)
	case holder != "":
		conflict.Message = fmt.Sprintf("the database is being changed by %s, since %s", holder, since.Format(time.RFC3339))
	}
	return conflict
}

// readHolder gives the holder's name, if the lock is really held: the name in the table outlives whoever dies.
func readHolder(ctx context.Context, q querier) (holder string, since time.Time, err error) {
	const query = `SELECT holder, since FROM "segue"."lease" WHERE holder <> '' AND EXISTS (SELECT 1 FROM pg_locks l
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = $2 AND l.objsubid = 2
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`
	err = q.QueryRow(ctx, query, lockClass, lockObject).Scan(&holder, &since)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return holder, since.UTC(), err
}

// succeed makes this lease the one whose number counts. What an earlier holder left is ended before, because its transactions hold the number, and after,
// because it may have connected once more in between.
func (l *Lease) succeed(ctx context.Context, holder string) error {
	if err := l.sweep(ctx); err != nil {
		return err
	}
	const take = `UPDATE "segue"."lease" SET token = token + 1, holder = $1, since = now() RETURNING token`
	if err := l.conn.QueryRow(ctx, take, holder).Scan(&l.token); err != nil {
		return err
	}
	return l.sweep(ctx)
}

// sweep ends the connections of earlier holders. They cannot commit any more, but what runs outside of a transaction does not ask.
func (l *Lease) sweep(ctx context.Context) error {
	const others = ` FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'segue/%'
		AND split_part(application_name, ' ', 1) <> $1 AND pid <> pg_backend_pid()`
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	end := "count(pg_terminate_backend(pid))"
	for {
		var left int
		err := l.conn.QueryRow(ctx, "SELECT "+end+others, l.workName("")).Scan(&left)
		switch {
		case codeOf(err) == codeInsufficientPrivilege:
			// They belong to another role: they end by themselves, when they have nothing to do or find that their number does not count.
			end = "count(*)"
			continue
		case err != nil:
			return err
		case left == 0:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return segue.Errorf(segue.KindConflict, "%d connections of an earlier holder of the lease are still at work", left).
				WithHint("see them with: SELECT * FROM pg_stat_activity WHERE application_name LIKE 'segue/%%'")
		}
	}
}

// workName is the application name of the connections that work on a change.
func (l *Lease) workName(id migration.ChangeID) string {
	const most = 63
	name := fmt.Sprintf("%s%d", workName, l.token)
	if id != "" {
		name += " " + string(id)
	}
	return name[:min(len(name), most)]
}

// watch looks now and then whether the lease is lost.
func (l *Lease) watch() {
	tick := time.NewTicker(keepalive)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), keepaliveLimit)
		err := l.check(ctx, l.conn, "")
		cancel()
		if err != nil {
			// The lock may still be there, behind a connection that gives no answer: it must not outlive what we believe.
			l.lose()
			_ = shut(ctx, l.conn)
			return
		}
	}
}

// check fails unless the lease's number counts; with FOR SHARE, its answer lasts until the end of the transaction.
func (l *Lease) check(ctx context.Context, q querier, lock string) error {
	var token int64
	err := q.QueryRow(ctx, `SELECT token FROM "segue"."lease" `+lock).Scan(&token)
	if err == nil && token != l.token || errors.Is(err, pgx.ErrNoRows) {
		l.lose()
		return l.gone()
	}
	return err
}

// gone is the error of every method once the lease is lost.
func (l *Lease) gone() error {
	return segue.Errorf(segue.KindConflict, "the lease is lost: another one may change the database now").
		WithHint("take a new lease and run the change again: what was done is recorded")
}

// Lost implements migration.Lease.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// begin registers work on a change. It ends with the lease.
func (l *Lease) begin(ctx context.Context, id migration.ChangeID) (context.Context, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.lost:
		return nil, nil, l.gone()
	default:
	}
	if l.running[id] {
		return nil, nil, wrong("work on", id, "it is being worked on already")
	}
	l.running[id] = true
	l.work.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-l.lost:
			cancel(l.gone())
		case <-stop:
		}
	}()
	return ctx, func() {
		close(stop)
		cancel(nil)
		l.mu.Lock()
		delete(l.running, id)
		l.mu.Unlock()
		l.work.Done()
	}, nil
}

// Session is a connection that works under a lease.
type Session struct {
	// Conn is for reading, and for statements that cannot be in a transaction.
	Conn  *pgx.Conn
	lease *Lease
}

// session connects, under a name that tells the lease and the change.
func (l *Lease) session(ctx context.Context, id migration.ChangeID) (*Session, error) {
	conn, err := l.runner.config.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := setUp(ctx, conn, l.workName(id)); err != nil {
		return nil, errors.Join(err, shut(ctx, conn))
	}
	s := &Session{Conn: conn, lease: l}
	if err := s.Check(ctx); err != nil {
		return nil, errors.Join(err, shut(ctx, conn))
	}
	return s, nil
}

// Check fails with KindConflict once the lease is lost.
func (s *Session) Check(ctx context.Context) error { return s.lease.check(ctx, s.Conn, "") }

// Update is a transaction that only the holder of the lease can commit: nobody else gets the lease before it has ended.
func (s *Session) Update(ctx context.Context, work func(pgx.Tx) error) error {
	tx, err := s.Conn.Begin(ctx)
	if err != nil {
		return err
	}
	err = s.lease.check(ctx, tx, "FOR SHARE")
	if err == nil {
		err = work(tx)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		// It fails only with the connection, and that ends the transaction as well.
		_ = tx.Rollback(undo)
		return err
	}
	return tx.Commit(ctx)
}

// once is a transaction about a change by itself.
func (l *Lease) once(ctx context.Context, id migration.ChangeID, work func(pgx.Tx) error) error {
	ctx, end, err := l.begin(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	s, err := l.session(ctx, id)
	if err != nil {
		return l.cause(ctx, err)
	}
	return errors.Join(l.cause(ctx, s.Update(ctx, work)), shut(ctx, s.Conn))
}

// cause says that the lease was lost where that is why work was broken off.
func (l *Lease) cause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if lost, ok := errors.AsType[*segue.Error](context.Cause(ctx)); ok {
		return lost
	}
	return err
}

// Release implements migration.Lease. Work that is still under way is broken off first.
func (l *Lease) Release(ctx context.Context) error {
	select {
	case <-l.lost:
		l.drop(ctx)
		return nil
	default:
	}
	l.quit()
	_, err := l.conn.Exec(ctx, `UPDATE "segue"."lease" SET holder = '', token = token + 1 WHERE token = $1`, l.token)
	l.drop(ctx)
	return explain("release lease", err)
}

// quit ends all work, and the watch.
func (l *Lease) quit() {
	l.mu.Lock()
	l.lose()
	l.mu.Unlock()
	l.dropping.Do(func() { close(l.stop) })
	l.watching.Wait()
	l.work.Wait()
}

// drop gives the lock up with its connection.
func (l *Lease) drop(ctx context.Context) {
	l.quit()
	_ = shut(ctx, l.conn)
	l.runner.mu.Lock()
	delete(l.runner.leases, l)
	l.runner.mu.Unlock()
}

// refusePooler finds out whether something between us and the server gives every transaction another session. Locks of a session mean nothing there.
func refusePooler(ctx context.Context, conn *pgx.Conn, connect func(context.Context) (*pgx.Conn, error)) (err error) {
	pid := func(c *pgx.Conn) (pid uint32, err error) {
		err = c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
		return pid, err
	}
	own, err := pid(conn)
	if err != nil || own == conn.PgConn().PID() {
		return err
	}
	// Poolers invent the number that they give to clients. One that keeps a session to its client is good; it shows when another client comes.
	other, err := connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut(ctx, other)) }()
	for range poolerTries {
		if err := other.PgConn().Exec(ctx, "BEGIN").Close(); err != nil {
			return err
		}
		theirs, err := pid(other)
		if err != nil {
			return err
		}
		again, err := pid(conn)
		if err != nil {
			return err
		}
		if theirs == own || again != own {
			return segue.Errorf(segue.KindInvalid, "the connection goes through a pooler that gives every transaction another session").
				WithHint("give the address of the server itself, or of a pool in session mode: the lease is a lock that belongs to a session")
		}
		if err := other.PgConn().Exec(ctx, "COMMIT").Close(); err != nil {
			return err
		}
	}
	return nil
}
