package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"/var/app.db": "/var/app.db", "app.db": here + "/app.db", "file:/var/app.db": "/var/app.db", "file:///var/app.db": "/var/app.db",
		"file://localhost/var/app.db": "/var/app.db", "sqlite:///var/app.db": "/var/app.db", "sqlite3:app.db?mode=ro": here + "/app.db",
		"file:/var/a%20b.db?_pragma=x#y": "/var/a b.db", "/var/a b?.db": "/var/a b?.db",
	} {
		if got, err := parsePath(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":memory:", "file::memory:", "postgres://u:secret@host/db", "file:/a%zz"} {
		got, err := parsePath(text)
		if segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a secret is in the error: %v", err)
		}
	}
}

func TestInspectSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text := filepath.Join(folder, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path, want string
		kind       segue.Kind
	}{
		"no file":    {filepath.Join(folder, "none.db"), "there is no database", segue.KindUnavailable},
		"no folder":  {filepath.Join(folder, "none", "a.db"), "there is no folder", segue.KindUnavailable},
		"a folder":   {folder, "is a folder", segue.KindInvalid},
		"not SQLite": {text, "is no SQLite database", segue.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Open(t.Context(), Config{Path: test.path})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			_, err = d.Inspect(t.Context())
			if segue.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.want) || segue.HintOf(err) == "" {
				t.Errorf("%v (%v, hint %q)", err, segue.KindOf(err), segue.HintOf(err))
			}
			if _, err := os.Stat(filepath.Join(folder, "none.db")); err == nil {
				t.Error("the file was made")
			}
		})
	}
}

func TestInspectOfGoodAndSlowDatabases(t *testing.T) {
	t.Parallel()
	w := newWorld(t, customers)
	server, err := w.driver.Inspect(t.Context())
	if err != nil || server.Product != "SQLite" || server.Size == 0 || len(server.Faults) > 0 {
		t.Errorf("%+v, %v", server, err)
	}
	w = newWorld(t, customers, "PRAGMA journal_mode = DELETE")
	server, err = w.driver.Inspect(t.Context())
	if err != nil || len(server.Faults) != 1 || !strings.Contains(server.Faults[0].Hint, "journal_mode=WAL") {
		t.Errorf("%+v, %v", server, err)
	}
}

// A lock that cannot be had is given up in time, and nothing is left waiting.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, customers)
	l := w.lease()
	plan := w.plan(file("f", "ALTER TABLE customers ADD COLUMN phone TEXT"))
	if err := l.Record(t.Context(), "v2", plan); err != nil {
		t.Fatal(err)
	}
	writer, err := w.app.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, patience time.Duration) (migration.Report, error) {
		return l.Run(ctx, "f#1", migration.RunOptions{Patience: patience}, func(migration.Progress) {})
	}
	if _, err := run(t.Context(), 150*time.Millisecond); segue.KindOf(err) != segue.KindTimeout || segue.HintOf(err) == "" {
		t.Errorf("a lock that is never free: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := run(ctx, time.Hour); err == nil {
		t.Error("a lock that is never free was had")
	}
	if _, err := writer.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if report, err := run(t.Context(), time.Hour); err != nil || report.Lock != migration.LockExclusive || report.Held == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Data in the way is counted, nothing is changed, and it works once the data is mended.
func TestViolatorsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(shop, "INSERT INTO customers (id, name) VALUES (2, 'Ann Lee'), (3, 'Bob')")...)
	l := w.lease()
	plan := w.plan(file("f", "CREATE UNIQUE INDEX i ON customers (name)", "ALTER TABLE customers ALTER COLUMN email SET NOT NULL"))
	if err := l.Record(t.Context(), "v2", plan); err != nil {
		t.Fatal(err)
	}
	refused := func(id migration.ChangeID, want string) {
		t.Helper()
		_, err := l.Run(t.Context(), id, migration.RunOptions{}, func(migration.Progress) {})
		if segue.KindOf(err) != segue.KindRefused || !strings.Contains(err.Error(), want) || !strings.Contains(segue.HintOf(err), "SELECT") {
			t.Errorf("%s: %v (%v, %s)", id, err, segue.KindOf(err), segue.HintOf(err))
		}
	}
	refused("f#1", "1 rows stand in the way")
	w.exec("DELETE FROM customers WHERE id = 2")
	w.run(l, migration.Plan{Changes: plan.Changes[:1]})
	refused("f#2", "2 rows stand in the way")
	w.exec("UPDATE customers SET email = ''")
	w.run(l, plan)
	if _, err := w.app.ExecContext(context.Background(), "INSERT INTO customers (id, name) VALUES (9, 'x')"); err == nil {
		t.Error("NULL is still taken")
	}
}

func TestSampleIsSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "CREATE TABLE docs (id INTEGER PRIMARY KEY, body TEXT)",
		`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO docs SELECT i, json_object('i', i) FROM n`,
		"UPDATE docs SET body = NULL WHERE id % 2", "UPDATE docs SET body = 'no \"JSON' WHERE id = 1000", "CREATE TABLE few (k TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID",
		`INSERT INTO few VALUES ('a', jsonb('[1]')), ('b', NULL), ('c', '{"x":1}')`)
	values, err := w.driver.Sample(t.Context(), "docs", "body", 4)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values {
		got = append(got, string(v))
	}
	if diff := cmp.Diff([]string{`{"i":2}`, `{"i":334}`, `{"i":668}`, `"no \"JSON"`}, got); diff != "" {
		t.Error(diff)
	}
	if values, err = w.driver.Sample(t.Context(), "few", "body", 9); err != nil || len(values) != 2 || string(values[0]) != "[1]" {
		t.Errorf("%s, %v", values, err)
	}
	if _, err := w.driver.Sample(t.Context(), "docs", "none", 1); segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("of no column: %v", err)
	}
}

// Every kind of key can be walked along, and a backfill touches each row once.
func TestBackfillAlongAnyKey(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]string{
		"integer":             "CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT)",
		"hidden rowid":        "CREATE TABLE t (k TEXT, a TEXT)",
		"taken rowid":         "CREATE TABLE t (rowid TEXT, k TEXT, a TEXT)",
		"text":                "CREATE TABLE t (k TEXT PRIMARY KEY, a TEXT) WITHOUT ROWID",
		"several":             "CREATE TABLE t (k TEXT, j INTEGER DEFAULT 1, a TEXT, PRIMARY KEY (j, k DESC)) WITHOUT ROWID",
		"any type":            "CREATE TABLE t (k ANY PRIMARY KEY, a TEXT) WITHOUT ROWID",
		"case does not count": "CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, a TEXT) WITHOUT ROWID",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, create, "CREATE TABLE counts (n)", `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
				INSERT INTO t (k, a) SELECT CASE WHEN instr((SELECT sql FROM sqlite_schema WHERE name = 't'), 'ANY') AND i % 3 = 0 THEN CAST('x' || i AS BLOB)
				WHEN instr((SELECT sql FROM sqlite_schema WHERE name = 't'), 'ANY') AND i % 3 = 1 THEN i + 0.5 ELSE i END, 'A' || i FROM n`)
			plan := w.plan(file("f", "ALTER TABLE t ADD COLUMN b TEXT", "UPDATE t SET b = lower(a)"))
			w.exec("CREATE TRIGGER counting AFTER UPDATE ON t BEGIN INSERT INTO counts VALUES (1); END")
			l := w.lease()
			w.run(l, plan, migration.PhaseExpand, migration.PhaseBackfill)
			state, err := w.driver.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fill, _ := state.Change("f#2")
			if fill.Report.Rows != 1500 || fill.Report.Changed != 1500 || fill.Report.Batches < 2 || w.get("SELECT count(*) FROM counts") != "1500" {
				t.Errorf("%+v; %s updates", fill.Report, w.get("SELECT count(*) FROM counts"))
			}
			if got := w.get("SELECT count(*) FROM t WHERE b IS NOT lower(a)"); got != "0" {
				t.Errorf("%s rows are not filled", got)
			}
		})
	}
}

// Writers of the application get their turn while a backfill runs: none waits longer than its busy_timeout.
func TestWritersGetTheirTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, customers, strings.Replace(fillCustomers, "i < 5000", "i < 60000", 1))
	plan := w.plan(file("f", "ALTER TABLE customers ADD COLUMN mail TEXT", "UPDATE customers SET mail = lower(email)"))
	l := w.lease()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	var worst time.Duration
	writes := 0
	writer.Go(func() {
		for ; ; writes++ {
			select {
			case <-stop:
				return
			default:
			}
			start := time.Now()
			if _, err := w.app.ExecContext(context.Background(), "UPDATE customers SET name = name || 'x' WHERE id = ?", writes%5000+1); err != nil {
				t.Errorf("a writer: %v", err)
				return
			}
			worst = max(worst, time.Since(start))
		}
	})
	w.run(l, plan, migration.PhaseExpand)
	if _, err := l.Run(t.Context(), "f#2", migration.RunOptions{}, func(migration.Progress) {}); err != nil {
		t.Error(err)
	}
	close(stop)
	writer.Wait()
	state, err := w.driver.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill, _ := state.Change("f#2")
	t.Logf("%d writes, the longest took %s; backfill %+v", writes, worst, fill.Report)
}

// What a person runs beside Segue in the application's file is never mistaken for a copy of it.
func TestScratchIsStrictAboutQuotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `CREATE TABLE lax (a TEXT DEFAULT "x")`, `CREATE VIEW broken AS SELECT 1`)
	objects, err := readObjects(t.Context(), w.app)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newScratch(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if len(s.notes) > 0 {
		t.Errorf("a schema that SQLite takes is not copied: %v", s.notes)
	}
}
