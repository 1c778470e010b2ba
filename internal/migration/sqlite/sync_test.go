package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/migration"
)

// A table whose two forms lose something in each direction: neither expression undoes the other.
func lossy() migration.Sync {
	return migration.Sync{
		Name: "segue_sync_test", Table: "people", Until: migration.PhaseContract,
		Forward: []migration.Assignment{
			{Column: "first", Expr: `substr(name, 1, instr(name || ' ', ' ') - 1)`},
			{Column: "last", Expr: `nullif(trim(substr(name, instr(name || ' ', ' '))), '')`},
		},
		Reverse: []migration.Assignment{{Column: "name", Expr: `first || ' ' || last`}},
		Old:     []string{"name"}, New: []string{"first", "last"},
	}
}

// syncWorld is a database in memory with the triggers of a sync.
func syncWorld(t *rapid.T, sync migration.Sync, rowless, recursive bool) *sql.DB {
	db, err := sql.Open("sqlite", fmt.Sprintf("file::memory:?_pragma=recursive_triggers(%t)", recursive))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	create := "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, other TEXT, first TEXT, last TEXT)"
	if rowless {
		create = "CREATE TABLE people (id INTEGER, name TEXT, other TEXT, first TEXT, last TEXT, PRIMARY KEY (id)) WITHOUT ROWID"
	}
	must(t, db, create)
	read, _, err := readTable(context.Background(), db, "people")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range createSync(sync, read) {
		must(t, db, statement)
	}
	return db
}

func must(t *rapid.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s %v: %v", statement, args, err)
	}
}

// After every statement of either release both forms of every row agree, and what the last writer wrote is what it reads.
func TestSyncKeepsBothFormsInStep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sync := lossy()
		db := syncWorld(t, sync, rapid.Bool().Draw(t, "without rowid"), rapid.Bool().Draw(t, "recursive"))
		defer db.Close()
		text := rapid.SampledFrom([]any{nil, "", "Cher", "Ann Lee", "Ann  Lee", " ", "Ann Mary Lee", "O'Neil \"x\""})
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			id := rapid.IntRange(1, 4).Draw(t, "id")
			a, b := text.Draw(t, "a"), text.Draw(t, "b")
			var probe string
			var args []any
			switch rapid.SampledFrom([]string{"old insert", "new insert", "old update", "new update", "both update", "old upsert", "replace", "unrelated", "all"}).Draw(t, "statement") {
			case "old insert":
				must(t, db, "INSERT OR IGNORE INTO people (id, name) VALUES (?, ?)", id, a)
			case "new insert":
				must(t, db, "INSERT OR IGNORE INTO people (id, first, last) VALUES (?, ?, ?)", id, a, b)
			case "old update":
				must(t, db, "UPDATE people SET name = ? WHERE id = ?", a, id)
				probe, args = "name IS ?", []any{a}
			case "new update":
				must(t, db, "UPDATE people SET first = ?, last = ? WHERE id = ?", a, b, id)
				probe, args = "first IS ? AND last IS ?", []any{a, b}
			case "both update":
				var other int
				_ = db.QueryRowContext(context.Background(), "SELECT count(*) FROM people WHERE id = ? AND first IS NOT ?", id, b).Scan(&other)
				must(t, db, "UPDATE people SET name = ?, first = ? WHERE id = ?", a, b, id)
				if other > 0 { // the new form counts, where it was changed
					probe, args = "first IS ?", []any{b}
				}
			case "old upsert":
				must(t, db, "INSERT INTO people (id, name) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name", id, a)
				probe, args = "name IS ?", []any{a}
			case "replace":
				must(t, db, "REPLACE INTO people (id, name) VALUES (?, ?)", id, a)
				probe, args = "name IS ?", []any{a}
			case "unrelated":
				must(t, db, "UPDATE people SET other = ? WHERE id = ?", a, id)
			case "all":
				must(t, db, "UPDATE people SET name = name || 'x'")
			}
			var apart, there, lost int
			if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM people WHERE NOT ("+agree(sync)+")").Scan(&apart); err != nil || apart > 0 {
				t.Fatalf("%d rows do not agree, %v", apart, err)
			}
			if probe == "" {
				continue
			}
			_ = db.QueryRowContext(context.Background(), "SELECT count(*) FROM people WHERE id = ?", id).Scan(&there)
			if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM people WHERE id = ? AND "+probe, append([]any{id}, args...)...).Scan(&lost); err != nil || lost != there {
				t.Fatalf("what was written is not what is read back: %s %v, %v", probe, args, err)
			}
		}
	})
}

func TestSyncOfConstantFillsOnlyWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sync := migration.Sync{Name: "segue_sync_c", Table: "people", Forward: []migration.Assignment{{Column: "first", Expr: "'unknown'"}}}
		db := syncWorld(t, sync, false, rapid.Bool().Draw(t, "recursive"))
		defer db.Close()
		must(t, db, "INSERT INTO people (id, name) VALUES (1, 'a')")
		must(t, db, "INSERT INTO people (id, first) VALUES (2, 'b')")
		must(t, db, "UPDATE people SET name = 'c'")
		var got string
		if err := db.QueryRowContext(context.Background(), "SELECT group_concat(first, ',') FROM people").Scan(&got); err != nil || got != "unknown,b" {
			t.Fatalf("first: %s, %v", got, err)
		}
	})
}
