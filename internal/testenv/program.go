package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Program returns the path of an installed program, such as "haproxy". Where
// there is none it skips the test, or fails it if CI=true.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, ok := find(name)
	switch {
	case ok:
		return path
	case complete():
		tb.Fatalf("%s is not installed, and CI=true: a complete run needs it; see scripts/test-deps", name)
	default:
		tb.Skipf("%s is not installed; scripts/test-deps %s installs it on Debian", name, name)
	}
	return "" // not reached: both end the test
}

// find looks a program up on the path, and then where Debian keeps servers,
// which an ordinary user's path leaves out.
func find(name string) (path string, ok bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	if filepath.Base(name) != name {
		return "", false
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

// complete reports whether the environment asks for a run without gaps: CI is
// set to a true value.
func complete() bool {
	yes, err := strconv.ParseBool(os.Getenv("CI"))
	return err == nil && yes
}
