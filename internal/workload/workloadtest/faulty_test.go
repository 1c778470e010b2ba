package workloadtest_test

import (
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

func TestFaultyPassesTheSuiteWithoutFaults(t *testing.T) {
	none := func(string, int) workloadtest.Fault { return workloadtest.Fault{} }
	workloadtest.Suite(t, func(t *testing.T) workloadtest.Subject {
		t.Helper()
		subject := fakeSubject(t)
		open := subject.Open
		subject.Open = func(t *testing.T) workload.Driver {
			t.Helper()
			return workloadtest.NewFaulty(open(t), none)
		}
		return subject
	}, bubble)
}

func TestFaultyLosesTheCallOrTheAnswer(t *testing.T) {
	for _, after := range []bool{false, true} {
		fake, launch := started(t, workloadtest.Behaviour{})
		driver := workloadtest.NewFaulty(fake, workloadtest.Nth("Stop", 2, workloadtest.Fault{Err: workloadtest.ErrLost(), After: after}))
		if err := driver.Stop(t.Context(), "another"); err != nil {
			t.Errorf("the first call fails: %v", err)
		}
		if err := driver.Stop(t.Context(), launch.ID); segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("the second call: %v", err)
		}
		all, err := driver.List(t.Context())
		if err != nil || (len(all) == 0) != after {
			t.Errorf("after %v: List = %v, %v", after, all, err)
		}
		if err := driver.Stop(t.Context(), launch.ID); err != nil {
			t.Errorf("the third call fails: %v", err)
		}
		if driver.Calls("Stop") != 3 || driver.Calls("Start") != 0 {
			t.Errorf("%d calls of Stop are counted", driver.Calls("Stop"))
		}
	}
}
