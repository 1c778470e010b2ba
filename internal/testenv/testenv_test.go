package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// recorder is a testing.TB that notes how a test would have ended.
type recorder struct {
	testing.TB

	outcome string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.outcome = "failed: " + fmt.Sprintf(format, args...)
}

func (r *recorder) Skipf(format string, args ...any) {
	r.outcome = "skipped: " + fmt.Sprintf(format, args...)
}

func TestProgram(t *testing.T) {
	if got := Program(t, "go"); !filepath.IsAbs(got) {
		t.Errorf("Program(go) = %q, want an absolute path", got)
	}
	for _, test := range []struct{ ci, want string }{
		{"", "skipped: no-such-program is not installed"},
		{"false", "skipped: no-such-program is not installed"},
		{"true", "failed: no-such-program is not installed"},
		{"1", "failed: no-such-program is not installed"},
	} {
		t.Setenv("CI", test.ci)
		r := &recorder{TB: t}
		if got := Program(r, "no-such-program"); got != "" || !strings.HasPrefix(r.outcome, test.want) {
			t.Errorf("CI=%q: Program = %q, %q; want %q", test.ci, got, r.outcome, test.want)
		}
	}
}

func TestRoot(t *testing.T) {
	root := Root(t)
	if _, err := os.Stat(filepath.Join(root, "internal", "testenv", "root.go")); err != nil {
		t.Errorf("Root = %s: %v", root, err)
	}
	if got, ok := rootAbove(filepath.Join(root, "tools")); !ok || got != root {
		t.Errorf("from the tools module: %q, %t; want %q: its go.mod is another module's", got, ok, root)
	}
	if got, ok := rootAbove(t.TempDir()); ok {
		t.Errorf("outside the repository: found %q", got)
	}
}

// hello is a program that greets the name it was linked with.
const hello = "./internal/testenv/testdata/hello"

func TestBuild(t *testing.T) {
	program := Build(t, hello, "-X", "main.name=v2")
	if again := Build(t, hello, "-X", "main.name=v2"); again != program {
		t.Errorf("built at %s, then at %s", program, again)
	}
	out, err := exec.CommandContext(t.Context(), program).Output()
	if err != nil || string(out) != "hello v2\n" {
		t.Errorf("the program says %q, %v", out, err)
	}
	if other := Build(t, hello, "-X", "main.name=v3"); other == program {
		t.Errorf("other flags, same program: %s", other)
	}
}

// TestBuildsWaitForEachOther has several builders at one program, as several
// test processes are.
func TestBuildsWaitForEachOther(t *testing.T) {
	root := Root(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			program, err := build(t.Context(), root, hello, []string{"-X", "main.name=v4"})
			if err != nil {
				t.Error(err)
				return
			}
			if out, err := exec.CommandContext(t.Context(), program).Output(); err != nil || string(out) != "hello v4\n" {
				t.Errorf("the program says %q, %v", out, err)
			}
		})
	}
	group.Wait()
}

func TestBuildTellsTheCompilersFault(t *testing.T) {
	_, err := build(t.Context(), Root(t), "./internal/testenv/testdata/absent", nil)
	if err == nil || !strings.Contains(err.Error(), "testdata/absent") {
		t.Errorf("got %v, want the compiler's words about testdata/absent", err)
	}
}

func TestSharedDir(t *testing.T) {
	tmp := t.TempDir()
	dir, err := sharedDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := sharedDir(tmp); err != nil || again != dir {
		t.Errorf("the second time: %q, %v; want %q", again, err, dir)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := sharedDir(tmp); err == nil {
		t.Error("a folder that all can write was taken")
	}
}
