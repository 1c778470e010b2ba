package controller_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
	"github.com/segue-deploy/segue/internal/operator"
)

// renaming is a database whose plans have the contract come from the statement of the backfill, as with a column that is renamed.
type renaming struct{ *migrationtest.Fake }

func (d renaming) Plan(ctx context.Context, request migration.PlanRequest) (migration.Plan, error) {
	plan, err := d.Fake.Plan(ctx, request)
	for i := range plan.Changes {
		plan.Changes[i].Origin = []migration.StatementID{"0001#2"}
	}
	return plan, err
}

const (
	filled  = migration.ChangeID("0001#2")
	dropped = migration.ChangeID("0001#3")
)

// withDatabase is a world whose service runs v1 and is to get a migration that moves a column.
func withDatabase(t *testing.T) (*world, *migrationtest.Fake) {
	t.Helper()
	w := newWorld(t)
	fake := migrationtest.NewFake()
	w.database = renaming{fake}
	w.awaitPhase(w.deploy("v1", 1), segue.PhaseSucceeded)
	w.databases = []controller.Database{{Name: "shop", Driver: "fake", Files: []migration.File{migrationtest.File("0001",
		"ALTER TABLE customers ADD COLUMN mail text", "UPDATE customers SET mail = email", "ALTER TABLE customers DROP COLUMN email")}}}
	return w, fake
}

// prepare orders the work ahead of v2, and waits until its backfill is as told.
func (w *world) prepare(status migration.Status) {
	w.t.Helper()
	if _, err := w.Prepare(w.t.Context(), operator.PrepareRequest{Project: project(1), Targets: []operator.Target{{Release: "v2"}}, By: "ana"}); err != nil {
		w.t.Fatal(err)
	}
	for range 600 {
		if known := w.change(filled); known.Status == status {
			synctest.Wait()
			return
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
	}
	w.t.Fatalf("the backfill never was %s: %+v", status, w.change(filled))
}

func (w *world) change(id migration.ChangeID) migration.ChangeState {
	w.t.Helper()
	state, err := w.database.State(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	known, _ := state.Change(id)
	return known
}

func TestCancelLeavesWhatEndsADoneBackfillOwed(t *testing.T) {
	for name, test := range map[string]struct {
		backfill, contract migration.Status
		says               string
	}{
		"after its end": {migration.StatusDone, migration.StatusOwed, "stays owed: drop column customers.email"},
		"half way":      {migration.StatusRunning, migration.StatusCanceled, "taken back: drop column customers.email"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, fake := withDatabase(t)
				fake.Behave(filled, migrationtest.Behaviour{Takes: 10 * time.Second})
				w.prepare(test.backfill)
				reply, err := w.OrderDatabase(t.Context(), operator.DatabaseOrder{Verb: segue.DatabaseCancel, By: "ana"})
				if err != nil {
					t.Fatal(err)
				}
				if got := w.change(dropped).Status; got != test.contract {
					t.Errorf("the contract is %s, want %s", got, test.contract)
				}
				if !slices.ContainsFunc(reply.Notes, func(note string) bool { return strings.Contains(note, test.says) }) {
					t.Errorf("nothing said like %q: %q", test.says, reply.Notes)
				}
			})
		})
	}
}

// TestControllerShowsWhatADeadOneHid hides something under a lease that ends, as kill -9 in a brown-out does: who starts next shows it, even if the
// database does not answer at first, and so does who asks how it stands.
func TestControllerShowsWhatADeadOneHid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, fake := withDatabase(t)
		w.prepare(migration.StatusDone)
		hide := func() {
			t.Helper()
			lease, err := fake.Lease(t.Context(), "dies")
			if err != nil {
				t.Fatal(err)
			}
			if err := lease.BrownOut(t.Context(), dropped); err != nil {
				t.Fatal(err)
			}
			fake.Steal()
			if !w.change(dropped).Hidden {
				t.Fatal("it is not hidden")
			}
		}
		hide()
		if _, err := w.Databases(t.Context()); err != nil || w.change(dropped).Hidden {
			t.Errorf("asked how it stands: still hidden (%v)", err)
		}
		w.stop()
		hide()
		fake.Down(segue.Errorf(segue.KindUnavailable, "the server is away"))
		w.start()
		<-time.After(5 * time.Second)
		fake.Down(nil)
		<-time.After(time.Minute)
		synctest.Wait()
		if w.change(dropped).Hidden {
			t.Error("after a start: still hidden")
		}
	})
}

// TestOwedAloneIsRecorded rolls out a release whose migration is nothing but a contract, which must wait: it stands in the journal afterwards.
func TestOwedAloneIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, fake := withDatabase(t)
		w.database = fake
		w.databases[0].Files = []migration.File{migrationtest.File("0002", "ALTER TABLE customers DROP COLUMN email")}
		fake.Answer("0002#1", migration.AnswerUnsafe)
		reply, err := w.Deploy(t.Context(), operator.DeployRequest{Project: project(1), Targets: []operator.Target{{Release: "v2"}}, Carry: true})
		if err != nil {
			t.Fatal(err)
		}
		w.awaitPhase(reply.Rollouts[0].ID, segue.PhaseSucceeded)
		if got := w.change("0002#1").Status; got != migration.StatusOwed {
			t.Errorf("the contract is %q, want %s", got, migration.StatusOwed)
		}
	})
}

// TestWorkGoesOnUnderANewLease loses the lease in the middle of a backfill, as a server does that starts again: the step is tried again, and nothing is
// rolled back.
func TestWorkGoesOnUnderANewLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, fake := withDatabase(t)
		fake.Behave(filled, migrationtest.Behaviour{Takes: 10 * time.Second})
		id := w.deploy("v2", 1)
		w.await(id, "in the backfill", func(operator.Rollout) bool { return w.change(filled).Status == migration.StatusRunning })
		fake.Steal()
		fake.Down(segue.Errorf(segue.KindUnavailable, "the server starts again"))
		<-time.After(time.Minute)
		fake.Down(nil)
		w.awaitPhase(id, segue.PhaseSucceeded)
		if got := w.change(filled).Status; got != migration.StatusDone {
			t.Errorf("the backfill is %s", got)
		}
	})
}
