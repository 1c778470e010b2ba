package runner_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// mixed are changes of one file about a table of their own: everything that a change can be made of.
func mixed(version, table string) (migration.File, []migration.Change) {
	id := func(n int) string { return fmt.Sprintf("%s#%d", version, n) }
	file := migration.File{Version: version, Path: version + ".sql", Sum: version}
	for n := range 3 {
		file.Statements = append(file.Statements, migration.Statement{ID: migration.StatementID(id(n + 1)), SQL: id(n)})
	}
	changes := []migration.Change{
		change(id(1), table, migration.LockAccessExclusive, does("ALTER TABLE "+table+" ADD COLUMN b int", "ALTER TABLE "+table+" DROP COLUMN b")),
		change(id(2), table, migration.LockNone,
			does("ALTER TABLE "+table+" ADD CONSTRAINT "+table+"_a CHECK (a > 0) NOT VALID", "ALTER TABLE "+table+" DROP CONSTRAINT "+table+"_a"),
			migration.Action{SQL: "ALTER TABLE " + table + " VALIDATE CONSTRAINT " + table + "_a", Undo: "SELECT 1", Expect: "SELECT count(*) FROM " + table + " WHERE NOT a > 0"},
			does("INSERT INTO "+table+" (a) VALUES (99)", "DELETE FROM "+table+" WHERE a = 99")),
		change(id(3), table, migration.LockShareUpdateExclusive,
			index(table+"_i", "INDEX CONCURRENTLY "+table+"_i ON "+table+" (a)"),
			migration.Action{
				SQL: "DROP INDEX CONCURRENTLY IF EXISTS " + table + "_old", Alone: true, Leaves: "public." + table + "_old", Repair: "DROP INDEX CONCURRENTLY IF EXISTS " + table + "_old",
				Undo: "CREATE INDEX CONCURRENTLY " + table + "_old ON " + table + " (a)",
			}),
	}
	changes[1].After = []migration.ChangeID{changes[0].ID}
	return file, changes
}

func (w *world) makeTable(table string) {
	w.Helper()
	w.exec("CREATE TABLE "+table+" (id serial PRIMARY KEY, a int)", "INSERT INTO "+table+" (a) SELECT generate_series(1, 50)",
		"CREATE INDEX "+table+"_old ON "+table+" (a)")
}

// look is all that can be seen of a table, under a name that does not matter.
func (w *world) look(table string) string {
	w.Helper()
	seen := w.value(`SELECT coalesce((SELECT string_agg(attname || ' ' || atttypid::regtype, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped), '')
		|| E'\n' || coalesce((SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = $1::regclass), '')
		|| E'\n' || coalesce((SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = $1::regclass), '')`, table)
	seen += "\n" + w.value("SELECT count(*) || ' ' || sum(a) FROM "+table)
	return strings.ReplaceAll(seen, table, "t")
}

func (w *world) remember(files ...migration.File) {
	w.runner.Remember(files, migration.History{Format: "plain", Table: "history"})
}

// stride is the longest step from one break to the next.
const stride = 15

// TestRunOnceWhateverBreaks breaks the connection at every message that is sent, before it is sent and after, and wants what an unbroken run gives.
func TestRunOnceWhateverBreaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE history (version text PRIMARY KEY, n serial)")
	w.makeTable("whole")
	file, changes := mixed("whole", "whole")
	w.remember(file)
	lease := w.lease("test")
	w.record(lease, changes...)
	for _, c := range changes {
		w.run(lease, c.ID)
	}
	want := w.look("whole")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	breaks := 0
	for _, after := range []bool{false, true} {
		// All of them are some four hundred: a few of those, others each time.
		for n := 1 + random.IntN(stride); ; n += 1 + random.IntN(stride) {
			table := fmt.Sprintf("t%d_%t", n, after)
			w.makeTable(table)
			file, changes := mixed(table, table)
			w.remember(file)
			w.record(lease, changes...)
			b := &breaker{after: after}
			b.left.Store(int64(n))
			w.breaker.Store(b)
			for _, c := range changes {
				w.insist(lease, c.ID)
			}
			w.breaker.Store(nil)
			if got := w.look(table); got != want {
				t.Errorf("broken at message %d (after: %t): %s", n, after, cmp.Diff(want, got))
			}
			if got := w.value("SELECT count(*) FROM history WHERE version = $1", table); got != "1" {
				t.Errorf("broken at message %d (after: %t): %s lines in the history", n, after, got)
			}
			w.exec("DROP TABLE " + table)
			if !b.broke.Load() {
				break
			}
			breaks++
		}
	}
	t.Logf("%d breaks", breaks)
	if breaks < 20 {
		t.Errorf("only %d breaks: the test does not reach what it is about", breaks)
	}
}

// insist runs a change until it is done, over connections that may break.
func (w *world) insist(lease migration.Lease, id migration.ChangeID) {
	w.Helper()
	for range 4 {
		_, err := lease.Run(w.Context(), id, migration.RunOptions{}, ignore)
		if err == nil {
			return
		}
		w.wantKind(err, segue.KindUnavailable)
	}
	w.Fatalf("%s does not come to its end", id)
}

// TestRunGoesOnAfterEveryAction breaks off between actions, as a controller does that is told to stop.
func TestRunGoesOnAfterEveryAction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE history (version text PRIMARY KEY)")
	w.makeTable("t")
	file, changes := mixed("0001", "t")
	w.remember(file)
	lease := w.lease("test")
	w.record(lease, changes...)
	w.run(lease, changes[0].ID)
	for stop := 2; stop <= 3; stop++ {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := lease.Run(ctx, changes[1].ID, migration.RunOptions{}, func(p migration.Progress) {
			if p.Action == stop {
				cancel()
			}
		})
		cancel()
		w.wantKind(err, segue.KindCanceled)
		if got := w.status(changes[1].ID).Status; got != migration.StatusRunning {
			t.Errorf("status is %s", got)
		}
	}
	w.run(lease, changes[1].ID)
	w.run(lease, changes[2].ID)
	first := w.run(lease, changes[0].ID)
	if again := *w.status(changes[0].ID).Report; again != first {
		t.Errorf("report is %+v at first, and %+v in the journal", first, again)
	}
	if got := w.value("SELECT count(*) FROM t WHERE a = 99"); got != "1" {
		t.Errorf("the row was inserted %s times", got)
	}
	if got := w.value("SELECT string_agg(version, ',') FROM history"); got != "0001" {
		t.Errorf("history is %s", got)
	}
}

func TestRunKeepsTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	_, changes := mixed("0001", "t")
	lease := w.lease("test")
	w.record(lease, changes...)
	_, err := lease.Run(t.Context(), changes[1].ID, migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindConflict, "0001#1 (change 0001#1) must be done first, and is owed")
	_, err = lease.Run(t.Context(), "0009#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindNotFound, "0009#1")
}

func TestRunSaysHowManyRowsStandInTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	w.exec("INSERT INTO t (a) VALUES (1), (2)", "INSERT INTO t (a) SELECT -1 FROM generate_series(1, 7)")
	unique := index("u", "UNIQUE INDEX CONCURRENTLY u ON t (a)")
	blind := unique
	unique.Expect = "SELECT count(*) FROM (SELECT FROM t GROUP BY a HAVING count(*) > 1) AS twice"
	changes := []migration.Change{
		change("1#1", "t", migration.LockShareUpdateExclusive, unique),
		change("2#1", "t", migration.LockShareUpdateExclusive, migration.Action{SQL: "ALTER TABLE t ADD CHECK (a > 0)", Expect: "SELECT count(*) FROM t WHERE NOT a > 0"}),
		change("3#1", "t", migration.LockShareUpdateExclusive, blind),
		change("4#1", "t", migration.LockNone, migration.Action{SQL: "UPDATE t SET a = 5 WHERE a = 3", Expect: "SELECT count(*) FROM t WHERE a = -1"}),
	}
	lease := w.lease("test")
	w.record(lease, changes...)
	for i, want := range []string{"3 rows stand in the way", "7 rows stand in the way", "could not create unique index", "7 rows stand in the way"} {
		_, err := lease.Run(t.Context(), changes[i].ID, migration.RunOptions{}, ignore)
		w.wantKind(err, segue.KindRefused, want)
		if got := w.status(changes[i].ID).Error; !strings.Contains(got, want) {
			t.Errorf("the journal says %q", got)
		}
	}
	if got := w.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid"); got != "0" {
		t.Errorf("%s broken indexes are left", got)
	}
	if got := w.value("SELECT count(*) FROM t WHERE a = 3"); got != "1" {
		t.Errorf("the refused update was not taken back")
	}
	w.exec("DELETE FROM t WHERE a = -1 OR id > 50")
	for _, c := range changes[:2] {
		w.run(lease, c.ID)
	}
}

// TestReportHasTheTimeOfTheWork runs a statement that takes a while: what is written down of its end before its lock is had must not be the end.
func TestReportHasTheTimeOfTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	slow := change("1#1", "t", migration.LockAccessExclusive, migration.Action{SQL: "ALTER TABLE t ADD COLUMN slow text DEFAULT pg_sleep(0.02)::text"})
	lease := w.lease("test")
	w.record(lease, slow)
	w.exec("DELETE FROM t", "INSERT INTO t (a) SELECT g FROM generate_series(1, 10) g")
	report := w.run(lease, slow.ID)
	if report.Took < 200*time.Millisecond || report.Took < report.Held {
		t.Errorf("took %s, and held a lock for %s", report.Took, report.Held)
	}
	if state := w.status(slow.ID); state.Ended.Sub(state.Began) != report.Took {
		t.Errorf("the journal has %s to %s, the report %s", state.Began, state.Ended, report.Took)
	}
}

// TestSessionsGoOnAfterAnotherType changes a type under sessions that have fired triggers on the table before: what they prepared of their functions must
// not fail their writes from then on.
func TestSessionsGoOnAfterAnotherType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE TABLE t (id int PRIMARY KEY, a int, c bigint, d bigint)", "INSERT INTO t VALUES (1, 1)",
		"CREATE FUNCTION rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SELECT a * 3 INTO NEW.c FROM (SELECT NEW.*) AS t; RETURN NEW; END $$",
		"CREATE FUNCTION fields() RETURNS trigger LANGUAGE plpgsql COST 42 AS $$ BEGIN NEW.d := NEW.a + 1; RETURN NEW; END $$",
		"CREATE TRIGGER rows BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION rows()",
		"CREATE TRIGGER fields BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fields()")
	session := w.connect()
	write := func() {
		t.Helper()
		for range 7 { // plans are kept from the sixth time on
			execOn(t, session, "UPDATE t SET a = a + 1")
		}
	}
	write()
	retype := change("1#1", "t", migration.LockAccessExclusive, does("ALTER TABLE t ALTER COLUMN a TYPE bigint", ""))
	swap := change("2#1", "t", migration.LockAccessExclusive, does("ALTER TABLE t ADD COLUMN new numeric; ALTER TABLE t RENAME COLUMN a TO old; ALTER TABLE t RENAME COLUMN new TO a", ""),
		does("UPDATE t SET a = old", ""))
	lease := w.lease("test")
	w.record(lease, retype, swap)
	for _, id := range []migration.ChangeID{retype.ID, swap.ID} {
		w.run(lease, id)
		write()
	}
	if got := w.value("SELECT ARRAY[a, c, d]::text FROM t"); got != "{22,66,23}" {
		t.Errorf("the row is %s", got)
	}
	if got := w.value("SELECT procost FROM pg_proc WHERE proname = 'fields'"); got != "42" {
		t.Errorf("a function costs %s now", got)
	}
}
