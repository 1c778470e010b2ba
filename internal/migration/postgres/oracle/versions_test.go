package oracle

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// allVersions are the major versions that the matrix was measured on and Segue supports.
var allVersions = []string{"14", "15", "16", "17", "18"}

// starting lets servers start one after the other: at once they would be no faster on few cores.
var starting sync.Mutex

func start(tb testing.TB, version string) *cluster.Cluster {
	tb.Helper()
	starting.Lock()
	defer starting.Unlock()
	return clustertest.Start(tb, version)
}

// TestPostgres runs everything that is asked of a server on every version, one server each.
func TestPostgres(t *testing.T) {
	t.Parallel()
	versions := allVersions
	if testing.Short() {
		versions = []string{"15"}
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := start(t, version)
			t.Run("matrix", func(t *testing.T) { testMatrix(t, c, version) })
			address := database(t, c, small)
			t.Run("alone", func(t *testing.T) { testAlone(t, address) })
			t.Run("order", func(t *testing.T) { testOrder(t, address) })
			t.Run("deletes", func(t *testing.T) { testDeletes(t, address) })
			t.Run("observed", func(t *testing.T) { testObserved(t, address) }) // the last: it changes the database
		})
	}
}

// small has one of each that is asked about apart from the matrix.
const small = `
CREATE TABLE t (id int PRIMARY KEY, a int, b text);
CREATE INDEX t_a ON t (a);
CREATE TABLE plain (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE plain_1 PARTITION OF plain FOR VALUES FROM (0) TO (10);
CREATE TABLE plain_2 PARTITION OF plain FOR VALUES FROM (10) TO (20);
CREATE INDEX plain_id ON plain (id);
CREATE TABLE kept (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES FROM (0) TO (10);
CREATE TABLE kept_rest PARTITION OF kept DEFAULT;
CREATE SCHEMA far;
CREATE TABLE far.away (id int PRIMARY KEY);
CREATE TABLE far.part (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE far.part_1 PARTITION OF far.part FOR VALUES FROM (0) TO (10);
CREATE TABLE shop (id int PRIMARY KEY);
CREATE TABLE item (id int PRIMARY KEY, shop int REFERENCES shop ON DELETE CASCADE);
CREATE INDEX item_shop ON item (shop);
CREATE TABLE piece (item int REFERENCES item ON DELETE SET NULL);
CREATE TABLE note (shop int REFERENCES shop, text text);
CREATE INDEX note_text ON note (text, shop);
CREATE PROCEDURE in_batches() LANGUAGE plpgsql AS 'BEGIN UPDATE t SET a = 1; COMMIT; END'`

// database makes one with a schema, and gives its URL.
func database(tb testing.TB, c *cluster.Cluster, schema string) string {
	tb.Helper()
	address := clustertest.Database(tb, c)
	run(tb, connect(tb, address), schema)
	return address
}

func connect(tb testing.TB, address string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

func run(tb testing.TB, conn *pgx.Conn, statements string) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		tb.Fatalf("%.200s: %v", statements, err)
	}
}

func copyOf(tb testing.TB, address string) *server.Scratch {
	tb.Helper()
	s, err := server.Open(tb.Context(), server.Config{URL: address})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	scratch, err := s.Scratch(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := scratch.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return scratch
}

func classify(tb testing.TB, scratch *server.Scratch, statements ...string) []migration.Facts {
	tb.Helper()
	facts, err := Classify(tb.Context(), scratch, statements)
	if err != nil {
		tb.Fatal(err)
	}
	return facts
}

func scratchConn(tb testing.TB, scratch *server.Scratch) *pgx.Conn {
	tb.Helper()
	conn, err := scratch.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

// locks are those of Facts, and in short the ones that tests name.
type locks map[string]migration.Lock

const (
	rs  = migration.LockRowShare
	rx  = migration.LockRowExclusive
	sux = migration.LockShareUpdateExclusive
	sh  = migration.LockShare
	ax  = migration.LockAccessExclusive
)
