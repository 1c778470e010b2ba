package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

const (
	// lockSuffix makes the name of the file whose lock is the lease: the system takes it back should the holder die.
	lockSuffix = ".segue-lock"
	// lockTries and lockPause bear with a State that looks, for a moment, whether the lock is free.
	lockTries, lockPause = 5, 20 * time.Millisecond
	// watchEvery is how often a lease looks whether it is still the one.
	watchEvery = time.Second
)

// lease is a migration.Lease: the lock of a file beside the database, and a token in the database that every transaction asks for. The lock ends with
// its holder; the token keeps out a holder whose lock file was taken away behind its back.
type lease struct {
	driver *Driver
	file   *os.File
	token  int64

	lost     chan struct{}
	stop     chan struct{}
	once     sync.Once
	released sync.Once
	watching sync.WaitGroup
	// working is held for a whole Run: one change at a time.
	working sync.Mutex
}

var _ migration.Lease = (*lease)(nil)

// Lease implements migration.Driver.
func (d *Driver) Lease(ctx context.Context, holder string) (migration.Lease, error) {
	if _, err := d.Inspect(ctx); err != nil {
		return nil, err
	}
	file, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	l := &lease{driver: d, file: file, lost: make(chan struct{}), stop: make(chan struct{})}
	_, err = d.transact(ctx, 0, false, func(tx *sql.Conn) error {
		if _, err := tx.ExecContext(ctx, tables); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO segue_lease (id, token, holder, since) VALUES (1, 1, ?1, ?2)
			ON CONFLICT (id) DO UPDATE SET token = token + 1, holder = ?1, since = ?2 RETURNING token`, holder, time.Now().UnixNano()).Scan(&l.token)
	})
	if err != nil {
		return nil, errors.Join(d.explain("take lease", err), file.Close())
	}
	d.mu.Lock()
	d.leases[l] = struct{}{}
	d.mu.Unlock()
	l.watching.Go(l.watch)
	return l, nil
}

// lock takes the lock of the file beside the database. KindConflict, with who has it, when another one does.
func (d *Driver) lock(ctx context.Context) (*os.File, error) {
	file, err := os.OpenFile(d.path+lockSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, segue.Errorf(segue.KindUnavailable, "take lease: %w", err).WithHint("let the user that segue runs as write the folder of %s", d.path)
	}
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for try := 1; ; try++ {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return nil, errors.Join(segue.Errorf(segue.KindUnavailable, "take lease: lock %s: %w", file.Name(), err), file.Close())
		case try == lockTries:
			holder, since, err := readHolder(ctx, d.read)
			if err != nil || holder == "" {
				holder = "another process"
			}
			return nil, errors.Join(segue.Errorf(segue.KindConflict, "database %s is being changed by %s, since %s", d.path, holder, since.Format(time.RFC3339)).
				WithHint("wait for it to end; its lease ends with its process"), file.Close())
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, errors.Join(d.explain("take lease", ctx.Err()), file.Close())
		}
	}
}

// locked says whether somebody has the lease's lock.
func (d *Driver) locked() bool {
	file, err := os.Open(d.path + lockSuffix)
	if err != nil {
		return false
	}
	taken := errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	_ = file.Close() // gives it back, if it was not taken
	return taken
}

// watch looks now and then whether the lease is lost, so that Lost tells also a holder that does not write.
func (l *lease) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.lost:
			return
		case <-tick.C:
		}
		// Whoever has the token is known as long as the file can be read; a failed read says nothing.
		var token int64
		ctx, cancel := context.WithTimeout(context.Background(), watchEvery)
		err := l.driver.read.QueryRowContext(ctx, "SELECT token FROM segue_lease").Scan(&token)
		cancel()
		if err == nil && token != l.token {
			l.lose()
		}
	}
}

func (l *lease) lose() { l.once.Do(func() { close(l.lost) }) }

// Lost implements migration.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// gone is the error of every method once the lease is lost.
func (l *lease) gone() error {
	return segue.Errorf(segue.KindConflict, "the lease on %s is lost: another one may change the database now", l.driver.path).
		WithHint("take a new lease and run the change again: what was done is recorded")
}

// check fails unless the lease is still the one; within a transaction that holds the write lock, its answer lasts until the end of it.
func (l *lease) check(ctx context.Context, q querier) error {
	select {
	case <-l.lost:
		return l.gone()
	default:
	}
	var token int64
	err := q.QueryRowContext(ctx, "SELECT token FROM segue_lease").Scan(&token)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("check lease: %w", err)
	}
	if token != l.token {
		l.lose()
		return l.gone()
	}
	return nil
}

// update is a transaction of the lease's holder.
func (l *lease) update(ctx context.Context, patience time.Duration, foreignKeys bool, work func(*sql.Conn) error) (hold, error) {
	select {
	case <-l.lost:
		return hold{}, l.gone()
	default:
	}
	return l.driver.transact(ctx, patience, foreignKeys, func(tx *sql.Conn) error {
		if err := l.check(ctx, tx); err != nil {
			return err
		}
		return work(tx)
	})
}

// Release implements migration.Lease.
func (l *lease) Release(ctx context.Context) error {
	select {
	case <-l.lost:
		l.drop()
		return nil
	default:
	}
	_, err := l.update(ctx, 0, false, func(tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, "UPDATE segue_lease SET holder = '', token = token + 1")
		return err
	})
	l.drop()
	return l.driver.explain("release lease", err)
}

// drop gives the lock back; the token makes sure that nothing more is written.
func (l *lease) drop() {
	l.released.Do(func() {
		l.lose()
		close(l.stop)
		l.watching.Wait()
		_ = l.file.Close() // the lock ends with it whatever it says
		l.driver.mu.Lock()
		delete(l.driver.leases, l)
		l.driver.mu.Unlock()
	})
}

// BrownOut implements migration.Lease: SQLite has no privileges that could hide anything.
func (l *lease) BrownOut(_ context.Context, id migration.ChangeID) error {
	return segue.Errorf(segue.KindUnsupported, "change %s cannot be hidden first: SQLite has no privileges, so nothing can be taken from applications but by removing it", id).
		WithHint("leave the brown-out away, and let the gate and the wait (after=) decide")
}

// Restore implements migration.Lease.
func (l *lease) Restore(_ context.Context, id migration.ChangeID) error {
	return segue.Errorf(segue.KindUnsupported, "change %s was never hidden: SQLite has no privileges to hide it by", id)
}
