package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/testenv"
)

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		report(t, checkImports(rooms(), p))
	}
}

func TestPackagesHaveDocs(t *testing.T) {
	for _, p := range packages(t) {
		report(t, checkDoc(p))
	}
}

func TestSourceFiles(t *testing.T) {
	root := testenv.Root(t)
	seen := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // an editor's temporary file, gone again
		case err != nil:
			return err
		case entry.IsDir():
			return enter(root, path, entry.Name())
		case !strings.HasSuffix(path, ".go") || strings.HasPrefix(entry.Name(), "."):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		seen++
		report(t, checkSource(filepath.ToSlash(name), text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("walked the repository and met no Go file")
	}
}

// TestArchitectureNamesEveryRoom keeps ARCHITECTURE.md beside the table: a
// reader finds each row there, in backquotes.
func TestArchitectureNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms() {
		if r.path != "" && !strings.Contains(string(text), "`"+r.path+"`") {
			t.Errorf("ARCHITECTURE.md does not name `%s`, which stands on floor %d of internal/archtest/floors.go", r.path, r.floor)
		}
	}
}

// enter decides whether the walk goes into a folder: not into other modules,
// nor into what is not source.
func enter(root, path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "dist" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// packages lists every package of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", "./...")
	list.Dir = testenv.Root(t)
	var faults strings.Builder
	list.Stderr = &faults
	out, err := list.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, faults.String())
	}
	var found []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		found = append(found, p)
	}
	if len(found) == 0 {
		t.Fatal("go list found no package")
	}
	return found
}

func report(t *testing.T, violations []string) {
	t.Helper()
	for _, v := range violations {
		t.Error(v)
	}
}
