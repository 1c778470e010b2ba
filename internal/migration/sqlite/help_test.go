package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a database with an application that uses it.
type world struct {
	t      *testing.T
	path   string
	app    *sql.DB
	driver *Driver
}

func newWorld(t *testing.T, statements ...string) *world {
	t.Helper()
	w := &world{t: t, path: filepath.Join(t.TempDir(), "app?db#1%.db")}
	query := url.Values{"_pragma": {"journal_mode(WAL)", "busy_timeout(30000)", "foreign_keys(1)"}}
	var err error
	if w.app, err = sql.Open("sqlite", "file:"+(&url.URL{Path: w.path}).EscapedPath()+"?"+query.Encode()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.app.Close() })
	w.exec(statements...)
	w.driver = w.open()
	return w
}

func (w *world) open() *Driver {
	w.t.Helper()
	d, err := Open(context.Background(), Config{Path: "file:" + (&url.URL{Path: w.path}).EscapedPath()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := d.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return d
}

func (w *world) exec(statements ...string) {
	w.t.Helper()
	for _, s := range statements {
		if _, err := w.app.ExecContext(context.Background(), s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// get gives what a query finds, as text.
func (w *world) get(query string) string {
	w.t.Helper()
	rows, err := w.app.QueryContext(context.Background(), query)
	if err != nil {
		w.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	var lines []string
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			if cells[i] = v.String; !v.Valid {
				cells[i] = "NULL"
			}
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// file makes a migration of statements.
func file(version string, statements ...string) migration.File {
	f := migration.File{Version: version, Path: version + ".sql", Sum: fmt.Sprintf("%x", strings.Join(statements, ";"))}
	for i, s := range statements {
		f.Statements = append(f.Statements, migration.Statement{
			ID: migration.MakeStatementID(version, i+1), SQL: s, At: migration.Position{Path: f.Path, Line: i + 1, Column: 1},
		})
	}
	return f
}

func (w *world) plan(files ...migration.File) migration.Plan {
	w.t.Helper()
	plan, err := w.driver.Plan(context.Background(), migration.PlanRequest{Files: files, Release: "v2", Running: []segue.ReleaseName{"v1"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return plan
}

func (w *world) lease() migration.Lease {
	w.t.Helper()
	l, err := w.driver.Lease(context.Background(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// run records a plan and runs what has one of the phases.
func (w *world) run(l migration.Lease, plan migration.Plan, phases ...migration.Phase) {
	w.t.Helper()
	if err := l.Record(context.Background(), "v2", plan); err != nil {
		w.t.Fatal(err)
	}
	for _, change := range plan.Changes {
		if len(phases) > 0 && !slices.Contains(phases, change.Phase) {
			continue
		}
		if _, err := l.Run(context.Background(), change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) {}); err != nil {
			w.t.Fatalf("%s: %v", change.ID, err)
		}
	}
}

// table writes changes one a line: ID, phase, title.
func listing(plan migration.Plan) string {
	var lines []string
	for _, f := range plan.Faults {
		lines = append(lines, "fault "+f.String())
	}
	for _, c := range plan.Changes {
		line := fmt.Sprintf("%s %s: %s", c.ID, c.Phase, c.Title)
		if c.Carried {
			line += " (carried)"
		}
		for _, o := range c.Removes {
			line += " -" + o.String()
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

const (
	customers     = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT COLLATE NOCASE)"
	fillCustomers = `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		INSERT INTO customers (id, name, email) SELECT i, 'First' || i || ' Last' || i, 'M' || i || '@EXAMPLE.COM' FROM n`
)
