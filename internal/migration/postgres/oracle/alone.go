package oracle

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
)

// alone classifies what cannot run in a transaction. Its locks cannot be read, for they are gone with it: with CONCURRENTLY they are no stronger than
// SHARE UPDATE EXCLUSIVE. What it reads and builds is what its form without that does, which is tried first and taken back.
func (s *session) alone(ctx context.Context, t text) (migration.Facts, error) {
	plain, concurrent := t.plain()
	defer func() { s.known = nil }()
	if !concurrent {
		return s.outOfTransaction(ctx, t, migration.LockAccessExclusive)
	}
	facts, _, err := s.try(ctx, plain, nil, false)
	if no, refused := errors.AsType[refusal](err); refused && !s.conn.IsClosed() {
		if no.Code == codeAlone { // REINDEX SCHEMA, or a partitioned table, neither way
			return s.outOfTransaction(ctx, t, migration.LockShareUpdateExclusive)
		}
		return migration.Facts{Alone: true, Error: no.Message}, nil
	}
	if err != nil {
		return facts, err
	}
	facts.Alone = true
	_, err = s.conn.Exec(ctx, t.sql)
	if no, refused := errors.AsType[*pgconn.PgError](err); refused && !s.conn.IsClosed() {
		// An index on a partitioned table, a partition beside a default one: what can be had instead is the other form, and its locks.
		facts.Error = no.Message
		if _, _, err = s.try(ctx, plain, nil, true); errors.As(err, new(refusal)) && !s.conn.IsClosed() {
			err = nil
		}
		return facts, err
	}
	parent := t.detachesFrom()
	for name, lock := range facts.Locks {
		// DETACH asks less of the whole alone: the partition is shut at the end, when nobody uses it any more.
		if parent == "" || name == parent || strings.HasSuffix(name, "."+parent) {
			facts.Locks[name] = min(lock, migration.LockShareUpdateExclusive)
		}
	}
	return facts, err
}

// outOfTransaction carries out what rebuilds things as a whole: VACUUM, CLUSTER, REINDEX SCHEMA. Tables with a new content were shut meanwhile, and those
// of new indexes could not be written, unless it takes no lock above the limit; a VACUUM that is not FULL keeps nobody waiting. Anything else is not tried.
func (s *session) outOfTransaction(ctx context.Context, t text, limit migration.Lock) (migration.Facts, error) {
	facts := migration.Facts{Alone: true}
	if !t.begins("vacuum", "cluster", "reindex") {
		return facts, nil
	}
	before, err := s.glance(ctx)
	if err != nil {
		return facts, err
	}
	_, err = s.conn.Exec(ctx, t.sql)
	if no, refused := errors.AsType[*pgconn.PgError](err); refused && !s.conn.IsClosed() {
		facts.Error = no.Message
		return facts, nil
	}
	if err != nil {
		return facts, err
	}
	after, err := s.glance(ctx)
	if err != nil {
		return facts, err
	}
	facts = compare(before, after, t)
	facts.Alone, facts.Locks = true, nil
	facts.Scanned = facts.Rewritten
	for id, was := range before.relations {
		now, there := after.relations[id]
		if there && now.File == was.File {
			continue
		}
		// REINDEX CONCURRENTLY gives the name to another index, and drops the one that had it.
		lockIn(&facts, was.Name, min(limit, migration.LockAccessExclusive))
		if table, ok := before.relations[was.Table]; ok {
			lockIn(&facts, table.Name, min(limit, migration.LockShare))
			facts.Scanned = append(facts.Scanned, table.Name)
		}
	}
	facts.Scanned = distinct(facts.Scanned)
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
