package command_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration/command"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
)

// world is a database with a table, a watch over a command, and what is needed to wait for things to happen.
type world struct {
	*testing.T
	url string
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{t, url}
	w.exec(w.connect(), "CREATE TABLE orders (id int)")
	return w
}

func (w *world) connect() *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.url)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.Context())) })
	return conn
}

func (w *world) exec(conn *pgx.Conn, statement string) {
	w.Helper()
	if _, err := conn.Exec(w.Context(), statement); err != nil {
		w.Fatalf("%s: %v", statement, err)
	}
}

// until asks the database until the answer is yes.
func (w *world) until(question string) {
	w.Helper()
	conn := w.connect()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for yes := false; !yes; {
		if err := conn.QueryRow(ctx, "SELECT "+question).Scan(&yes); err != nil {
			w.Fatalf("waiting until %s: %v", question, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("never: %s", question)
		}
	}
}

// watched runs a role of this binary under a watch. meanwhile runs beside it.
func (w *world) watched(role string, patience time.Duration, meanwhile func()) (command.Result, command.Observed, error) {
	w.Helper()
	ctx, end := context.WithCancel(w.Context())
	type seen struct {
		observed command.Observed
		err      error
	}
	done := make(chan seen, 1)
	conn := w.connect()
	go func() {
		observed, err := command.Watch(ctx, conn, "segue test", patience)
		done <- seen{observed, err}
	}()
	beside := make(chan struct{})
	go func() { defer close(beside); meanwhile() }()
	login := command.Login{URL: w.url, Application: "segue test", Lock: time.Minute, Statement: time.Minute}
	r := request(w.T, role)
	r.Env, r.Hide = login.Environ(r.Env), []string{w.url}
	result, err := new(command.Runner).Run(w.Context(), r)
	<-beside
	end()
	last := <-done
	if last.err != nil {
		w.Errorf("watch: %v", last.err)
	}
	return result, last.observed, err
}

const waitsForOrders = "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass AND mode = '%s')"

func waiting(mode string) string { return strings.Replace(waitsForOrders, "%s", mode, 1) }

// A migration that cannot have its lock behind a long reader is stopped, so that the readers behind it do not queue up.
func TestMigrationBehindALongReaderIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clustertest.Database(t, clustertest.Start(t, "")))
	reader := w.connect()
	w.exec(reader, "BEGIN; SELECT * FROM orders")
	other := w.connect()
	result, observed, err := w.watched("alters", 400*time.Millisecond, func() {
		w.until(waiting("AccessExclusiveLock"))
		// It stands behind the migration, and gets through when that is stopped, the long reader still there.
		w.exec(other, "SELECT * FROM orders")
	})
	if err == nil || result.Exit != 1 || !strings.Contains(err.Error(), "57014") {
		t.Errorf("the command ended with %d: %v", result.Exit, err)
	}
	if observed.Sessions != 1 || observed.Waiters != 1 || observed.Blocked == 0 {
		t.Errorf("%d sessions, %d waiters for %s", observed.Sessions, observed.Waiters, observed.Blocked)
	}
	if observed.Waited.Table != "public.orders" || observed.Waited.Mode != "AccessExclusiveLock" || observed.Waited.Lasted < 400*time.Millisecond {
		t.Errorf("waited for %+v", observed.Waited)
	}
	if len(observed.Stops) != 1 || observed.Stops[0].Terminated || observed.Stops[0].Why == "" {
		t.Errorf("stops: %+v", observed.Stops)
	}
	if want := "alter table orders add column note text default $1"; !slices.Contains(observed.Statements, want) {
		t.Errorf("statements: %q", observed.Statements)
	}
	w.exec(reader, "COMMIT")
}

// A session that sits on a lock within a transaction cannot be cancelled, only ended.
func TestIdleHolderOfALockIsTerminated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clustertest.Database(t, clustertest.Start(t, "")))
	other := w.connect()
	result, observed, err := w.watched("idles", 300*time.Millisecond, func() {
		w.until("EXISTS (SELECT FROM pg_locks WHERE granted AND relation = 'orders'::regclass AND mode = 'AccessExclusiveLock')")
		w.exec(other, "SELECT * FROM orders")
	})
	if err == nil || result.Exit != 1 {
		t.Errorf("the command ended with %d: %v", result.Exit, err)
	}
	if len(observed.Stops) != 1 || !observed.Stops[0].Terminated {
		t.Errorf("stops: %+v", observed.Stops)
	}
	if observed.Held.Table != "public.orders" || observed.Held.Lasted == 0 || observed.Blocked < 300*time.Millisecond {
		t.Errorf("held %+v, blocked for %s", observed.Held, observed.Blocked)
	}
}

// A migration in nobody's way is left alone, and gets the settings that it was given.
func TestMigrationInNobodysWayRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clustertest.Database(t, clustertest.Start(t, "")))
	result, observed, err := w.watched("alters", time.Second, func() {})
	if err != nil || result.Exit != 0 || len(observed.Stops) != 0 {
		t.Errorf("%+v: %v, %+v", result, err, observed)
	}
	w.until("EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note')")
}
