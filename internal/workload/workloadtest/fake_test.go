package workloadtest_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFakePassesTheSuite(t *testing.T) {
	workloadtest.Suite(t, fakeSubject, func(t *testing.T, test func(t *testing.T)) {
		synctest.Test(t, test)
	})
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
