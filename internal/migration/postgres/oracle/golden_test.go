package oracle

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// matrix is what 153 operations were measured to do on tables with rows, per major version; one that is not there did what the one before did.
// Measured by hand-written SQL in psql, and not by this package.
type matrix struct {
	Schema string
	Ops    []operation
}

type operation struct {
	ID, SQL, Setup string
	Since          map[string]measured
}

type measured struct {
	Locks              map[string]string
	Rewritten, Scanned []string
	Built              [][2]string // index, table
	Error              string
}

// explained are the differences between the matrix, measured on tables with rows, and what an empty copy shows.
var explained = map[string]string{
	"add_col_nn_nodef": "is refused only where there are rows: the form of the statement says so",
	"del_some":         "row triggers fire only for rows: what a DELETE reads in referring tables is not seen",
	"tab_trunc":        "the matrix counts the new empty file as a rewrite",
	"tab_trunc_casc":   "the matrix counts the new empty files as rewrites",
	"add_col_pk":       "the matrix saw no rows read: its table is empty",
	"tab_unlogged":     "the matrix saw no rows read: one of its tables is empty",
	"tab_rename":       "the matrix has the new name",
	"idx_rename":       "the matrix has the new name",
	"uq_using":         "the matrix has the new name of the index",
}

func readMatrix(t *testing.T) matrix {
	t.Helper()
	text, err := os.ReadFile("testdata/pg_lock_matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	var m matrix
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func versions() []string {
	if testing.Short() {
		return []string{"15"}
	}
	return []string{"14", "15", "16", "17", "18"}
}

// on gives what was measured on a version.
func (o operation) on(version string) (found measured) {
	for _, since := range slices.Sorted(maps.Keys(o.Since)) {
		if since <= version {
			found = o.Since[since]
		}
	}
	return found
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	m := readMatrix(t)
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			address := prepared(t, version, m.Schema)
			common := open(t, copyOf(t, address))
			for _, op := range m.Ops {
				s := common
				if op.Setup != "" {
					s = open(t, copyOf(t, address))
				}
				result := s.run(t, op)
				diff := gocmp.Diff(result.expected(op.on(version)), result.facts, cmpopts.EquateEmpty())
				switch why, differs := explained[op.ID]; {
				case diff != "" && !differs:
					t.Errorf("%s: %s (- measured, + here)\n%s", op.ID, op.SQL, diff)
				case diff == "" && differs:
					t.Errorf("%s is as measured, and was excused: %s", op.ID, why)
				}
			}
		})
	}
}

// open starts a session on the copy that takes everything back, as if every statement reached out of the database.
func open(t *testing.T, scratch *server.Scratch) *session {
	t.Helper()
	conn, err := scratch.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return &session{conn: conn}
}

// outcome is what an operation did, which relations were there before, and which it dropped.
type outcome struct {
	facts  migration.Facts
	before map[string]bool // name to whether it is a table
	gone   map[string]bool
}

// run carries the operation out. What stands before its last statement is part of its setting.
func (s *session) run(t *testing.T, op operation) (result outcome) {
	t.Helper()
	if op.Setup != "" {
		if _, err := s.conn.Exec(t.Context(), op.Setup, pgx.QueryExecModeSimpleProtocol); err != nil {
			return outcome{facts: migration.Facts{Error: "setup"}}
		}
	}
	pieces, faults := sqltext.Split(sqltext.Postgres, op.SQL)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s.shared = []string{"SELECT"}
	for _, piece := range pieces[:len(pieces)-1] {
		s.shared = append(s.shared, piece.SQL)
	}
	result.before = s.names(t)
	var err error
	if result.facts, err = s.classify(t.Context(), pieces[len(pieces)-1].SQL); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(op.SQL, "DROP") {
		result.gone = s.dropped(t, pieces[len(pieces)-1].SQL, result.before)
	}
	if op.ID == "tab_unlogged" { // its first statement counts, too
		s.shared = s.shared[:1]
		first, err := s.classify(t.Context(), pieces[0].SQL)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(result.facts.Locks, first.Locks)
		result.facts.Rewritten = append(first.Rewritten, result.facts.Rewritten...)
		result.facts.Scanned = append(first.Scanned, result.facts.Scanned...)
	}
	return result
}

// names are the relations of the copy.
func (s *session) names(t *testing.T) map[string]bool {
	t.Helper()
	now, err := s.glance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, one := range now.relations {
		names[one.Name] = !one.index()
	}
	return names
}

// dropped are the relations that a statement drops.
func (s *session) dropped(t *testing.T, sql string, before map[string]bool) map[string]bool {
	t.Helper()
	tx, err := s.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	after, err := look(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	gone := maps.Clone(before)
	for _, one := range after.relations {
		delete(gone, one.Name)
	}
	return gone
}

// expected are the facts by the matrix: of relations that were there before, with indexes apart from tables. What the operation drops is
// not in the matrix either, and locked like nothing else.
func (o outcome) expected(m measured) migration.Facts {
	if m.Error != "" {
		return migration.Facts{Error: o.facts.Error + strings.Repeat("an error", 1-min(1, len(o.facts.Error)))}
	}
	facts := migration.Facts{Locks: map[string]migration.Lock{}, Scanned: m.Scanned}
	for name, lock := range m.Locks {
		if _, there := o.before[name]; there {
			facts.Locks[name] = lockNames[lock+"Lock"]
		}
	}
	for name := range o.gone {
		facts.Locks[name] = migration.LockAccessExclusive
	}
	for _, name := range m.Rewritten {
		if o.before[name] {
			facts.Rewritten = append(facts.Rewritten, name)
		}
	}
	for _, built := range m.Built {
		if o.before[built[1]] {
			facts.Built = append(facts.Built, built[0])
		}
	}
	slices.Sort(facts.Built)
	return facts
}

// prepared makes the matrix's schema, and gives the database's URL.
func prepared(t *testing.T, version, schema string) string {
	t.Helper()
	c := clustertest.Start(t, version)
	address := clustertest.Database(t, c)
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, address, schema+"; ALTER DATABASE "+config.Database+" SET search_path = z, public")
	return address
}

func copyOf(t testing.TB, address string) *server.Scratch {
	t.Helper()
	s, err := server.Open(t.Context(), server.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	scratch, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := scratch.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return scratch
}

func execute(t testing.TB, address, statements string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%.200s: %v", statements, err)
	}
}
