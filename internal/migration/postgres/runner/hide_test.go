package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
)

// hides takes a table away from a role, and knows of two things more that are gone when it is to be shown.
type hides struct{ role string }

func (h hides) Hide(ctx context.Context, tx pgx.Tx, _ migration.Change) (restore []string, err error) {
	_, err = tx.Exec(ctx, "REVOKE SELECT ON t FROM "+h.role)
	return []string{"GRANT SELECT ON t TO " + h.role + "_gone", "GRANT SELECT ON gone TO " + h.role, "GRANT SELECT ON t TO " + h.role}, err
}

// TestNextHolderShowsWhatWasHidden ends a holder in its brown-out, as kill -9 does: the next lease shows what was hidden, before anything else.
func TestNextHolderShowsWhatWasHidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const role = "shop_hidden"
	w.makeTable("t")
	w.exec("CREATE ROLE "+role, "GRANT SELECT ON t TO "+role)
	defer w.exec("DROP OWNED BY "+role, "DROP ROLE "+role)
	hiding := runner.New(runner.Config{Connect: w.dial, Hider: hides{role}})
	defer func() { _ = hiding.Close() }()
	first, err := hiding.Lease(t.Context(), "dies")
	if err != nil {
		t.Fatal(err)
	}
	contract := change("1#1", "t", migration.LockAccessExclusive, does("DROP TABLE t", ""))
	contract.Phase = migration.PhaseContract
	w.record(first, contract)
	if err := first.BrownOut(t.Context(), "1#1"); err != nil {
		t.Fatal(err)
	}
	const seen = "SELECT has_table_privilege('" + role + "', 't', 'SELECT')"
	if got := w.value(seen); got != "false" || !w.status("1#1").Hidden {
		t.Fatalf("hidden: seen is %s, %+v", got, w.status("1#1"))
	}
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
	select {
	case <-first.Lost():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
	w.lease("next")
	if got := w.value(seen); got != "true" || w.status("1#1").Hidden {
		t.Errorf("under the next lease: seen is %s, %+v", got, w.status("1#1"))
	}
}
