package recipe

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/migration"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// show writes a plan for people: the golden files are read like code.
func show(changes []migration.Change, faults []migration.Fault, notes []string) string {
	var b strings.Builder
	list := func(key string, values ...string) {
		for _, value := range values {
			if value != "" {
				fmt.Fprintf(&b, "    %s %s\n", key, value)
			}
		}
	}
	for _, c := range changes {
		carried := ""
		if c.Carried {
			carried = " (carried)"
		}
		fmt.Fprintf(&b, "%s %s%s: %s\n", c.ID, c.Phase, carried, c.Title)
		list("why:", c.Why)
		for _, id := range c.After {
			list("after:", string(id))
		}
		for _, a := range c.Actions {
			if a.Alone {
				list("alone:", a.SQL)
			} else {
				list("run:", a.SQL)
			}
			list("  repair:", a.Repair)
			list("  undo:", a.Undo)
			list("  expect:", a.Expect)
		}
		if f := c.Backfill; f != nil {
			text, err := json.Marshal(f)
			if err != nil {
				panic(err)
			}
			list("backfill:", strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(text)))
		}
		for _, o := range c.Removes {
			list("removes:", o.String())
		}
		list("waits:", c.Estimate.Waits)
		list("caveat:", c.Caveats...)
		list("split:", c.Split)
		list("assumed:", c.Assumed)
	}
	for _, f := range faults {
		fmt.Fprintf(&b, "fault: %s\n", f)
		list("hint:", f.Hint)
	}
	for _, n := range notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	return b.String()
}

func readMatrix(t *testing.T) measured {
	t.Helper()
	var m measured
	if err := json.Unmarshal(matrix, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// Every operation that was measured, on the first and the last of the versions that are supported in full.
func TestMatrix(t *testing.T) {
	t.Parallel()
	m := readMatrix(t)
	for _, version := range []int{150018, 180003} {
		t.Run(fmt.Sprint(version/10000), func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for i, o := range m.Operations {
				request := m.request(o, version)
				changes, faults, notes := Plan(request)
				fmt.Fprintf(&b, "## %d %s\n-- %s\n%s\n", i+1, o.Title, strings.Join(o.SQL, "; "), show(changes, faults, notes))
				check(t, request, changes, faults)
			}
			golden(t, fmt.Sprintf("matrix_%d.txt", version/10000), b.String())
		})
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	entries, err := Catalogue(180003)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "%s | %s | %s | %s | %s\n", e.Operation, e.Locks, e.Work, e.Phase, e.Does)
		if e.Does == "" {
			t.Errorf("%s: nothing is said of what becomes of it", e.Operation)
		}
	}
	golden(t, "catalogue.txt", b.String())
}
