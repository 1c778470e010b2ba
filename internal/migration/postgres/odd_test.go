package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/migration/postgres"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
)

// odd is a migration on something that is no plain table.
type odd struct {
	name, schema string
	migration    []string
	// want are the phases and titles of the changes; says is in what is told of them, or in a fault.
	want, says []string
	// refused is true where a contract cannot run before the team has done its part.
	refused bool
}

const (
	people = `CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2);`
	viewed = people + `CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT a FROM v;`
)

// long is a name of as many bytes as a name can have, which ends in something of its own.
func long(end string) string { return strings.Repeat("x", 63-len(end)) + end }

func oddTables() []odd {
	drops := `ALTER TABLE t DROP COLUMN a`
	return []odd{
		{
			name: "column that another one is computed from", schema: `CREATE TABLE t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)`,
			migration: []string{`ALTER TABLE t RENAME COLUMN a TO c`}, want: []string{"breaking rename column t.a to c"}, says: []string{"it computes b"},
		},
		{
			name: "dropping what another one is computed from", schema: `CREATE TABLE t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)`,
			migration: []string{drops}, says: []string{"(column b of table t depends on column a of table t)"},
		},
		{
			name: "column of a policy", schema: people + `ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (a > 0)`, refused: true,
			migration: []string{`ALTER TABLE t RENAME COLUMN a TO c`}, says: []string{"policy own on table public.t stands on the old column: replace it first"},
			want: []string{"expand rename column t.a to c: a twin", "backfill fill t.c", "contract drop column t.a, now c"},
		},
		{
			name: "column of a trigger", refused: true, migration: []string{`ALTER TABLE t RENAME COLUMN a TO c`}, says: []string{"trigger tr on table public.t stands on the old column"},
			schema: people + `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()`,
			want:   []string{"expand rename column t.a to c: a twin", "backfill fill t.c", "contract drop column t.a, now c"},
		},
		{
			name: "key that the table itself points at", schema: `CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, up int REFERENCES t (a))`,
			migration: []string{`ALTER TABLE t RENAME COLUMN a TO c`}, want: []string{"breaking rename column t.a to c"}, says: []string{"foreign keys point at it"},
		},
		{
			name: "table that others inherit from", schema: people + `CREATE TABLE child (c int) INHERITS (t); INSERT INTO child VALUES (3, 3, 3, 3)`,
			migration: []string{`ALTER TABLE t RENAME COLUMN a TO d`, `ALTER TABLE t ADD COLUMN e int`, `UPDATE t SET e = b * 2`},
			want:      []string{"breaking rename column t.a to d", "expand add column t.e", "backfill fill t.e"}, says: []string{"other tables inherit from it", "rows that older releases (v1) write meanwhile"},
		},
		{
			name: "new key for old rows", schema: `CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t SELECT i, i FROM generate_series(1, 700000) i; ANALYZE t`,
			migration: []string{`UPDATE t SET id = id + 1000000`}, says: []string{"it sets id, along which the rows of t are walked"},
		},
		{
			name: "names that the server cuts", schema: fmt.Sprintf(`CREATE TABLE %[1]s (id int PRIMARY KEY, %[2]s int, %[3]s int)`, long(""), long("1"), long("2")),
			migration: []string{
				fmt.Sprintf(`ALTER TABLE %[1]sxx ALTER COLUMN %[2]s SET NOT NULL`, long(""), long("1")), fmt.Sprintf(`ALTER TABLE %[1]sxx ALTER COLUMN %[2]s SET NOT NULL`, long(""), long("2")),
				fmt.Sprintf(`CREATE INDEX ON %[1]sxx (%[2]s)`, long(""), long("1")), fmt.Sprintf(`CREATE INDEX ON %[1]sxx (%[2]s)`, long(""), long("2")),
			},
			want: []string{
				"expand create index " + strings.Repeat("x", 59) + "_idx on " + long(""), "expand create index " + strings.Repeat("x", 58) + "_idx1 on " + long(""),
				"contract set not null on " + long("") + "." + long("1"), "contract check rows of " + long("") + " for a value in " + long("1"),
				"contract set not null on " + long("") + "." + long("2"), "contract check rows of " + long("") + " for a value in " + long("2"),
			},
		},
		{
			name: "names of other letters", schema: `CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Ötzi ""x""" ("Id" int PRIMARY KEY, "select" text, "Qty" int); INSERT INTO "My Shop"."Ötzi ""x""" VALUES (1, 'x', 1)`,
			migration: []string{`ALTER TABLE "My Shop".U&"\00d6tzi ""x""" RENAME COLUMN "select" TO "From"`, `ALTER TABLE "My Shop"."Ötzi ""x""" ALTER COLUMN "Qty" SET NOT NULL`},
			want: []string{
				`expand rename column My Shop.Ötzi "x".select to From: a twin`, `backfill fill My Shop.Ötzi "x".From`, `contract drop column My Shop.Ötzi "x".select, now From`,
				`contract set not null on My Shop.Ötzi "x".Qty`, `contract check rows of My Shop.Ötzi "x" for a value in Qty`,
			},
		},
	}
}

func oddViews() []odd {
	return []odd{
		{
			name: "view that others stand on", schema: viewed, migration: []string{`DROP VIEW v CASCADE`, `CREATE VIEW v AS SELECT id, a FROM t`},
			want: []string{"breaking replace view v"}, says: []string{"it takes away view public.w"},
		},
		{
			name: "view that comes with more", schema: people + `CREATE VIEW v AS SELECT id, a FROM t`, migration: []string{`DROP VIEW v CASCADE`, `CREATE VIEW v AS SELECT b, a, id FROM t`},
			want: []string{"expand replace view v"},
		},
		{
			name: "view that comes with less", schema: people + `CREATE VIEW v AS SELECT id, a FROM t`, migration: []string{`DROP VIEW v`, `CREATE VIEW v AS SELECT id FROM t`},
			want: []string{"breaking replace view v"}, says: []string{"it takes away column public.v.a"},
		},
		{
			name: "view of the same name elsewhere", schema: `CREATE SCHEMA s; CREATE VIEW s.v AS SELECT 1 AS a; CREATE VIEW v AS SELECT 1 AS a`,
			migration: []string{`DROP VIEW s.v`, `DROP VIEW v`, `CREATE VIEW v AS SELECT 2 AS a`},
			want:      []string{"expand replace view v", "contract drop view s.v"},
		},
		{
			name: "function of other arguments", schema: `CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
			migration: []string{`DROP FUNCTION f(int)`, `CREATE FUNCTION f(a text) RETURNS int LANGUAGE sql AS 'SELECT 2'`}, want: []string{"expand create function f", "contract drop function f"},
		},
		{
			name: "function of the same arguments", schema: `CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
			migration: []string{`DROP FUNCTION f(int)`, `CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 2'`}, want: []string{"expand replace function f"},
		},
	}
}

func oddCode() []odd {
	return []odd{
		{
			name: "code that drops", schema: people, migration: []string{`DO $$ BEGIN IF true THEN ALTER TABLE t DROP COLUMN a; END IF; END $$`},
			want: []string{"contract do $$ BEGIN IF true THEN ALTER TABLE t DROP COLUMN a; END..."}, says: []string{"it takes away column public.t.a"},
		},
		{
			name: "function that drops", schema: people + `CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE t; END'`, migration: []string{`SELECT f()`},
			want: []string{"contract select f()"}, says: []string{"it takes away table public.t"},
		},
		{
			name: "code that tightens", schema: people, migration: []string{`DO $$ BEGIN ALTER TABLE t ALTER COLUMN a SET NOT NULL; END $$`},
			want: []string{"contract do $$ BEGIN ALTER TABLE t ALTER COLUMN a SET NOT NULL; EN..."}, says: []string{"NULL in public.t.a"},
		},
		{
			name: "code that adds", schema: people, migration: []string{`DO $$ BEGIN ALTER TABLE t ADD COLUMN c int; END $$`, `DO $$ BEGIN ALTER TABLE t DROP COLUMN IF EXISTS d; END $$`},
			want: []string{"expand do $$ BEGIN ALTER TABLE t ADD COLUMN c int; END $$", "expand do $$ BEGIN ALTER TABLE t DROP COLUMN IF EXISTS d; END $$"},
		},
		{
			name: "code that renames", schema: people, migration: []string{`DO $$ BEGIN ALTER TABLE t RENAME COLUMN a TO c; END $$`},
			want: []string{"breaking do $$ BEGIN ALTER TABLE t RENAME COLUMN a TO c; END $$"}, says: []string{"it takes away column public.t.a, and makes what is new"},
		},
		{
			name: "names of schemas and sequences", schema: `CREATE SCHEMA s; CREATE TABLE s.t (id int); CREATE SEQUENCE q`,
			migration: []string{`ALTER SCHEMA s RENAME TO s2`, `ALTER SEQUENCE q RENAME TO q2`}, want: []string{"breaking alter schema s RENAME TO s2", "breaking alter sequence q"},
		},
		{
			name: "code on what is new", schema: people, migration: []string{`CREATE TABLE n (a int)`, `DO $$ BEGIN ALTER TABLE n DROP COLUMN a; END $$`},
			want: []string{"expand create table n", "expand do $$ BEGIN ALTER TABLE n DROP COLUMN a; END $$"},
		},
		{
			name: "name that is still in use", schema: people, migration: []string{`ALTER TABLE t ADD COLUMN c int`, `ALTER TABLE t RENAME COLUMN a TO d`, `ALTER TABLE t RENAME COLUMN c TO a`},
			want: []string{"expand add column t.c", "expand rename column t.a to d: a twin", "backfill fill t.d", "contract drop column t.a, now d", "breaking rename column t.c to a"},
		},
		{
			name: "collation of capital letters", schema: people, migration: []string{`ALTER TABLE t ADD COLUMN c text COLLATE "C" DEFAULT 'x' NOT NULL CHECK (c <> ''), DROP COLUMN a`},
			want: []string{"expand add column t.c", "expand add check t_c_check on t", "expand check rows of t against t_c_check", "contract drop column t.a"},
		},
	}
}

// TestOddMigrations plans what works on more than plain tables, and carries out what can be.
func TestOddMigrations(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	for _, test := range slices.Concat(oddTables(), oddViews(), oddCode()) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, c)
			w.exec(test.schema)
			plan, run := w.plans(migrationtest.File("1", test.migration...))
			told := faultsOf(plan.Faults)
			var got []string
			for _, change := range plan.Changes {
				got = append(got, string(change.Phase)+" "+change.Title)
				told += change.Why + "\n" + strings.Join(change.Caveats, "\n") + "\n"
			}
			if diff := cmp.Diff(test.want, got); diff != "" && len(plan.Faults) == 0 {
				t.Errorf("-want +got\n%s", diff)
			}
			if (len(plan.Faults) > 0) != (test.want == nil) {
				t.Errorf("faults: %s", faultsOf(plan.Faults))
			}
			for _, text := range test.says {
				if !strings.Contains(told, text) {
					t.Errorf("nothing says %q:\n%s", text, told)
				}
			}
			for _, change := range plan.Changes {
				if len(plan.Faults) > 0 {
					break
				}
				if err := run(change); (err != nil) != (test.refused && change.Phase == migration.PhaseContract) {
					t.Errorf("%s: %v", change.Title, err)
				}
			}
		})
	}
}

// plans plans and records files, and gives what runs a change of them.
func (w *world) plans(files ...migration.File) (migration.Plan, func(migration.Change) error) {
	w.Helper()
	driver := w.open(postgres.Config{})
	plan, err := driver.Plan(w.Context(), migration.PlanRequest{Files: files, Release: "v2", Running: []segue.ReleaseName{"v1"}})
	if err != nil {
		w.Fatal(err)
	}
	if len(plan.Faults) > 0 {
		return plan, nil
	}
	lease, err := driver.Lease(w.Context(), "test")
	if err == nil {
		err = lease.Record(w.Context(), "v2", plan)
	}
	if err != nil {
		w.Fatal(err)
	}
	return plan, func(change migration.Change) error {
		_, err := lease.Run(w.Context(), change.ID, migration.RunOptions{}, func(migration.Progress) {})
		return err
	}
}

// TestSyncsOfReleasesApart renames columns of tables that have the same name, one with each of two releases, while the first rename is owed.
func TestSyncsOfReleasesApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY, x text); CREATE SCHEMA b; CREATE TABLE b.t (id int PRIMARY KEY, y2 text)`)
	files := []migration.File{migrationtest.File("1", `ALTER TABLE a.t RENAME COLUMN x TO y`), migrationtest.File("2", `ALTER TABLE b.t RENAME COLUMN y2 TO y`)}
	for n := range files {
		plan, run := w.plans(files[:n+1]...)
		for _, change := range plan.Changes {
			if change.Phase == migration.PhaseContract {
				continue
			}
			if err := run(change); err != nil {
				t.Fatalf("%s: %v", change.Title, err)
			}
		}
		w.exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	}
	w.exec(`INSERT INTO a.t (id, x) VALUES (1, 'old')`, `INSERT INTO a.t (id, y) VALUES (2, 'new')`, `INSERT INTO b.t (id, y2) VALUES (1, 'old')`, `INSERT INTO b.t (id, y) VALUES (2, 'new')`)
	for table, old := range map[string]string{"a.t": "x", "b.t": "y2"} {
		if got := w.get(`SELECT string_agg(` + old + ` || '=' || y, ' ' ORDER BY id) FROM ` + table); got != "old=old new=new" {
			t.Errorf("%s has %s", table, got)
		}
	}
}
