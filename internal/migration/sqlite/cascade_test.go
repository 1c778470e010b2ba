package sqlite

import (
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// A file whose changes were all taken back may be edited: it is planned as it is now, and told from what it was.
func TestCanceledFileMayBeEdited(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	l := w.lease()
	was, is := file("f", "ALTER TABLE customers ADD COLUMN fone TEXT"), file("f", "ALTER TABLE customers ADD COLUMN phone TEXT")
	if err := l.Record(t.Context(), "v2", w.plan(was)); err != nil {
		t.Fatal(err)
	}
	if plan := w.plan(is); len(plan.Faults) != 1 {
		t.Errorf("faults: %v", plan.Faults)
	}
	if err := l.Cancel(t.Context(), "f#1"); err != nil {
		t.Fatal(err)
	}
	w.run(l, w.plan(is))
	if plan := w.plan(is); len(plan.Changes) > 0 || plan.Files[0].Status != migration.FileApplied {
		t.Errorf("%+v", plan)
	}
	if plan := w.plan(was); len(plan.Faults) != 1 {
		t.Errorf("faults of what it was: %v", plan.Faults)
	}
	w.exec("SELECT phone FROM customers")
}

// What a later release made on a twin is there again after the swap.
func TestSwapOfATwinThatIsInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	l := w.lease()
	first := file("0001", "ALTER TABLE customers RENAME COLUMN name TO full_name")
	w.run(l, w.plan(first), migration.PhaseExpand, migration.PhaseBackfill)
	second := file("0002", "CREATE INDEX by_full ON customers (full_name)", "CREATE VIEW fulls AS SELECT full_name FROM customers")
	w.run(l, w.plan(first, second), migration.PhaseExpand)
	gate, err := w.driver.Gate(t.Context(), migration.GateRequest{
		Change: w.plan(first, second).Changes[0], Brought: "v2", Releases: []migration.Presence{{Release: "v2", Running: []segue.ServerName{"web-1"}}}, Recorded: recorded("v2", "SELECT full_name FROM customers"),
	})
	if err != nil || gate.Answer != migration.AnswerSafe {
		t.Errorf("%+v, %v", gate, err)
	}
	w.run(l, w.plan(first, second))
	if got := w.get("SELECT group_concat(name, ' ') FROM sqlite_schema WHERE name IN ('by_full', 'fulls') OR name LIKE 'segue_twin%' OR name LIKE 'segue_sync%'"); got != "by_full fulls" {
		t.Error(got)
	}
	if got := w.get("SELECT full_name FROM fulls"); got != "Ann Lee" {
		t.Error(got)
	}
}

// A repeatable file is run again when its content is another one, and only then.
func TestRepeatableFileRunsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	l := w.lease()
	edition := func(columns string) migration.File {
		f := file("R__view", "DROP VIEW IF EXISTS listed", "CREATE VIEW listed AS SELECT "+columns+" FROM customers")
		f.Repeatable = true
		f.Sum = strings.Repeat("0", 8-len(columns)) + columns
		return f
	}
	for _, columns := range []string{"id", "id", "id, name", "id"} {
		f := edition(columns)
		plan := w.plan(f)
		if len(plan.Faults) > 0 {
			t.Fatal(plan.Faults)
		}
		w.run(l, plan)
		if plan := w.plan(f); len(plan.Changes) > 0 {
			t.Errorf("%s: planned again: %s", columns, listing(plan))
		}
		if got := w.get("SELECT group_concat(name, ', ') FROM pragma_table_info('listed')"); got != columns {
			t.Errorf("the view gives %s, want %s", got, columns)
		}
	}
}

// What a repeatable file owed is forgotten when its content is another one: it would be done to what that makes.
func TestEditionForgetsWhatTheOneBeforeOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	l := w.lease()
	for _, statement := range []string{"DROP TABLE customers", "CREATE VIEW listed AS SELECT id FROM customers"} {
		f := file("R__view", statement)
		f.Repeatable, f.Sum = true, statement
		if err := l.Record(t.Context(), "v2", w.plan(f)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.get("SELECT id FROM segue_change"); got != "R__view#1@2" {
		t.Errorf("recorded: %s", got)
	}
}

// A twin compares and sorts as the column does, and is as unique.
func TestTwinIsLikeTheColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE users (id INTEGER PRIMARY KEY, Name TEXT NOT NULL UNIQUE COLLATE NOCASE, \"first\" TEXT)", "INSERT INTO users (name) VALUES ('Ann')")
	l := w.lease()
	w.run(l, w.plan(file("f", "ALTER TABLE users RENAME COLUMN name TO fullName", "ALTER TABLE users ADD COLUMN last TEXT",
		"UPDATE users SET last = first || '!' WHERE last IS NULL")), migration.PhaseExpand, migration.PhaseBackfill)
	if got := w.get("SELECT count(*) FROM users WHERE fullName = 'ANN'"); got != "1" {
		t.Errorf("%s rows are found whatever the case", got)
	}
	if _, err := w.app.ExecContext(t.Context(), "INSERT INTO users (fullName) VALUES ('aNN')"); err == nil {
		t.Error("the same name is taken twice")
	}
	w.exec("INSERT INTO users (fullName) VALUES ('Bob') ON CONFLICT (fullName) DO NOTHING", "UPDATE users SET first = 'x'")
	if got := w.get("SELECT name, fullName, first, last FROM users"); got != "Ann|Ann|x|x!\nBob|Bob|x|x!" {
		t.Error(got)
	}
	rows, err := w.app.QueryContext(t.Context(), "SELECT * FROM users")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if columns, _ := rows.Columns(); rows.Err() != nil || strings.Join(columns, " ") != "id Name first fullName last" {
		t.Errorf("columns %v", columns)
	}
}
