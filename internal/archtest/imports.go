package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// pkg is what the rules need to know of one package: the part of `go list
// -json` that they look at.
type pkg struct {
	ImportPath string
	Doc        string   // first sentence of the package comment
	Imports    []string // of the files that are not tests

	TestImports, XTestImports []string
}

// relative turns an import path into a path relative to the module. ok is
// false for what lies outside.
func relative(importPath string) (path string, ok bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// display names a package for a message.
func display(path string) string {
	if path == "" {
		return "the root package"
	}
	return path
}

// standard reports whether importPath belongs to the standard library: its
// first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// checkImports returns one violation for every import of p that the house
// does not allow, or a single one if p has no place in it.
func checkImports(house []room, p pkg) []string {
	path, ok := relative(p.ImportPath)
	if !ok {
		return []string{fmt.Sprintf("%s: not a package of this module", p.ImportPath)}
	}
	from, ok := locate(house, path)
	if !ok {
		return []string{fmt.Sprintf("%s has no floor: add it to the table in internal/archtest/floors.go (and to ARCHITECTURE.md), "+
			"on the lowest floor that lies above all it imports", path)}
	}
	var found []string
	for _, imported := range p.Imports {
		if reason := refuse(house, from, imported); reason != "" {
			found = append(found, fmt.Sprintf("%s imports %s: %s", display(path), imported, reason))
		}
	}
	return found
}

// refuse says why from may not import the package, or "" if it may.
func refuse(house []room, from place, importPath string) string {
	if reason := refusePure(from, importPath); reason != "" {
		return reason
	}
	if importPath == "testing" && !from.testSupport() {
		return "the product does not link the testing package; test support goes into a ...test package"
	}
	path, ok := relative(importPath)
	if !ok {
		return ""
	}
	to, ok := locate(house, path)
	if !ok {
		return "it has no floor: add it to the table in internal/archtest/floors.go"
	}
	if to.room.path == from.room.path {
		return refuseWithin(from, to)
	}
	if joined(from) && joined(to) && face(from) != face(to) {
		return "faces (api, cli, dashboard) and the engine never import each other; internal/app joins them through an interface that the face asks for"
	}
	// The nouns are the ground of floor 1: its packages stand on them, too.
	nouns := to.path == "" && from.floor == 1
	// A driver stands on its contract's folder: on a room of its own there, too.
	beside := from.branch() != "" && inside(to.room.path, from.room.path)
	under := from.kind == annex && to.branch() == "" && inside(from.room.path, to.room.path)
	if to.floor >= from.floor && !nouns && !beside && !under {
		return fmt.Sprintf("an arrow points down only, and this one goes from floor %d to floor %d; let %s ask for an interface, and let a floor above join the two",
			from.floor, to.floor, display(from.path))
	}
	if to.testSupport() && !from.testSupport() {
		return "it exists for tests alone and is not part of the product"
	}
	if to.branch() != "" && !to.testSupport() && from.floor < 5 && from.path != "internal/drivers" {
		return fmt.Sprintf("only internal/drivers links a driver; use the contract %s", to.room.path)
	}
	return ""
}

// refuseWithin judges an import inside one room: free in a tree; in a contract
// from a driver to the contract only.
func refuseWithin(from, to place) string {
	switch {
	case from.kind != contract, from.branch() == to.branch(), to.branch() == "":
		return ""
	case from.branch() == "":
		return fmt.Sprintf("a contract knows none of its drivers; internal/drivers links %s", to.path)
	default:
		return fmt.Sprintf("%s and %s stand side by side: each knows its contract, %s, and no other driver or suite", from.path, to.path, from.room.path)
	}
}

// face reports whether the package is one that people or programs look at.
func face(p place) bool {
	return slices.Contains([]string{"internal/api", "internal/cli", "internal/dashboard"}, p.room.path)
}

// joined reports whether the package is a face or the engine, which meet in
// internal/app and nowhere else.
func joined(p place) bool {
	return face(p) || slices.Contains([]string{"internal/controller", "internal/drivers"}, p.room.path)
}

// refusePure holds the packages that may use very little: the nouns at the
// root, and those that decide and therefore touch nothing.
func refusePure(from place, importPath string) string {
	switch {
	case from.path == "" && !standard(importPath):
		return "the root package is the ground that all else stands on: standard library only"
	case !decides(from.path):
		return ""
	case !standard(importPath) && importPath != module:
		return "a package that decides imports the standard library and the nouns only"
	case impure(importPath):
		return "a package that decides does no I/O and draws no lots; take what it needs as an argument"
	}
	return ""
}

// decides reports whether path is one of the pure packages: their results
// depend on their arguments alone, so that a replay gives the same again.
func decides(path string) bool {
	return path == "internal/rollout" || path == "internal/strategy"
}

// impure reports whether a package of the standard library reaches outside,
// or gives another answer each time. Parsers such as net/url do neither.
func impure(importPath string) bool {
	switch importPath {
	case "net/url", "net/netip":
		return false
	case "syscall", "crypto/rand", "io/ioutil", "testing":
		return true
	}
	return slices.ContainsFunc([]string{"net", "os", "math/rand", "database/sql"}, func(dir string) bool {
		return inside(importPath, dir)
	})
}
