package source_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/source"
)

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// outline says what a set is, in lines.
func outline(set source.Set) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s in %q\n", set.Format, set.History.Table)
	for _, f := range set.Files {
		fmt.Fprintf(&out, "%s %q%s\n", f.Version, f.Title, map[bool]string{true: " outside of a transaction"}[f.NoTransaction])
		for _, s := range f.Statements {
			fmt.Fprintf(&out, "  %s %d:%d %s", s.ID, s.At.Line, s.At.Column, s.SQL)
			if !s.Hints.Zero() {
				fmt.Fprintf(&out, " %+v", s.Hints)
			}
			out.WriteString("\n")
		}
	}
	for _, fault := range set.Faults {
		fmt.Fprintf(&out, "fault %s; %s\n", fault, fault.Hint)
	}
	for _, note := range set.Notes {
		fmt.Fprintf(&out, "note %s\n", note)
	}
	return out.String()
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"plain": {map[string]string{"10_b.sql": "SELECT 2;", "2_a.sql": "SELECT 1", "2_a.down.sql": "DROP", "README.md": "x"}, `plain in ""
2 "a"
  2#1 1:1 SELECT 1
10 "b"
  10#1 1:1 SELECT 2
`},
		"goose": {map[string]string{"00001_a.sql": "-- +goose Up\n-- +goose NO TRANSACTION\n-- +goose StatementBegin\nCREATE INDEX CONCURRENTLY i ON t (a);\n-- +goose StatementEnd\n-- +goose Down\nDROP INDEX i;\n"}, `goose in "goose_db_version"
00001 "a" outside of a transaction
  00001#1 4:1 CREATE INDEX CONCURRENTLY i ON t (a)
`},
		"golang-migrate": {map[string]string{"3_x.up.sql": "SELECT 1;", "3_x.down.sql": "SELECT 0;", "4_odd.sql": ""}, `golang-migrate in "schema_migrations"
3 "x"
  3#1 1:1 SELECT 1
fault 4_odd.sql: "4_odd.sql" is no name of a golang-migrate migration; rename it, or move it out of the folder
`},
		"flyway": {map[string]string{"V1_10__b.sql": "SELECT 2;", "V1_2__a_b.sql": "SELECT 1;", "R__views.sql": "SELECT 3;", "U1__x.sql": "", "V2__p.sql": "SELECT '${x}';", "V3__n.sql.conf": "executeInTransaction=false"}, `flyway in "flyway_schema_history"
1.2 "a b"
  1.2#1 1:1 SELECT 1
1.10 "b"
  1.10#1 1:1 SELECT 2
2 "p"
  2#1 1:1 SELECT '${x}'
R__views "views"
  R__views#1 1:1 SELECT 3
fault V2__p.sql:1: a placeholder of Flyway (${...}) stands here; write the value, or let Flyway itself run: databases.NAME.command
`},
		"marks without a space": {map[string]string{"1_a.sql": "--+goose Up\nSELECT 1;\n  --  +goose down\nDROP TABLE t;"}, `goose in "goose_db_version"
1 "a"
  1#1 2:1 SELECT 1
`},
		"dbmate's marks without a space": {map[string]string{"1_a.sql": "--migrate:up\nSELECT 1;\n--migrate:down\nDROP TABLE t;"}, `dbmate in "schema_migrations"
1 "a"
  1#1 2:1 SELECT 1
`},
		"marks of somebody else": {map[string]string{"1_a.sql": "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nDROP TABLE t;"}, `plain in ""
1 "a"
  1#1 2:1 SELECT 1
  1#2 4:1 DROP TABLE t
fault 1_a.sql:1:1: "-- +migrate Up" looks like a mark of a migration runner; read as plain, what comes after it would be run, too; say whose folder it is (databases.NAME.format), move the way down into another file, or reword the comment
`},
		"a byte order mark": {map[string]string{"1_a.sql": "\ufeff-- +goose Up\r\nSELECT 1;\r\n", "2_b.sql": "\ufeff-- +goose Up\nSELECT 2;"}, `goose in "goose_db_version"
1 "a"
  1#1 2:1 SELECT 1
2 "b"
  2#1 2:1 SELECT 2
`},
		"tern": {map[string]string{"001_a.sql": "---- tern: disable-tx ----\nSELECT 1;\n---- create above / drop below ----\nSELECT 0;\n"}, `tern in "schema_version"
001 "a" outside of a transaction
  001#1 2:1 SELECT 1
`},
		"dbmate": {map[string]string{"20260101_a.sql": "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 0;\n"}, `dbmate in "schema_migrations"
20260101 "a" outside of a transaction
  20260101#1 2:1 SELECT 1
`},
		"faults": {map[string]string{"1_a.sql": "SELECT 'x", "01_b.sql": "BEGIN;\nSELECT 1;\nCOMMIT;", "2_c.sql": "-- segue: fase=x after=soon assume-safe\nSELECT 1;", "3_d.sql": "\xff", "4_e.go": "", "5_f.sql": "-- nothing\n"}, `plain in ""
01 "b"
  01#2 2:1 SELECT 1
1 "a"
  1#1 1:1 SELECT 'x
2 "c"
  2#1 2:1 SELECT 1 {Phase: After:0s AssumeSafe:true Reason: Keep:[]}
4 "e"
5 "f"
fault 01_b.sql:1:1: a migration may not begin or end transactions; remove it: every statement is run and recorded on its own
fault 01_b.sql:3:1: a migration may not begin or end transactions; remove it: every statement is run and recorded on its own
fault 1_a.sql:1:8: this string is not closed; 
fault 2_c.sql:1:1: "fase" is not known after segue:; there are phase=, after=, assume-safe reason="..." and keep COLUMN = EXPRESSION
fault 2_c.sql:1:1: "soon" is no time; write it like 7d, 12h or 30m
fault 2_c.sql:1:1: assume-safe without a reason; write assume-safe reason="..."
fault 3_d.sql: it is no UTF-8; save the file as UTF-8
fault 4_e.go: a migration written in a programming language cannot be read as SQL; let the team's own runner run this folder: databases.NAME.command
fault 1_a.sql: it has the same number as 01_b.sql; give one of them another number
note 5_f.sql has no statements
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := source.Read(folder(c.files), ".", source.Options{Dialect: "postgres"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(c.want, "\n"), strings.Split(outline(set), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	set, err := source.Read(folder(map[string]string{"1_a.sql": `-- segue: phase=contract after=7d

DROP TABLE a;
-- segue: assume-safe reason="the table is empty, see ticket 7"
-- segue: keep name = first || ' ' || last
UPDATE t SET first = name;
`}), ".", source.Options{Shown: "migrations"})
	if err != nil || len(set.Faults) > 0 {
		t.Fatal(err, set.Faults)
	}
	want := []migration.Hints{
		{Phase: migration.PhaseContract, After: 7 * 24 * time.Hour},
		{AssumeSafe: true, Reason: "the table is empty, see ticket 7", Keep: []migration.Assignment{{Column: "name", Expr: "first || ' ' || last"}}},
	}
	for i, s := range set.Files[0].Statements {
		if diff := cmp.Diff(want[i], s.Hints); diff != "" || s.At.Path != "migrations/1_a.sql" {
			t.Errorf("%s at %s (-want +got):\n%s", s.ID, s.At, diff)
		}
	}
}

func TestApplied(t *testing.T) {
	t.Parallel()
	files := []migration.File{{Version: "001", Path: "001.sql"}, {Version: "002"}, {Version: "003", HistorySum: "7", Path: "003.sql"}}
	for name, c := range map[string]struct {
		format string
		rows   []source.Row
		want   []string
		faults int
	}{
		"goose, one taken back":    {source.Goose, []source.Row{{Version: "1", Applied: true}, {Version: "2", Applied: true}, {Version: "2"}}, []string{"001"}, 0},
		"golang-migrate":           {source.Migrate, []source.Row{{Version: "2", Applied: true}}, []string{"001", "002"}, 0},
		"golang-migrate, dirty":    {source.Migrate, []source.Row{{Version: "2", Applied: true, Dirty: true}}, []string{"002"}, 1},
		"flyway, edited":           {source.Flyway, []source.Row{{Version: "3", Applied: true, Sum: "8"}}, []string{"003"}, 1},
		"tern, nothing":            {source.Tern, []source.Row{{Version: "0", Applied: true}}, nil, 0},
		"a version of elsewhere":   {source.Dbmate, []source.Row{{Version: "9", Applied: true}}, nil, 0},
		"flyway, failed and again": {source.Flyway, []source.Row{{Version: "1"}, {Version: "1", Applied: true}}, []string{"001"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applied, faults := source.Applied(migration.History{Format: c.format}, files, c.rows)
			var got []string
			for _, f := range files {
				if applied[f.Version] {
					got = append(got, f.Version)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(faults) != c.faults {
				t.Errorf("faults %v (-want +got):\n%s", faults, diff)
			}
		})
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	queries, err := source.Statements([]byte("SELECT 1;\nSELECT ';' FROM t;\n"), "sqlite")
	if err != nil || len(queries) != 2 || queries[1].SQL != "SELECT ';' FROM t" {
		t.Errorf("%v, %v", queries, err)
	}
	if _, err := source.Statements([]byte("SELECT '"), "sqlite"); err == nil {
		t.Error("no fault")
	}
}
