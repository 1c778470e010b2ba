package archtest

import "strings"

// module is the path of the module under test.
const module = "github.com/segue-deploy/segue"

// kind says how the folders below a package relate to it.
type kind int

const (
	// single packages have nothing below them.
	single kind = iota
	// tree packages own their subfolders: within the tree, imports go as they
	// like (the compiler refuses circles).
	tree
	// contract packages have one folder per driver, and one ...test package
	// with the conformance suite. Those import the contract; the contract
	// imports none of them, and they do not import each other.
	contract
	// annex packages are trees in a contract's folder that stand on the contract, and that its drivers may use.
	annex
)

// room is one row of the table: a package, or a package and all below it.
type room struct {
	path  string // relative to the module; "" is the package at the root
	floor int    // imports go to a strictly lower floor
	kind  kind
}

// rooms is the whole house, from the top floor to the ground.
func rooms() []room {
	return []room{
		{"cmd/segue", 6, single},
		{"internal/bench", 6, tree},

		{"internal/app", 5, tree},
		{"internal/simtest", 5, tree},

		{"internal/controller", 4, tree},
		{"internal/drivers", 4, single},

		{"internal/cli", 3, tree},
		{"internal/dashboard", 3, tree},
		{"internal/lookout", 3, tree},
		{"internal/balancer", 3, contract},

		{"internal/workload", 2, contract},
		// The process driver's other half, a process of its own: a room in the
		// contract's folder that its drivers may use (see refuse).
		{"internal/workload/shim", 2, tree},
		{"internal/migration", 2, contract},
		// Rooms in the contract's folder that its drivers may use, as above: the teams' folders of files, and how fast long work may go.
		{"internal/migration/source", 2, annex},
		{"internal/migration/pace", 2, annex},
		{"internal/migration/jsonshape", 2, annex},
		// The wrapper around runners that must run by themselves: likewise.
		{"internal/migration/command", 2, annex},
		// Judges, and what they stand on: templates of log lines, statistics. They are pure, and who looks at servers uses their readers.
		{"internal/judge", 2, tree},
		{"internal/journal", 2, contract},
		{"internal/proxy", 2, tree},
		{"internal/api", 2, tree},
		{"internal/strategy", 2, single},
		{"internal/rollout", 2, tree},
		{"internal/spec", 2, tree},
		{"internal/witness", 2, tree},
		{"internal/receipt", 2, tree},
		{"internal/load", 2, tree},

		{"", 1, single},
		{"internal/telemetry", 1, tree},
		{"internal/unixsock", 1, single},
		{"internal/statefile", 1, single},
		{"internal/sqltext", 1, single},
		{"internal/operator", 1, single},
		{"internal/version", 1, single},
		{"internal/testenv", 1, single},
		{"internal/archtest", 1, single},

		// The examples are programs of somebody else: they know nothing of
		// Segue, as nothing that Segue deploys may need to.
		{"examples", 0, tree},
	}
}

// place is a package's position in the house.
type place struct {
	room
	path string // of the package itself, relative to the module
}

// inside reports whether path is dir or lies below it.
func inside(path, dir string) bool {
	return path == dir || (dir != "" && strings.HasPrefix(path, dir+"/"))
}

// locate finds the row that path, relative to the module, falls under: the
// longest that matches. ok is false for a package that has no place yet.
func locate(house []room, path string) (p place, ok bool) {
	for _, r := range house {
		matches := path == r.path || (r.kind != single && inside(path, r.path))
		if matches && (!ok || len(r.path) > len(p.room.path)) {
			p, ok = place{room: r, path: path}, true
		}
	}
	return p, ok
}

// branch is the folder right below the contract that the package lies in: the
// driver's name, or the ...test package's. It is "" for the contract itself.
func (p place) branch() string {
	if p.kind != contract || p.path == p.room.path {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(p.path, p.room.path+"/"), "/")
	return name
}

// testSupport reports whether the package exists for tests and benches alone,
// and may therefore not be part of the product.
func (p place) testSupport() bool {
	if p.room.path == "internal/testenv" || p.room.path == "internal/bench" || p.room.path == "internal/simtest" {
		return true
	}
	return strings.HasSuffix(p.path, "test")
}
