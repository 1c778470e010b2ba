package testenv

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// anyPostgres is the major version that stands for "any": Debian 12's.
const anyPostgres = "15"

// PostgresBin returns the folder with the programs of a PostgreSQL server of a
// major version ("17"), or of any for "". Where there is none it skips the
// test, or fails it if CI=true: scripts/test-postgres installs what is missing.
func PostgresBin(tb testing.TB, version string) string {
	tb.Helper()
	version = cmp.Or(version, anyPostgres)
	for _, dir := range postgresDirs(version) {
		if _, err := exec.LookPath(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	if complete() {
		tb.Fatalf("PostgreSQL %s is not installed, and CI=true: a complete run needs it; see scripts/test-postgres", version)
	} else {
		tb.Skipf("PostgreSQL %s is not installed; scripts/test-postgres %s installs it", version, version)
	}
	return "" // not reached: both end the test
}

// postgresDirs lists where a version may be, the best place first: Debian's own,
// then what scripts/test-postgres fetched. As root the server runs as another
// user, who cannot look into root's home; the script has put it elsewhere then.
func postgresDirs(version string) []string {
	dirs := []string{filepath.Join("/usr/lib/postgresql", version, "bin")}
	if cache, err := os.UserCacheDir(); err == nil && os.Getuid() != 0 {
		dirs = append(dirs, filepath.Join(cache, "segue-test", "postgres", version, "bin"))
	}
	if os.Getuid() == 0 {
		dirs = append(dirs, filepath.Join("/var/cache/segue-test/postgres", version, "bin"))
	}
	return dirs
}

// SharedDir returns a folder that this user's test processes share and keep
// from run to run; nobody else can write it.
func SharedDir(tb testing.TB) string {
	tb.Helper()
	dir, err := sharedDir(os.TempDir())
	if err != nil {
		tb.Fatal(fmt.Errorf("make the folder that tests share: %w", err))
	}
	return dir
}
