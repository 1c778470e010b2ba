package controller_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// mixed is a world of four servers whose first one runs v2 and is observed.
func mixed(t *testing.T) (*world, segue.RolloutID) {
	t.Helper()
	w := newWorld(t)
	w.fleet.Behave("web", "v2", workloadtest.Behaviour{Boot: 2 * time.Second})
	w.awaitPhase(w.deploy("v1", 4), segue.PhaseSucceeded)
	id := w.deploy("v2", 4)
	w.awaitPhase(id, segue.PhaseObserving)
	return w, id
}

const (
	allV1   = "web-1=v1/in web-2=v1/in web-3=v1/in web-4=v1/in "
	allV2   = "web-1=v2/in web-2=v2/in web-3=v2/in web-4=v2/in "
	firstV2 = "web-1=v2/in web-2=v1/in web-3=v1/in web-4=v1/in "
)

func TestAbortGoesBackToStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.order(id, segue.Order{Verb: segue.VerbAbort, Why: "changed our mind"})
		if got := releasesOf(w.awaitPhase(id, segue.PhaseRolledBack).Fleet); got != allV1 {
			t.Errorf("fleet %s, want %s", got, allV1)
		}
	})
}

func TestMixedFleetStaysForDaysAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.order(id, segue.Order{Verb: segue.VerbPause})
		w.awaitPhase(id, segue.PhasePaused)
		<-time.After(72 * time.Hour)
		now, err := w.Rollout(t.Context(), id)
		if err != nil || releasesOf(now.Fleet) != firstV2 {
			t.Fatalf("after three days: %s, %v", releasesOf(now.Fleet), err)
		}
		w.order(id, segue.Order{Verb: segue.VerbResume})
		if got := releasesOf(w.awaitPhase(id, segue.PhaseSucceeded).Fleet); got != allV2 {
			t.Errorf("fleet %s, want %s", got, allV2)
		}
	})
}

func TestRollbackOfOneServerHoldsWithTheFleetMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.order(id, segue.Order{Verb: segue.VerbPromote})
		w.await(id, "had two servers on v2", func(r operator.Rollout) bool { return len(r.Fleet.On("v2")) == 2 })
		w.order(id, segue.Order{Verb: segue.VerbRollback, Servers: []segue.ServerName{"web-1"}})
		held := w.awaitPhase(id, segue.PhaseHeld)
		if got := held.Fleet.On("v1"); len(got) == 0 || got[0] != "web-1" {
			t.Errorf("on v1: %v", got)
		}
		w.order(id, segue.Order{Verb: segue.VerbResume})
		if got := releasesOf(w.awaitPhase(id, segue.PhaseSucceeded).Fleet); got != allV2 {
			t.Errorf("fleet %s, want %s", got, allV2)
		}
	})
}

func TestControllerThatIsKilledGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.stop()
		<-time.After(time.Hour)
		w.start()
		if got := releasesOf(w.awaitPhase(id, segue.PhaseSucceeded).Fleet); got != allV2 {
			t.Errorf("fleet %s, want %s", got, allV2)
		}
	})
}

func TestRollbackAfterTheEndOpensOneToThePreviousRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.order(id, segue.Order{Verb: segue.VerbPromote, All: true})
		w.awaitPhase(id, segue.PhaseSucceeded)
		back, err := w.Order(t.Context(), operator.OrderRequest{Service: "web", Order: segue.Order{Verb: segue.VerbRollback, By: "ana"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := releasesOf(w.awaitPhase(back.ID, segue.PhaseSucceeded).Fleet); got != allV1 {
			t.Errorf("fleet %s, want %s", got, allV1)
		}
	})
}

func TestRollbackBeyondTheWindowIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		w.order(id, segue.Order{Verb: segue.VerbPromote, All: true})
		w.awaitPhase(id, segue.PhaseSucceeded)
		<-time.After(25 * time.Hour)
		_, err := w.Order(t.Context(), operator.OrderRequest{Service: "web", Order: segue.Order{Verb: segue.VerbRollback, By: "ana"}})
		if segue.KindOf(err) != segue.KindRefused {
			t.Errorf("rollback = %v, want refused", err)
		}
		if w.fleet.Staged(segue.Release{Service: "web", Name: "v1", Digest: digestOf(w, "v1")}) {
			t.Error("the files of v1 are still there")
		}
	})
}

// digestOf asks the fake what a release's artifact is.
func digestOf(w *world, release segue.ReleaseName) segue.Digest {
	digest, _, _ := w.fleet.Digest(w.t.Context(), workloadtest.Config("x"), release)
	return digest
}

func TestCandidateThatCrashesWhileObservedGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		now, err := w.Rollout(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		w.fleet.Crash(now.Fleet.Slots[0].Instance.ID)
		end := w.awaitPhase(id, segue.PhaseRolledBack)
		if got := releasesOf(end.Fleet); got != allV1 {
			t.Errorf("fleet %s, want %s", got, allV1)
		}
		if !strings.Contains(end.Sentence, "web-1") {
			t.Errorf("sentence %q does not name the server", end.Sentence)
		}
	})
}

func TestStableThatCrashesIsNotTheCandidatesFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		now, err := w.Rollout(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		w.fleet.Crash(now.Fleet.Slots[2].Instance.ID)
		if got := releasesOf(w.awaitPhase(id, segue.PhaseSucceeded).Fleet); got != allV2 {
			t.Errorf("fleet %s, want %s", got, allV2)
		}
	})
}

func TestServerThatJoinsGetsStableAndThenTheCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		reply, err := w.Deploy(t.Context(), operator.DeployRequest{Project: project(5), Targets: []operator.Target{{Release: "v2"}}})
		if err != nil || len(reply.Rollouts) != 0 || len(reply.Notes) == 0 {
			t.Fatalf("deploy of the same = %+v, %v; want a note", reply, err)
		}
		w.await(id, "had a fifth server on v1", func(r operator.Rollout) bool {
			slot, ok := r.Fleet.Slot("web-5")
			return ok && slot.Instance.Release == "v1" && slot.Rotation == segue.RotationIn
		})
		end := w.awaitPhase(id, segue.PhaseSucceeded)
		if got, want := releasesOf(end.Fleet), allV2+"web-5=v2/in "; got != want {
			t.Errorf("fleet %s, want %s", got, want)
		}
	})
}

func TestStalePlanIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, id := mixed(t)
		request := operator.DeployRequest{Project: project(4), Targets: []operator.Target{{Release: "v2"}}}
		w.order(id, segue.Order{Verb: segue.VerbAbort})
		w.awaitPhase(id, segue.PhaseRolledBack)
		plan, err := w.Plan(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		request.Plan = plan.Index
		w.fleet.Crash(firstInstance(w))
		<-time.After(5 * time.Second)
		if _, err := w.Deploy(t.Context(), request); segue.KindOf(err) != segue.KindConflict {
			t.Errorf("deploy of a stale plan = %v, want a conflict", err)
		}
	})
}

func firstInstance(w *world) segue.InstanceID {
	status, err := w.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return status.Services[0].Fleet.Slots[0].Instance.ID
}

func TestThirdReleaseIsRefusedReplacedOrQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, second := mixed(t)
		request := operator.DeployRequest{Project: project(4), Targets: []operator.Target{{Release: "v3"}}}
		if _, err := w.Deploy(t.Context(), request); segue.KindOf(err) != segue.KindRefused {
			t.Errorf("third release = %v, want refused", err)
		}
		request.Replace = true
		reply, err := w.Deploy(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		w.awaitPhase(second, segue.PhaseRolledBack)
		third := reply.Rollouts[0].ID
		w.awaitPhase(third, segue.PhaseObserving)
		request.Replace, request.Queue, request.Targets[0].Release = false, true, "v4"
		if reply, err = w.Deploy(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		w.awaitPhase(third, segue.PhaseSucceeded)
		end := w.awaitPhase(reply.Rollouts[0].ID, segue.PhaseSucceeded)
		if got := len(end.Fleet.On("v4")); got != 4 {
			t.Errorf("%d servers on v4, want 4", got)
		}
	})
}

func TestHandsKeepTheCapacityLaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.awaitPhase(w.deploy("v1", 2), segue.PhaseSucceeded)
		if err := w.Rotate(t.Context(), operator.RotationRequest{Server: "web-1", By: "ana"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Rotate(t.Context(), operator.RotationRequest{Server: "web-2"}); segue.KindOf(err) != segue.KindRefused {
			t.Errorf("drain of the last server = %v, want refused", err)
		}
		if err := w.Rotate(t.Context(), operator.RotationRequest{Server: "web-1", In: true}); err != nil {
			t.Fatal(err)
		}
	})
}
