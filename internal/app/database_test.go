package app_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/examples/shop/build/releases"
	"github.com/segue-deploy/segue/internal/app"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/testenv"
)

// shopRig is the example shop on four servers, on a database of either kind.
type shopRig struct {
	*rig
	db *sql.DB
}

// start deploys v1 and writes so many customers into its books. The shop would do so as well, but not a million of them in the time that it has on a
// machine with other work.
func (r *shopRig) start(driver string, customers int) {
	r.t.Helper()
	r.must(0, "deploy", "v1", "--yes")
	fill := `INSERT INTO customers (name) SELECT 'Given' || i || ' Family' || i FROM generate_series(1, $1::int) AS i`
	if driver == "sqlite" {
		fill = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO customers (name) SELECT 'Given' || i || ' Family' || i FROM n`
	}
	if _, err := r.db.ExecContext(r.t.Context(), fill, customers); err != nil {
		r.t.Fatalf("add %d customers: %v", customers, err)
	}
}

// newShop builds the shop's releases and writes its project.
func newShop(t *testing.T, driver string) *shopRig {
	t.Helper()
	dir := t.TempDir()
	r := &shopRig{rig: &rig{t: t, dir: dir, program: testenv.Build(t, "./cmd/segue"), address: freeAddress(t)}}
	address, roles, open := "file:"+filepath.Join(dir, "shop.db"), "", "sqlite"
	if driver == "postgres" {
		address, roles, open = clustertest.Database(t, clustertest.Start(t, "", "shared_preload_libraries=pg_stat_statements")), "    roles: {group: shop}\n", "pgx"
	}
	if err := releases.Build(t.Context(), filepath.Join(dir, "releases"), "v1", "v2", "v3"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "examples", "shop", "segue.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [...][2]string{
		{"127.0.0.1:8080", r.address},
		{"drain: {within: 30s}", "drain: {within: 1s, spread: 500ms}"},
		{"bake: 30s", "bake: 2s"},
		{"${DATABASE_URL:-file:shop.db}", address},
		{"${SHOP_DRIVER:-sqlite}", driver},
		{"${SHOP_CUSTOMERS:-1000}", "0"}, // see start
		{"    strategy: {kind: rolling", "    rollback_window: 20s\n    strategy: {kind: rolling"},
		{"brown_out: 5s", "brown_out: 1s"},
		{"    contract: {", roles + "    contract: {"},
		{"latency: {ratio: 2}", "latency: off"},
	} {
		text = bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1]))
	}
	text, _, _ = bytes.Cut(text, []byte("\n# Twenty people"))
	r.write("segue.yaml", string(text))
	if r.state, err = app.OpenState(filepath.Join(dir, ".segue")); err != nil {
		t.Fatal(err)
	}
	r.endWith(t)
	own := address + "?_pragma=busy_timeout(20000)"
	if driver == "postgres" {
		own = address + "&options=-c%20pg_stat_statements.track%3Dnone" // what the audit reads, no application needs
	}
	if r.db, err = sql.Open(open, own); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	if driver == "postgres" {
		for _, statement := range [...]string{
			"CREATE EXTENSION pg_stat_statements", "CREATE ROLE shop NOLOGIN", "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO shop",
			"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO shop",
		} {
			if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

func (r *shopRig) count(query string) (n int) {
	r.t.Helper()
	if err := r.db.QueryRowContext(r.t.Context(), query).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// clerk is a customer who changes the own name over and over, on whichever release answers, and reads it back.
type clerk struct {
	user    string
	client  *http.Client
	last    string
	writes  int
	slowest time.Duration
}

// clerks work until stop is called, which gives them back. Anything that fails or is stale fails the test.
func (r *shopRig) clerks(n int) (stop func() []*clerk) {
	r.t.Helper()
	all := make([]*clerk, n)
	for i := range all {
		jar, err := cookiejar.New(nil)
		if err != nil {
			r.t.Fatal(err)
		}
		all[i] = &clerk{user: fmt.Sprintf("clerk%d", i), client: &http.Client{Jar: jar, Timeout: 20 * time.Second}}
		r.answer(r.t.Context(), all[i], http.MethodPost, "/api/register", map[string]string{"name": all[i].user, "password": "a long password"}, nil)
	}
	return r.carryOn(all)
}

// carryOn lets clerks go on.
func (r *shopRig) carryOn(all []*clerk) (stop func() []*clerk) {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	var wait sync.WaitGroup
	for i, c := range all {
		wait.Go(func() {
			for n := c.writes + 1; ctx.Err() == nil && !r.t.Failed(); n++ {
				r.rename(context.WithoutCancel(ctx), c, fmt.Sprintf("Given%d Family%d", i, n))
			}
		})
	}
	return func() []*clerk {
		cancel()
		wait.Wait()
		return all
	}
}

func (r *shopRig) rename(ctx context.Context, c *clerk, name string) {
	began := time.Now()
	if !r.answer(ctx, c, http.MethodPut, "/api/customer", map[string]string{"name": name}, nil) {
		return
	}
	c.slowest = max(c.slowest, time.Since(began))
	c.last = name
	c.writes++
	var got struct {
		Name string `json:"name"`
	}
	if r.answer(ctx, c, http.MethodGet, "/api/customer", nil, &got) && got.Name != name {
		r.t.Errorf("%s wrote %q and reads %q", c.user, name, got.Name)
	}
}

func (r *shopRig) answer(ctx context.Context, c *clerk, method, path string, body, into any) bool {
	text, err := json.Marshal(body)
	if err != nil {
		r.t.Error(err)
		return false
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.address+path, bytes.NewReader(text))
	if err != nil {
		r.t.Error(err)
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(request)
	if err != nil {
		r.t.Errorf("%s %s: %v", method, path, err)
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		r.t.Errorf("%s %s: %s", method, path, answer.Status)
		return false
	}
	if into != nil {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			r.t.Errorf("%s %s: %v", method, path, err)
			return false
		}
	}
	return true
}

// audit looks at every row: both forms of a name say the same, and what clerks were told is there.
func (r *shopRig) audit(clerks []*clerk, customers int, both bool) {
	r.t.Helper()
	if got, want := r.count(`SELECT count(*) FROM customers`), customers+len(clerks); got != want {
		r.t.Errorf("%d customers, want %d", got, want)
	}
	if n := r.count(`SELECT count(*) FROM customers WHERE given_name IS NULL OR family_name IS NULL`); n > 0 {
		r.t.Errorf("%d customers have no name in its new form", n)
	}
	if both {
		if n := r.count(`SELECT count(*) FROM customers WHERE name IS NULL OR name <> given_name || ' ' || family_name`); n > 0 {
			r.t.Errorf("the two forms of %d names differ", n)
		}
	}
	if n := r.count(`SELECT count(*) FROM customers WHERE user_id IS NULL AND (given_name NOT LIKE 'Given%' OR substr(given_name, 6) <> substr(family_name, 7))`); n > 0 {
		r.t.Errorf("%d of the old customers are not called as they were", n)
	}
	writes, slowest := 0, time.Duration(0)
	for _, c := range clerks {
		var got string
		err := r.db.QueryRowContext(r.t.Context(), `SELECT given_name || ' ' || family_name FROM customers c JOIN users u ON u.id = c.user_id WHERE u.name = $1`, c.user).Scan(&got)
		if err != nil || got != c.last {
			r.t.Errorf("%s wrote %q last, and the book has %q, %v", c.user, c.last, got, err)
		}
		writes, slowest = writes+c.writes, max(slowest, c.slowest)
	}
	r.t.Logf("%d names written, the slowest in %s", writes, slowest)
}

// customersOf is how many there are: few in the quick run.
func customersOf(driver string) int {
	switch {
	case testing.Short():
		return 20_000
	case driver == "postgres":
		return 1_000_000
	default:
		return 100_000
	}
}

// TestE2ENamesAreSplitUnderWay replaces v1 by v2, which keeps names in two parts, and v2 by v3, which drops the old column, while people change their
// names on both.
func TestE2ENamesAreSplitUnderWay(t *testing.T) {
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			customers := customersOf(driver)
			r := newShop(t, driver)
			r.start(driver, customers)
			stop := r.clerks(4)
			stalls := testenv.Stalls(t)
			began := time.Now()
			r.must(0, "deploy", "v2", "--yes")
			t.Logf("v1 to v2 with %d rows to fill: %s", customers, time.Since(began).Round(time.Millisecond))
			got := r.receipt()
			if got.Traffic.Failed > 0 {
				t.Errorf("%d of %d requests failed", got.Traffic.Failed, got.Traffic.Requests)
			}
			clerks := stop()
			r.audit(clerks, customers, true)
			most := time.Second + stalls()
			for _, step := range got.Steps {
				if step.Work != nil && step.Work.Caused > most {
					t.Errorf("somebody waited %s behind %s", step.Work.Caused, step.Title)
				}
			}
			stop = r.carryOn(clerks)
			r.contract(t)
			r.audit(stop(), customers, false)
		})
	}
}

// contract deploys v3: refused as long as v1 may come back.
func (r *shopRig) contract(t *testing.T) {
	t.Helper()
	refused := 0
	for began := time.Now(); ; {
		code, out := r.segue("deploy", "v3", "--yes")
		if code == 0 {
			break
		}
		if refused++; code != 12 || time.Since(began) > 2*time.Minute {
			t.Fatalf("deploy v3: exit code %d\n%s", code, out)
		}
		if refused == 1 && !strings.Contains(out, "name") {
			t.Errorf("the refusal does not say what must wait:\n%s", out)
		}
	}
	if refused == 0 {
		t.Error("v3 was not refused while v1 could come back")
	}
	there := func() bool {
		_, err := r.db.ExecContext(t.Context(), `SELECT name FROM customers LIMIT 1`)
		return err == nil
	}
	// What could not be had at that moment, such as a lock, stays owed, and is done later.
	for tries := 0; there() && tries < 10; tries++ {
		_, out := r.segue("contract")
		t.Logf("owed after the rollout:\n%s", out)
	}
	if there() {
		t.Errorf("the old column is still there:\n%s", r.must(0, "db", "status"))
	}
}

// TestE2EControllerKilledWhileRowsAreFilled kills the controller ten times, wherever it is.
func TestE2EControllerKilledWhileRowsAreFilled(t *testing.T) {
	for _, driver := range []string{"sqlite", "postgres"} {
		t.Run(driver, func(t *testing.T) {
			customers := customersOf(driver)
			r := newShop(t, driver)
			if testing.Short() || driver == "sqlite" {
				r.edit("    contract: {", "    backfill: {budget: 30%}\n    contract: {") // few rows must last as well
			}
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secret
			r.start(driver, customers)
			stop := r.clerks(4)
			r.must(0, "deploy", "v2", "--yes", "--detach")
			client := r.client()
			kills := 0
			var seen atomic.Int64
			for kills < 10 {
				// After another few events of the journal, wherever that is.
				wait := seen.Load() + random.Int64N(4)
				now := r.until(client, "went on", func(now operator.Rollout) bool { return now.Phase.Over() || now.Index >= wait })
				seen.Store(now.Index + 1)
				if now.Phase.Over() {
					break
				}
				status, err := client.Status(t.Context())
				if err != nil {
					continue
				}
				if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				kills++
				r.must(0, "status") // starts the next one
			}
			end := r.until(client, "ended", func(now operator.Rollout) bool { return now.Phase.Over() && now.Receipt })
			t.Logf("killed %d times", kills)
			if end.Phase != segue.PhaseSucceeded || len(end.Fleet.On("v2")) != 4 {
				t.Errorf("end: %s", end.Sentence)
			}
			r.audit(stop(), customers, true)
		})
	}
}
