package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	lib "modernc.org/sqlite/lib"

	"github.com/segue-deploy/segue"
)

// explain gives an error of SQLite its kind, a text with the file in it, and a hint. Errors that have a kind keep it.
func (d *Driver) explain(verb string, err error) error {
	var known *segue.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return segue.Errorf(segue.KindTimeout, "%s: %w", verb, err)
	case errors.Is(err, context.Canceled):
		return segue.Errorf(segue.KindCanceled, "%s: %w", verb, err)
	}
	switch code(err) {
	case lib.SQLITE_INTERRUPT:
		return segue.Errorf(segue.KindCanceled, "%s: %w", verb, err)
	case lib.SQLITE_NOTADB:
		return segue.Errorf(segue.KindInvalid, "%s: %s is no SQLite database", verb, d.path).WithHint("see whether the path is that of the application's database")
	case lib.SQLITE_CORRUPT:
		return segue.Errorf(segue.KindCorrupt, "%s: database %s is damaged: %w", verb, d.path, err).
			WithHint("keep a copy of the file with its -wal, run `PRAGMA integrity_check` on it, and restore a backup")
	case lib.SQLITE_FULL:
		return segue.Errorf(segue.KindUnavailable, "%s: %w", verb, err).WithHint("make room on the disk that %s is on, then run it again: nothing is half done", d.path)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return d.unopened(verb, err)
	case lib.SQLITE_IOERR, lib.SQLITE_NOLFS, lib.SQLITE_NOMEM:
		return segue.Errorf(segue.KindUnavailable, "%s: %w", verb, err).WithHint("see whether the disk that %s is on is full, read-only or broken", d.path)
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return segue.Errorf(segue.KindTimeout, "%s: another process holds the write lock of %s: %w", verb, d.path, err).
			WithHint("look for a transaction that an application keeps open; then run it again")
	case lib.SQLITE_CONSTRAINT:
		return segue.Errorf(segue.KindRefused, "%s: data stands in the way: %w", verb, err)
	}
	return segue.Errorf(segue.KindFault, "%s: %w", verb, err)
}

// unopened finds out why a file cannot be opened: SQLite itself only says that it cannot.
func (d *Driver) unopened(verb string, cause error) error {
	info, err := os.Stat(d.path)
	folder := filepath.Dir(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(folder); err != nil {
			return segue.Errorf(segue.KindUnavailable, "%s: there is no folder %s", verb, folder).WithHint("make the folder, or correct the path of the database")
		}
		return segue.Errorf(segue.KindUnavailable, "%s: there is no database %s", verb, d.path).
			WithHint("start the application once, or make an empty database: sqlite3 %s 'PRAGMA journal_mode=WAL'", d.path)
	case err == nil && info.IsDir():
		return segue.Errorf(segue.KindInvalid, "%s: %s is a folder", verb, d.path).WithHint("write the path of the database file in it")
	case errors.Is(err, fs.ErrPermission):
		return segue.Errorf(segue.KindInvalid, "%s: %w", verb, err).WithHint("let the user that segue runs as enter %s", folder)
	}
	return segue.Errorf(segue.KindInvalid, "%s: database %s cannot be written: %w", verb, d.path, cause).
		WithHint("let the user that segue runs as write %s and the folder it is in: SQLite makes -wal and -shm beside it", d.path)
}

// plain is SQLite's message without its wrapping and number, for findings that people read.
func plain(err error) string {
	text := err.Error()
	if code(err) == 0 {
		return text
	}
	if i := strings.LastIndex(text, " ("); i > 0 && strings.HasSuffix(text, ")") {
		text = text[:i]
	}
	for _, prefix := range []string{"SQL logic error: ", "constraint failed: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}

// wrong is an error about a change that does not fit what is asked of it.
func wrong(verb string, id any, format string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindConflict, "%s %v: %s", verb, id, fmt.Sprintf(format, args...))
}
