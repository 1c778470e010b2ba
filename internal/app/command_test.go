package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/testenv"
)

// commandRig is a rig whose releases bring a SQLite database, a command that migrates it, and a JSON Schema of a column.
func commandRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, 2, "v1", "v2", "v3")
	r.write("migrate.sh", "#!/bin/sh\necho \"migrating for $1\"\necho \"$DATABASE_URL\" >> migrated.txt\necho \"$1\" >> migrated.txt\n[ \"$1\" != v3 ]\n")
	if err := os.Chmod(filepath.Join(r.dir, "migrate.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.edit("services:\n", "databases:\n  main:\n    driver: sqlite\n    url: file:app.db\n    command: [./migrate.sh, \"{release}\"]\nservices:\n")
	return r
}

// TestE2ETeamsOwnRunner runs a team's own migration runner before the first server starts, and stops where it fails.
func TestE2ETeamsOwnRunner(t *testing.T) {
	testenv.Program(t, "sh")
	r := commandRig(t)
	r.must(0, "deploy", "v1", "--yes")
	out := r.must(0, "deploy", "v2", "--yes")
	if !strings.Contains(out, "run ./migrate.sh v2") {
		t.Errorf("the step is not told:\n%s", out)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "migrated.txt"))
	if err != nil || strings.Count(string(text), "v1\n") != 1 || strings.Count(string(text), "v2\n") != 1 || !strings.Contains(string(text), "app.db") {
		t.Errorf("the runner was not run as it should: %q, %v", text, err)
	}
	code, out := r.segue("deploy", "v3", "--yes")
	if code == 0 || !strings.Contains(out, "exit code 1") {
		t.Errorf("a runner that fails: exit code %d\n%s", code, out)
	}
	if status := r.must(0, "status"); !strings.Contains(status, "v2") {
		t.Errorf("v2 is not there any more:\n%s", status)
	}
}
