package spec

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/segue-deploy/segue"
)

var update = flag.Bool("update", false, "write the golden files anew")

// archive is one golden file: segue.yaml, the environment, and what comes of them.
type archive struct {
	path string
	*txtar.Archive
}

func archives(t *testing.T, pattern string) []archive {
	t.Helper()
	return archivesOf(t, pattern)
}

func archivesOf(tb testing.TB, pattern string) []archive {
	tb.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no golden files at %s (%v)", pattern, err)
	}
	var all []archive
	for _, path := range paths {
		parsed, err := txtar.ParseFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, archive{path, parsed})
	}
	return all
}

func (a archive) section(name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// compare checks a section, or writes it.
func (a archive) compare(t *testing.T, name, got string) {
	t.Helper()
	if !*update {
		if diff := cmp.Diff(string(a.section(name)), got); diff != "" {
			t.Errorf("%s differs (-want +got; -update writes it anew):\n%s", name, diff)
		}
		return
	}
	files := a.Files[:0:0]
	for _, f := range a.Files {
		if f.Name != name {
			files = append(files, f)
		}
	}
	a.Files = append(files, txtar.File{Name: name, Data: []byte(got)})
	if err := os.WriteFile(a.path, txtar.Format(a.Archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lookup reads the section env: NAME=VALUE lines.
func (a archive) lookup(name string) (string, bool) {
	for line := range strings.Lines(string(a.section("env"))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

func TestFaults(t *testing.T) {
	for _, a := range archives(t, "testdata/faults/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(a.path), ".txtar"), func(t *testing.T) {
			project, err := Parse(a.section("segue.yaml"), Options{Lookup: a.lookup, Dir: "/srv/shop"})
			if err == nil || project != nil {
				t.Fatalf("Parse gave %v and %v, want faults", project, err)
			}
			if segue.KindOf(err) != segue.KindInvalid {
				t.Errorf("kind %s, want invalid", segue.KindOf(err))
			}
			if _, ok := errors.AsType[Faults](err); !ok {
				t.Errorf("the error is a %T, want Faults", err)
			}
			a.compare(t, "faults", err.Error()+"\n")
		})
	}
}

func TestProjects(t *testing.T) {
	for _, a := range archives(t, "testdata/projects/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(a.path), ".txtar"), func(t *testing.T) {
			project, err := Parse(a.section("segue.yaml"), Options{Lookup: a.lookup, Dir: "/srv/shop"})
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(project, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			a.compare(t, "project.json", string(text)+"\n")
		})
	}
}
