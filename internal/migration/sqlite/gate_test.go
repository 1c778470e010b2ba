package sqlite

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

func recorded(release string, statements ...string) []migration.Query {
	var queries []migration.Query
	for _, s := range statements {
		queries = append(queries, migration.Query{Release: segue.ReleaseName(release), SQL: s, Source: "recorded"})
	}
	return queries
}

func TestGateTellsWhoNeedsIt(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	servers := []segue.ServerName{"web-1"}
	v1 := migration.Presence{Release: "v1", Order: 1, Running: servers}
	v2 := migration.Presence{Release: "v2", Order: 2, Running: servers}
	gone := migration.Presence{Release: "v1", Order: 1, Ended: now.Add(-time.Hour)}
	returns := migration.Presence{Release: "v1", Order: 1, Ended: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	const dropEmail, unique, unsync = "ALTER TABLE customers DROP COLUMN email", "CREATE UNIQUE INDEX i ON customers (name)", "DROP TRIGGER stamp"
	fine := recorded("v2", "SELECT id, name FROM customers", "INSERT INTO customers (id, name) VALUES (?, ?)")
	for _, test := range []struct {
		name     string
		change   string
		releases []migration.Presence
		recorded []migration.Query
		wait     time.Duration
		answer   migration.Answer
		text     string
	}{
		{"nobody is known", dropEmail, nil, fine, 0, migration.AnswerUnknown, "no release is known"},
		{"only the new one, recorded", dropEmail, []migration.Presence{gone, v2}, fine, 0, migration.AnswerSafe, "its 2 statements work"},
		{"only the new one, not recorded", dropEmail, []migration.Presence{gone, v2}, nil, 0, migration.AnswerUnknown, "no statements of it are recorded"},
		{"the old one runs, not recorded", dropEmail, []migration.Presence{v1, v2}, fine, 0, migration.AnswerUnknown, "v1 runs on 1 servers"},
		{"the old one may return, not recorded", dropEmail, []migration.Presence{returns, v2}, fine, 0, migration.AnswerUnknown, "v1 can be rolled back to"},
		{"the old one reads it", dropEmail, []migration.Presence{v1, v2}, append(recorded("v1", "SELECT email FROM customers"), fine...), 0, migration.AnswerUnsafe, "no such column: email"},
		{"in double quotes", dropEmail, []migration.Presence{v1, v2}, append(recorded("v1", `SELECT "email" FROM customers`), fine...), 0, migration.AnswerUnsafe, "no such column"},
		{"the old one does not need it", dropEmail, []migration.Presence{v1, v2}, append(recorded("v1", "SELECT name FROM customers", "SELECT 'email'"), fine...), 0, migration.AnswerSafe, "v1"},
		{"the result is another one", dropEmail, []migration.Presence{v1, v2}, append(recorded("v1", "SELECT * FROM customers"), fine...), 0, migration.AnswerUnsafe, "its result has the columns"},
		{"values by position", dropEmail, []migration.Presence{v1, v2}, append(recorded("v1", "INSERT INTO customers VALUES (?, ?, ?)"), fine...), 0, migration.AnswerUnsafe, "2 columns but 3 values"},
		{"nobody knows whose", dropEmail, []migration.Presence{v2}, append(recorded("", "SELECT email FROM customers"), fine...), 0, migration.AnswerUnsafe, "no such column"},
		{"cannot be tried", dropEmail, []migration.Presence{v2}, append(recorded("v2", "SELECT own(name) FROM customers"), fine...), 0, migration.AnswerUnknown, "no such function"},
		{"the wait is not over", dropEmail, []migration.Presence{gone, v2}, fine, 2 * time.Hour, migration.AnswerUnsafe, "v1 ended 1h0m0s ago"},
		{"the wait is over", dropEmail, []migration.Presence{gone, v2}, fine, 30 * time.Minute, migration.AnswerSafe, "does not run"},
		{"a view needs it", "DROP TABLE orders", []migration.Presence{v2}, fine, 0, migration.AnswerUnsafe, "view open_orders would not work any more"},
		{"a trigger needs it", "DROP TABLE log", []migration.Presence{v2}, fine, 0, migration.AnswerUnsafe, "trigger logging would not work any more"},
		{"a new rule and a writer", unique, []migration.Presence{v1, v2}, append(recorded("v1", "INSERT INTO customers (id, name) VALUES (1, 'x')"), fine...), 0, migration.AnswerUnknown, "it may write what would be refused"},
		{"a new rule and a reader", unique, []migration.Presence{v1, v2}, append(recorded("v1", "SELECT name FROM customers"), fine...), 0, migration.AnswerSafe, "v1"},
		{"what no statement names", unsync, []migration.Presence{v1, v2}, append(recorded("v1", "SELECT 1"), fine...), 0, migration.AnswerUnsafe, "which no statement names"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(shop, "CREATE VIEW open_orders AS SELECT * FROM orders", "CREATE TABLE log (n)",
				"CREATE TRIGGER logging AFTER INSERT ON tags BEGIN INSERT INTO log VALUES (1); END")...)
			changes := w.plan(file("f", test.change)).Of(migration.PhaseContract)
			change := changes[len(changes)-1]
			change.Wait = test.wait
			gate, err := w.driver.Gate(t.Context(), migration.GateRequest{Change: change, Releases: test.releases, Brought: "v2", Recorded: test.recorded, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if gate.Answer != test.answer || !strings.Contains(fmt.Sprint(gate.Grounds), test.text) {
				t.Errorf("%s, want %s with %q: %+v", gate.Answer, test.answer, test.text, gate.Grounds)
			}
		})
	}
}

func TestCheckFindsWhatDoesNotWorkWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	plan := w.plan(file("f", "ALTER TABLE customers ADD COLUMN mail TEXT", "UPDATE customers SET mail = lower(email)", "ALTER TABLE customers DROP COLUMN email"))
	var before []migration.Change
	for _, c := range plan.Changes {
		if c.Phase != migration.PhaseContract {
			before = append(before, c)
		}
	}
	got, err := w.driver.Check(t.Context(), migration.CheckRequest{
		Before: before, After: plan.Of(migration.PhaseContract),
		Queries: append(recorded("v1", "SELECT * FROM customers", "SELECT email FROM customers", "INSERT INTO customers (id, email) VALUES (1, '')", "INSERT INTO customers VALUES (1, 2, 3)"),
			recorded("v2", "SELECT mail FROM customers", "UPDATE customers SET mail = ?1 WHERE id = ?2")...),
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got.Cells {
		for _, m := range c.Misfits {
			lines = append(lines, fmt.Sprintf("%s %s: %s: %s (%s, shape %t)", c.Release, c.Stage, m.Query.SQL, m.Message, m.Change, m.Shape))
		}
	}
	want := []string{
		"v1 now: INSERT INTO customers (id, email) VALUES (1, ''): it does not give name, which may not be NULL and has no default (, shape false)",
		"v2 now: SELECT mail FROM customers: no such column: mail (, shape false)",
		"v2 now: UPDATE customers SET mail = ?1 WHERE id = ?2: no such column: mail (, shape false)",
		"v1 expanded: SELECT * FROM customers: its result has the columns id, name, email, mail instead of id, name, email (f#1, shape true)",
		"v1 expanded: INSERT INTO customers (id, email) VALUES (1, ''): it does not give name, which may not be NULL and has no default (, shape false)",
		"v1 expanded: INSERT INTO customers VALUES (1, 2, 3): table customers has 4 columns but 3 values were supplied (f#1, shape false)",
		"v1 contracted: SELECT * FROM customers: its result has the columns id, name, mail instead of id, name, email (f#1, shape true)",
		"v1 contracted: SELECT email FROM customers: no such column: email (f#3, shape false)",
		"v1 contracted: INSERT INTO customers (id, email) VALUES (1, ''): table customers has no column named email (, shape false)",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
