package runner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a database with a runner on it, and a connection of the application's.
type world struct {
	*testing.T
	cluster *cluster.Cluster
	url     string
	app     *pgx.Conn
	runner  *runner.Runner
	// breaker, if set, decides about what is written to the server on connections that are made from then on.
	breaker atomic.Pointer[breaker]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := clustertest.Start(t, "")
	w := &world{T: t, cluster: c, url: clustertest.Database(t, c)}
	w.app = w.connect()
	w.runner = w.open()
	return w
}

// open makes another runner, as another controller has it.
func (w *world) open() *runner.Runner {
	r := runner.New(runner.Config{Connect: w.dial, History: plain{}})
	w.Cleanup(func() { _ = r.Close() })
	return r
}

func (w *world) dial(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(w.url)
	if err != nil {
		return nil, err
	}
	if b := w.breaker.Load(); b != nil {
		dial := config.DialFunc
		config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &breaking{Conn: conn, breaker: b}, err
		}
	}
	return pgx.ConnectConfig(ctx, config)
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

func (w *world) exec(statements ...string) {
	w.Helper()
	execOn(w.T, w.app, statements...)
}

func execOn(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// value is the one value of a query, as text.
func (w *world) value(query string, args ...any) string {
	w.Helper()
	var value any
	if err := w.app.QueryRow(w.Context(), query, args...).Scan(&value); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return fmt.Sprint(value)
}

// until asks a question of the database, on a connection of its own, until the answer is yes.
func (w *world) until(query string, args ...any) {
	w.Helper()
	conn := w.connect()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := conn.QueryRow(ctx, query, args...).Scan(&yes); err != nil {
			w.Fatalf("waiting for %s: %v", query, err)
		}
		if yes {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("never true: %s", query)
		}
	}
}

func (w *world) lease(holder string) *runner.Lease {
	w.Helper()
	lease, err := w.runner.Lease(w.Context(), holder)
	if err != nil {
		w.Fatalf("lease: %v (%s)", err, segue.HintOf(err))
	}
	w.Cleanup(func() { _ = lease.Release(context.WithoutCancel(w.Context())) })
	return lease
}

// record writes changes down.
func (w *world) record(lease migration.Lease, changes ...migration.Change) {
	w.Helper()
	if err := lease.Record(w.Context(), "v2", migration.Plan{Changes: changes}); err != nil {
		w.Fatalf("record: %v", err)
	}
}

func (w *world) run(lease migration.Lease, id migration.ChangeID) migration.Report {
	w.Helper()
	report, err := lease.Run(w.Context(), id, migration.RunOptions{}, ignore)
	if err != nil {
		w.Fatalf("run %s: %v (%s)", id, err, segue.HintOf(err))
	}
	return report
}

func ignore(migration.Progress) {}

func (w *world) status(id migration.ChangeID) migration.ChangeState {
	w.Helper()
	journal, err := w.runner.Read(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	state, found := migration.State{Changes: journal.Changes}.Change(id)
	if !found {
		w.Fatalf("change %s is not recorded", id)
	}
	return state
}

func (w *world) wantKind(err error, kind segue.Kind, texts ...string) {
	w.Helper()
	if err == nil || segue.KindOf(err) != kind {
		w.Errorf("error is %v (%v), want kind %v", err, segue.KindOf(err), kind)
		return
	}
	all := err.Error() + " / " + segue.HintOf(err)
	for _, text := range texts {
		if !strings.Contains(all, text) {
			w.Errorf("error %q does not say %q", all, text)
		}
	}
}

// change makes a change of statements; "!" before one makes it stand alone.
func change(id, table string, locks migration.Lock, actions ...migration.Action) migration.Change {
	c := migration.Change{
		ID: migration.ChangeID(id), Phase: migration.PhaseExpand, Title: "change " + id, Table: table, Actions: actions,
		Origin: []migration.StatementID{migration.StatementID(id)},
	}
	if locks != migration.LockNone {
		c.Facts.Locks = map[string]migration.Lock{table: locks}
	}
	return c
}

func does(statement, undo string) migration.Action {
	return migration.Action{SQL: statement, Undo: undo}
}

func index(name, rest string) migration.Action {
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + name
	return migration.Action{SQL: "CREATE " + rest, Alone: true, Leaves: "public." + name, Repair: drop, Undo: drop}
}

// plain is a history table of the simplest kind.
type plain struct{}

func (plain) Applied(ctx context.Context, tx pgx.Tx, file migration.File, history migration.History) error {
	_, err := tx.Exec(ctx, "INSERT INTO "+history.Table+" (version) VALUES ($1)", file.Version)
	return err
}

func (plain) TakenBack(ctx context.Context, tx pgx.Tx, file migration.File, history migration.History) error {
	_, err := tx.Exec(ctx, "DELETE FROM "+history.Table+" WHERE version = $1", file.Version)
	return err
}

// breaker breaks the connection on which the n-th message is sent: before it is, or after.
type breaker struct {
	left  atomic.Int64
	after bool
	broke atomic.Bool
}

var errBroken = errors.New("broken by the test")

type breaking struct {
	net.Conn
	breaker *breaker
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.breaker.left.Add(-1) != 0 {
		return b.Conn.Write(p)
	}
	b.breaker.broke.Store(true)
	if b.breaker.after {
		if _, err := b.Conn.Write(p); err != nil {
			return 0, err
		}
	}
	_ = b.Conn.Close()
	return 0, &net.OpError{Op: "write", Net: "test", Err: errBroken}
}
