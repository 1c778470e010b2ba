package migrationtest_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/migrationtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fakeSubject(*testing.T) migrationtest.Subject {
	fake := migrationtest.NewFake()
	fake.Roles = true
	return migrationtest.Subject{
		Open:  func(*testing.T) migration.Driver { return fake },
		Steal: func(*testing.T) { fake.Steal() },
	}
}

func TestFakePassesTheSuite(t *testing.T) { migrationtest.Suite(t, fakeSubject) }

// recorded is a fake with a plan of two statements, "0001#1" that expands and "0001#2", a backfill, and a lease on it.
func recorded(t *testing.T) (*migrationtest.Fake, migration.Lease) {
	t.Helper()
	fake := migrationtest.NewFake()
	plan, err := fake.Plan(t.Context(), migration.PlanRequest{Files: []migration.File{migrationtest.File("0001", "ALTER TABLE t ADD COLUMN c text", "UPDATE t SET c = 1")}})
	if err != nil {
		t.Fatal(err)
	}
	lease, err := fake.Lease(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Record(t.Context(), "v2", plan); err != nil {
		t.Fatal(err)
	}
	return fake, lease
}

func quiet(migration.Progress) {}

func TestFakeTakesExactlyItsTime(t *testing.T) {
	for name, test := range map[string]struct {
		id     migration.ChangeID
		budget float64
		want   time.Duration
	}{
		"an action":                    {"0001#1", 0, 10 * time.Second},
		"an action knows no budget":    {"0001#1", 0.1, 10 * time.Second},
		"a backfill":                   {"0001#2", 0, 10 * time.Second},
		"a backfill that never rests":  {"0001#2", 1, 5 * time.Second},
		"a backfill that mostly rests": {"0001#2", 0.1, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, lease := recorded(t)
				fake.Behave(test.id, migrationtest.Behaviour{Takes: 10 * time.Second, Rows: 50})
				start := time.Now()
				report, err := lease.Run(t.Context(), test.id, migration.RunOptions{Budget: test.budget}, quiet)
				if took := time.Since(start); err != nil || took != test.want || report.Took != test.want {
					t.Errorf("took %s (report %s), %v; want %s", took, report.Took, err, test.want)
				}
				if again, err := lease.Run(t.Context(), test.id, migration.RunOptions{}, quiet); err != nil || again != report || time.Since(start) != test.want {
					t.Errorf("run again: %+v, %v", again, err)
				}
			})
		})
	}
}

// A controller that dies in the middle loses its lease; the next one goes on where the rows are done.
func TestFakeGoesOnAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, lease := recorded(t)
		fake.Behave("0001#2", migrationtest.Behaviour{Takes: 10 * time.Second})
		failed := make(chan error)
		go func() {
			_, err := lease.Run(t.Context(), "0001#2", migration.RunOptions{}, quiet)
			failed <- err
		}()
		<-time.After(6500 * time.Millisecond)
		if err := fake.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; segue.KindOf(err) != segue.KindConflict {
			t.Errorf("the run of whoever lost the lease: %v", err)
		}
		next, err := fake.Lease(t.Context(), "next")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		report, err := next.Run(t.Context(), "0001#2", migration.RunOptions{}, quiet)
		if took := time.Since(start); err != nil || took != 4*time.Second || report.Rows != 1000 {
			t.Errorf("the rest took %s, %v: %+v", took, err, report)
		}
	})
}

func TestFakeFailsAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, lease := recorded(t)
		fake.Behave("0001#1", migrationtest.Behaviour{Takes: 2 * time.Second, Fail: migrationtest.ErrLost(), FailTimes: 2})
		fake.Behave("0001#2", migrationtest.Behaviour{Violators: 3})
		for n := range 3 {
			_, err := lease.Run(t.Context(), "0001#1", migration.RunOptions{}, quiet)
			if (err != nil) != (n < 2) {
				t.Errorf("run %d: %v", n+1, err)
			}
			state, _ := fake.State(t.Context())
			if (state.Changes[0].Error != "") != (n < 2) {
				t.Errorf("after run %d: %+v", n+1, state.Changes[0])
			}
		}
		if _, err := lease.Run(t.Context(), "0001#2", migration.RunOptions{}, quiet); segue.KindOf(err) != segue.KindRefused {
			t.Errorf("violators: %v", err)
		}
		fake.Down(migrationtest.ErrLost())
		if _, err := fake.State(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("while it is down: %v", err)
		}
		<-lease.Lost()
		fake.Down(nil)
		if _, err := fake.Inspect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFakeAnswersAsItIsTold(t *testing.T) {
	fake, _ := recorded(t)
	fake.Answer("0001#3", migration.AnswerUnsafe)
	gate, err := fake.Gate(t.Context(), migration.GateRequest{Change: migration.Change{ID: "0001#3"}})
	if err != nil || gate.Answer != migration.AnswerUnsafe || len(gate.Grounds) != 1 {
		t.Errorf("%+v, %v", gate, err)
	}
	fake.Sent(migration.Query{Release: "v1", SQL: "SELECT 1"})
	if heard, err := fake.Statements(t.Context(), time.Now()); err != nil || len(heard.Queries) != 1 {
		t.Errorf("%v, %v", heard, err)
	}
	fake.Store("t", "doc", json.RawMessage("1"), json.RawMessage("2"))
	if values, err := fake.Sample(t.Context(), "t", "doc", 1); err != nil || len(values) != 1 {
		t.Errorf("%s, %v", values, err)
	}
}

func TestFaultyPassesTheSuiteWithoutFaults(t *testing.T) {
	none := func(string, int) migrationtest.Fault { return migrationtest.Fault{} }
	migrationtest.Suite(t, func(t *testing.T) migrationtest.Subject {
		t.Helper()
		subject := fakeSubject(t)
		open := subject.Open
		subject.Open = func(t *testing.T) migration.Driver {
			t.Helper()
			return migrationtest.NewFaulty(open(t), none)
		}
		return subject
	})
}

func TestFaultyLosesTheCallOrTheAnswer(t *testing.T) {
	for _, after := range []bool{false, true} {
		fake, lease := recorded(t)
		if err := lease.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		driver := migrationtest.NewFaulty(fake, migrationtest.Nth("Lease.Run", 1, migrationtest.Fault{Err: migrationtest.ErrLost(), After: after}))
		faulty, err := driver.Lease(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := faulty.Run(t.Context(), "0001#1", migration.RunOptions{}, quiet); segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("the first run: %v", err)
		}
		state, err := driver.State(t.Context())
		if err != nil || (state.Changes[0].Status == migration.StatusDone) != after {
			t.Errorf("after %t: %+v, %v", after, state.Changes[0], err)
		}
		if _, err := faulty.Run(t.Context(), "0001#1", migration.RunOptions{}, quiet); err != nil || driver.Calls("Lease.Run") != 2 {
			t.Errorf("the second of %d runs: %v", driver.Calls("Lease.Run"), err)
		}
	}
}

// A lease whose answer is lost is nobody's.
func TestFaultyGivesALostLeaseBack(t *testing.T) {
	driver := migrationtest.NewFaulty(migrationtest.NewFake(), migrationtest.Nth("Lease", 1, migrationtest.Fault{Err: migrationtest.ErrLost(), After: true}))
	for n := range 2 {
		_, err := driver.Lease(context.Background(), "test")
		if (err != nil) != (n == 0) {
			t.Errorf("lease %d: %v", n+1, err)
		}
	}
}
