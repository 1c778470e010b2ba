package testenv

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// moduleLine begins the go.mod at the root, and no other's: modules below the
// root have longer names.
const moduleLine = "module github.com/segue-deploy/segue\n"

// Root returns the absolute path of the repository's root, found upward from
// the folder the test runs in.
func Root(tb testing.TB) string {
	tb.Helper()
	start, err := os.Getwd()
	if err != nil {
		tb.Fatalf("find the repository's root: %v", err)
	}
	root, ok := rootAbove(start)
	if !ok {
		tb.Fatalf("find the repository's root: no folder from %s upward has a go.mod of this module", start)
	}
	return root
}

// rootAbove walks from dir upward to the folder that holds the module.
func rootAbove(dir string) (root string, ok bool) {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte(moduleLine)) {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
