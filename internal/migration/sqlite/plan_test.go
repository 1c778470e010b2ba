package sqlite

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/migration"
)

// shop is the schema that statements are classified against.
var shop = []string{
	customers, "INSERT INTO customers (id, name) VALUES (1, 'Ann Lee')",
	"CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), state TEXT NOT NULL DEFAULT 'new', note TEXT, code TEXT UNIQUE)",
	"CREATE INDEX orders_by_customer ON orders (customer_id, state)",
	"CREATE TABLE tags (name TEXT, kind TEXT, weight INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID",
	"CREATE VIEW named AS SELECT id, name FROM customers",
	"CREATE TRIGGER stamp AFTER UPDATE OF note ON orders BEGIN UPDATE orders SET state = 'noted' WHERE id = NEW.id; END",
}

func TestPlanGivesEachStatementItsPhase(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		sql  []string
		want string
	}{
		{
			"new table",
			[]string{"CREATE TABLE carts (id INTEGER PRIMARY KEY)", "INSERT INTO carts VALUES (1)", "UPDATE carts SET id = 2", "CREATE UNIQUE INDEX u ON carts (id)", "DROP TABLE carts"},
			"#1 expand: create table carts\n#2 expand: insert into carts\n#3 expand: fill id of carts\n#4 expand: create unique index u on carts\n#5 expand: drop table carts",
		},
		{"new column", []string{"ALTER TABLE customers ADD COLUMN phone TEXT DEFAULT ''"}, "#1 expand: add column customers.phone"},
		{
			"required column",
			[]string{"ALTER TABLE customers ADD COLUMN phone TEXT NOT NULL"},
			"fault f.sql:1:1: SQLite refuses it for a table that has rows: Cannot add a NOT NULL column with default value NULL\n#1 expand: add column customers.phone",
		},
		{
			"column with a moving default",
			[]string{"ALTER TABLE customers ADD COLUMN at TEXT DEFAULT CURRENT_TIMESTAMP"},
			"fault f.sql:1:1: SQLite refuses it for a table that has rows: Cannot add a column with non-constant default\n#1 expand: add column customers.at",
		},
		{"index", []string{"CREATE INDEX i ON customers (email)"}, "#1 expand: create index i on customers"},
		{"unique index", []string{"CREATE UNIQUE INDEX i ON customers (email)"}, "#1 contract: create unique index i on customers -write customers.i"},
		{
			"unique index on a new column",
			[]string{"ALTER TABLE customers ADD COLUMN phone TEXT", "CREATE UNIQUE INDEX i ON customers (phone)"},
			"#1 expand: add column customers.phone\n#2 expand: create unique index i on customers",
		},
		{
			"view and trigger",
			[]string{"CREATE VIEW v AS SELECT 1 AS one", "CREATE TRIGGER tr AFTER INSERT ON tags BEGIN SELECT 1; END"},
			"#1 expand: create view v\n#2 expand: create trigger tr",
		},
		{
			"fill of a new column",
			[]string{"ALTER TABLE customers ADD COLUMN first TEXT", "UPDATE customers SET first = substr(name, 1, 3) WHERE first IS NULL"},
			"#1 expand: add column customers.first\n#2 backfill: fill first of customers\n" +
				"#2.unsync contract: drop the triggers that fill first of customers (carried) -trigger customers.segue_sync_f_2",
		},
		{"fill of an old column", []string{"UPDATE tags SET weight = 0 WHERE weight IS NULL"}, "#1 backfill: fill weight of tags"},
		{"delete", []string{"DELETE FROM tags WHERE weight < 0"}, "#1 backfill: delete rows of tags"},
		{"change of the key", []string{"UPDATE tags SET kind = lower(kind)"}, "#1 expand: fill kind of tags"},
		{
			"what cannot be cut",
			[]string{
				"UPDATE OR IGNORE tags SET weight = 1", "UPDATE tags SET weight = c.id FROM customers c WHERE c.name = tags.name", "UPDATE tags AS x SET weight = length(x.name)",
				"WITH c AS (SELECT 1 AS one) UPDATE tags SET weight = (SELECT one FROM c)",
			},
			"#1 expand: fill weight of tags\n#2 expand: fill weight of tags\n#3 expand: fill weight of tags\n#4 expand: fill weight of tags",
		},
		{"drop of a column", []string{"ALTER TABLE customers DROP COLUMN email"}, "#1 contract: drop column customers.email -column customers.email"},
		{
			"drop of a required column",
			[]string{"DROP VIEW named", "ALTER TABLE customers DROP COLUMN name"},
			"#2.loosen expand: allow NULL in customers.name\n#1 contract: drop view named -view named\n#2 contract: drop column customers.name -column customers.name",
		},
		{
			"drop of a viewed column",
			[]string{"ALTER TABLE customers DROP COLUMN name"},
			"fault f.sql:1:1: SQLite refuses it: error in view named after drop column: no such column: name",
		},
		{
			"drop of an indexed column",
			[]string{"ALTER TABLE orders DROP COLUMN customer_id"},
			"fault f.sql:1:1: SQLite refuses it: error in index orders_by_customer after drop column: no such column: customer_id",
		},
		{"drop of a unique column", []string{"ALTER TABLE orders DROP COLUMN code"}, `fault f.sql:1:1: SQLite refuses it: cannot drop UNIQUE column: "code"`},
		{
			"drops",
			[]string{"DROP INDEX orders_by_customer", "DROP TRIGGER stamp", "DROP TABLE tags"},
			"#1 contract: drop index orders_by_customer -index orders.orders_by_customer\n#2 contract: drop trigger stamp -trigger orders.stamp\n#3 contract: drop table tags -table tags",
		},
		{"mixed", []string{"ALTER TABLE customers ADD COLUMN phone TEXT", "DROP TABLE tags"}, "#1 expand: add column customers.phone\n#2 contract: drop table tags (carried) -table tags"},
		{
			"rename of a column",
			[]string{"ALTER TABLE orders RENAME COLUMN note TO remark"},
			"#1.add expand: add column orders.remark beside note\n#1.fill backfill: fill orders.remark from note\n" +
				"#1.swap contract: rename column orders.note to remark (carried) -column orders.note",
		},
		{"rename of a key", []string{"ALTER TABLE orders RENAME COLUMN id TO number"}, "#1 breaking: rename column orders.id to number"},
		{"rename of a table", []string{"ALTER TABLE orders RENAME TO sales"}, "#1 breaking: rename table orders to sales"},
		{"looser column", []string{"ALTER TABLE customers ALTER COLUMN name DROP NOT NULL"}, "#1 expand: allow NULL in customers.name"},
		{"stricter column", []string{"ALTER TABLE customers ALTER COLUMN email SET NOT NULL"}, "#1 contract: forbid NULL in customers.email -write customers.email"},
		{"new rule", []string{"ALTER TABLE customers ADD CONSTRAINT named CHECK (name <> '')"}, "#1 contract: add constraint named to customers -write customers.named"},
		{"view replaced by a wider one", []string{"DROP VIEW named", "CREATE VIEW named AS SELECT id, name, email FROM customers"}, "#1 expand: replace view named"},
		{"view replaced by a narrower one", []string{"DROP VIEW named", "CREATE VIEW named AS SELECT id FROM customers"}, "#1 contract: replace view named -column named.name"},
		{"table made anew, looser", []string{
			"PRAGMA foreign_keys = OFF", "BEGIN", "CREATE TABLE new (name TEXT, kind TEXT, weight REAL, PRIMARY KEY (kind, name)) WITHOUT ROWID",
			"INSERT INTO new SELECT * FROM tags", "DROP TABLE tags", "ALTER TABLE new RENAME TO tags", "COMMIT",
		}, "#1 breaking: make table tags anew"},
		{"table made anew, wider", []string{
			"CREATE TABLE new (name TEXT, kind TEXT, weight INTEGER, color TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID",
			"INSERT INTO new SELECT *, NULL FROM tags", "DROP TABLE tags", "ALTER TABLE new RENAME TO tags", "CREATE INDEX colors ON tags (color)",
		}, "#1 expand: make table tags anew"},
		{"table made anew, narrower", []string{
			"CREATE TABLE new (name TEXT, kind TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID",
			"INSERT INTO new SELECT name, kind FROM tags", "DROP TABLE tags", "ALTER TABLE new RENAME TO tags",
		}, "#1 contract: make table tags anew -column tags.weight"},
		{
			"name taken again",
			[]string{"DROP TABLE tags", "CREATE TABLE tags (id INTEGER PRIMARY KEY)"},
			"#2 breaking: create table tags\n#1 contract: drop table tags (carried) -table tags",
		},
		{"nothing to do", []string{"BEGIN", "SELECT 1", "COMMIT"}, "#1 expand: leave out: BEGIN\n#2 expand: leave out: SELECT 1\n#3 expand: leave out: COMMIT"},
		{"nonsense", []string{"ALTER TABEL customers"}, `fault f.sql:1:1: SQLite refuses it: near "TABEL": syntax error`},
		{"unknown column", []string{"UPDATE customers SET nmae = 'x'"}, "fault f.sql:1:1: SQLite refuses it: no such column: nmae"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop...)
			got := strings.ReplaceAll(listing(w.plan(file("f", test.sql...))), "f#", "#")
			if i := strings.Index(test.want, "fault"); i >= 0 && strings.Count(test.want, "\n") == 0 {
				got, _, _ = strings.Cut(got, "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPlanHeedsHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	f := file("f", "CREATE UNIQUE INDEX i ON customers (email)", "DROP TABLE tags", "ALTER TABLE customers ADD COLUMN phone TEXT", "CREATE INDEX j ON customers (name)")
	f.Statements[0].Hints = migration.Hints{AssumeSafe: true, Reason: "addresses are unique since 2019"}
	f.Statements[1].Hints = migration.Hints{After: 72 * time.Hour, AssumeSafe: true, Reason: "nobody reads it"}
	f.Statements[2].Hints = migration.Hints{Phase: migration.PhaseContract, After: time.Hour}
	f.Statements[3].Hints = migration.Hints{AssumeSafe: true}
	plan := w.plan(f)
	var got []string
	for _, c := range plan.Changes {
		got = append(got, fmt.Sprintf("%s %s wait %s assumed %q removes %v", c.ID, c.Phase, c.Wait, c.Assumed, c.Removes))
	}
	want := []string{
		`f#1 expand wait 0s assumed "addresses are unique since 2019" removes []`,
		`f#4 expand wait 0s assumed "" removes []`,
		`f#2 contract wait 72h0m0s assumed "nobody reads it" removes [table tags]`,
		`f#3 contract wait 1h0m0s assumed "" removes [other customers.add column customers.phone]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(plan.Faults) != 1 || !strings.Contains(plan.Faults[0].Message, "without a reason") {
		t.Errorf("faults: %v", plan.Faults)
	}
}

// Every change of a plan, run in its order, leaves the schema that the files leave when they are run as written.
func TestChangesLeaveWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"rename, unique and required": {
			"ALTER TABLE customers RENAME COLUMN name TO full_name", "CREATE INDEX by_full ON customers (full_name, email)",
			"CREATE VIEW full AS SELECT full_name FROM customers",
		},
		"rename of an indexed column": {"ALTER TABLE orders RENAME COLUMN state TO status", "ALTER TABLE orders RENAME COLUMN code TO number"},
		"twice":                       {"ALTER TABLE orders RENAME COLUMN note TO remark", "ALTER TABLE orders RENAME COLUMN remark TO theWords"},
		"move":                        {"ALTER TABLE customers ADD COLUMN mail TEXT", "UPDATE customers SET mail = lower(email)", "ALTER TABLE customers DROP COLUMN email"},
		"rebuild": {
			"CREATE TABLE new (name TEXT, kind TEXT, weight INTEGER CHECK (weight >= 0), PRIMARY KEY (kind, name)) WITHOUT ROWID",
			"INSERT INTO new SELECT * FROM tags", "DROP TABLE tags", "ALTER TABLE new RENAME TO tags",
		},
		"drop required": {"DROP VIEW named", "ALTER TABLE customers DROP COLUMN name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plainly, segued := newWorld(t, shop...), newWorld(t, shop...)
			plainly.exec(statements...)
			l := segued.lease()
			segued.run(l, segued.plan(file("f", statements...)))
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			const objects = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'segue%' AND tbl_name NOT LIKE 'segue%' ORDER BY 1, 2"
			const columns = `SELECT l.name, x.name, x.type, x."notnull", x.dflt_value, x.pk FROM pragma_table_list l, pragma_table_xinfo(l.name) x WHERE l.name NOT LIKE 'segue%' AND l.name NOT LIKE 'sqlite%' ORDER BY 1, x.cid`
			const indexes = `SELECT l.name, i.name, i."unique", x.name, i.partial FROM pragma_table_list l, pragma_index_list(l.name) i, pragma_index_info(i.name) x WHERE l.name NOT LIKE 'segue%' ORDER BY 1, 2, x.seqno`
			for _, query := range []string{objects, columns, indexes, "SELECT * FROM customers", "SELECT * FROM orders", "SELECT * FROM tags"} {
				if diff := cmp.Diff(plainly.get(query), segued.get(query)); diff != "" {
					t.Errorf("-as written +as changes:\n%s", diff)
				}
			}
		})
	}
}

func TestSwapMakesAgainWhatIsOnTheTwin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shop...)
	plan := w.plan(file("f", "ALTER TABLE customers RENAME COLUMN name TO full_name", "CREATE INDEX by_full ON customers (full_name)",
		"CREATE TRIGGER tr AFTER UPDATE OF full_name ON customers BEGIN SELECT NEW.full_name; END"))
	if len(plan.Notes) > 0 || len(plan.Faults) > 0 {
		t.Errorf("notes %v, faults %v", plan.Notes, plan.Faults)
	}
	contracts := plan.Of(migration.PhaseContract)
	var sql []string
	for _, a := range contracts[0].Actions {
		sql = append(sql, a.SQL)
	}
	if !slices.Contains(sql, `DROP INDEX "by_full"`) || !slices.Contains(sql, "CREATE INDEX by_full ON customers (full_name)") {
		t.Errorf("the swap: %s", strings.Join(sql, "\n"))
	}
}
