package sqlite

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	migrationtest.Suite(t, func(t *testing.T) migrationtest.Subject {
		t.Helper()
		w := newWorld(t)
		return migrationtest.Subject{
			Open: func(t *testing.T) migration.Driver { t.Helper(); return w.open() },
			Steal: func(t *testing.T) {
				t.Helper()
				if err := os.Remove(w.path + lockSuffix); err != nil {
					t.Fatal(err)
				}
				thief, err := w.open().Lease(context.Background(), "thief")
				if err != nil {
					t.Fatal(err)
				}
				if err := thief.Release(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			Exec: func(ctx context.Context, statement string) error {
				_, err := w.app.ExecContext(ctx, statement)
				return err
			},
			Query: func(ctx context.Context, query string) (text string, err error) {
				err = w.app.QueryRowContext(ctx, query).Scan(&text)
				return text, err
			},
			History: migration.History{Format: "dbmate", Table: "schema_migrations"},
			Applied: func(ctx context.Context) ([]string, error) {
				text := ""
				err := w.app.QueryRowContext(ctx, "SELECT group_concat(version, ' ') FROM (SELECT version FROM schema_migrations ORDER BY 1)").Scan(&text)
				return strings.Fields(text), err
			},
		}
	})
}

// Each runner's table says what is applied, as the runner itself would: what it ran counts, and what Segue ran it will not run again.
func TestHistoryOfEveryRunner(t *testing.T) {
	t.Parallel()
	files := []migration.File{
		file("1", "CREATE TABLE one (a)"), file("2", "ALTER TABLE customers ADD COLUMN mail TEXT", "ALTER TABLE customers DROP COLUMN email"), file("3", "CREATE TABLE three (a)"),
	}
	for format, test := range map[string]struct{ table, made, query, begun, done string }{
		"goose": {
			"goose_db_version", "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));" +
				"INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1)",
			"SELECT group_concat(version_id, ' ') FROM goose_db_version", "0 1 3", "0 1 3 2",
		},
		"golang-migrate": {
			"schema_migrations", "CREATE TABLE schema_migrations (version uint64, dirty bool); INSERT INTO schema_migrations VALUES (1, 0)",
			"SELECT group_concat(version || ':' || dirty, ' ') FROM schema_migrations", "1:0", "3:0",
		},
		"dbmate": {
			"schema_migrations", "CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY); INSERT INTO schema_migrations VALUES ('1')",
			"SELECT group_concat(version, ' ') FROM (SELECT version FROM schema_migrations ORDER BY 1)", "1 3", "1 2 3",
		},
		"tern": {
			"schema_version", "CREATE TABLE schema_version (version int NOT NULL); INSERT INTO schema_version VALUES (1)",
			"SELECT group_concat(version, ' ') FROM schema_version", "1", "3",
		},
		"plain": {"", "SELECT 1", "SELECT 'nothing'", "nothing", "nothing"},
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, customers, test.made)
			pending := files
			if format != "plain" {
				w.exec("CREATE TABLE one (a)")
			}
			plan := func() migration.Plan {
				plan, err := w.driver.Plan(t.Context(), migration.PlanRequest{Files: pending, History: migration.History{Format: format, Table: test.table}, Release: "v2"})
				if err != nil || len(plan.Faults) > 0 {
					t.Fatalf("%v, %v", plan.Faults, err)
				}
				return plan
			}
			first := plan()
			if format != "plain" && (first.Files[0].Status != migration.FileApplied || first.Files[0].By != format) {
				t.Errorf("what the runner ran: %+v", first.Files[0])
			}
			l := w.lease()
			w.run(l, first, migration.PhaseExpand)
			if got := w.get(test.query); got != test.begun {
				t.Errorf("with a contract owed the history says %q, want %q", got, test.begun)
			}
			w.run(l, plan())
			if got := w.get(test.query); got != test.done {
				t.Errorf("in the end the history says %q, want %q", got, test.done)
			}
			for _, f := range plan().Files {
				if f.Status != migration.FileApplied {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}
