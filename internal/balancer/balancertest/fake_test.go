package balancertest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that stands unless it is moved.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func fakeWorld(driver balancer.Driver, fake *balancertest.Fake) balancertest.World {
	var ports atomic.Int64
	flight := func(r *balancertest.Request) balancertest.Flight {
		return balancertest.Flight{At: r.At(), Finish: func() { r.Finish(time.Millisecond) }}
	}
	return balancertest.World{
		Driver: driver,
		Backend: func(_ *testing.T, server segue.ServerName, release segue.ReleaseName) balancer.Backend {
			n := ports.Add(1)
			id := segue.NewInstanceID(server, release, segue.RolloutID(n), 1)
			return balancer.Backend{ID: id, Server: server, Release: release, Address: fmt.Sprintf("192.0.2.1:%d", n)}
		},
		Begin:     func(*testing.T) balancertest.Flight { return flight(fake.Begin()) },
		BeginLong: func(*testing.T) balancertest.Flight { return flight(fake.BeginLong()) },
		Restart:   func(*testing.T) { fake.Restart() },
	}
}

func TestFakeConforms(t *testing.T) {
	balancertest.Suite(t, func(*testing.T) balancertest.World {
		fake := balancertest.NewFake((&clock{}).now)
		return fakeWorld(fake, fake)
	})
}

func TestFaultyWithoutRulesConforms(t *testing.T) {
	balancertest.Suite(t, func(*testing.T) balancertest.World {
		fake := balancertest.NewFake((&clock{}).now)
		return fakeWorld(balancertest.NewFaulty(fake), fake)
	})
}

// stage makes a fake with two backends in rotation.
func stage(t *testing.T, c *clock) (fake *balancertest.Fake, one, two balancer.Backend) {
	t.Helper()
	fake = balancertest.NewFake(c.now)
	one = balancer.Backend{ID: "one.v1.1", Server: "one", Release: "v1", Address: "192.0.2.1:1"}
	two = balancer.Backend{ID: "two.v2.1", Server: "two", Release: "v2", Address: "192.0.2.1:2"}
	must(t, fake.Configure(t.Context()))
	for _, b := range []balancer.Backend{one, two} {
		must(t, fake.Add(t.Context(), b))
		must(t, fake.Admit(t.Context(), b.ID, 0))
	}
	return fake, one, two
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFakeShares(t *testing.T) {
	var c clock
	fake, one, two := stage(t, &c)
	want := func(a, b float64) {
		t.Helper()
		got := fake.Shares()
		if math.Abs(got[one.ID]-a) > 1e-9 || math.Abs(got[two.ID]-b) > 1e-9 {
			t.Errorf("shares %v, want %v and %v", got, a, b)
		}
	}
	want(0.5, 0.5)
	must(t, fake.Weigh(t.Context(), map[segue.ReleaseName]float64{"v1": 0.95, "v2": 0.05}))
	want(0.95, 0.05)
	must(t, fake.Weigh(t.Context(), nil))
	must(t, fake.Drain(t.Context(), two.ID))
	want(1, 0)
	must(t, fake.Admit(t.Context(), two.ID, 10*time.Second))
	want(1/1.1, 0.1/1.1)
	c.advance(5 * time.Second)
	want(1/1.55, 0.55/1.55)
	c.advance(time.Minute)
	want(0.5, 0.5)
	fake.SetHealthy(one.ID, false)
	want(0, 1)
	fake.SetHealthy(two.ID, false)
	want(0.5, 0.5)
}

func TestFakeCountsFailures(t *testing.T) {
	var c clock
	fake, one, _ := stage(t, &c)
	fake.AddFailure(balancer.FailedRequest{Server: "one", Release: "v1", Cause: "dial", Status: 502})
	fake.AddFailure(balancer.FailedRequest{Cause: "no_backend", Status: 503})
	snap, err := fake.Snapshot(t.Context())
	must(t, err)
	if len(snap.Failures) != 2 || snap.Unrouted["no_backend"] != 1 || snap.Backends[0].Counters.Failures["dial"] != 1 {
		t.Errorf("snapshot %+v lacks the failures of %s", snap, one.ID)
	}
}

func TestFaultyRules(t *testing.T) {
	broken := errors.New("broken")
	t.Run("n-th call", func(t *testing.T) {
		fake, one, _ := stage(t, &clock{})
		f := balancertest.NewFaulty(fake, balancertest.FailNth(2, broken))
		must(t, f.Drain(t.Context(), one.ID))
		if err := f.Admit(t.Context(), one.ID, 0); !errors.Is(err, broken) {
			t.Errorf("second call: %v, want it broken", err)
		}
		must(t, f.Admit(t.Context(), one.ID, 0))
		if calls := f.Calls(); len(calls) != 3 || calls[2].OfMethod != 2 || calls[1].ID != one.ID {
			t.Errorf("calls %+v", calls)
		}
	})
	t.Run("method", func(t *testing.T) {
		fake, one, _ := stage(t, &clock{})
		f := balancertest.NewFaulty(fake, balancertest.FailMethod("InFlight", broken))
		if _, err := f.InFlight(t.Context(), one.ID); !errors.Is(err, broken) {
			t.Errorf("InFlight: %v, want it broken", err)
		}
		f.SetRules()
		_, err := f.InFlight(t.Context(), one.ID)
		must(t, err)
	})
	t.Run("answer lost", func(t *testing.T) {
		fake, one, _ := stage(t, &clock{})
		f := balancertest.NewFaulty(fake, balancertest.LoseAnswer("Drain", 1))
		if err := f.Drain(t.Context(), one.ID); segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("Drain: %v, want unavailable", err)
		}
		if _, still := fake.Shares()[one.ID]; still {
			t.Error("the drain whose answer was lost was not carried out")
		}
	})
	t.Run("delay", func(t *testing.T) {
		var c clock
		fake, one, _ := stage(t, &c)
		f := balancertest.NewFaulty(fake, balancertest.Delay("Admit", func(context.Context) error {
			c.advance(time.Minute)
			return nil
		}))
		must(t, f.Admit(t.Context(), one.ID, 0))
		if got := c.now(); got != time.Unix(60, 0) {
			t.Errorf("clock is at %v after a delay of a minute", got)
		}
	})
}
