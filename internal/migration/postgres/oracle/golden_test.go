package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/sqltext"
)

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

// arrived says with which version an operation came. Between 14 and 18 versions differ in nothing else: what two of them can do takes the same locks,
// rewrites, reads and builds the same on both. Before, the statement is a syntax error.
var arrived = map[string]string{
	"tab_am":          "15", // ALTER TABLE ... SET ACCESS METHOD
	"set_expr":        "17", // ALTER COLUMN ... SET EXPRESSION
	"add_col_virtual": "18", // GENERATED ALWAYS AS (...) VIRTUAL
	"add_nn_nv":       "18", // ADD CONSTRAINT ... NOT NULL ... NOT VALID
	"val_nn":          "18", // VALIDATE CONSTRAINT of such a one
	"chk_ne":          "18", // CHECK ... NOT ENFORCED
}

// apart are the operations of which an empty copy says something else than tables with rows, or the matrix in other words: what there is instead.
var apart = map[string]struct {
	why     string
	instead func(*migration.Facts)
}{
	"add_col_nn_nodef": {
		"it is refused only where there are rows: the form of the statement says so",
		func(f *migration.Facts) { *f = migration.Facts{Locks: locks{"t": ax}, Scanned: []string{"t"}} },
	},
	"del_some": {
		"without figures the server reads the empty table in whole, where it has an index for the condition",
		func(f *migration.Facts) { f.Scanned = []string{"t", "t2"} },
	},
	"tab_trunc":      {"the matrix counts the new empty file as a rewrite", func(f *migration.Facts) { f.Rewritten = nil }},
	"tab_trunc_casc": {"the matrix counts the new empty files as rewrites", func(f *migration.Facts) { f.Rewritten, f.Built = nil, nil }},
	"add_col_pk":     {"the table that was measured was empty, and is read where it is not", func(f *migration.Facts) { f.Scanned = []string{"emp"} }},
	"tab_unlogged":   {"one of the tables was empty, and is read where it is not", func(f *migration.Facts) { f.Scanned = []string{"emp", "newp"} }},
	"tab_rename":     {"the matrix has the new name", func(f *migration.Facts) { f.Locks = locks{"t": ax} }},
	"idx_rename":     {"the matrix has the new name", func(f *migration.Facts) { f.Locks = locks{"t_a": sux} }},
	"uq_using":       {"the matrix has the new name of the index", func(f *migration.Facts) { f.Locks = locks{"t": ax, "t_u": sux} }},
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

// on gives what was measured on a version.
func (o operation) on(version string) (found measured) {
	for _, since := range slices.Sorted(maps.Keys(o.Since)) {
		if since <= version {
			found = o.Since[since]
		}
	}
	return found
}

// Versions differ where it is written down, and only there.
func TestArrived(t *testing.T) {
	t.Parallel()
	found := map[string]string{}
	for _, op := range readMatrix(t).Ops {
		switch since := slices.Sorted(maps.Keys(op.Since)); {
		case len(since) == 1:
		case len(since) == 2 && op.Since[since[0]].Error != "" && op.Since[since[1]].Error == "":
			found[op.ID] = since[1]
		default:
			t.Errorf("%s: %v: another difference than one that says from when on there is such a thing", op.ID, since)
		}
	}
	if diff := gocmp.Diff(arrived, found); diff != "" {
		t.Error("(- written down, + in the matrix)\n" + diff)
	}
}

// undo takes back what settings of operations make, each of which then has the schema for itself.
const undo = `
DROP TABLE IF EXISTS p2, ul, ch1; DROP MATERIALIZED VIEW IF EXISTS mv; DROP INDEX IF EXISTS i1, i1p;
ALTER TABLE t DROP CONSTRAINT IF EXISTS nnv, DROP CONSTRAINT IF EXISTS nnc, DROP CONSTRAINT IF EXISTS ck, DROP CONSTRAINT IF EXISTS cc,
  DROP CONSTRAINT IF EXISTS fk, DROP COLUMN IF EXISTS z9;
ALTER DOMAIN dom DROP CONSTRAINT IF EXISTS dck`

// testMatrix holds the oracle to every operation of the matrix.
func testMatrix(t *testing.T, c *cluster.Cluster, version string) {
	t.Helper()
	m := readMatrix(t)
	address := database(t, c, m.Schema)
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	run(t, connect(t, address), "ALTER DATABASE "+config.Database+" SET search_path = z, public")
	s := &session{conn: scratchConn(t, copyOf(t, address))}
	for _, op := range m.Ops {
		result := s.run(t, op)
		expected := result.expected(op.on(version))
		if but, differs := apart[op.ID]; differs {
			if gocmp.Equal(expected, result.facts, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(migration.Facts{}, "Effects")) {
				t.Errorf("%s is as measured, and was excused: %s", op.ID, but.why)
			}
			but.instead(&expected)
		}
		if diff := gocmp.Diff(expected, result.facts, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(migration.Facts{}, "Effects")); diff != "" {
			t.Errorf("%s: %s (- expected, + here)\n%s", op.ID, op.SQL, diff)
		}
	}
}

// outcome is what an operation did, which relations were there before, and which it dropped.
type outcome struct {
	facts  migration.Facts
	before map[string]bool // name to whether it is a table
	gone   []string
}

// run tries an operation's statements, and takes them back.
func (s *session) run(t *testing.T, op operation) (result outcome) {
	t.Helper()
	if op.Setup != "" {
		if _, err := s.conn.Exec(t.Context(), op.Setup, pgx.QueryExecModeSimpleProtocol); err != nil {
			return outcome{facts: migration.Facts{Error: "setup"}}
		}
		defer run(t, s.conn, undo)
	}
	pieces, faults := sqltext.Split(sqltext.Postgres, op.SQL)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	result.before = s.names(t)
	var earlier []string
	for _, piece := range pieces {
		facts, _, err := s.try(t.Context(), newText(piece.SQL), earlier, false)
		if no, refused := errors.AsType[refusal](err); refused {
			facts.Error = no.Message
		} else if err != nil {
			t.Fatal(err)
		}
		for name, lock := range facts.Locks {
			lockIn(&result.facts, name, lock)
		}
		result.facts.Rewritten = append(result.facts.Rewritten, facts.Rewritten...)
		result.facts.Scanned = append(result.facts.Scanned, facts.Scanned...)
		result.facts.Built = append(result.facts.Built, facts.Built...)
		result.facts.Error += facts.Error
		earlier = append(earlier, piece.SQL)
	}
	if strings.Contains(op.SQL, "DROP") && result.facts.Error == "" {
		result.gone = s.dropped(t, op.SQL, result.before)
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
func (s *session) dropped(t *testing.T, sql string, before map[string]bool) []string {
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
	return slices.Collect(maps.Keys(gone))
}

// expected are the facts by the matrix: of relations that were there before, with indexes apart from tables. What the operation drops is
// not in the matrix, and locked like nothing else.
func (o outcome) expected(m measured) (facts migration.Facts) {
	if m.Error != "" {
		if strings.HasPrefix(m.Error, "setup") {
			return migration.Facts{Error: "setup"}
		}
		return migration.Facts{Error: strings.TrimSpace(strings.TrimPrefix(m.Error, "ERROR:"))}
	}
	for name, lock := range m.Locks {
		if _, there := o.before[name]; there {
			lockIn(&facts, name, lockNames[lock+"Lock"])
		}
	}
	for _, name := range o.gone {
		lockIn(&facts, name, ax)
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
	facts.Scanned = m.Scanned
	slices.Sort(facts.Built)
	return facts
}
