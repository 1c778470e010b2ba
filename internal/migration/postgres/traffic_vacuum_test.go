package postgres_test

import (
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/testenv"
)

// Autovacuum gives a table up only to whoever waited a second for it. The application does not wait that second along.
func besideAutovacuum(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip("long")
	}
	// A vacuum that takes minutes, over a table whose rows were all written.
	w := newWorldOn(t, c)
	name := words("n")
	j := newJourney(w, passage{
		before: []string{
			`CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text)`,
			`ALTER TABLE customers SET (autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`,
			fillCustomers,
		},
		files: file(`ALTER TABLE customers DROP COLUMN email`), value: [2]func(int64) string{name},
		old: speak("customers", "name"), new: speak("customers", "name"), plan: "contract drop column customers.email",
	})
	seen, stalls := j.watchWaits(), testenv.Stalls(t)
	crew := j.start("app", j.new)
	j.prepare()
	w.exec(`UPDATE customers SET name = name`)
	w.until(`SELECT count(*) > 0 FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid)
		WHERE v.relid = 'customers'::regclass AND a.backend_type = 'autovacuum worker' AND v.phase = 'scanning heap'`)
	for _, change := range j.plan.Changes {
		report, err := j.runner.run(change)
		if err != nil {
			t.Fatal(err)
		}
		if report.LockWait < 200*time.Millisecond {
			t.Errorf("%s waited only %s for its lock: autovacuum was not in the way", change.Title, report.LockWait)
		}
	}
	crew.end()
	j.audit("beside autovacuum", j.new)
	if waited := seen(); waited > 700*time.Millisecond+stalls() {
		t.Errorf("a statement of the application waited %s behind Segue", waited)
	} else {
		t.Logf("the longest wait behind Segue: %s", waited)
	}
}
