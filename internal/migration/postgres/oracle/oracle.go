// Package oracle lets the server itself say what a statement does: which locks it takes, which tables it rewrites or reads in whole, which indexes it
// builds. Statements are carried out on a schema-only copy, and what happened is read from the server's own books: pg_locks, the file numbers in pg_class
// and the counters of scans. So the answer is that of this very version and this very schema, and no parser has to know either.
//
// The copy has no rows, and that changes little: the server decides on locks and rewrites before it looks at rows, and it counts the scan of an empty
// table too. What does depend on rows:
//
//   - The check of a foreign key reads the referenced table only when there is a row to check. It is added to the scanned ones (see referenced).
//   - A plan that reads an index instead of the table would hide a scan; index scans are off, other than for the team's own INSERT, UPDATE and DELETE.
//   - Triggers for each row do not fire. What a DELETE locks and reads in the tables that refer to its own is added (see referring); what triggers of
//     the team's do, and an UPDATE of a referenced key, is not seen.
//   - ADD COLUMN ... NOT NULL without a default is refused only where there are rows. The form of the statement says so to whoever plans with it.
//
// Rows could be made up, but they would have to fulfil every check, key and conversion that a statement may add: a statement that fails on a made-up
// row is worse than one whose scan is inferred.
package oracle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

const (
	// patience bounds every statement: on empty tables only a function of the team's own can take long.
	patience = "30s"
	// codeAlone is the server's answer to a statement that cannot run in a transaction, and codeEnds to a procedure or DO that ends one itself.
	codeAlone, codeEnds = "25001", "2D000"
	// codeDependents is its answer to the drop of what others need.
	codeDependents = "2BP01"
)

// session tries statements, one after the other.
type session struct {
	conn *pgx.Conn
	// private says that the whole server is the copy's: what is done to it outside of the database harms nobody.
	private bool
	// shared are statements that changed what all databases of the server share (roles), and were taken back, and those that need what they made. A
	// later one that is refused without them is tried again after them, and joins them.
	shared []string
	// known are the facets of the schema as it is, nil where they have to be read.
	known facets
}

// refusal is the server's no to the statement itself, and not to what is done around it.
type refusal struct{ *pgconn.PgError }

// words are the server's, with what depends on a thing that it would not drop.
func (r refusal) words() string {
	if r.Code != codeDependents || r.Detail == "" {
		return r.Message
	}
	return r.Message + " (" + strings.ReplaceAll(r.Detail, "\n", "; ") + ")"
}

// line says in which line of a long statement the server found what it refuses.
func (r refusal) line(sql string) string {
	runes := []rune(sql) // the server counts characters, from 1
	if at := int(r.Position) - 1; at > 0 && at <= len(runes) {
		if breaks := strings.Count(string(runes[:at]), "\n"); breaks > 0 {
			return fmt.Sprintf(", in line %d of it", breaks+1)
		}
	}
	return ""
}

// Classify carries statements out on the copy, in order, and says what each did. Every statement sees what those before it left, and the copy is as all
// of them left it. A statement that the server refuses has its words in Facts.Error, and leaves nothing, unless it has a form without CONCURRENTLY that
// is not refused: that is carried out, so that later statements find its result. The error is about the copy's server.
func Classify(ctx context.Context, scratch *server.Scratch, statements []string) (facts []migration.Facts, err error) {
	conn, err := scratch.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	s := &session{conn: conn, private: scratch.Private()}
	if _, err := conn.Exec(ctx, "SET statement_timeout = '"+patience+"'; SET lock_timeout = '"+patience+"'"); err != nil {
		return nil, server.Explain("classify statements", err)
	}
	facts = make([]migration.Facts, 0, len(statements))
	for _, sql := range statements {
		one, err := s.classify(ctx, sql)
		if err != nil {
			return nil, server.Explain("classify a statement", err)
		}
		facts = append(facts, one)
	}
	return facts, nil
}

// classify tries one statement.
func (s *session) classify(ctx context.Context, sql string) (migration.Facts, error) {
	text := newText(sql)
	switch {
	case text.begins("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "discard", "deallocate"):
		return migration.Facts{}, nil // every statement has a transaction of its own here, and the session is the oracle's
	case text.begins("copy"):
		return migration.Facts{Error: "COPY is not tried: it reads or writes outside of the database"}, nil
	case text.outside():
		return migration.Facts{Alone: true}, nil
	}
	facts, shared, err := s.try(ctx, text, nil, true)
	no, refused := errors.AsType[refusal](err)
	if len(s.shared) > 0 && (shared || refused && no.Code != codeAlone) {
		facts, _, err = s.try(ctx, text, s.shared, false)
		if shared = err == nil; !shared {
			no, refused = errors.AsType[refusal](err)
		}
	}
	switch {
	case err == nil && shared && !s.private:
		s.shared = append(s.shared, text.sql)
	case refused && s.conn.IsClosed():
		return migration.Facts{}, err
	case refused && no.Code == codeAlone:
		return s.alone(ctx, text)
	case refused && no.Code == codeEnds && text.begins("do", "call"):
		return migration.Facts{Alone: true}, nil
	case refused:
		return migration.Facts{Error: no.words() + no.line(sql)}, nil
	}
	return facts, err
}

// try carries a statement out in a transaction after those that it needs, and reads what it did before that ends. It is kept where that is wanted, it
// needed no other, and what it changed is not shared with other databases.
func (s *session) try(ctx context.Context, text text, earlier []string, keep bool) (facts migration.Facts, shared bool, err error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return migration.Facts{}, false, err
	}
	defer func() { err = errors.Join(err, finish(ctx, tx)) }()
	for _, sql := range earlier {
		if err := again(ctx, tx, sql); err != nil {
			return migration.Facts{}, false, err
		}
	}
	was := s.known
	if was == nil || len(earlier) > 0 {
		if was, err = readFacets(ctx, tx, nil, state{}); err != nil {
			return migration.Facts{}, false, err
		}
	}
	before, err := look(ctx, tx)
	if err != nil {
		return migration.Facts{}, false, err
	}
	if err := carryOut(ctx, tx, text); err != nil {
		return migration.Facts{}, false, err
	}
	after, err := look(ctx, tx)
	if err != nil {
		return migration.Facts{}, false, err
	}
	is, err := readFacets(ctx, tx, was, after)
	if err != nil {
		return migration.Facts{}, false, err
	}
	facts, shared = compare(before, after, text), after.shared > before.shared
	facts.Effects = difference(was, is)
	if !keep || len(earlier) > 0 || shared && !s.private {
		return facts, shared, nil // taken back by finish
	}
	s.known = is
	return facts, shared, asRefusal(tx.Commit(ctx))
}

// carryOut runs the statement. What DDL reads is to be read in whole, and so without indexes; the books are looked up with them, as they always are: with
// hundreds of tables, the look without would take a hundred times as long.
func carryOut(ctx context.Context, tx pgx.Tx, text text) error {
	if text.begins("insert", "update", "delete", "merge", "select", "with", "values", "table") {
		_, err := tx.Exec(ctx, text.sql)
		return asRefusal(err)
	}
	if _, err := tx.Exec(ctx, "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, text.sql); err != nil {
		return asRefusal(err)
	}
	_, err := tx.Exec(ctx, "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = on")
	return asRefusal(err)
}

// again repeats a statement. Where the schema has gone on without it, it is refused now, and is left out.
func again(ctx context.Context, tx pgx.Tx, sql string) error {
	inner, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := inner.Exec(ctx, sql); err != nil {
		return inner.Rollback(ctx)
	}
	return inner.Commit(ctx)
}

// asRefusal marks an error as the server's answer to the statement, if it is the server's.
func asRefusal(err error) error {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal{answer}
	}
	return err
}

// finish takes back what was not committed.
func finish(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(context.WithoutCancel(ctx)); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}
