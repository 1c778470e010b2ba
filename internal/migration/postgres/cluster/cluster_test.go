package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask runs a query that gives one text.
func ask(t *testing.T, address, query string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var answer string
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func TestEveryVersion(t *testing.T) {
	for _, version := range []string{"14", "15", "16", "17", "18"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			c := clustertest.Start(t, version, "work_mem=5MB")
			took := time.Since(begun)
			address := clustertest.Database(t, c)
			if got := ask(t, address, "SHOW server_version"); !strings.HasPrefix(got, version+".") {
				t.Errorf("version %s, want %s", got, version)
			}
			if got := ask(t, address, "SHOW work_mem"); got != "5MB" {
				t.Errorf("work_mem %s, want the test's setting", got)
			}
			if got := ask(t, address, "SHOW shared_preload_libraries"); got != "pg_stat_statements" {
				t.Errorf("preloaded: %q", got)
			}
			if got := ask(t, c.LoopbackURL("postgres"), "SELECT host(inet_server_addr())"); got != "127.0.0.1" {
				t.Errorf("over the loopback: %s", got)
			}
			config, err := pgx.ParseConfig(c.LoopbackURL("postgres"))
			if err != nil {
				t.Fatal(err)
			}
			config.Password = "wrong"
			if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
				_ = conn.Close(t.Context())
				t.Error("a wrong password was let in")
			}
			t.Logf("started in %s", took)
		})
	}
}

func TestRestartKeepsTheData(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	address := clustertest.Database(t, c)
	ask(t, address, "SELECT lo_from_bytea(4711, 'kept')::text")
	before := c.PID()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.PID() == before {
		t.Error("the process is the same")
	}
	if got := ask(t, address, "SELECT encode(lo_get(4711), 'escape')"); got != "kept" {
		t.Errorf("after the restart: %q", got)
	}
}

func TestStandbyFollows(t *testing.T) {
	t.Parallel()
	primary := clustertest.Start(t, "15")
	standby := clustertest.Standby(t, primary)
	if got := ask(t, standby.URL("postgres"), "SELECT pg_is_in_recovery()::text"); got != "true" {
		t.Errorf("in recovery: %s", got)
	}
	if got := ask(t, standby.LoopbackURL("postgres"), "SELECT 'in'"); got != "in" {
		t.Errorf("over the loopback: %s", got)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	// The temporary folder of a test belongs to its user alone, and the server may run as another one.
	parent := t.TempDir()
	if err := os.Chmod(filepath.Dir(parent), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, strings.Repeat("a-long-name-", 10))
	c, err := cluster.Start(t.Context(), cluster.Options{Bin: testenv.PostgresBin(t, ""), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, c.URL("postgres"), "SELECT 'hi'"); got != "hi" {
		t.Errorf("with a long path: %q", got)
	}
	if _, err := cluster.Start(t.Context(), cluster.Options{Bin: testenv.PostgresBin(t, ""), Dir: dir}); segue.KindOf(err) != segue.KindConflict {
		t.Errorf("a second one in the same folder: %v", err)
	}
	sockets := c.Sockets()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{dir, sockets} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

// TestFaults starts what cannot start: the error must say why.
func TestFaults(t *testing.T) {
	t.Parallel()
	bin := testenv.PostgresBin(t, "")
	for name, test := range map[string]struct {
		options cluster.Options
		kind    segue.Kind
		says    string
	}{
		"no such version":  {cluster.Options{Major: "3"}, segue.KindUnavailable, "no server of version 3"},
		"no programs":      {cluster.Options{Bin: t.TempDir()}, segue.KindUnavailable, "run initdb"},
		"a wrong setting":  {cluster.Options{Bin: bin, Settings: map[string]string{"work_mem": "lots"}}, segue.KindUnavailable, `invalid value for parameter "work_mem"`},
		"quotes in values": {cluster.Options{Bin: bin, Settings: map[string]string{"lc_messages": `it's \ bad`}}, segue.KindUnavailable, `it's \ bad`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := cluster.Start(t.Context(), test.options)
			if err == nil {
				_ = c.Stop(t.Context())
				t.Fatal("it started")
			}
			if segue.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %s: %v; want %s and %q", segue.KindOf(err), err, test.kind, test.says)
			}
		})
	}
}

// TestDiesWithItsMaker kills a process that has a server, and then looks whether the server and, after the next start, its folder are gone.
func TestDiesWithItsMaker(t *testing.T) {
	if os.Getenv("SEGUE_TEST_MAKER") != "" {
		c, err := cluster.Start(t.Context(), cluster.Options{Bin: os.Getenv("SEGUE_TEST_MAKER")})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(c.Sockets() + "\n")
		select {}
	}
	maker := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiesWithItsMaker$")
	maker.Env = append(os.Environ(), "SEGUE_TEST_MAKER="+testenv.PostgresBin(t, ""))
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 200)
	n, err := out.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	sockets := strings.TrimSpace(string(buffer[:n]))
	_ = maker.Process.Kill()
	_ = maker.Wait()
	for range time.Tick(20 * time.Millisecond) {
		// The server removes its socket at its end, as the last thing.
		if left, _ := filepath.Glob(filepath.Join(sockets, ".s.PGSQL.*")); len(left) == 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("the server lives on")
		}
	}
	clusterOfTheNext := clustertest.Start(t, "")
	if _, err := os.Stat(filepath.Dir(sockets)); !os.IsNotExist(err) {
		t.Errorf("%s is still there after a start (in %s): %v", filepath.Dir(sockets), clusterOfTheNext.Sockets(), err)
	}
}
