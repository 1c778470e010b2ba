package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	// readers is how many connections a process reads with; the watcher keeps one of them.
	readers = 5
	// lockRetry is how often an opener asks for the lock that another one holds.
	lockRetry = 10 * time.Millisecond
	// writeTimeout bounds one write, the wait for the other processes' writes included.
	writeTimeout = 10 * time.Second
)

// store is the database: one connection that writes, so that the writers of one process queue in it and not in SQLite's
// polling, and a few that read. Several processes share the file.
type store struct {
	write *sql.DB
	read  *sql.DB
}

// openStore opens the file, creating it and what a release needs in it. Of several processes that start at once one does
// so at a time.
func openStore(ctx context.Context, path string, wanted features) (*store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := &store{}
	if s.write, err = openPool(ctx, path, 1, "_txlock=immediate&_pragma=journal_mode(WAL)"); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, wanted); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read, err = openPool(ctx, path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	return s, nil
}

// openPool opens a file with some connections that stay open.
func openPool(ctx context.Context, path string, connections int, options string) (*sql.DB, error) {
	address := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	address.RawQuery = "_pragma=busy_timeout(5000)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&" + options
	db, err := sql.Open("sqlite", address.String())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), db.Close())
	}
	return db, nil
}

// lockFile waits for an exclusive lock that the system takes back should its holder die.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock database: %w", err)
	}
	ticker := time.NewTicker(lockRetry)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock database: %w", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock database: %w", ctx.Err()), file.Close())
		case <-ticker.C:
		}
	}
}

// update runs a function in a transaction that holds the write lock from its beginning. A client that goes away does not
// break it off.
func (s *store) update(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin write: %w", err)
	}
	if err := do(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit write: %w", err)
	}
	return nil
}

// close ends all connections.
func (s *store) close() error { return errors.Join(s.read.Close(), s.write.Close()) }
