package workloadtest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFakePassesTheSuite(t *testing.T) {
	workloadtest.Suite(t, fakeSubject, bubble)
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func fakeSubject(*testing.T) workloadtest.Subject {
	fake := workloadtest.NewFake()
	behaviours := map[segue.ReleaseName]workloadtest.Behaviour{}
	change := func(name segue.ReleaseName, change func(*workloadtest.Behaviour)) {
		b := behaviours[name]
		change(&b)
		behaviours[name] = b
		fake.Behave("", name, b)
	}
	return workloadtest.Subject{
		Open: func(*testing.T) workload.Driver { return fake },
		Release: func(_ *testing.T, name segue.ReleaseName, b workloadtest.Behaviour) workload.Config {
			change(name, func(old *workloadtest.Behaviour) { *old = b })
			return workloadtest.Config(name)
		},
		Spoil: func(_ *testing.T, name segue.ReleaseName) {
			change(name, func(b *workloadtest.Behaviour) { b.Digest = "sha256:other" })
		},
		Remove: func(_ *testing.T, name segue.ReleaseName) {
			change(name, func(b *workloadtest.Behaviour) { b.Missing = true })
		},
		Crash: func(t *testing.T, instance segue.Instance) {
			t.Helper()
			if !fake.Crash(instance.ID) {
				t.Fatal("it does not run")
			}
		},
	}
}

// started is a fake with one instance of a release that behaves so.
func started(t *testing.T, b workloadtest.Behaviour) (*workloadtest.Fake, workload.Launch) {
	t.Helper()
	fake := workloadtest.NewFake()
	fake.Behave("web", "v1", b)
	digest, _, err := fake.Digest(t.Context(), nil, "v1")
	if err != nil {
		t.Fatal(err)
	}
	release := segue.Release{Service: "web", Name: "v1", Digest: digest}
	if err := fake.Stage(t.Context(), nil, release); err != nil {
		t.Fatal(err)
	}
	launch := workload.Launch{ID: "web-1.v1.1", Service: "web", Server: "web-1", Release: release, Grace: 30 * time.Second}
	if _, err := fake.Start(t.Context(), launch); err != nil {
		t.Fatal(err)
	}
	return fake, launch
}

func TestFakeTakesExactlyItsTime(t *testing.T) {
	for name, test := range map[string]struct {
		behaviour   workloadtest.Behaviour
		ready, stop time.Duration
	}{
		"at once":      {workloadtest.Behaviour{}, 0, 0},
		"boots":        {workloadtest.Behaviour{Boot: 5 * time.Second}, 5 * time.Second, 0},
		"ends slowly":  {workloadtest.Behaviour{StopTakes: 3 * time.Second}, 0, 3 * time.Second},
		"ignores TERM": {workloadtest.Behaviour{IgnoreTerm: true}, 0, 30 * time.Second},
		"too slowly":   {workloadtest.Behaviour{StopTakes: time.Hour}, 0, 30 * time.Second},
		"crashes once": {workloadtest.Behaviour{Boot: 2 * time.Second, CrashAfter: time.Second, CrashTimes: 1}, 3250 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, launch := started(t, test.behaviour)
				begun := time.Now()
				if err := fake.AwaitReady(t.Context(), launch.ID); err != nil || time.Since(begun) != test.ready {
					t.Errorf("ready after %v, %v; want %v", time.Since(begun), err, test.ready)
				}
				begun = time.Now()
				if err := fake.Stop(t.Context(), launch.ID); err != nil || time.Since(begun) != test.stop {
					t.Errorf("stopped after %v, %v; want %v", time.Since(begun), err, test.stop)
				}
			})
		})
	}
}

func TestFakeMishaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, launch := started(t, workloadtest.Behaviour{})
		fake.Sicken(launch.ID, true)
		if err := fake.Probe(t.Context(), launch.ID); segue.KindOf(err) != segue.KindUnhealthy {
			t.Errorf("ill: %v", err)
		}
		fake.Sicken(launch.ID, false)
		if err := fake.Probe(t.Context(), launch.ID); err != nil {
			t.Errorf("well again: %v", err)
		}
		fake.Plant(segue.Instance{ID: "stray", Service: "web", Server: "web-2", Release: "v0"})
		if all, err := fake.List(t.Context()); err != nil || len(all) != 2 || all[1].ID != "stray" || all[1].State != segue.InstanceRunning {
			t.Errorf("List = %v, %v", all, err)
		}
		if !fake.Lose(launch.ID) || fake.Lose(launch.ID) || fake.Crash(launch.ID) {
			t.Error("an instance is lost once")
		}
		if _, err := fake.Start(t.Context(), launch); err != nil {
			t.Errorf("a lost instance is started again: %v", err)
		}
		if !fake.Staged(launch.Release) {
			t.Error("its release is not staged, it says")
		}
	})
}
