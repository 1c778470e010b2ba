package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/segue-deploy/segue/internal/migration"
)

// crashPath tells a child of TestKilledAnywhere which database to work on, crashChange what to run.
const crashPath, crashChange = "SEGUE_TEST_CRASH_PATH", "SEGUE_TEST_CRASH_CHANGE"

func crashFile() migration.File {
	return file("0001",
		"CREATE TABLE log (n INTEGER)", "INSERT INTO log VALUES (1)",
		"ALTER TABLE customers ADD COLUMN mail TEXT", "UPDATE customers SET mail = lower(email)", "CREATE INDEX by_mail ON customers (mail)")
}

// child runs one change and says so before each batch, until it is killed.
func child(path, id string) error {
	d, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		return err
	}
	l, err := d.Lease(context.Background(), "child")
	if err != nil {
		return err
	}
	fmt.Println("begin")
	_, err = l.Run(context.Background(), migration.ChangeID(id), migration.RunOptions{Hold: func() string { fmt.Println("batch"); return "" }},
		func(migration.Progress) { fmt.Println("progress") })
	fmt.Println("end", err)
	return err
}

// A process that is killed with -9, at any point, leaves nothing half done, loses its lease, and the next one ends the work.
func TestKilledAnywhere(t *testing.T) {
	if path := os.Getenv(crashPath); path != "" {
		_ = child(path, os.Getenv(crashChange)) // the parent looks at the database
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := newWorld(t, customers, fillCustomers)
	plan := w.plan(crashFile())
	l := w.lease()
	if err := l.Record(t.Context(), "v2", plan); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, change := range plan.Changes {
		if change.Phase == migration.PhaseContract {
			continue
		}
		// After the n-th line that it says.
		for n := 1; n <= 3; n++ {
			kill(t, w.path, string(change.ID), n)
			if state, err := w.driver.State(t.Context()); err != nil || state.Holder != "" {
				t.Fatalf("the lease outlives its holder: %q, %v", state.Holder, err)
			}
		}
		l := w.lease()
		if _, err := l.Run(t.Context(), change.ID, migration.RunOptions{Budget: 1}, func(migration.Progress) {}); err != nil {
			t.Fatalf("%s: %v", change.ID, err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.get("SELECT count(*) FROM log"); got != "1" {
		t.Errorf("a row was inserted %s times", got)
	}
	if got := w.get("SELECT count(*) FROM customers WHERE mail IS NOT lower(email)"); got != "0" {
		t.Errorf("%s rows are not filled", got)
	}
	if got := w.get("PRAGMA integrity_check"); got != "ok" {
		t.Error(got)
	}
}

// kill starts a child and kills it after n lines.
func kill(t *testing.T, path, id string, n int) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledAnywhere$")
	command.Env = append(os.Environ(), crashPath+"="+path, crashChange+"="+id)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			break
		}
	}
	_ = command.Process.Kill()
	_ = command.Wait()
}
