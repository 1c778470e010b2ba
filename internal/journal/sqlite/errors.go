package sqlite

import (
	"context"
	"errors"
	"fmt"

	engine "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"github.com/segue-deploy/segue"
)

// explain gives an error of SQLite its kind, a text with the file in it, and a hint.
func (j *Journal) explain(verb string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return segue.Errorf(segue.KindCanceled, "%s journal: %w", verb, err)
	}
	var failure *engine.Error
	if !errors.As(err, &failure) {
		return fmt.Errorf("%s journal %s: %w", verb, j.path, err)
	}
	// The low byte is the primary code; the rest is detail.
	switch failure.Code() & 0xff {
	case code.SQLITE_INTERRUPT:
		return segue.Errorf(segue.KindCanceled, "%s journal: %w", verb, err)
	case code.SQLITE_NOTADB:
		return j.corrupt("it is no SQLite database")
	case code.SQLITE_CORRUPT:
		return j.corrupt("%v", failure)
	case code.SQLITE_FULL:
		return j.kind(segue.KindUnavailable, verb, err, "make room on the disk that %s is on, then start segue again: nothing is lost", j.path)
	case code.SQLITE_IOERR, code.SQLITE_CANTOPEN, code.SQLITE_READONLY, code.SQLITE_NOLFS, code.SQLITE_NOMEM, code.SQLITE_PERM, code.SQLITE_AUTH:
		return j.kind(segue.KindUnavailable, verb, err, "see whether the disk that %s is on is full, read-only or broken, then start segue again", j.path)
	case code.SQLITE_BUSY, code.SQLITE_LOCKED, code.SQLITE_CONSTRAINT, code.SQLITE_PROTOCOL:
		return j.kind(segue.KindConflict, verb, err, "another process writes to %s: only one controller may run per state directory", j.path)
	}
	return j.kind(segue.KindFault, verb, err, "")
}

func (j *Journal) kind(kind segue.Kind, verb string, err error, hint string, args ...any) error {
	return segue.Errorf(kind, "%s journal %s: %w", verb, j.path, err).WithHint(hint, args...)
}

func (j *Journal) corrupt(why string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindCorrupt, "journal %s is damaged: %s", j.path, fmt.Sprintf(why, args...)).
		WithHint("move %[1]s, %[1]s-wal and %[1]s-shm away together and keep them; then restore a backup of all three, or start with an empty journal", j.path)
}
