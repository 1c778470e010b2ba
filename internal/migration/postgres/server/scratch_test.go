package server

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// versions are the majors under test: the one that is most likely there when time is short.
func versions() []string {
	if testing.Short() {
		return []string{"15"}
	}
	return []string{"14", "15", "16", "17", "18"}
}

// execute runs statements at a database.
func execute(tb testing.TB, address, statements string) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), address)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(tb.Context()))
	if _, err := conn.Exec(tb.Context(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		tb.Fatalf("%.200s: %v", statements, err)
	}
}

func open(tb testing.TB, config Config) *Server {
	tb.Helper()
	s, err := Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// rich makes the schema with one of everything, as far as the version has it.
func rich(tb testing.TB, address, version string) {
	tb.Helper()
	files, err := filepath.Glob("testdata/rich*.sql")
	if err != nil {
		tb.Fatal(err)
	}
	for _, file := range files {
		since := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "rich"), ".sql")
		if cmp.Or(since, "0") > version {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		execute(tb, address, string(text))
	}
}

// sameSchema ignores what a copy does not have: rows, sizes, identities and owners.
func sameSchema() gocmp.Options {
	return gocmp.Options{
		cmpopts.IgnoreFields(Table{}, "OID", "Rows", "Bytes", "Heap", "Owner"),
		cmpopts.IgnoreFields(Column{}, "Nulls"), cmpopts.IgnoreFields(Index{}, "Bytes"), cmpopts.EquateEmpty(),
	}
}

func TestCopyIsTheSame(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := clustertest.Start(t, version)
			address := clustertest.Database(t, c)
			rich(t, address, version)
			compareCopy(t, c.Bin(), address)
		})
	}
}

// compareCopy copies a database and compares: by our own reading, and by pg_dump's where there is one.
func compareCopy(t *testing.T, bin, address string) {
	t.Helper()
	s := open(t, Config{URL: address})
	original, err := s.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := scratch.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	copied, err := scratch.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(original, copied, sameSchema()); diff != "" {
		t.Errorf("the copy differs (- original, + copy):\n%s", diff)
	}
	if len(original.Tables) == 0 || len(scratch.Missing) > 0 {
		t.Errorf("%d tables, missing %v", len(original.Tables), scratch.Missing)
	}
	dump, err := exec.LookPath(filepath.Join(bin, "pg_dump"))
	if err != nil {
		return
	}
	want, got := dumped(t, dump, address), dumped(t, dump, strings.Replace(address, "/"+s.pool.Config().ConnConfig.Database, "/"+scratch.config.Database, 1))
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("pg_dump says that the copy differs (- original, + copy):\n%s", diff)
	}
}

// dumped is pg_dump's schema as sorted statements: pg_dump's own order depends on OIDs.
func dumped(t *testing.T, program, address string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "--schema-only", "--no-owner", "--no-privileges", "--no-comments", "-d", address).Output()
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for statement := range strings.SplitSeq(string(out), "\n\n") {
		// The key in \restrict is drawn anew each time.
		if statement = strings.TrimSpace(statement); statement != "" && !strings.HasPrefix(statement, "--") && !strings.HasPrefix(statement, `\`) {
			statements = append(statements, statement)
		}
	}
	slices.Sort(statements)
	return statements
}

// TestScratchFallsBack: a role that may not make databases gets a local server, with the roles and types of the real one; and where that cannot be
// had either, the statement that helps.
func TestScratchFallsBack(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "15")
	address := clustertest.Database(t, c)
	execute(t, address, `CREATE ROLE "Team" LOGIN; CREATE ROLE reader; GRANT ALL ON SCHEMA public TO "Team"; SET ROLE "Team";
		CREATE TABLE t (id int PRIMARY KEY, owner text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t TO reader USING (true)`)
	execute(t, address, "ALTER DATABASE "+database(t, address)+" SET search_path = 'public', pg_catalog; ALTER DATABASE "+database(t, address)+" SET timezone = 'Europe/Berlin'")
	asTeam := strings.Replace(address, "postgres@", "Team@", 1)
	s := open(t, Config{URL: asTeam})
	scratch, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if scratch.Place != "a local server" {
		t.Errorf("at %s", scratch.Place)
	}
	conn, err := scratch.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var path, zone string
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('search_path'), current_setting('timezone')").Scan(&path, &zone); err != nil {
		t.Error(err)
	}
	if path != "public, pg_catalog" || zone != "Europe/Berlin" {
		t.Errorf("the database's settings became search_path %q, timezone %q", path, zone)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := scratch.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// A given server is taken before any other.
	other := clustertest.Start(t, "15")
	execute(t, other.URL("postgres"), "CREATE ROLE reader")
	given := open(t, Config{URL: asTeam, ScratchURL: other.URL("postgres")})
	scratch, err = given.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if scratch.Place != "the scratch server" {
		t.Errorf("at %s", scratch.Place)
	}
	if err := scratch.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// database gives the name in a URL.
func database(tb testing.TB, address string) string {
	tb.Helper()
	config, err := pgx.ParseConfig(address)
	if err != nil {
		tb.Fatal(err)
	}
	return config.Database
}

func TestScratchSweepsWhatWasLeft(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "")
	address := clustertest.Database(t, c)
	left, young, used := "segue_scratch_60000000_left", "segue_scratch_f0000000_young", "segue_scratch_60000000_used"
	for _, name := range []string{left, young, used} {
		execute(t, address, "CREATE DATABASE "+name)
	}
	user, err := pgx.Connect(t.Context(), c.URL(used))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close(context.WithoutCancel(t.Context()))
	s := open(t, Config{URL: address})
	scratch, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := scratch.config.Database
	if got, want := scratchDatabases(t, s), []string{used, young, own}; !sameNames(got, want) {
		t.Errorf("with a copy: %v, want %v", got, want)
	}
	if err := scratch.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := scratchDatabases(t, s), []string{used, young}; !sameNames(got, want) {
		t.Errorf("after it: %v, want %v", got, want)
	}
}

func scratchDatabases(t *testing.T, s *Server) []string {
	t.Helper()
	found, err := s.pool.Query(t.Context(), "SELECT datname::text FROM pg_database WHERE datname LIKE 'segue_scratch%'")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func sameNames(a, b []string) bool {
	return gocmp.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// TestScratchSaysWhatStandsInTheWay: a view on an extension that the copy's maker may not make.
func TestScratchSaysWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, "15")
	address := clustertest.Database(t, c)
	execute(t, address, `CREATE ROLE maker LOGIN CREATEDB; GRANT pg_read_all_stats TO maker; CREATE EXTENSION pg_stat_statements`)
	s := open(t, Config{URL: strings.Replace(address, "postgres@", "maker@", 1)})
	scratch, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatalf("an extension that nothing needs stands in the way: %v", err)
	}
	if err := scratch.Close(t.Context()); err != nil {
		t.Error(err)
	}
	execute(t, address, "CREATE VIEW v AS SELECT query FROM pg_stat_statements")
	_, err = s.Scratch(t.Context())
	if segue.KindOf(err) != segue.KindInvalid || !strings.Contains(err.Error(), `permission denied to create extension "pg_stat_statements"`) || segue.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, segue.HintOf(err))
	}
	if left := scratchDatabases(t, s); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestScratchOfSeveralServers names a server first that does not have the copy, as a standby has not heard of it yet.
func TestScratchOfSeveralServers(t *testing.T) {
	t.Parallel()
	other, own := clustertest.Start(t, ""), clustertest.Start(t, "", "work_mem=5MB")
	execute(t, own.URL("postgres"), "CREATE DATABASE only_here")
	config, err := pgx.ParseConfig(fmt.Sprintf("user=postgres dbname=only_here host=%s,%s port=%d,%d", other.Sockets(), own.Sockets(), other.Port(), own.Port()))
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		t.Fatal(conn.Close(t.Context()))
	}
	conn, err := connectAny(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	config.Database = "nowhere"
	if _, err := connectAny(t.Context(), config); code(err) != "3D000" {
		t.Errorf("a database that no server has: %v", err)
	}
}
