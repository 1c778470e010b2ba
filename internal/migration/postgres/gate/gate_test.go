package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// dropping is a change that takes objects away.
func dropping(sql string, removes ...migration.Object) migration.Change {
	change := migration.Change{ID: "0003#2", Phase: migration.PhaseContract, Removes: removes}
	for one := range strings.SplitSeq(sql, "; ") {
		change.Actions = append(change.Actions, migration.Action{SQL: one})
	}
	return change
}

func dropPhone() migration.Change {
	return dropping("ALTER TABLE customers DROP COLUMN phone CASCADE",
		migration.Object{Kind: migration.ObjectColumn, Table: "public.customers", Name: "phone"}, migration.Object{Kind: migration.ObjectView, Name: "public.customer_list"})
}

func recorded(release string, statements ...string) []migration.Query {
	var queries []migration.Query
	for _, s := range statements {
		queries = append(queries, migration.Query{Release: segue.ReleaseName(release), SQL: s, Source: "recorded"})
	}
	return queries
}

// counting makes the server count from now on, a statement of whomever among others.
func (w *world) counting() {
	w.exec("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", "SELECT pg_stat_statements_reset()", "SELECT count(*) FROM plain")
}

func (w *world) asks(k *Gatekeeper, request migration.GateRequest) migration.Gate {
	w.Helper()
	if request.Now.IsZero() {
		request.Now = time.Now()
	}
	gate, err := k.Ask(w.Context(), request)
	if err != nil {
		w.Fatal(err)
	}
	return gate
}

// says fails unless one of the grounds of a check has an answer and a text.
func (w *world) says(gate migration.Gate, check string, answer migration.Answer, text string) migration.Ground {
	w.Helper()
	at := slices.IndexFunc(gate.Grounds, func(g migration.Ground) bool {
		return g.Check == check && g.Answer == answer && strings.Contains(g.Text, text)
	})
	if at < 0 {
		w.Errorf("no ground %s: %s: %q in%s", check, answer, text, listed(gate))
		return migration.Ground{}
	}
	return gate.Grounds[at]
}

func listed(gate migration.Gate) string {
	var out strings.Builder
	for _, g := range gate.Grounds {
		fmt.Fprintf(&out, "\n%s: %s: %s (%s %s)", g.Check, g.Answer, g.Text, g.Release, g.Statement)
	}
	return out.String()
}

var webs = []segue.ServerName{"web-1"}

func TestGateByReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.counting()
	now := time.Now()
	v1, v2 := migration.Presence{Release: "v1", Order: 1, Running: webs}, migration.Presence{Release: "v2", Order: 2, Running: webs}
	gone := migration.Presence{Release: "v1", Order: 1, Ended: now.Add(-time.Hour)}
	returns := migration.Presence{Release: "v1", Order: 1, Ended: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	named := migration.Presence{Release: "v1", Order: 1, Running: webs, Role: "shop_v1"}
	fine := recorded("v2", "SELECT id, name FROM customers")
	with := func(queries ...migration.Query) []migration.Query { return slices.Concat(queries, fine) }
	stop := dropping("DROP TRIGGER IF EXISTS segue_sync ON customers", migration.Object{Kind: migration.ObjectTrigger, Table: "public.customers", Name: "segue_sync"})
	rows := dropping("DELETE FROM plain", migration.Object{Kind: migration.ObjectOther, Table: "public.plain", Name: "rows"})
	waiting := dropPhone()
	waiting.Wait = 2 * time.Hour
	for _, test := range []struct {
		name     string
		change   migration.Change
		releases []migration.Presence
		recorded []migration.Query
		answer   migration.Answer
		text     string
	}{
		{"nobody is known", dropPhone(), nil, fine, migration.AnswerUnknown, "no release is known"},
		{"only the new one", dropPhone(), []migration.Presence{gone, v2}, fine, migration.AnswerSafe, "v2 runs on 1 servers, and its 1 statements work"},
		{"the old one does not need it", dropPhone(), []migration.Presence{v1, v2}, with(recorded("v1", "SELECT name FROM customers")...), migration.AnswerSafe, "v1 runs on 1 servers, and its 1 statements work"},
		{"the old one may return and does not need it", dropPhone(), []migration.Presence{returns, v2}, with(recorded("v1", "SELECT name FROM customers")...), migration.AnswerSafe, "v1 can be rolled back to, and its 1 statements work"},
		{"the old one reads it", dropPhone(), []migration.Presence{v1, v2}, with(recorded("v1", "SELECT phone FROM customers")...), migration.AnswerUnsafe, `column "phone" does not exist`},
		{"the old one may return and reads it", dropPhone(), []migration.Presence{returns, v2}, with(recorded("v1", "SELECT phone FROM customers")...), migration.AnswerUnsafe, `column "phone" does not exist`},
		{"the old one read it and is gone", dropPhone(), []migration.Presence{gone, v2}, with(recorded("v1", "SELECT phone FROM customers")...), migration.AnswerSafe, "1 statements that need it were not sent since"},
		{"nothing is known of the old one, which has a role", dropPhone(), []migration.Presence{named, v2}, fine, migration.AnswerUnknown, "v1 runs on 1 servers, and no statement of it is known"},
		{"nothing is known of the old one, which may return", dropPhone(), []migration.Presence{returns, v2}, fine, migration.AnswerUnknown, "not counted for long enough while it ran"},
		{"the old one shares a role, and all was counted", dropPhone(), []migration.Presence{v1, v2}, fine, migration.AnswerSafe, "v1 runs on 1 servers, and is among those"},
		{"only what touches no table", dropPhone(), []migration.Presence{named, v2}, with(recorded("v1", "SELECT 1")...), migration.AnswerUnknown, "no statement of it is known"},
		{"the new one reads it", dropPhone(), []migration.Presence{gone, v2}, recorded("v2", "SELECT phone FROM customers"), migration.AnswerUnsafe, `column "phone" does not exist`},
		{"the new one reads all", dropPhone(), []migration.Presence{gone, v2}, recorded("v2", "SELECT * FROM customers"), migration.AnswerUnknown, "sessions that have it prepared fail once"},
		{"nobody knows whose", dropPhone(), []migration.Presence{gone, v2}, with(recorded("", "SELECT phone FROM customers")...), migration.AnswerUnsafe, `column "phone" does not exist`},
		{"it cannot be tried", dropPhone(), []migration.Presence{gone, v2}, with(recorded("v2", "SELECT missing(phone) FROM customers")...), migration.AnswerUnknown, "SELECT missing(phone) FROM customers cannot be tried as it is: "},
		{"it cannot be tried, and is about something else", dropPhone(), []migration.Presence{gone, v2}, with(recorded("v2", "SELECT missing(id) FROM plain")...), migration.AnswerSafe, "v2"},
		{"a function of many forms is called", dropPhone(), []migration.Presence{gone, v2}, with(recorded("v2", "SELECT $1 || g || name FROM customers, generate_series($2, $3) AS g")...), migration.AnswerSafe, "and its 2 statements work"},
		{"a function of many forms is called beside it", dropPhone(), []migration.Presence{gone, v2}, with(recorded("v2", "SELECT $1 || g || phone FROM customers, generate_series($2, $3) AS g")...), migration.AnswerUnsafe, `column "phone" does not exist`},
		{"the wait is not over", waiting, []migration.Presence{gone, v2}, fine, migration.AnswerUnsafe, "v1 ended 1h0m0s ago, and 2h0m0s are to pass"},
		{"the old one needs Segue's trigger", stop, []migration.Presence{v1, v2}, with(recorded("v1", "SELECT name FROM customers")...), migration.AnswerUnsafe, "may count on trigger public.customers.segue_sync"},
		{"only the old one needs Segue's trigger", stop, []migration.Presence{gone, {Release: "v2", Order: 2, Running: webs, Role: "shop_v2"}}, nil, migration.AnswerSafe, "v2 does without"},
		{"rows go", rows, []migration.Presence{v1, v2}, with(recorded("v1", "SELECT name FROM customers")...), migration.AnswerUnknown, "may count on other public.plain.rows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &world{T: t}
			gate := v.asks(w.gate, migration.GateRequest{Change: test.change, Releases: test.releases, Recorded: test.recorded, Brought: "v2", Window: time.Nanosecond, Now: now})
			if gate.Answer != test.answer || !strings.Contains(listed(gate), test.text) {
				t.Errorf("%s, want %s with %q:%s", gate.Answer, test.answer, test.text, listed(gate))
			}
		})
	}
}

func TestGateNamesWhoNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	query := migration.Query{Release: "v1", SQL: "SELECT phone FROM customers", Source: "recorded", Seen: seen}
	request := migration.GateRequest{Change: dropPhone(), Brought: "v2", Releases: []migration.Presence{{Release: "v1", Order: 1, Running: webs}}, Recorded: []migration.Query{query}}
	for i := range 7 {
		request.Recorded = append(request.Recorded, recorded("v1", fmt.Sprintf("SELECT phone, %d FROM customers", i))...)
	}
	gate := w.asks(w.gate, request)
	got := w.says(gate, checkStatements, migration.AnswerUnsafe, "does not exist")
	got.Text = ""
	if diff := cmp.Diff(migration.Ground{Check: checkStatements, Answer: migration.AnswerUnsafe, Release: "v1", Statement: query.SQL, Seen: seen}, got); diff != "" {
		t.Error(diff)
	}
	if rest := w.says(gate, checkStatements, migration.AnswerUnsafe, "3 more statements"); rest.Release != "v1" {
		t.Errorf("%+v", rest)
	}
	if gate.Change != "0003#2" || gate.Statements != 8 || gate.Took <= 0 || gate.At.IsZero() {
		t.Errorf("%+v", gate)
	}
}

// TestGateByDependencies tries what keeps the server from a change, what goes along, and what bodies of text hold.
func TestGateByDependencies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`CREATE TABLE ledger (id int PRIMARY KEY, a int, b int, c int GENERATED ALWAYS AS (a + 1) STORED, d int, e int, f int, g int, h int)`,
		`CREATE INDEX ledger_d ON ledger (d)`, `CREATE POLICY few ON ledger USING (e > 0)`,
		`CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.f := 1; RETURN NEW; END $$`, `CREATE TRIGGER stamp BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION stamp()`,
		`CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.g := 1; RETURN NEW; END $$`,
		`CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT max(b) FROM ledger; END`,
		`CREATE FUNCTION upsert() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO orders (ref) VALUES ('x') ON CONFLICT (ref) DO NOTHING; END $$`,
		`CREATE FUNCTION bare() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO customers (name) VALUES ('x'); END $$`)
	column := func(name string) migration.Object {
		return migration.Object{Kind: migration.ObjectColumn, Table: "public.ledger", Name: name}
	}
	for _, test := range []struct {
		name, sql string
		removes   migration.Object
		check     string
		answer    migration.Answer
		text      string
	}{
		{"a view", "ALTER TABLE customers DROP COLUMN phone", migration.Object{Kind: migration.ObjectColumn, Table: "public.customers", Name: "phone"}, checkDependencies, migration.AnswerUnsafe, "view customer_list needs it"},
		{"a view that nobody spoke of", "ALTER TABLE customers DROP COLUMN phone CASCADE", migration.Object{Kind: migration.ObjectColumn, Table: "public.customers", Name: "phone"}, checkDependencies, migration.AnswerUnsafe, "view customer_list needs it, and CASCADE would take it along"},
		{"a generated column", "ALTER TABLE ledger DROP COLUMN a", column("a"), checkDependencies, migration.AnswerUnsafe, "needs it"},
		{"a parsed body", "ALTER TABLE ledger DROP COLUMN b", column("b"), checkDependencies, migration.AnswerUnsafe, "function atomic() needs it"},
		{"an index goes along", "ALTER TABLE ledger DROP COLUMN d", column("d"), checkDependencies, migration.AnswerSafe, "index ledger_d goes with it"},
		{"a policy", "ALTER TABLE ledger DROP COLUMN e", column("e"), checkDependencies, migration.AnswerUnsafe, "policy few on table ledger needs it"},
		{"a foreign key", "DROP TABLE orders", migration.Object{Kind: migration.ObjectTable, Name: "public.orders"}, checkDependencies, migration.AnswerUnsafe, "constraint items_order on table items needs it"},
		{"a trigger's body", "ALTER TABLE ledger DROP COLUMN f", column("f"), checkFunctions, migration.AnswerUnsafe, "function public.stamp uses ledger.f"},
		{"a trigger's body of no table", "ALTER TABLE ledger DROP COLUMN g", column("g"), checkFunctions, migration.AnswerSafe, "functions with a body of text needs it"},
		{"a body in SQL", "ALTER TABLE suppliers DROP COLUMN city", migration.Object{Kind: migration.ObjectColumn, Table: "public.suppliers", Name: "city"}, checkFunctions, migration.AnswerUnsafe, "function public.city_of would fail"},
		{"a statement made of text", "ALTER TABLE suppliers DROP COLUMN city", migration.Object{Kind: migration.ObjectColumn, Table: "public.suppliers", Name: "city"}, checkFunctions, migration.AnswerUnknown, "function public.city_by_text makes statements"},
		{"an ON CONFLICT in a body", "DROP INDEX orders_ref", migration.Object{Kind: migration.ObjectIndex, Table: "public.orders", Name: "orders_ref"}, checkFunctions, migration.AnswerUnknown, "function public.upsert has an ON CONFLICT"},
		{"a default in a body", "ALTER TABLE customers ALTER note DROP DEFAULT", migration.Object{Kind: migration.ObjectDefault, Table: "public.customers", Name: "note"}, checkFunctions, migration.AnswerUnknown, "function public.bare may leave customers.note"},
		{"a write in a body", "ALTER TABLE customers ALTER phone SET NOT NULL", migration.Object{Kind: migration.ObjectWrite, Table: "public.customers", Name: "phone"}, checkFunctions, migration.AnswerUnknown, "function public.bare writes to public.customers"},
		{"nothing", "ALTER TABLE ledger DROP COLUMN h", column("h"), checkDependencies, migration.AnswerSafe, "keeps the server from it"},
		{"what is not there", "ALTER TABLE ledger DROP COLUMN nothing", column("nothing"), checkDependencies, migration.AnswerUnknown, "could not be tried on a copy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &world{T: t}
			v.says(v.asks(w.gate, migration.GateRequest{Change: dropping(test.sql, test.removes)}), test.check, test.answer, test.text)
		})
	}
}

func TestCheckFindsWhatDoesNotWorkWhen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL, email text)")
	before := []migration.Change{dropping("ALTER TABLE people ADD COLUMN mail text"), {ID: "0003#3", Phase: migration.PhaseBackfill, Backfill: &migration.Backfill{}}}
	before[0].ID = "0003#1"
	after := dropping("ALTER TABLE people DROP COLUMN email")
	got, err := w.gate.Check(w.Context(), migration.CheckRequest{
		Before: before, After: []migration.Change{after},
		Queries: append(recorded("v1", "SELECT * FROM people", "SELECT email FROM people", "INSERT INTO people (id, email) VALUES (1, '')", "INSERT INTO people VALUES (1, 'a', 'b')", "COMMIT"),
			recorded("v2", "SELECT mail FROM people", "UPDATE people SET mail = $1 WHERE id = $2")...),
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got.Cells {
		lines = append(lines, fmt.Sprintf("%s %s: %d", c.Release, c.Stage, c.Tried))
		for _, m := range c.Misfits {
			lines = append(lines, fmt.Sprintf("  %s: %s %s (%s, shape %t)", m.Query.SQL, m.Code, m.Message, m.Change, m.Shape))
		}
	}
	want := []string{
		"v1 now: 4",
		"  INSERT INTO people (id, email) VALUES (1, ''): 23502 it leaves out public.people.name, which must not be null and has no default (, shape false)",
		"v2 now: 2",
		`  SELECT mail FROM people: 42703 column "mail" does not exist (, shape false)`,
		`  UPDATE people SET mail = $1 WHERE id = $2: 42703 column "mail" of relation "people" does not exist (, shape false)`,
		"v1 expanded: 4",
		"  SELECT * FROM people: 	it gives 4 columns instead of 3 (0003#1, shape true)",
		"  INSERT INTO people (id, email) VALUES (1, ''): 23502 it leaves out public.people.name, which must not be null and has no default (, shape false)",
		"v2 expanded: 2",
		"v1 contracted: 4",
		"  SELECT * FROM people: 	column 3 of its result is mail instead of email (0003#2, shape true)",
		`  SELECT email FROM people: 42703 column "email" does not exist (0003#2, shape false)`,
		`  INSERT INTO people (id, email) VALUES (1, ''): 42703 column "email" of relation "people" does not exist (0003#2, shape false)`,
		"  INSERT INTO people VALUES (1, 'a', 'b'): 	it writes to public.people by position, and the columns are others (0003#2, shape true)",
		"v2 contracted: 2",
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "\t", " ")
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestGateIsAskedByMany asks several times at once, with and without a memory, and leaves nothing behind.
func TestGateIsAskedByMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE SCHEMA segue", "CREATE EXTENSION pg_stat_statements")
	s, err := server.Open(t.Context(), server.Config{URL: w.url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	k := New(Config{Server: s, Memory: TableMemory{Server: s}})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := k.Ask(t.Context(), migration.GateRequest{Change: dropPhone(), Now: time.Now()}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var snapshots, copies int
	if err := w.conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM segue.snapshot), (SELECT count(*) FROM pg_database WHERE datname LIKE 'segue\_scratch%')`).Scan(&snapshots, &copies); err != nil {
		t.Fatal(err)
	}
	if snapshots != 1 || copies != 0 {
		t.Errorf("%d snapshots, %d copies left", snapshots, copies)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.Ask(canceled, migration.GateRequest{Change: dropPhone(), Now: time.Now()}); segue.KindOf(err) != segue.KindCanceled {
		t.Errorf("canceled: %v", err)
	}
}

// TestCheckSeesWhatTriggersFill expands by a twin that must not be null: the trigger gives it what an older release does not.
func TestCheckSeesWhatTriggersFill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE people (id int PRIMARY KEY, name text NOT NULL)")
	add, relax := dropping(`ALTER TABLE people ADD COLUMN title text NOT NULL`), dropping("ALTER TABLE people ALTER COLUMN name DROP NOT NULL")
	fill := migration.Change{ID: "0003#1.fill", Phase: migration.PhaseBackfill, Backfill: &migration.Backfill{Table: "public.people", Sync: &migration.Sync{
		Name: "segue_people_title_sync", Old: []string{"name"}, New: []string{"title"},
		Forward: []migration.Assignment{{Column: "title", Expr: "name"}}, Reverse: []migration.Assignment{{Column: "name", Expr: "title"}}, Until: migration.PhaseContract,
	}}}
	got, err := w.gate.Check(w.Context(), migration.CheckRequest{
		Before:  []migration.Change{add, fill, relax},
		Queries: append(recorded("v1", "INSERT INTO people (id, name) VALUES ($1, $2)"), recorded("v2", "INSERT INTO people (id, title) VALUES ($1, $2)")...),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got.Cells {
		if c.Stage == migration.StageExpanded && len(c.Misfits) > 0 {
			t.Errorf("%s: %s", c.Release, c.Misfits[0].Message)
		}
	}
}
