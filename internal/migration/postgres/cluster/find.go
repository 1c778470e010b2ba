package cluster

import (
	"cmp"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
)

// places are where servers are kept apart from the path: Debian, Red Hat, Homebrew. "*" stands for the version.
var placeNames = [...]string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// Find gives the folder of an installed server's programs: of a major version ("15"), or of the newest for "".
// KindUnavailable when there is none.
func Find(major string) (bin string, err error) {
	for _, installed := range installed() {
		if major == "" || strconv.Itoa(installed.major) == major {
			return installed.bin, nil
		}
	}
	// A path without a version in it tells nothing about which one it is: it serves who does not mind.
	if program, err := exec.LookPath("postgres"); err == nil && major == "" {
		if real, err := filepath.EvalSymlinks(program); err == nil && has(filepath.Dir(real)) {
			return filepath.Dir(real), nil
		}
	}
	return "", segue.Errorf(segue.KindUnavailable, "find postgres: no server %s on this machine", strings.TrimSpace("of version "+cmp.Or(major, "13 or newer"))).
		WithHint("Install it (Debian: apt-get install postgresql) or give the folder of its programs.")
}

// installation is a server that is there.
type installation struct {
	major int
	bin   string
}

// installed lists the servers in the usual places, newest first.
func installed() []installation {
	var found []installation
	for _, place := range placeNames {
		before, after, _ := strings.Cut(place, "*")
		dirs, _ := filepath.Glob(place) // the pattern is well formed
		for _, dir := range dirs {
			major, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(dir, before), after))
			if err == nil && has(dir) {
				found = append(found, installation{major: major, bin: dir})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
	return found
}

// has says whether a folder has what a cluster needs.
func has(bin string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(bin, program)); err != nil {
			return false
		}
	}
	return true
}

// hasLibrary says whether the server that bin belongs to has a loadable library: in ../lib on Debian, in ../lib/postgresql elsewhere.
func hasLibrary(bin, name string) bool {
	for _, dir := range []string{"lib", "lib/postgresql", "lib64"} {
		if found, _ := filepath.Glob(filepath.Join(bin, "..", dir, name+".*")); len(found) > 0 {
			return true
		}
	}
	return false
}
