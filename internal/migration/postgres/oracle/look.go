package oracle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// state is what the server's books say at one moment of a transaction.
type state struct {
	relations map[uint32]relation
	locks     map[uint32]migration.Lock
	// keys are foreign keys.
	keys map[uint32]key
	// written counts the rows written in this transaction, by catalogue; shared those in catalogues that all databases share.
	written map[string]int64
	shared  int64
}

// relation is a table, index, view or sequence.
type relation struct {
	OID  uint32
	Name string
	Kind string
	// File is the number of its file: another one is another content. 0 for what has none.
	File uint32
	// Table is an index's.
	Table uint32
	// Scans counts how often it was read in whole.
	Scans int64
}

func (r relation) index() bool { return r.Kind == "i" || r.Kind == "I" }

// rows says whether it has rows of its own: a table or a materialized view.
func (r relation) rows() bool { return r.Kind == "r" || r.Kind == "m" }

// key is a foreign key of one table to another.
type key struct {
	OID, Table, Target uint32
	Valid              bool
	// OnDelete is its action, by PostgreSQL's letter. Indexed says whether an index of its table begins with one of its columns.
	OnDelete string
	Indexed  bool
}

const (
	queryRelations = `
SELECT c.oid, CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE format('%s.%s', n.nspname, c.relname) END AS name, c.relkind::text AS kind,
       c.relfilenode AS file, coalesce(i.indrelid, 0)::oid AS table, coalesce(pg_stat_get_xact_numscans(c.oid), 0) AS scans
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'i', 'I', 'm', 'v', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`
	queryLocks = `
SELECT relation, mode FROM pg_locks
WHERE locktype = 'relation' AND pid = pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	queryKeys = `
SELECT k.oid, k.conrelid AS table, k.confrelid AS target, k.convalidated AS valid, k.confdeltype::text AS on_delete,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = ANY (k.conkey)) AS indexed
FROM pg_constraint k WHERE k.contype = 'f'`
	// queryWritten leaves out who owns what, which every statement may write. Where the server does not count, every catalogue was written to.
	queryWritten = `
SELECT relname::text AS name, relisshared AS shared, n FROM (
  SELECT relname, relisshared, CASE WHEN current_setting('track_counts') = 'on'
    THEN pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid) WHEN NOT relisshared THEN 1 ELSE 0 END AS n
  FROM pg_class WHERE oid < 16384 AND relkind = 'r' AND relname <> 'pg_shdepend') counted WHERE n > 0`
)

// lockNames are PostgreSQL's names of the locks in pg_locks.
var lockNames = map[string]migration.Lock{
	"AccessShareLock": migration.LockAccessShare, "RowShareLock": migration.LockRowShare, "RowExclusiveLock": migration.LockRowExclusive,
	"ShareUpdateExclusiveLock": migration.LockShareUpdateExclusive, "ShareLock": migration.LockShare,
	"ShareRowExclusiveLock": migration.LockShareRowExclusive, "ExclusiveLock": migration.LockExclusive, "AccessExclusiveLock": migration.LockAccessExclusive,
}

// look reads the books, in one round trip.
func look(ctx context.Context, tx pgx.Tx) (state, error) {
	now := state{written: map[string]int64{}, relations: map[uint32]relation{}, locks: map[uint32]migration.Lock{}, keys: map[uint32]key{}}
	var batch pgx.Batch
	batch.Queue(queryRelations).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[relation])
		for _, one := range all {
			now.relations[one.OID] = one
		}
		return err
	})
	var id uint32
	var mode string
	batch.Queue(queryLocks).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&id, &mode}, func() error {
			now.locks[id] = max(now.locks[id], lockNames[mode])
			return nil
		})
		return err
	})
	batch.Queue(queryKeys).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[key])
		for _, one := range all {
			now.keys[one.OID] = one
		}
		return err
	})
	var name string
	var shared bool
	var n int64
	batch.Queue(queryWritten).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&name, &shared, &n}, func() error {
			if now.written[name] = n; shared {
				now.shared += n
			}
			return nil
		})
		return err
	})
	return now, tx.SendBatch(ctx, &batch).Close()
}
