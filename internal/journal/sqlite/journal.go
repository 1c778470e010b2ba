// Package sqlite keeps a journal in one SQLite file, durably: an entry that Append has returned survives a crash of the process and
// of the machine. One process writes; the state directory's lock sees to that, and a second writer is found out at the latest when it appends.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// Options are what a journal can be opened with; the zero value is fine.
type Options struct {
	// Now gives the entries' times; nil means time.Now.
	Now func() time.Time
}

// Journal is a journal.Journal in a file.
type Journal struct {
	path string
	now  func() time.Time
	feed journal.Feed
	// write has one connection, read a few: in WAL mode readers and the writer do not wait for each other.
	write, read *sql.DB

	// appending is held for a whole append; mu guards what readers look at.
	appending sync.Mutex
	mu        sync.RWMutex
	last      int64
	lastAt    time.Time
	// refusal is set once the journal was closed, or an append failed in such a way that only reading again tells what was written.
	refusal error
}

var (
	_ journal.Journal   = (*Journal)(nil)
	_ journal.ByRollout = (*Journal)(nil)
)

// readers bounds the connections for reading; busyMillis is how long a lock of another process is waited for.
const (
	readers    = 4
	busyMillis = 2000
)

// Open opens the journal in the file path, for this user alone, and makes it when there is none. Errors: KindCorrupt when the file is damaged or no
// journal; KindInvalid when a newer version wrote it; KindUnavailable when the disk does not answer or is full; KindConflict when another
// process holds it.
func Open(ctx context.Context, path string, options Options) (*Journal, error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	j := &Journal{path: path, now: options.Now}
	var err error
	if j.write, err = connect(path, "rw", 1); err != nil {
		return nil, j.explain("open", err)
	}
	if j.read, err = connect(path, "rw", readers); err != nil {
		return nil, j.explain("open", errors.Join(err, j.write.Close()))
	}
	if err := j.prepare(ctx); err != nil {
		return nil, errors.Join(err, j.write.Close(), j.read.Close())
	}
	return j, nil
}

// createPrivate makes sure of a file that only this user can read; SQLite gives its companions (-wal, -shm) the same mode.
func createPrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return segue.Errorf(segue.KindNotFound, "open journal: %w", err).WithHint("make the state directory first")
	case err != nil:
		return segue.Errorf(segue.KindUnavailable, "open journal: %w", err)
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return segue.Errorf(segue.KindUnavailable, "open journal: %w", err)
	}
	return nil
}

func connect(path, mode string, connections int) (*sql.DB, error) {
	query := url.Values{
		"mode":    {mode},
		"_txlock": {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyMillis),
			"synchronous(FULL)",
			"cell_size_check(1)",
			"trusted_schema(0)",
		},
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

// prepare checks what is in the file, brings it to the present format and finds its end.
func (j *Journal) prepare(ctx context.Context) error {
	if err := j.check(ctx); err != nil {
		return err
	}
	if err := j.migrate(ctx); err != nil {
		return err
	}
	var count, first, last sql.NullInt64
	row := j.write.QueryRowContext(ctx, "SELECT count(*), min(idx), max(idx) FROM entries")
	if err := row.Scan(&count, &first, &last); err != nil {
		return j.explain("open", err)
	}
	if count.Int64 > 0 && (first.Int64 != 1 || last.Int64 != count.Int64) {
		return j.corrupt("entries are missing: it has %d, numbered %d to %d", count.Int64, first.Int64, last.Int64)
	}
	if j.last = last.Int64; j.last == 0 {
		return nil
	}
	var at int64
	if err := j.write.QueryRowContext(ctx, "SELECT at FROM entries WHERE idx = ?", j.last).Scan(&at); err != nil {
		return j.explain("open", err)
	}
	j.lastAt = time.Unix(0, at).UTC()
	return nil
}

// Last implements journal.Journal.
func (j *Journal) Last(context.Context) (int64, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.last, j.refusal
}

// Close implements journal.Journal. It waits for an append that is under way.
func (j *Journal) Close() error {
	j.appending.Lock()
	defer j.appending.Unlock()
	j.refuse(journal.Closed())
	j.feed.Close()
	if err := errors.Join(j.read.Close(), j.write.Close()); err != nil {
		return j.explain("close", err)
	}
	return nil
}

// refuse makes every later call fail. The first reason stays, except that closing is the last word.
func (j *Journal) refuse(reason error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refusal = reason
}
