package recipe

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// readSet reads statements, blank lines between them, each with comments after it that say what else is known of it.
func readSet(t *testing.T, path string) []Statement {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var statements []Statement
	for i, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(block, "\n")
		s := Statement{Statement: migration.Statement{
			ID: migration.MakeStatementID("0003", i+1), SQL: lines[0], At: migration.Position{Path: filepath.Base(path), Line: i + 1},
		}}
		s.Shape = sqltext.Parse(sqltext.Postgres, s.SQL)
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(strings.TrimPrefix(line, "-- "), ": ")
			annotate(t, &s, key, value)
		}
		statements = append(statements, s)
	}
	return statements
}

func annotate(t *testing.T, s *Statement, key, value string) {
	t.Helper()
	var err error
	switch key {
	case "facts":
		err = json.Unmarshal([]byte(value), &s.Facts)
	case "keep":
		column, expr, _ := strings.Cut(value, " = ")
		s.Hints.Keep = append(s.Hints.Keep, migration.Assignment{Column: column, Expr: expr})
	case "after":
		s.Hints.After, err = time.ParseDuration(value)
	case "phase":
		s.Hints.Phase = migration.Phase(value)
	case "assume":
		s.Hints.AssumeSafe, s.Hints.Reason = true, value
	default:
		t.Fatalf("unknown annotation %q", key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shop is a catalogue of two large tables, one without a key, and a small one.
func shop(t *testing.T, version int) server.Catalog {
	t.Helper()
	p := newPlanner(Request{Files: []File{{Statements: readSet(t, "testdata/sets/shop.schema")}}, Catalog: server.Catalog{SearchPath: []string{"$user", "public"}}})
	p.file(p.request.Files[0])
	catalog := server.Catalog{Version: version, SearchPath: []string{"$user", "public"}}
	for _, made := range p.world.tables {
		table := made.Table
		table.Owner, table.Rows, table.Heap, table.Bytes = "owner", 10_000_000, 1<<30, 2<<30
		if table.Name == "settings" {
			table.Rows, table.Heap, table.Bytes = 100, 1<<14, 1<<15
		}
		catalog.Tables = append(catalog.Tables, table)
	}
	return catalog
}

// Migrations as teams write them.
func TestSets(t *testing.T) {
	t.Parallel()
	sets, err := filepath.Glob("testdata/sets/*.sql")
	if err != nil || len(sets) == 0 {
		t.Fatalf("no sets: %v", err)
	}
	for _, path := range sets {
		name := strings.TrimSuffix(filepath.Base(path), ".sql")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := Request{
				Files: []File{{Version: "0003", Statements: readSet(t, path)}}, Catalog: shop(t, 150018),
				Release: "v2", Running: []segue.ReleaseName{"v1"},
			}
			changes, faults, notes := Plan(request)
			check(t, request, changes, faults)
			golden(t, "sets/"+name+".golden", show(changes, faults, notes))
		})
	}
}
