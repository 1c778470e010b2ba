package server

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
	"github.com/segue-deploy/segue/internal/testenv"
)

func inspect(t *testing.T, config Config) migration.Server {
	t.Helper()
	found, err := open(t, config).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func hints(found migration.Server) []string {
	var hints []string
	for _, fault := range found.Faults {
		hints = append(hints, fault.Hint)
	}
	return hints
}

// TestInspectNamesTheGrant follows the hints until there are none: each of them must be the exact statement.
func TestInspectNamesTheGrant(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, version)
			address := clustertest.Database(t, c)
			execute(t, address, `CREATE ROLE "Seg ue" LOGIN; CREATE ROLE "The owner"; CREATE TABLE t (id int); ALTER TABLE t OWNER TO "The owner"`)
			config := Config{URL: strings.Replace(address, "postgres@", "Seg%20ue@", 1)}
			found := inspect(t, config)
			want := []string{
				`GRANT CREATE ON DATABASE "` + database(t, address) + `" TO "Seg ue"`, `GRANT "The owner" TO "Seg ue"`,
				`ALTER ROLE "Seg ue" CREATEDB`, `GRANT pg_read_all_stats TO "Seg ue"`, `CREATE EXTENSION pg_stat_statements`,
			}
			if got := hints(found); !slices.Equal(got, want) {
				t.Fatalf("hints %q, want %q", got, want)
			}
			if found.Product != "PostgreSQL" || !strings.HasPrefix(found.Version, version+".") || found.Size == 0 || found.Statements {
				t.Errorf("found %+v", found)
			}
			for _, hint := range hints(found) {
				execute(t, address, hint)
			}
			found = inspect(t, config)
			if len(found.Faults) > 0 || !found.Statements {
				t.Errorf("after all of them: %+v", found)
			}
			if age := time.Since(found.StatementsSince); age < 0 || age > time.Hour {
				t.Errorf("statistics since %s", found.StatementsSince)
			}
		})
	}
}

func TestInspectSaysHowToSwitchStatisticsOn(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "", "shared_preload_libraries=")
	address := clustertest.Database(t, c)
	if got := hints(inspect(t, Config{URL: address})); len(got) != 1 || !strings.Contains(got[0], "shared_preload_libraries") {
		t.Errorf("as superuser: %q", got)
	}
	execute(t, address, "CREATE ROLE plain LOGIN SUPERUSER; CREATE EXTENSION pg_stat_statements; ALTER ROLE plain NOSUPERUSER CREATEDB; GRANT pg_read_all_stats TO plain; GRANT CREATE ON DATABASE "+database(t, address)+" TO plain")
	if got := hints(inspect(t, Config{URL: strings.Replace(address, "postgres@", "plain@", 1)})); len(got) != 1 || !strings.Contains(got[0], "shared_preload_libraries") {
		t.Errorf("as a role that sees no settings: %q", got)
	}
}

func TestInspectStandbyAndActivity(t *testing.T) {
	t.Parallel()
	primary := clustertest.Start(t, "15")
	standby := clustertest.Standby(t, primary)
	found := inspect(t, Config{URL: standby.URL("postgres")})
	if !found.Standby || !slices.ContainsFunc(found.Faults, func(f migration.Fault) bool { return strings.Contains(f.Message, "standby") }) {
		t.Errorf("found %+v", found)
	}
	address := primary.URL("postgres")
	execute(t, address, "CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t VALUES (1)")
	s := open(t, Config{URL: address})
	if got := activityOf(t, s, "public.t"); got.PID != 0 || got.Waiting != 0 || got.Oldest != 0 {
		t.Errorf("at rest: %+v", got)
	}
	holder, waiter := connect(t, address), connect(t, address)
	if _, err := holder.Exec(t.Context(), "BEGIN; SELECT * FROM t1; SELECT 'long work'", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.WithoutCancel(t.Context()), "ALTER TABLE t ADD COLUMN x int")
		done <- err
	}()
	for {
		got := activityOf(t, s, "public.t")
		if got.Waiting == 0 {
			continue
		}
		if got.PID != int(holder.PgConn().PID()) || got.Oldest <= 0 || !strings.Contains(got.Query, "long work") || got.Waiting != 1 {
			t.Errorf("with a holder and a waiter: %+v", got)
		}
		break
	}
	// The catalogue can be read all the same: nobody is waited for.
	if catalog, err := s.Catalog(t.Context()); err != nil || len(catalog.Tables) != 2 {
		t.Errorf("beside a waiting ALTER: %d tables, %v", len(catalog.Tables), err)
	}
	if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func activityOf(t *testing.T, s *Server, table string) Activity {
	t.Helper()
	found, err := s.Activity(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// TestPoolers starts PgBouncer: in transaction mode locks of a session are lost, in session mode they are not.
func TestPoolers(t *testing.T) {
	t.Parallel()
	program := testenv.Program(t, "pgbouncer")
	c := clustertest.Start(t, "")
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := open(t, Config{URL: bouncer(t, program, c, mode)})
			if !s.pooled || s.shared != (mode == "transaction") {
				t.Errorf("pooled %t, shared %t", s.pooled, s.shared)
			}
			found, err := s.Inspect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told := slices.ContainsFunc(found.Faults, func(f migration.Fault) bool { return strings.Contains(f.Message, "transaction mode") })
			if told != s.shared {
				t.Errorf("faults %v", found.Faults)
			}
			if _, err := s.Catalog(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if s := open(t, Config{URL: c.LoopbackURL("postgres")}); s.pooled {
		t.Error("a server itself was taken for a pooler")
	}
}

// bouncer starts PgBouncer before a cluster and gives its URL.
func bouncer(t *testing.T, program string, c *cluster.Cluster, mode string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "segue-bouncer-") //nolint:usetesting // short enough for a socket, and reachable for another user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d user=bounced password=secret\n[pgbouncer]\nlisten_port = 6432\nlisten_addr =\n"+
		"unix_socket_dir = %s\nauth_type = any\npool_mode = %s\nignore_startup_parameters = extra_float_digits\n", c.Port(), dir, mode)
	execute(t, c.URL("postgres"), "DO $$ BEGIN CREATE ROLE bounced LOGIN SUPERUSER PASSWORD 'secret'; EXCEPTION WHEN OTHERS THEN NULL; END $$")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Geteuid() == 0 {
		args = append([]string{"-u", "postgres"}, args...)
	}
	command := exec.CommandContext(t.Context(), program, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	address := "postgres://bounced@/postgres?host=" + dir + "&port=6432&default_query_exec_mode=simple_protocol"
	for range time.Tick(20 * time.Millisecond) {
		conn, err := pgx.Connect(t.Context(), address)
		if err == nil {
			_ = conn.Close(t.Context())
			return address
		}
		if t.Context().Err() != nil || command.ProcessState != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
	}
	return ""
}

// TestNoSecretInErrors draws passwords, in URLs good and bad: no error may quote them.
func TestNoSecretInErrors(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`Z[a-zA-Z0-9%:/@#? '\\]{6,12}Z`).Draw(t, "password")
		shape := rapid.SampledFrom([]string{"postgres://u:%s@127.0.0.1:1/db", "postgres://u:%s@127.0.0.1:x/db", "host=127.0.0.1 port=1 user=u password=%s", "postgres://127.0.0.1:1/db?password=%s", "%s"}).Draw(t, "shape")
		_, err := Open(context.Background(), Config{URL: strings.Replace(shape, "%s", secret, 1)})
		if err == nil {
			t.Fatal("connected")
		}
		text := err.Error() + segue.HintOf(err)
		for _, part := range strings.FieldsFunc(secret, func(r rune) bool { return strings.ContainsRune(`%:/@#? '\`, r) }) {
			if len(part) > 3 && strings.Contains(text, part) {
				t.Fatalf("%q of the password is in %q", part, text)
			}
		}
	})
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	for name, test := range map[string]struct {
		address string
		kind    segue.Kind
	}{
		"no URL":           {"postgres://u@host:port/", segue.KindInvalid},
		"nobody there":     {"postgres://u@127.0.0.1:1/db?sslmode=disable", segue.KindUnavailable},
		"no such database": {c.URL("nothing"), segue.KindInvalid},
		"wrong password":   {strings.Replace(c.LoopbackURL("postgres"), "@", "wrong@", 1), segue.KindInvalid},
	} {
		_, err := Open(t.Context(), Config{URL: test.address})
		if segue.KindOf(err) != test.kind || segue.HintOf(err) == "" {
			t.Errorf("%s: %s, %v, hint %q", name, segue.KindOf(err), err, segue.HintOf(err))
		}
	}
	s := open(t, Config{URL: c.URL("postgres")})
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Catalog(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("after the server's end: %s, %v", segue.KindOf(err), err)
	}
}

// TestLiteral draws texts: the server must read back what was quoted.
func TestLiteral(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	conn := connect(t, c.URL("postgres"))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "") + rapid.SampledFrom([]string{"", `\`, `'`, `\'`, `';--`}).Draw(t, "end")
		var got string
		if err := conn.QueryRow(context.Background(), "SELECT "+Literal(text)+"::text AS "+Identifier(text+"x"), pgx.QueryExecModeSimpleProtocol).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}
