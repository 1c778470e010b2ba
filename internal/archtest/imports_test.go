package archtest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edge is one import, with paths relative to the module where they are of it.
type edge struct{ from, to string }

// violations checks one edge against the real table.
func (e edge) violations() []string {
	return checkImports(rooms(), pkg{ImportPath: absolute(e.from), Imports: []string{e.to}})
}

func absolute(path string) string {
	if path == "" {
		return module
	}
	return module + "/" + path
}

// own turns a path of the module into the import path.
func own(path string) string { return absolute(path) }

func TestAllowedImports(t *testing.T) {
	for _, e := range []edge{
		{"cmd/segue", own("internal/app")},
		{"internal/app", own("internal/drivers")},
		{"internal/app", own("internal/app/demo")},
		{"internal/app/demo", own("internal/app")},
		{"internal/simtest", own("internal/balancer/balancertest")},
		{"internal/simtest", own("internal/journal/memory")},
		{"internal/simtest", "testing"},
		{"internal/controller", own("internal/balancer")},
		{"internal/controller", own("internal/rollout")},
		{"internal/drivers", own("internal/workload/process")},
		{"internal/cli", own("internal/api")},
		{"internal/balancer/embedded", own("internal/balancer")},
		{"internal/balancer/embedded", own("internal/proxy/admin")},
		{"internal/balancer/balancertest", own("internal/balancer")},
		{"internal/balancer/balancertest", own("internal/testenv")},
		{"internal/balancer/balancertest", "testing"},
		{"internal/workload/process", own("internal/workload/process/store")},
		{"internal/workload/process/store", own("internal/workload")},
		{"internal/workload/process", own("internal/workload/shim")},
		{"internal/app", own("internal/workload/shim")},
		{"internal/proxy/upstream/upstreamtest", "testing"},
		{"internal/proxy", own("internal/proxy/upstream")},
		{"internal/proxy", "golang.org/x/net/http2"},
		{"internal/rollout", own("")},
		{"internal/strategy", "net/url"},
		{"internal/telemetry", own("")},
		{"", "errors"},
		{"examples/shop", own("examples/shop/store")},
	} {
		if got := e.violations(); got != nil {
			t.Errorf("%s -> %s: refused: %q", display(e.from), e.to, got)
		}
	}
}

func TestWrongImportsAreCaught(t *testing.T) {
	for _, test := range []struct {
		rule string
		edge
		want string // part of the message
	}{
		{"up", edge{"internal/proxy", own("internal/controller")}, "from floor 2 to floor 4"},
		{"up from the ground", edge{"internal/telemetry", own("internal/api")}, "from floor 1 to floor 2"},
		{"level on the ground", edge{"internal/statefile", own("internal/unixsock")}, "from floor 1 to floor 1"},
		{"level", edge{"internal/spec", own("internal/strategy")}, "from floor 2 to floor 2"},
		{"level between floors' neighbours", edge{"internal/cli", own("internal/dashboard")}, "from floor 3 to floor 3"},
		{"main is imported", edge{"internal/app", own("cmd/segue")}, "from floor 5 to floor 6"},
		{"no place", edge{"internal/util", "fmt"}, "add it to the table"},
		{"below a single package", edge{"internal/strategy/phase", "fmt"}, "add it to the table"},
		{"no place, imported", edge{"internal/app", own("internal/util")}, "has no floor"},
		{"prefix is not enough", edge{"internal/proxyish", "fmt"}, "add it to the table"},

		{"driver to driver", edge{"internal/balancer/haproxy", own("internal/balancer/embedded")}, "side by side"},
		{"driver to suite", edge{"internal/balancer/haproxy", own("internal/balancer/balancertest")}, "side by side"},
		{"contract to a driver's other half", edge{"internal/workload", own("internal/workload/shim")}, "from floor 2 to floor 2"},
		{"other half to contract", edge{"internal/workload/shim", own("internal/workload")}, "from floor 2 to floor 2"},
		{"neighbour to a driver's other half", edge{"internal/proxy", own("internal/workload/shim")}, "from floor 2 to floor 2"},
		{"product to a tree's suite", edge{"internal/balancer/embedded", own("internal/proxy/upstream/upstreamtest")}, "for tests alone"},
		{"contract to driver", edge{"internal/workload", own("internal/workload/process")}, "knows none of its drivers"},
		{"driver to another contract's driver", edge{"internal/balancer/embedded", own("internal/workload/process")}, "only internal/drivers links a driver"},
		{"controller to driver", edge{"internal/controller", own("internal/journal/sqlite")}, "only internal/drivers links a driver"},
		{"product to suite", edge{"internal/app", own("internal/balancer/balancertest")}, "for tests alone"},
		{"product to testenv", edge{"internal/proxy", own("internal/testenv")}, "for tests alone"},
		{"product to testing", edge{"internal/witness", "testing"}, "does not link the testing package"},

		{"engine to face", edge{"internal/controller", own("internal/api")}, "faces"},
		{"engine to command line", edge{"internal/controller", own("internal/cli")}, "faces"},
		{"face to engine", edge{"internal/dashboard", own("internal/controller")}, "faces"},

		{"nouns import a guest", edge{"", "golang.org/x/sync/errgroup"}, "standard library only"},
		{"nouns import the house", edge{"", own("internal/version")}, "standard library only"},
		{"decision imports a guest", edge{"internal/strategy", "golang.org/x/sync/errgroup"}, "standard library and the nouns"},
		{"decision imports the house", edge{"internal/rollout", own("internal/telemetry")}, "standard library and the nouns"},
		{"decision opens files", edge{"internal/rollout", "os"}, "no I/O"},
		{"decision runs programs", edge{"internal/strategy", "os/exec"}, "no I/O"},
		{"decision dials", edge{"internal/rollout", "net/http"}, "no I/O"},
		{"decision draws lots", edge{"internal/strategy", "math/rand/v2"}, "no I/O"},

		{"example knows Segue", edge{"examples/shop", own("")}, "from floor 0 to floor 1"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := test.violations()
			if len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("%s -> %s: got %q, want one violation with %q", display(test.from), test.to, got, test.want)
			}
		})
	}
}

func TestEveryWrongImportIsNamed(t *testing.T) {
	got := checkImports(rooms(), pkg{
		ImportPath: own("internal/rollout"),
		Imports:    []string{"errors", "os", own("internal/cli"), own("")},
	})
	want := []string{
		"internal/rollout imports os: a package that decides does no I/O and draws no lots; take what it needs as an argument",
		"internal/rollout imports " + own("internal/cli") + ": a package that decides imports the standard library and the nouns only",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestForeignPackageIsCaught(t *testing.T) {
	got := checkImports(rooms(), pkg{ImportPath: "example.org/elsewhere"})
	if len(got) != 1 || !strings.Contains(got[0], "not a package of this module") {
		t.Errorf("got %q", got)
	}
}

func TestTheTableHasNoRowTwice(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range rooms() {
		if seen[r.path] {
			t.Errorf("%s has two rows", display(r.path))
		}
		seen[r.path] = true
	}
}
