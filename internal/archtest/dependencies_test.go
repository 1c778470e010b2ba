package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/testenv"
)

// guests are the modules that docs/dependencies.md lists, by where they may be used.
type guests struct{ program, tests []string }

// allow reports whether a package of some module, at importPath, may be used.
func (g guests) allow(importPath string, inTest bool) bool {
	listed := g.program
	if inTest {
		listed = append(slices.Clip(listed), g.tests...)
	}
	for _, name := range listed {
		if inside(importPath, name) {
			return true
		}
	}
	return false
}

// parseGuests reads the first column of the tables below the two headings.
func parseGuests(text string) guests {
	var g guests
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	for section := range strings.SplitSeq(text, "\n## ") {
		rows := row.FindAllStringSubmatch(section, -1)
		names := make([]string, 0, len(rows))
		for _, match := range rows {
			names = append(names, match[1])
		}
		switch {
		case strings.HasPrefix(section, "In the program"):
			g.program = names
		case strings.HasPrefix(section, "In tests alone"):
			g.tests = names
		}
	}
	return g
}

// checkGuests returns one violation for every import of another module that is
// not on the list, or not for this use.
func checkGuests(g guests, p pkg) []string {
	path, _ := relative(p.ImportPath)
	where, ok := locate(rooms(), path)
	support := ok && where.testSupport()
	var found []string
	for _, use := range []struct {
		imports []string
		test    bool
	}{{p.Imports, support}, {p.TestImports, true}, {p.XTestImports, true}} {
		for _, imported := range use.imports {
			if _, ours := relative(imported); ours || standard(imported) || g.allow(imported, use.test) {
				continue
			}
			found = append(found, fmt.Sprintf("%s imports %s, which docs/dependencies.md does not list for this use: "+
				"write the line that says why, or do without", display(path), imported))
		}
	}
	return found
}

func TestDependenciesHaveALine(t *testing.T) {
	root := testenv.Root(t)
	paper, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	g := parseGuests(string(paper))
	for _, p := range packages(t) {
		report(t, checkGuests(g, p))
	}
	required, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(g.program, g.tests) {
		if !strings.Contains(string(required), name+" v") {
			t.Errorf("docs/dependencies.md lists %s, which go.mod does not require", name)
		}
	}
}

func TestDependenciesWithoutALineAreCaught(t *testing.T) {
	g := parseGuests("# Dependencies\n\n## In the program\n\n| module | why |\n|---|---|\n| `example.org/a` | a |\n\n## In tests alone\n\n| `example.org/b` | b |\n\n## Tools\n\n| `example.org/c` | c |\n")
	for _, test := range []struct {
		name string
		pkg  pkg
		want int
	}{
		{"listed", pkg{ImportPath: own("internal/api"), Imports: []string{"example.org/a/sub", "errors", own("")}, TestImports: []string{"example.org/a"}, XTestImports: []string{"example.org/b"}}, 0},
		{"a suite is a test", pkg{ImportPath: own("internal/journal/journaltest"), Imports: []string{"example.org/b"}}, 0},
		{"test's guest in the program", pkg{ImportPath: own("internal/api"), Imports: []string{"example.org/b"}}, 1},
		{"not listed", pkg{ImportPath: own("internal/api"), Imports: []string{"example.org/ab"}}, 1},
		{"not listed, in a test", pkg{ImportPath: own("internal/api"), XTestImports: []string{"example.org/d"}}, 1},
		{"a tool is no library", pkg{ImportPath: own("internal/api"), TestImports: []string{"example.org/c"}}, 1},
	} {
		if got := checkGuests(g, test.pkg); len(got) != test.want {
			t.Errorf("%s: got %q, want %d violations", test.name, got, test.want)
		}
	}
}
