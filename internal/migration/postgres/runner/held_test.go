package runner_test

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/testenv"
)

// slowly makes whatever reads a row of a table take its time: what a check costs on a large one.
const slowly = `CREATE FUNCTION slowly(a int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN true; END'`

// TestHeldIsOnlyWhatOthersWaitFor runs what takes half a second under a lock beside which everybody reads and writes.
func TestHeldIsOnlyWhatOthersWaitFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeTable("t")
	w.exec(slowly, "ALTER TABLE t ADD CONSTRAINT own CHECK (slowly(a)) NOT VALID")
	add := does("ALTER TABLE t ADD CONSTRAINT t_a CHECK (slowly(a)) NOT VALID", "ALTER TABLE t DROP CONSTRAINT t_a")
	validate := does("ALTER TABLE t VALIDATE CONSTRAINT t_a", "SELECT 1")
	alone := does("ALTER TABLE t VALIDATE CONSTRAINT own", "SELECT 1")
	building := index("i", "INDEX CONCURRENTLY i ON t (a)")
	lease := w.lease("test")
	for name, test := range map[string]struct {
		change migration.Change
		lock   migration.Lock
	}{
		"validate":        {change("0001#1", "t", migration.LockShareUpdateExclusive, alone), migration.LockShareUpdateExclusive},
		"add, validate":   {change("0002#1", "t", migration.LockAccessExclusive, add, validate), migration.LockAccessExclusive},
		"index":           {change("0003#1", "t", migration.LockShareUpdateExclusive, building), migration.LockNone},
		"weak ones of AE": {change("0004#1", "t", migration.LockNone, does("ANALYZE t", ""), does("COMMENT ON TABLE t IS 'x'", "")), migration.LockShareUpdateExclusive},
	} {
		w.record(lease, test.change)
		stalls := testenv.Stalls(t)
		report := w.run(lease, test.change.ID)
		if report.Lock != test.lock {
			t.Errorf("%s: lock is %s, want %s", name, report.Lock, test.lock)
		}
		if blocks := test.lock.Blocks() != ""; (report.Held > 0) != blocks || report.Held >= 500*time.Millisecond+stalls() {
			t.Errorf("%s: %s held for %s", name, report.Lock, report.Held)
		}
		if got := *w.status(test.change.ID).Report; got != report {
			t.Errorf("%s: the journal has %+v, want %+v", name, got, report)
		}
	}
}
