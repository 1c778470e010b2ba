package gate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// role makes a login of a release and runs statements as it, with an end.
func (w *world) role(name string, statements ...string) {
	w.Helper()
	w.exec("CREATE ROLE " + name + " LOGIN IN ROLE pg_read_all_data, pg_write_all_data")
	conn := w.connect(strings.Replace(w.url, "postgres@", name+"@", 1))
	for _, statement := range statements {
		if _, err := conn.Exec(w.Context(), statement); err != nil {
			w.Fatalf("%s: %v", statement, err)
		}
	}
	if err := conn.Close(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// TestGateByStatistics takes statements from the server's own statistics, attributed by role.
func TestGateByStatistics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.counting()
	w.role("shop_r41", "SELECT phone FROM customers WHERE id = 1", "SELECT name FROM customers WHERE id = 1", "SELECT id FROM customers WHERE name > 'x' AND note < INTERVAL '1 day' || 'y'",
		"SELECT extract(year FROM DATE '2026-03-01'), count(*) FROM customers GROUP BY 1")
	w.role("shop_r42", "SELECT id, name FROM customers LIMIT 3", "INSERT INTO orders (customer_id, ref) VALUES (1, 'z') RETURNING id")
	w.role("shop_r43", "SELECT id FROM customers")
	now := time.Now()
	r41 := migration.Presence{Release: "r41", Order: 41, Running: webs, Role: "shop_r41"}
	r42 := migration.Presence{Release: "r42", Order: 42, Running: webs, Role: "shop_r42"}
	request := migration.GateRequest{Change: dropPhone(), Brought: "r42", Window: time.Nanosecond, Now: now, Releases: []migration.Presence{r41, r42}}

	gate := w.asks(w.gate, request)
	ground := w.says(gate, checkStatements, migration.AnswerUnsafe, `column "phone" does not exist`)
	if ground.Release != "r41" || ground.Statement != "SELECT phone FROM customers WHERE id = $1" || !ground.Seen.Equal(now) {
		t.Errorf("%+v", ground)
	}
	w.says(gate, checkStatements, migration.AnswerSafe, "r42 runs on 1 servers, and its 2 statements work")
	w.says(gate, checkStatistics, migration.AnswerSafe, "none was missed since")

	// The old release stopped after its last statement, and nothing has come since.
	r41.Running, r41.Ended = nil, now.Add(time.Minute)
	request.Releases, request.Now = []migration.Presence{r41, r42}, now.Add(time.Hour)
	keeper := w.keeper(Config{Memory: &memory{}})
	first := request
	first.Now = now.Add(2 * time.Second)
	w.asks(keeper, first)
	if gate := w.asks(keeper, request); gate.Answer != migration.AnswerSafe {
		t.Errorf("%s:%s", gate.Answer, listed(gate))
	}
	// Without an earlier look too: whose role it is has ended, and nobody is logged in with it.
	if gate := w.asks(w.gate, request); gate.Answer != migration.AnswerSafe {
		t.Errorf("%s:%s", gate.Answer, listed(gate))
	}
	// Somebody logs in as it once more.
	w.connect(strings.Replace(w.url, "postgres@", "shop_r41@", 1))
	w.says(w.asks(keeper, request), checkSessions, migration.AnswerUnsafe, "1 sessions are logged in with the role of r41")
}

// TestGateAlongSearchPaths tells apart the tables that the same words mean for different roles.
func TestGateAlongSearchPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec("CREATE SCHEMA tenant", "CREATE TABLE tenant.customers (id int, phone text)", "GRANT USAGE ON SCHEMA tenant TO public")
	w.counting()
	w.exec("CREATE ROLE shop_t1 LOGIN IN ROLE pg_read_all_data", "ALTER ROLE shop_t1 SET search_path = tenant, public")
	conn := w.connect(strings.Replace(w.url, "postgres@", "shop_t1@", 1))
	if _, err := conn.Exec(t.Context(), "SELECT phone FROM customers"); err != nil {
		t.Fatal(err)
	}
	request := migration.GateRequest{Change: dropPhone(), Brought: "t1", Window: time.Nanosecond, Releases: []migration.Presence{{Release: "t1", Order: 1, Running: webs, Role: "shop_t1"}}}
	if gate := w.asks(w.gate, request); gate.Answer != migration.AnswerSafe {
		t.Errorf("%s:%s", gate.Answer, listed(gate))
	}
	request.Change = dropping("ALTER TABLE tenant.customers DROP COLUMN phone", migration.Object{Kind: migration.ObjectColumn, Table: "tenant.customers", Name: "phone"})
	w.says(w.asks(w.gate, request), checkStatements, migration.AnswerUnsafe, `column "phone" does not exist`)
}

type memory struct{ snapshots map[string]Snapshot }

func (m *memory) Load(_ context.Context, name string) (Snapshot, error) {
	return m.snapshots[name], nil
}

func (m *memory) Save(_ context.Context, name string, snapshot Snapshot) error {
	if m.snapshots == nil {
		m.snapshots = map[string]Snapshot{}
	}
	m.snapshots[name] = snapshot
	return nil
}

// TestSilenceIsNoEvidence tries what keeps statistics from saying that nothing was sent.
func TestSilenceIsNoEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "pg_stat_statements.max=400")
	request := migration.GateRequest{Change: dropPhone(), Brought: "v2", Releases: []migration.Presence{{Release: "v2", Order: 2, Running: webs}}, Recorded: recorded("v2", "SELECT name FROM customers")}
	unknown := func(text string) migration.Ground {
		t.Helper()
		gate := w.asks(w.gate, request)
		if gate.Answer != migration.AnswerUnknown {
			t.Errorf("%s:%s", gate.Answer, listed(gate))
		}
		return w.says(gate, checkStatistics, migration.AnswerUnknown, text)
	}
	unknown("CREATE EXTENSION pg_stat_statements")
	w.counting()
	if ground := unknown("are counted without a gap for"); time.Until(ground.Until) < 23*time.Hour || time.Until(ground.Until) > DefaultWindow {
		t.Errorf("%+v", ground)
	}
	request.Window = time.Nanosecond
	if gate := w.asks(w.gate, request); gate.Answer != migration.AnswerSafe {
		t.Errorf("%s:%s", gate.Answer, listed(gate))
	}
	for i := range 500 {
		w.exec("SELECT id" + strings.Repeat(", id", i%25) + " FROM plain WHERE true" + strings.Repeat(" AND id > 0", i/25))
	}
	unknown("dropped for want of room (raise pg_stat_statements.max)")
	w.exec("SELECT pg_stat_statements_reset()", "CREATE ROLE quiet LOGIN", "ALTER ROLE quiet SET pg_stat_statements.track = 'none'")
	unknown("statements are not counted for role quiet")
	w.exec("ALTER ROLE quiet RESET pg_stat_statements.track", "ALTER ROLE ALL SET pg_stat_statements.track = 'none'")
	unknown("statements are not counted for role all")
	w.exec("ALTER ROLE ALL RESET pg_stat_statements.track", "CREATE ROLE modest LOGIN CREATEDB")
	modest := &world{T: t, url: strings.Replace(w.url, "postgres@", "modest@", 1)}
	w.says(modest.asks(modest.keeper(Config{}), request), checkStatistics, migration.AnswerUnknown, `is hidden from role modest: GRANT pg_read_all_stats TO "modest"`)
}

// TestShownIsNoGap: what a role was not shown before, and is now, was not lost.
func TestShownIsNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.counting()
	w.exec("CREATE ROLE modest LOGIN", "SELECT id FROM plain")
	conn := w.connect(strings.Replace(w.url, "postgres@", "modest@", 1))
	read := func(past Snapshot) Statistics {
		t.Helper()
		statistics, err := ReadStatistics(t.Context(), conn, past, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return statistics
	}
	before := read(Snapshot{})
	if before.Snapshot.Hidden == 0 || !strings.Contains(before.Missing, "hidden from role modest") {
		t.Errorf("%d hidden: %s", before.Snapshot.Hidden, before.Missing)
	}
	w.exec("GRANT pg_read_all_stats TO modest")
	after := read(before.Snapshot)
	if after.Missing != "" || !after.Snapshot.Evicted.IsZero() || !after.Snapshot.Since.Equal(before.Snapshot.Since) {
		t.Errorf("missing %q, evicted %s, since %s and %s before", after.Missing, after.Snapshot.Evicted, after.Snapshot.Since, before.Snapshot.Since)
	}
}

func TestGateBySlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "wal_level=logical")
	w.exec("CREATE PUBLICATION news FOR TABLE customers (id, name, phone)", "CREATE PUBLICATION other FOR TABLE orders")
	request := migration.GateRequest{Change: dropPhone()}
	w.says(w.asks(w.gate, request), checkSlots, migration.AnswerUnsafe, "a publication names public.customers.phone")
	w.exec("ALTER PUBLICATION news SET TABLE customers")
	w.says(w.asks(w.gate, request), checkSlots, migration.AnswerSafe, "no logical replication reads it")
	w.exec("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')")
	w.says(w.asks(w.gate, request), checkSlots, migration.AnswerUnknown, "changes of the table are read by slot cdc by publication news")
	w.says(w.asks(w.keeper(Config{Slots: migration.AnswerUnsafe}), request), checkSlots, migration.AnswerUnsafe, "slot cdc")
	w.exec("ALTER PUBLICATION news DROP TABLE customers")
	w.says(w.asks(w.gate, request), checkSlots, migration.AnswerSafe, "no logical replication reads it")
	w.exec("SELECT pg_drop_replication_slot('cdc')")
}

func TestGateByReplicas(t *testing.T) {
	t.Parallel()
	primary := clustertest.Start(t, "")
	w := openWorld(t, primary)
	w.counting()
	standby := clustertest.Standby(t, primary)
	w.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'")
	request := migration.GateRequest{Change: dropPhone(), Brought: "v2", Window: time.Nanosecond, Releases: []migration.Presence{{Release: "v2", Order: 2, Running: webs}}, Recorded: recorded("v2", "SELECT name FROM customers")}
	w.says(w.asks(w.gate, request), checkReplicas, migration.AnswerUnknown, "1 of 1 replicas cannot be asked")

	address := standby.URL(w.conn.Config().Database)
	reader := &world{T: t, conn: w.connect(address)}
	w.exec("CREATE TABLE caught_up ()")
	reader.until("SELECT to_regclass('caught_up') IS NOT NULL")
	reader.exec("SELECT pg_stat_statements_reset()", "SELECT name FROM customers")
	keeper := w.keeper(Config{Replicas: []string{address}})
	if gate := w.asks(keeper, request); gate.Answer != migration.AnswerSafe {
		t.Errorf("%s:%s", gate.Answer, listed(gate))
	}
	reader.exec("SELECT phone FROM customers WHERE id = 2")
	heard, err := keeper.Listen(t.Context(), nil, time.Time{})
	if same := func(q migration.Query) bool { return q.SQL == "SELECT phone FROM customers WHERE id = $1" }; err != nil || !slices.ContainsFunc(heard.Queries, same) || len(heard.Unheard) > 0 {
		t.Errorf("heard %+v, %v", heard, err)
	}
	gate := w.asks(keeper, request)
	if ground := w.says(gate, checkStatements, migration.AnswerUnsafe, `column "phone" does not exist`); ground.Statement != "SELECT phone FROM customers WHERE id = $1" {
		t.Errorf("%+v", ground)
	}
	away := w.keeper(Config{Replicas: []string{"postgres://somebody:secret@127.0.0.1:1/nowhere"}})
	w.says(w.asks(away, request), checkReplicas, migration.AnswerUnknown, "replica 1 does not answer")
	heard, err = away.Listen(t.Context(), nil, time.Time{})
	if err != nil || len(heard.Unheard) != 1 || !strings.Contains(heard.Unheard[0], "replica 1 does not answer") || strings.Contains(heard.Unheard[0], "secret") {
		t.Errorf("heard %+v, %v", heard, err)
	}
}

func TestTableMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := TableMemory{Server: w.gate.config.Server}
	want := Snapshot{At: time.Unix(5, 0).UTC(), Since: time.Unix(1, 0).UTC(), Started: time.Unix(1, 0).UTC(), Counts: map[string]Count{"1/2/true": {Calls: 3, Seen: time.Unix(4, 0).UTC()}}}
	if err := m.Save(t.Context(), "", want); err != nil {
		t.Errorf("without Segue's schema there is nothing to keep it in, and no fault: %v", err)
	}
	if got, err := m.Load(t.Context(), ""); err != nil || !got.At.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	w.exec("CREATE SCHEMA segue")
	for range 2 {
		if err := m.Save(t.Context(), "", want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Load(t.Context(), "")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := m.Load(t.Context(), "replica 1"); err != nil || !got.At.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCountsHoldTheLastCall plays a server that counts, drops and forgets, and looks at it at any times: the true last call is never outside of what the
// counts say, and nothing was sent unseen since the time that is given for it.
func TestCountsHoldTheLastCall(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := func(n int) time.Time { return time.Unix(int64(n), 0) }
		statements := []string{"a", "b", "c"}
		calls, last := map[string]int64{}, map[string]int{}
		start, reset, dropped, lost := 1, 1, int64(0), 0
		var past Snapshot
		for now := 2; now < 60; now++ {
			name := rapid.SampledFrom(statements).Draw(t, "statement")
			switch rapid.SampledFrom([]string{"call", "call", "call", "look", "look", "evict", "reset", "crash", "restart"}).Draw(t, "event") {
			case "call":
				calls[name]++
				last[name] = now
			case "evict":
				if calls[name] > 0 {
					lost = max(lost, last[name])
					delete(calls, name)
					dropped++
				}
			case "reset":
				for name := range calls {
					lost = max(lost, last[name])
				}
				clear(calls)
				reset, dropped = now, 0
			case "crash":
				for name := range calls {
					lost = max(lost, last[name])
				}
				clear(calls)
				start, reset, dropped = now, now, 0
			case "restart":
				start = now
			case "look":
				s := Statistics{Snapshot: Snapshot{At: at(now), Counts: map[string]Count{}, Started: at(start), Reset: at(reset), Dropped: dropped, Since: latest(at(start), at(reset))}}
				if dropped > 0 {
					s.Snapshot.Evicted = at(now)
				}
				for name, n := range calls {
					s.Snapshot.Counts[name] = row{Key: name, Calls: n}.count(past, s.Snapshot.gapless(past), at(now))
				}
				s.Snapshot.follow(past)
				for name, c := range s.Snapshot.Counts {
					if when := at(last[name]); when.After(c.Seen) || !c.From.IsZero() && when.Before(c.From) {
						t.Fatalf("%s was last called at %v: %+v", name, when, c)
					}
				}
				if lost > 0 && at(lost).After(s.watched()) {
					t.Fatalf("a call of %v was lost, and nothing is said to be missed since %v", at(lost), s.watched())
				}
				past = s.Snapshot
			}
		}
	})
}

// TestOwnStatementsAreNobodysNeed runs Segue with the role of the application: what it sends to the team's tables is not what a release needs, unless an
// application sends the same.
func TestOwnStatementsAreNobodysNeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.counting()
	w.exec("CREATE TABLE seeds (id int, name text)", "CREATE ROLE app LOGIN CREATEDB IN ROLE pg_read_all_stats", "GRANT ALL ON seeds TO app", "ALTER TABLE seeds OWNER TO app")
	role := w.connect(strings.Replace(w.url, "postgres@", "app@", 1))
	send := func(statement string, times int) {
		t.Helper()
		for range times {
			if _, err := role.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(server.Marked(server.Mark, "SELECT ARRAY[id::text] FROM ONLY seeds"), 20)
	send(server.Marked(server.MarkTeam, "\n insert INTO seeds (id, name) VALUES (1, 'a')"), 2)
	send(`SELECT dealloc FROM "public"."pg_stat_statements_info"`, 1)
	send(server.Marked(server.MarkTeam, "SELECT count(*) FROM seeds WHERE name IS NULL"), 1)
	send("SELECT count(*) FROM seeds WHERE name IS NULL", fewCalls)
	statistics, err := ReadStatistics(t.Context(), role, Snapshot{}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, query := range statistics.Queries {
		if query.Role == "app" {
			texts = append(texts, query.SQL)
		}
	}
	if diff := cmp.Diff([]string{"SELECT /* segue migration */ count(*) FROM seeds WHERE name IS NULL"}, texts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
