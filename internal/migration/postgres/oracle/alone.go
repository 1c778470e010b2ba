package oracle

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// alone classifies what cannot run in a transaction. Its locks cannot be read, for they are gone with it, and are those that PostgreSQL documents; what it
// reads and builds is what its other form does, which is carried out instead, so that later statements find the result.
func (s *session) alone(ctx context.Context, t text) (migration.Facts, error) {
	plain, concurrent := t.plain()
	if !concurrent {
		return s.outOfTransaction(ctx, t)
	}
	facts, err := s.try(ctx, t, plain)
	if refusal, refused := errors.AsType[*pgconn.PgError](err); refused && !s.conn.IsClosed() {
		return migration.Facts{Alone: true, Error: refusal.Message}, nil
	}
	facts.Alone = true
	if t.begins("alter") { // DETACH PARTITION CONCURRENTLY: the partition is shut at the end, when nobody uses it any more
		partition := t.last()
		for name, lock := range facts.Locks {
			if name != partition {
				facts.Locks[name] = min(lock, migration.LockShareUpdateExclusive)
			}
		}
		return facts, err
	}
	for name, lock := range facts.Locks {
		facts.Locks[name] = min(lock, migration.LockShareUpdateExclusive)
	}
	return facts, err
}

// plain is the statement without CONCURRENTLY. ok is false where it does not say it.
func (t text) plain() (sql string, ok bool) {
	for i, token := range t.tokens {
		if !token.Is("concurrently") {
			continue
		}
		instead := ""
		if i > 0 && (t.tokens[i-1].Text == "(" || t.tokens[i-1].Text == ",") {
			instead = token.Text + " FALSE" // REINDEX (CONCURRENTLY) TABLE t
		}
		return t.sql[:token.Offset] + instead + t.sql[token.Offset+len(token.Text):], true
	}
	return t.sql, false
}

// last is the name before CONCURRENTLY at the end, as Facts have it in the search path.
func (t text) last() string {
	for i := len(t.tokens) - 1; i > 0; i-- {
		if token := t.tokens[i-1]; t.tokens[i].Is("concurrently") && (token.Kind == sqltext.TokenWord || token.Kind == sqltext.TokenName) {
			return token.Value()
		}
	}
	return ""
}

// outOfTransaction carries out what rebuilds things as a whole: VACUUM, CLUSTER, REINDEX SCHEMA. Tables with a new content were shut meanwhile, and those
// of new indexes could not be written; a VACUUM that is not FULL keeps nobody waiting. Anything else is not tried.
func (s *session) outOfTransaction(ctx context.Context, t text) (migration.Facts, error) {
	facts := migration.Facts{Alone: true}
	if !t.begins("vacuum", "cluster", "reindex") {
		return facts, nil
	}
	before, err := s.glance(ctx)
	if err != nil {
		return facts, err
	}
	_, err = s.conn.Exec(ctx, t.sql)
	if refusal, refused := errors.AsType[*pgconn.PgError](err); refused && !s.conn.IsClosed() {
		facts.Error = refusal.Message
		return facts, nil
	}
	if err != nil {
		return facts, err
	}
	after, err := s.glance(ctx)
	if err != nil {
		return facts, err
	}
	facts = compare(before, after, false)
	facts.Alone, facts.Scanned = true, facts.Rewritten
	facts.Locks = map[string]migration.Lock{}
	for id, was := range before.relations {
		if after.relations[id].File == was.File {
			continue
		}
		facts.Locks[was.Name] = migration.LockAccessExclusive
		if table, ok := before.relations[was.Table]; ok {
			facts.Locks[table.Name] = max(facts.Locks[table.Name], migration.LockShare)
		}
	}
	return facts, nil
}

// glance looks in a transaction that does nothing else.
func (s *session) glance(ctx context.Context) (now state, err error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return state{}, err
	}
	now, err = look(ctx, tx)
	return now, errors.Join(err, finish(ctx, tx))
}

