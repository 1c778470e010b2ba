// Package sqlite changes a SQLite database that an old and a new release share. SQLite has one writer at a time and DDL in transactions: a change and
// its line in the journal are one transaction, so it is done exactly once whatever is killed when; and every transaction is kept short, because
// each of them keeps the applications' writers waiting.
//
// The classifier and the gate are SQLite itself: statements are tried on copies in memory that have the schema of the file and none of its rows.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	engine "modernc.org/sqlite"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Config says which database.
type Config struct {
	// Path of its file: plain, or as file:... or sqlite:... with options, which are not used.
	Path string
	// Create makes an empty database, in WAL mode, where there is no file: the first migration is run by somebody, and that may be Segue.
	Create bool
}

// Driver is a migration.Driver for one file. The file may appear after Open: Inspect says whether it is there.
type Driver struct {
	path string
	// write has one connection, read a few. Both are made on first use.
	write, read *sql.DB

	// mu guards what the last Plan read of the team's files: Record writes it down with the changes.
	mu     sync.Mutex
	files  map[string]fileRow
	folder []string
	leases map[*lease]struct{}
}

var _ migration.Driver = (*Driver)(nil)

const (
	// readers bounds the connections for reading.
	readers = 4
	// busySlice is how long SQLite itself polls for the write lock before it is asked again: it bounds how late a cancel is noticed.
	busySlice = 100 * time.Millisecond
	// busyRead is how long a read waits; in WAL mode it never does.
	busyRead = 2 * time.Second
	// defaultPatience bounds the wait for the write lock.
	defaultPatience = 30 * time.Second
)

// Open makes a driver; nothing is read yet. KindInvalid when the path is none.
func Open(ctx context.Context, config Config) (*Driver, error) {
	path, err := parsePath(config.Path)
	if err != nil {
		return nil, err
	}
	d := &Driver{path: path, files: map[string]fileRow{}, leases: map[*lease]struct{}{}}
	if d.write, err = connect(path, 1, busySlice); err != nil {
		return nil, d.explain("open", err)
	}
	if d.read, err = connect(path, readers, busyRead, "query_only(1)"); err != nil {
		return nil, d.explain("open", errors.Join(err, d.write.Close()))
	}
	if config.Create {
		if err := d.create(ctx); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// create makes an empty database unless a file is there. A folder that is missing is found out with the first use.
func (d *Driver) create(ctx context.Context) error {
	file, err := os.OpenFile(d.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil //nolint:nilerr // it is there, or cannot be made: whoever uses it is told why
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if _, err := d.write.ExecContext(ctx, "PRAGMA journal_mode=WAL"); err != nil {
		return d.explain("create database", err)
	}
	return nil
}

// parsePath takes the file's path out of what a configuration says.
func parsePath(text string) (string, error) {
	path := text
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case !found:
	case scheme == "file", scheme == "sqlite", scheme == "sqlite3":
		rest, _, _ = strings.Cut(rest, "?")
		rest, _, _ = strings.Cut(rest, "#")
		rest = strings.TrimPrefix(rest, "//localhost")
		for strings.HasPrefix(rest, "//") {
			rest = rest[1:]
		}
		unescaped, err := url.PathUnescape(rest)
		if err != nil {
			return "", segue.Errorf(segue.KindInvalid, "read database path %q: %w", text, err)
		}
		path = unescaped
	case strings.HasPrefix(rest, "//"):
		return "", segue.Errorf(segue.KindInvalid, "database address begins with %q, which is not SQLite's", scheme+"://").
			WithHint("write the path of the file, or file:/path/to/app.db")
	}
	if path == "" || path == ":memory:" {
		return "", segue.Errorf(segue.KindInvalid, "a SQLite database needs the path of its file").
			WithHint("write the path of the file that the application opens, such as file:/var/lib/app/app.db")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", segue.Errorf(segue.KindInvalid, "read database path %q: %w", text, err)
	}
	return absolute, nil
}

// connect makes a pool for a file that exists; it is never created.
func connect(path string, connections int, busy time.Duration, pragmas ...string) (*sql.DB, error) {
	query := url.Values{
		"mode":    {"rw"},
		"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())}, pragmas...),
	}
	// As an opaque URI with the path escaped, so that '?', '#' and '%' in it stay part of it.
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Statements implements migration.Driver: SQLite keeps no statistics of statements.
func (d *Driver) Statements(context.Context, time.Time) (migration.Statements, error) {
	return migration.Statements{}, nil
}

// Credentials implements migration.Driver: SQLite has no roles.
func (d *Driver) Credentials(context.Context, segue.ReleaseName) (migration.Credentials, error) {
	return migration.Credentials{}, segue.Errorf(segue.KindUnsupported, "SQLite has no roles: whoever can open %s can do everything", d.path)
}

// Retire implements migration.Driver.
func (d *Driver) Retire(context.Context, segue.ReleaseName) error {
	return segue.Errorf(segue.KindUnsupported, "SQLite has no roles: there is none to remove")
}

// Close implements migration.Driver. Leases that are still held are given up.
func (d *Driver) Close() error {
	d.mu.Lock()
	held := make([]*lease, 0, len(d.leases))
	for l := range d.leases {
		held = append(held, l)
	}
	d.mu.Unlock()
	for _, l := range held {
		l.drop()
	}
	if err := errors.Join(d.read.Close(), d.write.Close()); err != nil {
		return d.explain("close", err)
	}
	return nil
}

// code gives SQLite's primary result code of an error, 0 when it is none of SQLite's.
func code(err error) int {
	if failure, ok := errors.AsType[*engine.Error](err); ok {
		return failure.Code() & 0xff
	}
	return 0
}
