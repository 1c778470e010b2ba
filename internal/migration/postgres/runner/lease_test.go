package runner_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
)

func TestLeaseIsForOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.lease("controller a")
	_, err := w.open().Lease(t.Context(), "controller b")
	w.wantKind(err, segue.KindConflict, "controller a, since 20")
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	journal, err := w.runner.Read(t.Context())
	if err != nil || journal.Holder != "" {
		t.Errorf("after release, holder is %q (%v)", journal.Holder, err)
	}
	w.wantKind(first.Record(t.Context(), "v2", migration.Plan{}), segue.KindConflict, "lost")
	second := w.lease("controller b")
	if journal, err = w.runner.Read(t.Context()); err != nil || journal.Holder != "controller b" || time.Since(journal.Since) > time.Minute {
		t.Errorf("holder is %q since %s (%v)", journal.Holder, journal.Since, err)
	}
	if err := second.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestLeaseEndsWithItsConnection ends the connection on the server, as its crash or an administrator does.
func TestLeaseEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.lease("controller a")
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
	select {
	case <-first.Lost():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
	w.wantKind(first.Forgive(t.Context(), "x", "me", "why"), segue.KindConflict, "lost")
	w.lease("controller b")
}

// stopped is a history that stands still in the middle of a transaction, as a process does that is stopped and later goes on.
type stopped struct {
	entered, goOn chan struct{}
}

func (s stopped) Applied(context.Context, pgx.Tx, migration.File, migration.History) error {
	close(s.entered)
	<-s.goOn
	return nil
}

func (s stopped) TakenBack(context.Context, pgx.Tx, migration.File, migration.History) error {
	return nil
}

// TestLeaseFencesWhoeverLostIt stops a holder in the middle of its transaction, gives the lease to another one, and lets the first go on.
func TestLeaseFencesWhoeverLostIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	w.makeTable("u")
	still := stopped{entered: make(chan struct{}), goOn: make(chan struct{})}
	old := runner.New(runner.Config{Connect: w.dial, History: still})
	defer func() { _ = old.Close() }()
	file := migration.File{Version: "1", Statements: []migration.Statement{{ID: "1#1"}}}
	w.exec("CREATE TABLE history (version text PRIMARY KEY)")
	old.Remember([]migration.File{file}, migration.History{Table: "history"})
	first, err := old.Lease(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	w.record(first, change("1#1", "t", migration.LockAccessExclusive, does("ALTER TABLE t ADD COLUMN old int", "")),
		change("2#1", "u", migration.LockAccessExclusive, does("ALTER TABLE u ADD COLUMN old int", "")))
	ended := make(chan error, 1)
	go func() {
		_, err := first.Run(t.Context(), "1#1", migration.RunOptions{}, ignore)
		ended <- err
	}()
	goOn := sync.OnceFunc(func() { close(still.goOn) })
	defer goOn()
	<-still.entered
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
	second := w.lease("new")
	w.run(second, "1#1")
	goOn()
	if err := <-ended; segue.KindOf(err) != segue.KindConflict && segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("the old holder was told: %v", err)
	}
	_, err = first.Run(t.Context(), "2#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindConflict)
	if got := w.value("SELECT count(*) FROM pg_attribute WHERE attname = 'old'"); got != "1" {
		t.Errorf("the column was made %s times", got)
	}
	if got := w.status("2#1").Status; got != migration.StatusOwed {
		t.Errorf("2#1 is %s", got)
	}
}

// TestLeaseNumberCounts steals the lease by its number alone: the lock is still the first one's.
func TestLeaseNumberCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	lease := w.lease("old")
	w.record(lease, change("1#1", "t", migration.LockAccessExclusive, does("ALTER TABLE t ADD COLUMN old int", "")))
	w.exec(`UPDATE "segue"."lease" SET token = token + 1`)
	_, err := lease.Run(t.Context(), "1#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindConflict, "the lease is lost")
	<-lease.Lost()
	if got := w.value("SELECT count(*) FROM pg_attribute WHERE attname = 'old'"); got != "0" {
		t.Error("it wrote")
	}
}

// TestLeaseEndsWhatIsLeftOnTheServer lets a holder die in the middle of a statement that is in no transaction, and that its server goes on with.
func TestLeaseEndsWhatIsLeftOnTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	blocker := w.connect()
	execOn(t, blocker, "BEGIN", "INSERT INTO t (a) VALUES (7)")
	first := w.lease("old")
	w.record(first, change("1#1", "t", migration.LockShareUpdateExclusive, index("i", "INDEX CONCURRENTLY i ON t (a)")))
	ended := make(chan error, 1)
	go func() {
		_, err := first.Run(t.Context(), "1#1", migration.RunOptions{}, ignore)
		ended <- err
	}()
	const building = "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CREATE %INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
	w.until(building)
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
	second := w.lease("new")
	if got := w.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE %INDEX CONCURRENTLY%'"); got != "0" {
		t.Error("the old holder's index is still being built")
	}
	<-ended
	execOn(t, blocker, "COMMIT")
	report := w.run(second, "1#1")
	if !strings.Contains(report.Note, "dropped first") {
		t.Errorf("note is %q", report.Note)
	}
	if got := w.value("SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ',') FROM pg_index WHERE indexrelid::regclass::text = 'i'"); got != "i true" {
		t.Errorf("indexes: %s", got)
	}
}

func TestLeaseNeedsPrivileges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE ROLE poor LOGIN", "CREATE TABLE t (a int)", "REVOKE CREATE ON SCHEMA public FROM public")
	poor := runner.New(runner.Config{Connect: func(ctx context.Context) (*pgx.Conn, error) {
		return pgx.Connect(ctx, strings.Replace(w.url, "postgres://postgres@", "postgres://poor@", 1))
	}})
	defer func() { _ = poor.Close() }()
	_, err := poor.Lease(t.Context(), "poor")
	w.wantKind(err, segue.KindInvalid, `CREATE SCHEMA segue AUTHORIZATION "poor"`, `GRANT CREATE ON DATABASE "db1" TO "poor"`)
	w.exec(`CREATE SCHEMA segue AUTHORIZATION "poor"`)
	lease, err := poor.Lease(t.Context(), "poor")
	if err != nil {
		t.Fatal(err)
	}
	w.record(lease, change("1#1", "public.t", migration.LockNone, does("ALTER TABLE t ADD COLUMN b int", "")),
		change("2#1", "", migration.LockNone, does("CREATE TABLE n (a int)", "")))
	_, err = lease.Run(t.Context(), "1#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindInvalid, `GRANT "postgres" TO "poor"`)
	_, err = lease.Run(t.Context(), "2#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindInvalid, `ON SCHEMA "public" TO "poor"`)
	w.exec("DROP SCHEMA segue CASCADE", "GRANT ALL ON SCHEMA public TO poor")
}

func TestLeaseIsRefusedOnAStandby(t *testing.T) {
	t.Parallel()
	primary := clustertest.Start(t, "")
	standby := clustertest.Standby(t, primary)
	r := runner.New(runner.Config{Connect: func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, standby.URL("postgres")) }})
	defer func() { _ = r.Close() }()
	_, err := r.Lease(t.Context(), "x")
	(&world{T: t}).wantKind(err, segue.KindInvalid, "primary")
}

// TestJournalOfANewerSegueIsRefused leaves alone what it does not understand.
func TestJournalOfANewerSegueIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lease := w.lease("x")
	w.record(lease, change("1#1", "", migration.LockNone, does("CREATE TABLE n (a int)", "")))
	w.exec(`UPDATE "segue"."change" SET format = 2`)
	_, err := w.runner.Read(t.Context())
	w.wantKind(err, segue.KindUnsupported, "change 1#1", "format 2", "newer Segue")
	_, err = lease.Run(t.Context(), "1#1", migration.RunOptions{}, ignore)
	w.wantKind(err, segue.KindUnsupported, "change 1#1")
	w.exec(`UPDATE "segue"."change" SET format = 1`, `UPDATE "segue"."format" SET version = 9`)
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = w.runner.Lease(t.Context(), "y")
	w.wantKind(err, segue.KindUnsupported, "format 9", "newer Segue")
	_, err = w.runner.Read(t.Context())
	w.wantKind(err, segue.KindUnsupported, "format 9")
}

// TestLeaseIsRefusedThroughAPooler stands in for a pooler in transaction mode: connections are given numbers of its own, and sessions in turn.
func TestLeaseIsRefusedThroughAPooler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPooler(t, w.cluster.Sockets(), w.cluster.Port())
	for _, mode := range []struct {
		name  string
		share bool
	}{{"transaction", true}, {"session", false}} {
		p.share.Store(mode.share)
		r := runner.New(runner.Config{Connect: func(ctx context.Context) (*pgx.Conn, error) {
			config, err := pgx.ParseConfig(w.url)
			if err != nil {
				return nil, err
			}
			config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) }
			config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
			return pgx.ConnectConfig(ctx, config)
		}})
		lease, err := r.Lease(t.Context(), "x")
		if mode.share {
			w.wantKind(err, segue.KindInvalid, "pooler", "session mode")
		} else if err != nil {
			t.Errorf("%s mode: %v", mode.name, err)
		} else {
			w.makeTable("t")
			w.record(lease, change("1#1", "t", migration.LockAccessExclusive, does("ALTER TABLE t ADD COLUMN b int", "")))
			w.run(lease, "1#1")
		}
		_ = r.Close()
	}
}
