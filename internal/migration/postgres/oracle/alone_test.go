package oracle

import (
	"context"
	"maps"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// testAlone: what runs outside of transactions, one after the other on one copy. The locks are those of pg_locks while it runs (testObserved).
func testAlone(t *testing.T, address string) {
	t.Helper()
	type facts = migration.Facts
	tests := []struct {
		sql  string
		want facts
	}{
		{"CREATE INDEX CONCURRENTLY i ON t (b)", facts{Locks: locks{"t": sux}, Scanned: []string{"t"}, Built: []string{"i"}}},
		{"CREATE INDEX CONCURRENTLY t_a ON t (b)", facts{Error: `relation "t_a" already exists`}},
		{
			"CREATE INDEX CONCURRENTLY k ON kept (id)",
			facts{
				Locks: locks{"kept": sh, "kept_1": sh, "kept_rest": sh}, Scanned: []string{"kept_1", "kept_rest"},
				Built: []string{"kept_1_id_idx", "kept_rest_id_idx"}, Error: `cannot create index on partitioned table "kept" concurrently`,
			},
		},
		{"DROP INDEX CONCURRENTLY i", facts{Locks: locks{"t": sux, "i": sux}}},
		{"DROP INDEX CONCURRENTLY t_pkey", facts{Error: "cannot drop index t_pkey because constraint t_pkey on table t requires it"}},
		{"REINDEX INDEX CONCURRENTLY t_a", facts{Locks: locks{"t": sux, "t_a": sux}, Scanned: []string{"t"}, Built: []string{"t_a"}}},
		{"REINDEX (CONCURRENTLY) INDEX t_a", facts{Locks: locks{"t": sux, "t_a": sux}, Scanned: []string{"t"}, Built: []string{"t_a"}}},
		{"REINDEX (VERBOSE, CONCURRENTLY ON) INDEX t_a", facts{Locks: locks{"t": sux, "t_a": sux}, Scanned: []string{"t"}, Built: []string{"t_a"}}},
		{
			"REINDEX TABLE CONCURRENTLY t",
			facts{Locks: locks{"t": sux, "t_a": sux, "t_pkey": sux}, Scanned: []string{"t"}, Built: []string{"t_a", "t_pkey"}},
		},
		{
			"REINDEX SCHEMA CONCURRENTLY far",
			facts{Locks: locks{"far.away": sux, "far.away_pkey": sux}, Scanned: []string{"far.away"}, Built: []string{"far.away_pkey"}},
		},
		{
			"REINDEX (CONCURRENTLY off) SCHEMA far",
			facts{Locks: locks{"far.away": sh, "far.away_pkey": ax}, Scanned: []string{"far.away"}, Built: []string{"far.away_pkey"}},
		},
		{
			"REINDEX TABLE CONCURRENTLY plain",
			facts{
				Locks:   locks{"plain_1": sux, "plain_1_id_idx": sux, "plain_2": sux, "plain_2_id_idx": sux},
				Scanned: []string{"plain_1", "plain_2"}, Built: []string{"plain_1_id_idx", "plain_2_id_idx"},
			},
		},
		{
			"ALTER TABLE plain DETACH PARTITION plain_1 CONCURRENTLY",
			facts{Locks: locks{"plain": sux, "plain_1": ax, "plain_1_id_idx": ax}},
		},
		{"ALTER TABLE far.part DETACH PARTITION far.part_1 CONCURRENTLY", facts{Locks: locks{"far.part": sux, "far.part_1": ax}}},
		{
			"ALTER TABLE kept DETACH PARTITION kept_1 CONCURRENTLY",
			facts{Locks: locks{"kept": ax, "kept_1": ax, "kept_1_id_idx": ax, "kept_rest": ax}, Error: "cannot detach partitions concurrently when a default partition exists"},
		},
		{
			"VACUUM FULL t",
			facts{
				Locks: locks{"t": ax, "t_a": ax, "t_pkey": ax}, Rewritten: []string{"t"}, Scanned: []string{"t"},
				Built: []string{"t_a", "t_pkey"},
			},
		},
		{"VACUUM t", facts{}},
		{"VACUUM nothing", facts{Error: `relation "nothing" does not exist`}},
		{"ALTER SYSTEM SET work_mem = '64MB'", facts{}},
		{"CREATE DATABASE other", facts{}},
		{"CALL in_batches()", facts{}},
		{"DO $$ BEGIN UPDATE t SET a = 1; COMMIT; END $$", facts{}},
	}
	statements := make([]string, len(tests))
	for i, test := range tests {
		statements[i] = test.sql
	}
	for i, got := range classify(t, copyOf(t, address), statements...) {
		want := tests[i].want
		want.Alone = true
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(migration.Facts{}, "Effects")); diff != "" {
			t.Errorf("%s (- want, + got)\n%s", tests[i].sql, diff)
		}
	}
}

// testObserved looks at pg_locks while statements that say CONCURRENTLY wait for a writer: what is said of them without having seen their locks is so.
func testObserved(t *testing.T, address string) {
	t.Helper()
	tests := []struct {
		sql, table string
		later      locks // taken when the wait is over
	}{
		{"CREATE INDEX CONCURRENTLY i ON t (b)", "t", nil},
		{"REINDEX INDEX CONCURRENTLY t_a", "t", nil},
		{"REINDEX TABLE CONCURRENTLY t", "t", nil},
		{"DROP INDEX CONCURRENTLY t_a", "t", nil},
		{"ALTER TABLE plain DETACH PARTITION plain_1 CONCURRENTLY", "plain_1", locks{"plain_1": ax, "plain_1_id_idx": ax}},
	}
	statements := make([]string, len(tests))
	for i, test := range tests {
		statements[i] = test.sql
	}
	facts := classify(t, copyOf(t, address), statements...)
	for i, test := range tests {
		seen := observe(t, address, test.table, test.sql)
		for name, lock := range test.later {
			seen[name] = max(seen[name], lock)
		}
		if diff := gocmp.Diff(facts[i].Locks, seen); diff != "" {
			t.Errorf("%s (- oracle, + pg_locks)\n%s", test.sql, diff)
		}
	}
}

// observe runs a statement while somebody writes a table, and gives the locks that it holds on what was there before when it waits.
func observe(t *testing.T, address, table, sql string) map[string]migration.Lock {
	t.Helper()
	writer, watcher, conn := connect(t, address), connect(t, address), connect(t, address)
	run(t, writer, "BEGIN; LOCK TABLE "+table+" IN ROW EXCLUSIVE MODE")
	done := make(chan error, 1)
	old := map[string]migration.Lock{}
	seen := map[string]migration.Lock{}
	for _, name := range query[string](t, watcher, "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'i', 'I') AND relnamespace::regnamespace::text !~ '^pg_'") {
		old[name] = migration.LockNone
	}
	go func() {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), sql)
		done <- err
	}()
	pid := conn.PgConn().PID()
	for waits := false; !waits; {
		select {
		case err := <-done:
			t.Fatalf("%s did not wait: %v", sql, err)
		default:
		}
		waits = query[bool](t, watcher, "SELECT EXISTS (SELECT FROM pg_locks, pg_sleep(0.002) WHERE pid = $1 AND NOT granted)", pid)[0]
	}
	type held struct {
		Name, Mode string
	}
	rows, err := watcher.Query(t.Context(), "SELECT c.relname::text AS name, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.pid = $1 AND l.granted", pid)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[held])
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if _, there := old[one.Name]; there {
			seen[one.Name] = max(seen[one.Name], lockNames[one.Mode])
		}
	}
	run(t, writer, "ROLLBACK")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(seen, func(_ string, lock migration.Lock) bool { return lock <= migration.LockAccessShare })
	return seen
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) []T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return all
}
