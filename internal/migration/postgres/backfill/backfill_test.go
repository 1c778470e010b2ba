package backfill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/pace"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a database with a backfiller on it.
type bench struct {
	testing.TB
	url        string
	conn       *pgx.Conn // for the test's own statements
	backfiller *Backfiller
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{TB: tb, url: clustertest.Database(tb, clustertest.Start(tb, ""))}
	b.conn = b.connect()
	b.backfiller = New(func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, b.url) })
	b.backfiller.batch = pace.Bounds{Target: batchTarget, First: 50, Least: 1, Most: 100}
	return b
}

func (b *bench) connect() *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(context.WithoutCancel(b.Context())) })
	return conn
}

func (b *bench) exec(statements ...string) {
	b.Helper()
	for _, statement := range statements {
		if _, err := b.conn.Exec(b.Context(), statement); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
}

// ask gives the answer's rows as text, values separated by |, rows by a space.
func (b *bench) ask(query string) string {
	b.Helper()
	rows, err := b.conn.Query(b.Context(), query)
	if err != nil {
		b.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = fmt.Sprint(v)
		}
		return strings.Join(texts, "|"), err
	})
	if err != nil {
		b.Fatalf("%s: %v", query, err)
	}
	return strings.Join(lines, " ")
}

// session is one over a connection of its own. before is called in each transaction once it has begun, after when its work is done.
func (b *bench) session(before, after func(tx pgx.Tx) error) Session {
	b.Helper()
	conn := b.connect()
	return Session{Conn: conn, Update: func(ctx context.Context, work func(pgx.Tx) error) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		for _, step := range []func(tx pgx.Tx) error{before, work, after} {
			if step == nil {
				continue
			}
			if err := step(tx); err != nil {
				return err
			}
		}
		return tx.Commit(ctx)
	}}
}

func quiet(migration.Progress) error { return nil }

func change(b migration.Backfill) migration.Change {
	return migration.Change{ID: "0001#1", Phase: migration.PhaseBackfill, Title: "fill", Table: b.Table, Backfill: &b}
}

func (b *bench) run(job migration.Backfill) (migration.Report, error) {
	b.Helper()
	return b.backfiller.Work(b.Context(), b.session(nil, nil), change(job), migration.RunOptions{Budget: 1}, quiet)
}

func set(column, expr string) []migration.Assignment {
	return []migration.Assignment{{Column: column, Expr: expr}}
}

func TestEveryKindOfKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`, `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')`,
		`CREATE DOMAIN code AS text CHECK (value <> '')`)
	for i, test := range []struct {
		name, columns, key, values string
	}{
		{"int", "k int PRIMARY KEY", "k", "g"},
		{"bigint with gaps and negative", "k bigint PRIMARY KEY", "k", "(g - 500) * 1000003"},
		{"uuid", "k uuid PRIMARY KEY", "k", "md5(g::text)::uuid"},
		{"text", "k text PRIMARY KEY", "k", "chr(65 + g % 60) || ' ''\"\\' || g"},
		{"text in ICU's order", `k text COLLATE "en-x-icu" PRIMARY KEY`, "k", "(ARRAY['ä','A','z','Z','-a','ß',' '])[g % 7 + 1] || g"},
		{"text of a collation that is not deterministic", "k text COLLATE blind PRIMARY KEY", "k", "(ARRAY['a','B','c','É'])[g % 4 + 1] || g"},
		{"varchar and date", "k varchar(20), d date, PRIMARY KEY (k, d)", "k d", "'s' || g % 7, date '2020-01-01' + g"},
		{"char", "k char(12) PRIMARY KEY", "k", "'c' || g"},
		{"timestamp with time zone", "k timestamptz PRIMARY KEY", "k", "timestamptz '2020-03-29 00:30 Europe/Berlin' + g * interval '7 minutes 1 microsecond'"},
		{"infinite dates", "k timestamp PRIMARY KEY", "k", "CASE g WHEN 1 THEN 'infinity' WHEN 2 THEN '-infinity' ELSE '1000-01-01 BC'::timestamp + g * interval '7 years' END"},
		{"numeric and real", "k numeric, f real, PRIMARY KEY (k, f)", "k f", "g % 3 + 0.1, 1.0 / g"},
		{"bytea", "k bytea PRIMARY KEY", "k", "decode(md5(g::text), 'hex')"},
		{"enum, domain, boolean", "m mood, c code, f boolean, PRIMARY KEY (m, c, f)", "m c f", "(enum_range(NULL::mood))[g % 3 + 1], 'x' || g / 6, g % 6 >= 3"},
		{"odd names", `"the ""Key""" int UNIQUE NOT NULL, "Select" int`, `the_"Key"`, "g, g"},
		{"partitioned", "k int, d int, PRIMARY KEY (k, d)", "k d", "g, g % 3"},
	} {
		table := fmt.Sprintf("t%d", i)
		suffix := ""
		if test.name == "partitioned" {
			suffix = " PARTITION BY LIST (d)"
		}
		b.exec(fmt.Sprintf("CREATE TABLE %s (%s, v text, n int)%s", table, test.columns, suffix))
		if suffix != "" {
			b.exec(fmt.Sprintf("CREATE TABLE %[1]s_0 PARTITION OF %[1]s FOR VALUES IN (0, 1); CREATE TABLE %[1]s_2 PARTITION OF %[1]s FOR VALUES IN (2)", table))
		}
		b.exec(fmt.Sprintf("INSERT INTO %s SELECT %s, 'v' || g, 0 FROM generate_series(1, 333) g ON CONFLICT DO NOTHING", table, test.values))
		key := strings.Fields(test.key)
		for j := range key {
			key[j] = strings.ReplaceAll(key[j], "_", " ")
		}
		count := b.ask("SELECT count(*) FROM " + table)
		// What is written twice shows.
		job := change(migration.Backfill{Table: table, Key: key, Set: set("n", "n + length(v)"), Violators: "n <> length(v)"})
		job.ID = migration.ChangeID(test.name)
		report, err := b.backfiller.Work(t.Context(), b.session(nil, nil), job, migration.RunOptions{Budget: 1}, quiet)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if fmt.Sprint(report.Rows) != count || report.Changed != report.Rows || report.Batches < 4 {
			t.Errorf("%s: %s rows, report %+v", test.name, count, report)
		}
	}
}

func TestSmallTables(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE empty (id int PRIMARY KEY, v int)", "CREATE TABLE one (id int PRIMARY KEY, v int)", "INSERT INTO one VALUES (1, 1)",
		"CREATE TABLE keyless (v int)", "INSERT INTO keyless SELECT g FROM generate_series(1, 500) g", `CREATE SCHEMA "Odd Place"`,
		`CREATE TABLE "Odd Place"."Odd.Name" ("Id" int PRIMARY KEY, "V" int)`, `INSERT INTO "Odd Place"."Odd.Name" VALUES (1, 1), (2, 7)`)
	for _, test := range []struct {
		name    string
		job     migration.Backfill
		rows    int64
		changed int64
		after   string
	}{
		{"empty", migration.Backfill{Table: "public.empty", Key: []string{"id"}, Set: set("v", "7"), Violators: "v <> 7"}, 0, 0, "SELECT count(*) FROM empty WHERE v = 7"},
		{"one", migration.Backfill{Table: "one", Key: []string{"id"}, Set: set("v", "7"), Violators: "v <> 7"}, 1, 1, "SELECT count(*) FROM one WHERE v = 7"},
		{"keyless", migration.Backfill{Table: "keyless", Set: set("v", "7"), Where: "v <= 100", Violators: "v < 7"}, 500, 99, "SELECT count(*) FROM keyless WHERE v = 7"},
		{"odd names", migration.Backfill{Table: "Odd Place.Odd.Name", Key: []string{"Id"}, Set: set("V", `"V" * 0 + 7 -- why`), Where: `"Id" > 0 -- all`}, 2, 1, `SELECT count(*) FROM "Odd Place"."Odd.Name" WHERE "V" = 7`},
		{"delete", migration.Backfill{Table: "public.keyless", Delete: true, Where: "v = 7"}, 500, 100, "SELECT 0"},
	} {
		c := change(test.job)
		c.ID = migration.ChangeID(test.name)
		report, err := b.backfiller.Work(t.Context(), b.session(nil, nil), c, migration.RunOptions{Budget: 1}, quiet)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if report.Rows != test.rows || report.Changed != test.changed {
			t.Errorf("%s: %d rows, %d changed; want %d, %d", test.name, report.Rows, report.Changed, test.rows, test.changed)
		}
		again, err := b.backfiller.Work(t.Context(), b.session(nil, nil), c, migration.RunOptions{}, quiet)
		if err != nil || again.Changed != report.Changed || again.Batches != report.Batches {
			t.Errorf("%s again: %+v, %v", test.name, again, err)
		}
	}
	if got := b.ask("SELECT count(*) FROM keyless") + b.ask(`SELECT sum("V") FROM "Odd Place"."Odd.Name"`); got != "40014" {
		t.Errorf("left over: %s", got)
	}
}

func TestDeleteInBatches(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE carts (id int PRIMARY KEY, old boolean)", "INSERT INTO carts SELECT g, g % 3 > 0 FROM generate_series(1, 900) g")
	report, err := b.run(migration.Backfill{Table: "public.carts", Key: []string{"id"}, Delete: true, Where: "old", Violators: "old"})
	if err != nil || report.Rows != 900 || report.Changed != 600 || report.Batches < 9 {
		t.Errorf("report %+v, %v", report, err)
	}
	if got := b.ask("SELECT count(*) FROM carts"); got != "300" {
		t.Errorf("%s rows left", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, v text, n int, CHECK (n <> 1013))", "INSERT INTO t SELECT g, g FROM generate_series(1, 300) g")
	job := migration.Backfill{Table: "public.t", Key: []string{"id"}, Set: set("n", "v::int"), Violators: "n IS NULL"}
	for _, test := range []struct {
		name, spoil string
		edit        func(*migration.Backfill)
		kind        segue.Kind
		want        []string
	}{
		{"no such table", "", func(j *migration.Backfill) { j.Table = "public.none" }, segue.KindRefused, []string{"public.none"}},
		{"no such column", "", func(j *migration.Backfill) { j.Set = set("m", "1") }, segue.KindRefused, []string{"column m"}},
		{"sets its key", "", func(j *migration.Backfill) { j.Set = set("id", "id + 1") }, segue.KindInvalid, []string{"sets id"}},
		{"conversion fails", "UPDATE t SET v = 'secret' WHERE id = 217", nil, segue.KindRefused, []string{"id = 217", "SQLSTATE 22P02"}},
		{"check fails", "UPDATE t SET v = '1013' WHERE id = 217", nil, segue.KindRefused, []string{"id = 217", "SQLSTATE 23514"}},
		{"violators", "UPDATE t SET v = NULL WHERE id IN (217, 255)", nil, segue.KindRefused, []string{"2 rows of t", "id = 217"}},
		{"violators still", "UPDATE t SET v = '5' WHERE id = 217", nil, segue.KindRefused, []string{"1 rows of t", "id = 255"}},
		{"mended", "UPDATE t SET v = '5' WHERE v IS NULL", nil, 0, nil},
	} {
		if test.spoil != "" {
			b.exec(test.spoil)
		}
		tried := job
		if test.edit != nil {
			test.edit(&tried)
		}
		_, err := b.run(tried)
		if test.want == nil {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if segue.KindOf(err) != test.kind {
			t.Errorf("%s: %v of kind %s", test.name, err, segue.KindOf(err))
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", test.name, want, err)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the value is told: %v", test.name, err)
		}
	}
	if got := b.ask("SELECT count(*), count(*) FILTER (WHERE n = v::int) FROM t"); got != "300|300" {
		t.Errorf("after all: %s", got)
	}
}

// Rows that older releases write behind the cursor, without triggers, are found at the end and done in another pass, and no other row is done twice.
func TestAnotherPass(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT g * 10, g FROM generate_series(1, 300) g")
	updates := 0
	session := b.session(nil, func(tx pgx.Tx) error {
		if updates++; updates == 4 {
			_, err := tx.Exec(t.Context(), "INSERT INTO t VALUES (5, 1), (15, 2), (1000000, 3)")
			return err
		}
		return nil
	})
	report, err := b.backfiller.Work(t.Context(), session, change(migration.Backfill{
		Table: "t", Key: []string{"id"}, Set: set("n", "n + 1000"), Violators: "n < 1000",
	}), migration.RunOptions{Budget: 1}, quiet)
	if err != nil || report.Changed != 303 {
		t.Fatalf("report %+v, %v", report, err)
	}
	if got := b.ask("SELECT min(n), max(n) FROM t"); got != "1001|1300" {
		t.Errorf("rows are %s", got)
	}
}

func TestHeldAndTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT g FROM generate_series(1, 500) g")
	var told []migration.Progress
	asked := 0
	report, err := b.backfiller.Work(t.Context(), b.session(nil, nil), change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "1")}),
		migration.RunOptions{Budget: 1, Hold: func() string {
			if asked++; asked >= 3 && asked <= 5 {
				return "a rollout is under way"
			}
			return ""
		}}, func(p migration.Progress) error {
			told = append(told, p)
			return nil
		})
	if err != nil || report.Changed != 500 {
		t.Fatalf("report %+v, %v", report, err)
	}
	held := 0
	for _, p := range told {
		if p.Waiting == "a rollout is under way" {
			held++
		}
	}
	last := told[len(told)-1]
	if held != 1 || last.Done != 500 || last.Total != 500 || last.Changed != 500 {
		t.Errorf("told %+v", told)
	}
	stop := errors.New("nobody listens")
	if _, err := b.run(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "1")}); err != nil {
		t.Fatal(err)
	}
	again := change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "2")})
	again.ID = "0002#1"
	_, err = b.backfiller.Work(t.Context(), b.session(nil, nil), again, migration.RunOptions{}, func(migration.Progress) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("progress that could not be saved: %v", err)
	}
}

// A row that somebody holds is waited for without holding anything, and he is named.
func TestRowThatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT g FROM generate_series(1, 300) g")
	holder := b.connect()
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE t SET n = 0 WHERE id = 130"); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("a row lock on t, held by pid %d", holder.PgConn().PID())
	report, err := b.backfiller.Work(t.Context(), b.session(nil, nil), change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "id")}),
		migration.RunOptions{Budget: 1}, func(p migration.Progress) error {
			if !strings.Contains(p.Waiting, want) {
				return nil
			}
			if p.Done != 129 {
				t.Errorf("waits at %d", p.Done)
			}
			// The holder wants a row that a batch had a moment ago, in the other order: a deadlock, were it still held.
			_, err := holder.Exec(t.Context(), "UPDATE t SET n = -1 WHERE id = 129; UPDATE t SET n = -1 WHERE id = 131; COMMIT")
			want = "told already"
			return err
		})
	if err != nil || report.LockWait < time.Second || report.Tries == 0 {
		t.Fatalf("report %+v, %v", report, err)
	}
	if got := b.ask("SELECT id, n FROM t WHERE n <> id"); got != "129|-1" {
		t.Errorf("rows are %s", got)
	}
	late := change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "0")})
	late.ID = "0002#1"
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE t SET n = 0 WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	_, err = b.backfiller.Work(t.Context(), b.session(nil, nil), late, migration.RunOptions{Budget: 1, Patience: 500 * time.Millisecond}, quiet)
	if segue.KindOf(err) != segue.KindTimeout {
		t.Errorf("without patience: %v", err)
	}
}

// What the fence refuses is not written.
func TestFence(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT g FROM generate_series(1, 300) g")
	lost := segue.Errorf(segue.KindConflict, "the lease is lost")
	updates := 0
	_, err := b.backfiller.Work(t.Context(), b.session(nil, func(pgx.Tx) error {
		if updates++; updates == 4 {
			return lost
		}
		return nil
	}), change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("n", "1")}), migration.RunOptions{Budget: 1}, quiet)
	if segue.KindOf(err) != segue.KindConflict {
		t.Fatalf("error %v", err)
	}
	if diff := cmp.Diff(b.ask("SELECT rows || '' FROM segue.backfill"), b.ask("SELECT count(n) || '' FROM t")); diff != "" {
		t.Errorf("position and rows: %s", diff)
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec("CREATE TABLE t (id int PRIMARY KEY, a text, b text)", "INSERT INTO t SELECT g, g FROM generate_series(1, 300) g")
	job := change(migration.Backfill{Table: "t", Key: []string{"id"}, Set: set("b", "a"), Sync: &migration.Sync{
		Name: "segue_t_b_sync", Table: "t", Forward: set("b", "a"), Reverse: set("a", "b"), Old: []string{"a"}, New: []string{"b"}, Until: migration.PhaseContract,
	}})
	ctx, stop := context.WithCancel(t.Context())
	updates := 0
	_, err := b.backfiller.Work(ctx, b.session(nil, func(pgx.Tx) error {
		if updates++; updates == 4 {
			stop()
		}
		return nil
	}), job, migration.RunOptions{Budget: 1}, quiet)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("canceled: %v", err)
	}
	const left = `SELECT (SELECT count(*) FROM pg_trigger WHERE tgname = 'segue_t_b_sync'), (SELECT count(*) FROM pg_proc WHERE proname = 'segue_t_b_sync'), (SELECT count(*) FROM segue.backfill)`
	if got := b.ask(left); got != "1|1|1" {
		t.Errorf("before: %s", got)
	}
	if err := b.session(nil, nil).Update(t.Context(), func(tx pgx.Tx) error { return b.backfiller.Cancel(t.Context(), tx, job) }); err != nil {
		t.Fatal(err)
	}
	if got := b.ask(left); got != "0|0|0" {
		t.Errorf("after: %s", got)
	}
	job.Backfill.Sync.Until = migration.PhaseBackfill
	if _, err := b.run(*job.Backfill); err != nil {
		t.Fatal(err)
	}
	if got := b.ask(left); got != "0|0|1" {
		t.Errorf("after a run with a sync until its end: %s", got)
	}
	if got := b.ask("SELECT count(*) FROM t WHERE a = b"); got != "300" {
		t.Errorf("%s rows in step", got)
	}
}
