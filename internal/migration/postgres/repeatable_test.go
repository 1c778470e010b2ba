package postgres_test

import (
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/source"
)

// TestRepeatableFileRunsAgain runs one when its content is another than it was last, also when it is as it once was, and only then; and keeps Flyway's
// history of it.
func TestRepeatableFileRunsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE customers (id int, name text)")
	driver := w.open(postgres.Config{})
	history := migration.History{Format: source.Flyway, Table: "flyway_schema_history"}
	plan := func(columns, sum string) migration.Plan {
		t.Helper()
		f := migrationtest.File("R__listed", "DROP VIEW IF EXISTS listed", "CREATE VIEW listed AS SELECT "+columns+" FROM customers")
		f.Repeatable, f.Title, f.HistorySum, f.Sum = true, "listed", sum, sum
		plan, err := driver.Plan(t.Context(), migration.PlanRequest{Release: "v2", Files: []migration.File{f}, History: history})
		if err != nil || len(plan.Faults) > 0 {
			t.Fatal(plan.Faults, err)
		}
		return plan
	}
	lease, err := driver.Lease(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	const columns = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'listed'::regclass AND attnum > 0"
	for _, edition := range [][2]string{{"id", "1"}, {"id", "1"}, {"id, name", "2"}, {"id", "1"}, {"name", "3"}} {
		made := plan(edition[0], edition[1])
		if err := lease.Record(t.Context(), "v2", made); err != nil {
			t.Fatal(err)
		}
		for _, change := range made.Changes {
			if _, err := lease.Run(t.Context(), change.ID, migration.RunOptions{}, func(migration.Progress) {}); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.get(columns); got != edition[0] {
			t.Errorf("the view gives %s, want %s", got, edition[0])
		}
		if again := plan(edition[0], edition[1]); len(again.Changes) > 0 || again.Files[0].Status != migration.FileApplied {
			t.Errorf("%s is planned again: %+v", edition[0], again)
		}
	}
	if got := w.get("SELECT string_agg(checksum::text, ' ' ORDER BY installed_rank) FROM flyway_schema_history"); got != "1 2 1 3" {
		t.Errorf("checksums in Flyway's history: %s", got)
	}
	// Flyway itself has run another one since.
	w.exec("INSERT INTO flyway_schema_history SELECT 9, version, description, type, script, 4, installed_by, installed_on, 0, true FROM flyway_schema_history WHERE installed_rank = 1")
	if again := plan("id, name", "4"); len(again.Changes) > 0 || again.Files[0].By != source.Flyway {
		t.Errorf("what Flyway has run is planned: %+v", again)
	}
}

// TestEditionForgetsWhatTheOneBeforeOwed leaves a removal owed and edits the file: what was owed would be done to what the new content makes.
func TestEditionForgetsWhatTheOneBeforeOwed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE customers (id int, name text)", "CREATE VIEW listed AS SELECT id FROM customers")
	driver := w.open(postgres.Config{})
	lease, err := driver.Lease(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"DROP VIEW IF EXISTS listed", "CREATE OR REPLACE VIEW listed AS SELECT id, name FROM customers"} {
		f := migrationtest.File("R__listed", statement)
		f.Repeatable, f.Sum = true, statement
		plan, err := driver.Plan(t.Context(), migration.PlanRequest{Release: "v2", Files: []migration.File{f}})
		if err != nil || len(plan.Faults) > 0 {
			t.Fatal(plan.Faults, err)
		}
		if err := lease.Record(t.Context(), "v2", plan); err != nil {
			t.Fatal(err)
		}
	}
	state, err := driver.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range state.Changes {
		if strings.Contains(known.Change.Title, "drop") {
			t.Errorf("still owed: %s %s", known.Change.ID, known.Change.Title)
		}
	}
	if len(state.Changes) != 1 {
		t.Errorf("%d changes recorded, want the new one alone", len(state.Changes))
	}
}
