package controller_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServiceGoesToANewReleaseOneServerAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fleet.Behave("web", "v2", workloadtest.Behaviour{Boot: 2 * time.Second})
		first := w.awaitPhase(w.deploy("v1", 4), segue.PhaseSucceeded)
		if got, want := releasesOf(first.Fleet), "web-1=v1/in web-2=v1/in web-3=v1/in web-4=v1/in "; got != want {
			t.Fatalf("after the first deploy: %s, want %s", got, want)
		}
		second := w.awaitPhase(w.deploy("v2", 4), segue.PhaseSucceeded)
		if got, want := releasesOf(second.Fleet), "web-1=v2/in web-2=v2/in web-3=v2/in web-4=v2/in "; got != want {
			t.Fatalf("after the rollout: %s, want %s", got, want)
		}
	})
}

func TestReleaseThatNeverGetsReadyIsRolledBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fleet.Behave("web", "bad", workloadtest.Behaviour{NeverReady: true})
		w.awaitPhase(w.deploy("v1", 4), segue.PhaseSucceeded)
		end := w.awaitPhase(w.deploy("bad", 4), segue.PhaseRolledBack)
		if got, want := releasesOf(end.Fleet), "web-1=v1/in web-2=v1/in web-3=v1/in web-4=v1/in "; got != want {
			t.Fatalf("after the rollback: %s, want %s", got, want)
		}
	})
}
