package recipe

import (
	"slices"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// planOne plans a statement on the shop with what the server is said to have seen, where table large has rules.
func planOne(t *testing.T, sql string, facts migration.Facts, rules map[string]string) ([]migration.Change, []migration.Fault) {
	t.Helper()
	catalog := shop(t, 150018)
	for i := range catalog.Tables {
		catalog.Tables[i].Rules = rules
	}
	statement := Statement{
		Statement: migration.Statement{ID: migration.MakeStatementID("0003", 1), SQL: sql}, Shape: sqltext.Parse(sqltext.Postgres, sql), Facts: facts,
	}
	changes, faults, _ := Plan(Request{Files: []File{{Version: "0003", Statements: []Statement{statement}}}, Catalog: catalog, Release: "v2"})
	return changes, faults
}

// Code that holds a large table while it tightens it says both, and how to do without: the plain statement has a form that holds nobody up.
func TestCodeOnALargeTable(t *testing.T) {
	t.Parallel()
	changes, faults := planOne(t, "DO $$ BEGIN ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0); END $$", migration.Facts{
		Locks: map[string]migration.Lock{"public.orders": migration.LockAccessExclusive}, Scanned: []string{"public.orders"},
		Effects: []migration.Effect{{
			Object: migration.Object{Kind: migration.ObjectConstraint, Table: "public.orders", Name: "c"}, Now: "CHECK ((total > 0))", Columns: []string{"total"},
		}},
	}, nil)
	if len(faults) > 0 || len(changes) != 1 || changes[0].Phase != migration.PhaseBreaking {
		t.Fatalf("%+v %v", changes, faults)
	}
	for _, says := range []string{"read all of orders under an access exclusive lock", "may write what constraint public.orders.c refuses"} {
		if !strings.Contains(changes[0].Why, says) {
			t.Errorf("nothing says %q: %s", says, changes[0].Why)
		}
	}
	if !strings.Contains(changes[0].Split, "as a statement of its own") {
		t.Errorf("the way to do without is %q", changes[0].Split)
	}
}

// A table with rules is refused a backfill or a twin by the plan, and not by the server in the middle of it.
func TestTablesWithRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		sql     string
		rules   map[string]string
		refused bool
	}{
		{"UPDATE orders SET total = 0", map[string]string{"UPDATE": "log"}, true},
		{"UPDATE orders SET total = 0", map[string]string{"INSERT": "log"}, false},
		{"DELETE FROM orders WHERE total = 0", map[string]string{"UPDATE": "log"}, false},
		{"DELETE FROM orders WHERE total = 0", map[string]string{"DELETE": "log"}, true},
	} {
		_, faults := planOne(t, test.sql, migration.Facts{}, test.rules)
		told := slices.ContainsFunc(faults, func(f migration.Fault) bool { return strings.HasPrefix(f.Message, "rule log rewrites every ") })
		if told != test.refused {
			t.Errorf("%s with %v: %v", test.sql, test.rules, faults)
		}
	}
	changes, _ := planOne(t, "ALTER TABLE orders RENAME COLUMN total TO sum", migration.Facts{}, map[string]string{"INSERT": "log"})
	if len(changes) != 1 || changes[0].Phase != migration.PhaseBreaking || !strings.Contains(changes[0].Why, "rules rewrite what is written to the table (log)") {
		t.Errorf("%+v", changes)
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]argument{
		"":                                   nil,
		"integer, text":                      {{}, {}},
		"a integer, b text DEFAULT 'x, y'":   {{name: "a"}, {name: "b", optional: true}},
		"double precision, OUT r integer":    {{}},
		"IN a numeric, VARIADIC rest text[]": {{name: "a"}, {name: "rest"}},
		"timestamp with time zone":           {{}},
		"a integer DEFAULT least(1, 2), b timestamp without time zone": {{name: "a", optional: true}, {name: "b"}},
	} {
		if got := signature(text); !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
