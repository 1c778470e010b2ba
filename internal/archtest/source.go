package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLines is the most that a Go file may have, comments and tests included.
const maxLines = 500

// checkDoc returns a violation if the package has no doc comment.
func checkDoc(p pkg) []string {
	if p.Doc != "" {
		return nil
	}
	path, _ := relative(p.ImportPath)
	return []string{fmt.Sprintf("%s has no package comment: say in doc.go what it is for (a comment in a _test.go file does not count)", display(path))}
}

// checkSource returns the violations of one Go file. name is its path relative
// to the root of the repository, with slashes.
func checkSource(name string, text []byte) []string {
	var found []string
	if n := lines(text); n > maxLines {
		found = append(found, fmt.Sprintf("%s has %d lines, of %d at most: split it by type or by verb", name, n, maxLines))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		return append(found, fmt.Sprintf("%s: not readable as Go: %v", name, err))
	}
	test := strings.HasSuffix(name, "_test.go")
	clock := localName(file, "time")
	ast.Inspect(file, func(n ast.Node) bool {
		if reason := refuseNode(name, test, clock, n); reason != "" {
			found = append(found, fmt.Sprintf("%s:%d: %s", name, set.Position(n.Pos()).Line, reason))
		}
		return true
	})
	return found
}

// refuseNode says what is wrong with one node of a file, or "". clock is the
// name that the file gives to package time, or "" if it does not import it.
func refuseNode(name string, test bool, clock string, n ast.Node) string {
	pure := decides(filepath.ToSlash(filepath.Dir(name))) && !test
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			return "no init functions: what must run is called by name, from internal/app or a test's TestMain"
		}
	case *ast.GoStmt:
		if pure {
			return "a package that decides starts no goroutine"
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); !ok || clock == "" || x.Name != clock {
			return ""
		}
		switch {
		case test && n.Sel.Name == "Sleep":
			return "no time.Sleep in a test: wait for the event itself, or let testing/synctest move the clock (<-time.After inside a bubble)"
		case pure && readsClock(n.Sel.Name):
			return fmt.Sprintf("time.%s in a package that decides: take the time as an argument", n.Sel.Name)
		}
	}
	return ""
}

// readsClock reports whether a name of package time reads the clock or waits.
func readsClock(name string) bool {
	switch name {
	case "Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker":
		return true
	}
	return false
}

// localName is the name under which a file uses the package at path, or "" if
// it does not.
func localName(file *ast.File, path string) string {
	for _, spec := range file.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err != nil || imported != path {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// lines counts as wc does, plus one for a last line without its newline.
func lines(text []byte) int {
	n := bytes.Count(text, []byte("\n"))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}
