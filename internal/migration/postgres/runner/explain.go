package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// SQLSTATEs that are told apart.
const (
	codeInsufficientPrivilege = "42501"
	codeLockNotAvailable      = "55P03"
	codeDeadlock              = "40P01"
	codeSerialization         = "40001"
	codeCanceled              = "57014"
	codeDiskFull              = "53100"
	codeReadOnly              = "25006"
	codeDependents            = "2BP01"
)

// codeOf gives the server's SQLSTATE, "" where the error is none of the server's.
func codeOf(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}

// wrong is an error about a change that does not fit what is asked of it.
func wrong(verb string, id any, format string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindConflict, "%s %v: %s", verb, id, fmt.Sprintf(format, args...))
}

// explain gives an error its kind and, where one helps, a hint. Errors that have a kind keep it. The server's details are left out: they quote rows.
func explain(verb string, err error) error {
	var known *segue.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled):
		return segue.Errorf(segue.KindCanceled, "%s: %w", verb, err)
	}
	if code := codeOf(err); code != "" {
		return explainCode(verb, code, err)
	}
	if away(err) {
		return segue.Errorf(segue.KindUnavailable, "%s: the server went away: %w", verb, err).
			WithHint("run it again when the server answers: what was done is recorded")
	}
	return segue.Errorf(segue.KindFault, "%s: %w", verb, err)
}

// away says whether the connection is gone.
func away(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "conn closed")
}

// kindOfCode sorts SQLSTATEs.
func kindOfCode(code string) segue.Kind {
	switch class := code[:min(2, len(code))]; {
	case code == codeInsufficientPrivilege, code == codeReadOnly, class == "28":
		return segue.KindInvalid
	case code == codeLockNotAvailable, code == codeDeadlock, code == codeSerialization:
		return segue.KindTimeout
	case code == codeCanceled:
		return segue.KindCanceled
	case code == codeDependents, class == "23":
		return segue.KindRefused
	case class == "08", class == "53", class == "57", class == "58":
		return segue.KindUnavailable
	case code == "42P07", code == "42701", code == "42710", code == "42P01", code == "42703", code == "42704":
		return segue.KindConflict
	case class == "XX":
		return segue.KindFault
	}
	return segue.KindInvalid
}

func explainCode(verb, code string, err error) error {
	failure := segue.Errorf(kindOfCode(code), "%s: %w", verb, err)
	switch {
	case code == codeDiskFull:
		return failure.WithHint("make room on the server's disk, then run it again: nothing is half done, and what was done is recorded")
	case code == "53300":
		return failure.WithHint("raise max_connections, or keep some for this role: ALTER ROLE ... CONNECTION LIMIT; Segue needs three per change")
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"):
		return failure.WithHint("see the server's log; run it again when the server has what it lacked: what was done is recorded")
	case strings.HasPrefix(code, "57"), strings.HasPrefix(code, "08"):
		return failure.WithHint("run it again when the server answers: what was done is recorded")
	case code == codeReadOnly:
		return failure.WithHint("this server only follows another one, or is set to read only: give the address of the primary")
	case code == codeDependents:
		return failure.WithHint("drop what depends on it in a migration before, or name it: CASCADE would take it along unseen")
	case failure.Kind == segue.KindConflict:
		return failure.WithHint("the database is not as it was when this was planned: somebody changed it by another way; plan again")
	case code == codeInsufficientPrivilege:
		return failure.WithHint("grant the role what the message names, or make it a member of the owner: GRANT owner TO role")
	}
	return failure
}

// grant finds out which GRANT would have let a change through.
func grant(ctx context.Context, conn *pgx.Conn, change migration.Change, cause error) error {
	if codeOf(cause) != codeInsufficientPrivilege {
		return cause
	}
	failure := segue.Errorf(segue.KindInvalid, "%w", cause)
	var role, owner, schema string
	// The table it is about, else the first schema on the path, where a new table would go.
	const who = `SELECT current_user, coalesce((SELECT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname || '.' || c.relname = $1 OR c.relname = $1 AND pg_table_is_visible(c.oid) LIMIT 1), ''), coalesce(current_schema(), 'public')`
	if err := conn.QueryRow(ctx, who, change.Table).Scan(&role, &owner, &schema); err != nil {
		return explain("look for the missing privilege", cause)
	}
	if named := find(`schema "?([^"]+?)"?( \(|$)`, cause.Error()); named != "" {
		return failure.WithHint("run as an administrator: GRANT CREATE, USAGE ON SCHEMA %s TO %s", quote(named), quote(role))
	}
	if owner != "" && owner != role {
		return failure.WithHint("run as an administrator: GRANT %s TO %s (only a table's owner may change it)", quote(owner), quote(role))
	}
	return failure.WithHint("run as an administrator: GRANT CREATE, USAGE ON SCHEMA %s TO %s", quote(schema), quote(role))
}

// find gives the first group of a pattern, "" where it does not match.
func find(pattern, text string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// mask takes the values out of a statement: others' statements are shown in errors.
func mask(statement string) string {
	return regexp.MustCompile(`'(?:[^']|'')*'?`).ReplaceAllString(statement, "'…'")
}
