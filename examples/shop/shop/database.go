package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

const (
	// readers is how many connections a process reads with; the watcher keeps one of them.
	readers = 5
	// lockRetry is how often an opener asks for the lock that another one holds.
	lockRetry = 10 * time.Millisecond
	// writeTimeout bounds one write, the wait for the other processes' writes included.
	writeTimeout = 10 * time.Second
)

// store is the database. Of an SQLite file one connection writes, so that the writers of one process queue in it and not in SQLite's
// polling, and a few read; several processes share the file. Of PostgreSQL both are one pool.
type store struct {
	dialect dialect
	write   pool
	read    pool
}

// openStore opens the database. With migrate it brings it to what the release needs; of several processes that start at once one does
// so at a time.
func openStore(ctx context.Context, config Config) (*store, error) {
	if strings.Contains(config.Database, "://") {
		return openPostgres(ctx, config)
	}
	path := config.Database
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	s := &store{write: pool{heard: config.Heard}, read: pool{heard: config.Heard}}
	if s.write.DB, err = openPool(ctx, path, 1, "_txlock=immediate&_pragma=journal_mode(WAL)"); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, config); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read.DB, err = openPool(ctx, path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	return s, nil
}

// prepare brings the database to what the release needs, and furnishes a new shop.
func (s *store) prepare(ctx context.Context, config Config) error {
	if config.Migrate {
		if err := s.migrate(ctx, config.Release); err != nil {
			return err
		}
	}
	customers := config.Customers
	if config.Release != "v1" {
		customers = 0
	}
	return s.furnish(ctx, customers)
}

// connections is how many a process keeps to PostgreSQL.
const connections = 8

// openPostgres opens a database of a PostgreSQL server.
func openPostgres(ctx context.Context, config Config) (*store, error) {
	db, err := sql.Open("pgx", config.Database)
	if err != nil {
		return nil, errors.New("open database: the address cannot be read")
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	s := &store{dialect: dialectPostgres, write: pool{DB: db, dialect: dialectPostgres}, read: pool{DB: db, dialect: dialectPostgres}}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.Close())
	}
	defer conn.Close() //nolint:errcheck // goes back to its pool
	const one = 710051
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, one); err != nil {
		return nil, errors.Join(fmt.Errorf("lock database: %w", err), db.Close())
	}
	err = s.prepare(ctx, config)
	if _, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, one); err == nil {
		err = unlockErr
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// openPool opens a file with some connections that stay open.
func openPool(ctx context.Context, path string, connections int, options string) (*sql.DB, error) {
	address := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	address.RawQuery = "_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&" + options
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

// tries is how often a write is tried that met another one: PostgreSQL breaks one of two off that want the same.
const tries = 4

// update runs a function in a transaction; of SQLite it holds the write lock from its beginning. A client that goes away does not break it
// off.
func (s *store) update(ctx context.Context, do func(context.Context, *txn) error) error {
	for try := 1; ; try++ {
		err := s.updateOnce(ctx, do)
		var refused *pgconn.PgError
		if err == nil || try == tries || !errors.As(err, &refused) || !slices.Contains([]string{"23505", "40001", "40P01"}, refused.Code) {
			return err
		}
	}
}

func (s *store) updateOnce(ctx context.Context, do func(context.Context, *txn) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin write: %w", err)
	}
	if err := do(ctx, &txn{Tx: tx, dialect: s.dialect, heard: s.write.heard}); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit write: %w", err)
	}
	return nil
}

// close ends all connections.
func (s *store) close() error { return errors.Join(s.read.Close(), s.write.Close()) }
