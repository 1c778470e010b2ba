// Package oracle lets the server itself say what a statement does: which locks it takes, which tables it rewrites or reads in whole, which indexes it
// builds. Statements are carried out on a schema-only copy, and what happened is read from the server's own books: pg_locks, the file numbers in pg_class
// and the counters of scans. So the answer is that of this very version and this very schema, and no parser has to know either.
//
// The copy has no rows, and that changes little: the server decides on locks and rewrites before it looks at rows, and it counts the scan of an empty
// table too. What does depend on rows:
//
//   - The check of a foreign key reads the referenced table only when there is a row to check. It is added to the scanned ones (see referenced).
//   - A plan that reads an index instead of the table would hide a scan; index scans are off, other than for the team's own INSERT, UPDATE and DELETE.
//   - Triggers for each row do not fire. What a DELETE reads in the tables that refer to it is not seen.
//   - ADD COLUMN ... NOT NULL without a default is refused only where there are rows. The form of the statement says so to whoever plans with it.
//
// Rows could be made up, but they would have to fulfil every check, key and conversion that a statement may add: a statement that fails on a made-up
// row is worse than one whose scan is inferred.
package oracle

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

const (
	// patience bounds every statement: on empty tables only a function of the team's own can take long.
	patience = "30s"
	// codeAlone is the server's answer to a statement that cannot run in a transaction.
	codeAlone = "25001"
)

// session tries statements, one after the other.
type session struct {
	conn *pgx.Conn
	// private says that the whole server is the copy's: what is done to it outside of the database harms nobody.
	private bool
	// shared are statements that changed what all databases of the server share (roles), and were taken back. Later ones may need them: they are
	// done again before each, and taken back with it.
	shared []string
}

// Classify carries statements out on the copy, in order, and says what each did. Every statement sees what those before it left, and the copy is as all
// of them left it. A statement that the server refuses has its words in Facts.Error, and leaves nothing. The error is about the copy's server.
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
	case text.begins("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "discard"):
		return migration.Facts{}, nil // every statement has a transaction of its own here
	case text.begins("copy"):
		return migration.Facts{Error: "COPY is not tried: it reads or writes outside of the database"}, nil
	case text.outside():
		return migration.Facts{Alone: true}, nil
	}
	facts, err := s.try(ctx, text, text.sql)
	refusal, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case !refused:
		return facts, err
	case refusal.Code == codeAlone:
		return s.alone(ctx, text)
	case s.conn.IsClosed():
		return migration.Facts{}, err
	}
	return migration.Facts{Error: refusal.Message}, nil
}

// try carries a statement out in a transaction, and reads what it did before that ends.
func (s *session) try(ctx context.Context, text text, sql string) (facts migration.Facts, err error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return migration.Facts{}, err
	}
	defer func() { err = errors.Join(err, finish(ctx, tx)) }()
	for _, earlier := range s.shared {
		if _, err := tx.Exec(ctx, earlier); err != nil {
			return migration.Facts{}, err
		}
	}
	if !text.begins("insert", "update", "delete", "merge", "select", "with", "values", "table") {
		if _, err := tx.Exec(ctx, "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off"); err != nil {
			return migration.Facts{}, err
		}
	}
	before, err := look(ctx, tx)
	if err != nil {
		return migration.Facts{}, err
	}
	if _, err := tx.Exec(ctx, sql); err != nil {
		return migration.Facts{}, err
	}
	after, err := look(ctx, tx)
	if err != nil {
		return migration.Facts{}, err
	}
	facts = compare(before, after, text.begins("truncate"))
	if !s.private && (len(s.shared) > 0 || after.shared > before.shared) {
		s.shared = append(s.shared, sql)
		return facts, nil // taken back by finish
	}
	return facts, tx.Commit(ctx)
}

// finish takes back what was not committed.
func finish(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(context.WithoutCancel(ctx)); !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

// compare says what happened between two looks. What was made by the statement itself is nobody else's yet, and left out.
func compare(before, after state, truncated bool) migration.Facts {
	var facts migration.Facts
	files := make(map[uint32]bool, len(before.relations))
	for _, was := range before.relations {
		files[was.File] = true
	}
	for id, was := range before.relations {
		if lock := after.locks[id]; lock > max(before.locks[id], migration.LockAccessShare) {
			if facts.Locks == nil {
				facts.Locks = map[string]migration.Lock{}
			}
			facts.Locks[was.Name] = lock
		}
		now, there := after.relations[id]
		if !there {
			continue
		}
		// TRUNCATE gives a new file as well, and puts nothing into it.
		fresh := now.File != was.File && !truncated
		switch {
		case was.index() && fresh:
			facts.Built = append(facts.Built, was.Name)
		case was.rows() && fresh:
			facts.Rewritten = append(facts.Rewritten, was.Name)
		}
		if was.rows() && now.Scans > was.Scans {
			facts.Scanned = append(facts.Scanned, was.Name)
		}
	}
	for id, now := range after.relations {
		_, old := before.relations[id]
		_, onOld := before.relations[now.Table]
		// An index that came to another type of its column anew, with the old one's file, is built no more than its table is rewritten.
		if !old && onOld && now.File != 0 && !files[now.File] {
			facts.Built = append(facts.Built, now.Name)
		}
	}
	facts.Scanned = append(facts.Scanned, referenced(before, after, facts.Scanned)...)
	for _, names := range []*[]string{&facts.Rewritten, &facts.Scanned, &facts.Built} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return facts
}

// referenced are the tables that a foreign key is checked against: those of keys that have become valid while their own table was read.
func referenced(before, after state, scanned []string) (tables []string) {
	for id, key := range after.keys {
		if _, valid := before.keys[id]; !valid && slices.Contains(scanned, before.relations[key.table].Name) {
			if target, old := before.relations[key.target]; old {
				tables = append(tables, target.Name)
			}
		}
	}
	return tables
}

// outside says whether a statement is about more than this database. It is not tried.
func (t text) outside() bool {
	return t.begins("create", "alter", "drop") && t.second("database", "tablespace", "system", "subscription") || t.begins("load")
}

// text is a statement and its tokens without space and comments.
type text struct {
	sql    string
	tokens []sqltext.Token
}

func newText(sql string) text {
	all := sqltext.Tokens(sqltext.Postgres, sql)
	t := text{sql: sql}
	for _, token := range all {
		if token.Kind != sqltext.TokenSpace && token.Kind != sqltext.TokenComment {
			t.tokens = append(t.tokens, token)
		}
	}
	// Each statement has its own transaction here: what is set for the rest of the file's must last longer.
	if t.begins("set") && t.second("local") {
		at := t.tokens[1]
		return newText(sql[:at.Offset] + "SESSION" + sql[at.Offset+len(at.Text):])
	}
	return t
}

func (t text) begins(words ...string) bool { return t.word(0, words) }
func (t text) second(words ...string) bool { return t.word(1, words) }

func (t text) word(n int, words []string) bool {
	return n < len(t.tokens) && t.tokens[n].Kind == sqltext.TokenWord && slices.Contains(words, strings.ToLower(t.tokens[n].Text))
}
