package balancertest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
)

// Fake is a balancer in memory: a balancer.Driver with the contract's full semantics, deterministic, without goroutines and with the
// clock that it is given. What its backends have in flight and count is set by the test, or comes about by Begin.
type Fake struct {
	now func() time.Time

	mu          sync.Mutex
	epoch       int
	configured  bool
	backends    []*fakeBackend // in the order of adding
	byID        map[segue.InstanceID]*fakeBackend
	gone        []*fakeBackend // in the order of removal
	goneByID    map[segue.InstanceID]*fakeBackend
	added       int
	shares      map[segue.ReleaseName]float64
	hold        time.Duration // 0: not holding
	maintenance bool
	parked      []*Request
	held        int64
	longest     time.Duration
	unrouted    map[string]int64
	failures    []balancer.FailedRequest
}

type fakeBackend struct {
	balancer.Backend
	number    int // in the order of adding
	rotation  segue.Rotation
	admitted  time.Time
	slowStart time.Duration
	sick      bool
	inFlight  balancer.InFlight
	counters  balancer.Counters
	settled   int
	credit    float64 // what its share has brought it and it has not had yet, in requests
}

var (
	_ balancer.Driver = (*Fake)(nil)
	_ balancer.Finder = (*Fake)(nil)
)

// NewFake makes a fake that takes its time from now.
func NewFake(now func() time.Time) *Fake {
	return &Fake{
		now: now, epoch: 1, byID: map[segue.InstanceID]*fakeBackend{}, goneByID: map[segue.InstanceID]*fakeBackend{}, unrouted: map[string]int64{},
	}
}

// Capabilities implements balancer.Driver: everything but mirrors.
func (f *Fake) Capabilities() balancer.Capabilities {
	return balancer.Capabilities{CountsInFlight: true, LiveChange: true, Holds: true, Weighs: true, ClosesLong: true}
}

// change runs a change while nothing else happens.
func (f *Fake) change(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return segue.Errorf(segue.KindCanceled, "ask the balancer: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.configured {
		return segue.Errorf(segue.KindNotFound, "the balancer has no such service").WithHint("configure it first")
	}
	return do()
}

// on runs a change of a backend that must be known.
func (f *Fake) on(ctx context.Context, id segue.InstanceID, do func(*fakeBackend) error) error {
	return f.change(ctx, func() error {
		if b := f.byID[id]; b != nil {
			return do(b)
		}
		return segue.Errorf(segue.KindNotFound, "the balancer has no backend %s", id)
	})
}

// Configure implements balancer.Driver.
func (f *Fake) Configure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return segue.Errorf(segue.KindCanceled, "ask the balancer: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.configured = true
	return nil
}

// Add implements balancer.Driver.
func (f *Fake) Add(ctx context.Context, b balancer.Backend) error {
	return f.change(ctx, func() error {
		known := f.byID[b.ID]
		switch {
		case known != nil && known.Address != b.Address:
			return segue.Errorf(segue.KindConflict, "backend %s is known with address %s, not %s", b.ID, known.Address, b.Address)
		case known != nil:
			return nil
		}
		f.added++
		back := &fakeBackend{Backend: b, number: f.added, rotation: segue.RotationOut}
		if former := f.goneByID[b.ID]; former != nil && former.Backend == b {
			back.counters = former.counters
			f.gone = slices.DeleteFunc(f.gone, func(g *fakeBackend) bool { return g == former })
			delete(f.goneByID, b.ID)
		}
		f.backends, f.byID[b.ID] = append(f.backends, back), back
		return nil
	})
}

// Admit implements balancer.Driver.
func (f *Fake) Admit(ctx context.Context, id segue.InstanceID, slowStart time.Duration) error {
	return f.on(ctx, id, func(b *fakeBackend) error {
		if b.rotation != segue.RotationIn {
			b.rotation, b.admitted, b.slowStart, b.sick = segue.RotationIn, f.now(), slowStart, false
			f.release()
		}
		return nil
	})
}

// Drain implements balancer.Driver.
func (f *Fake) Drain(ctx context.Context, id segue.InstanceID) error {
	return f.on(ctx, id, func(b *fakeBackend) error {
		b.rotation = segue.RotationDraining
		return nil
	})
}

// InFlight implements balancer.Driver.
func (f *Fake) InFlight(ctx context.Context, id segue.InstanceID) (n balancer.InFlight, err error) {
	err = f.on(ctx, id, func(b *fakeBackend) error {
		n = b.inFlight
		n.Known = true
		return nil
	})
	return n, err
}

// CloseLong implements balancer.Driver. All are closed at once: time passes only where the test lets it.
func (f *Fake) CloseLong(ctx context.Context, id segue.InstanceID, _ time.Duration) (closed int, err error) {
	err = f.on(ctx, id, func(b *fakeBackend) error {
		closed = b.inFlight.Long
		b.inFlight.Long = 0
		b.counters.LongClosed += int64(closed)
		return nil
	})
	return closed, err
}

// Settle implements balancer.Driver.
func (f *Fake) Settle(ctx context.Context, id segue.InstanceID) error {
	return f.on(ctx, id, func(b *fakeBackend) error {
		b.settled++
		return nil
	})
}

// Remove implements balancer.Driver.
func (f *Fake) Remove(ctx context.Context, id segue.InstanceID) error {
	return f.change(ctx, func() error {
		b := f.byID[id]
		if b == nil {
			return nil
		}
		if b.rotation == segue.RotationIn {
			return segue.Errorf(segue.KindConflict, "backend %s is in rotation", id).WithHint("drain it first")
		}
		b.rotation = segue.RotationOut
		f.gone, f.goneByID[id] = append(f.gone, b), b
		delete(f.byID, id)
		if i, ok := slices.BinarySearchFunc(f.backends, b.number, func(b *fakeBackend, number int) int { return b.number - number }); ok {
			f.backends = slices.Delete(f.backends, i, i+1)
		}
		return nil
	})
}

// Weigh implements balancer.Driver.
func (f *Fake) Weigh(ctx context.Context, shares map[segue.ReleaseName]float64) error {
	sum := 0.0
	for release, share := range shares {
		if !(share >= 0 && share <= 1) {
			return segue.Errorf(segue.KindInvalid, "share %v of release %s: it must be within 0 and 1", share, release)
		}
		sum += share
	}
	if len(shares) > 0 && math.Abs(sum-1) > 1e-6 {
		return segue.Errorf(segue.KindInvalid, "shares sum to %v: they must sum to 1", sum)
	}
	return f.change(ctx, func() error {
		f.shares = maps.Clone(shares)
		if len(shares) == 0 {
			f.shares = nil
		}
		f.release()
		return nil
	})
}

// Hold implements balancer.Driver.
func (f *Fake) Hold(ctx context.Context, most time.Duration) error {
	if most <= 0 {
		return segue.Errorf(segue.KindInvalid, "hold for %v: it must be positive", most)
	}
	return f.change(ctx, func() error {
		f.hold = most
		return nil
	})
}

// Unhold implements balancer.Driver.
func (f *Fake) Unhold(ctx context.Context) error {
	return f.change(ctx, func() error {
		f.hold = 0
		f.release()
		return nil
	})
}

// Maintenance implements balancer.Driver.
func (f *Fake) Maintenance(ctx context.Context, on bool, _ time.Duration) error {
	return f.change(ctx, func() error {
		f.maintenance = on
		return nil
	})
}

// Snapshot implements balancer.Driver.
func (f *Fake) Snapshot(ctx context.Context) (s balancer.Snapshot, err error) {
	err = f.change(ctx, func() error {
		s = balancer.Snapshot{
			At: f.now(), Epoch: fmt.Sprintf("epoch-%d", f.epoch), Holding: f.hold > 0, Maintenance: f.maintenance,
			Held: f.held, HeldNow: int64(len(f.parked)), HeldLongest: f.longest,
			Unrouted: maps.Clone(f.unrouted), Failures: slices.Clone(f.failures),
		}
		s.Backends = make([]balancer.BackendStatus, 0, len(f.backends)+len(f.gone))
		for _, b := range f.backends {
			s.Backends = append(s.Backends, b.status())
		}
		for _, b := range f.gone {
			s.Backends = append(s.Backends, b.status())
		}
		return nil
	})
	return s, err
}

// Find implements balancer.Finder.
func (f *Fake) Find(ctx context.Context, id segue.InstanceID) (status balancer.BackendStatus, err error) {
	err = f.on(ctx, id, func(b *fakeBackend) error {
		status = b.status()
		return nil
	})
	return status, err
}

func (b *fakeBackend) status() balancer.BackendStatus {
	counters, inFlight := b.counters, b.inFlight
	counters.Failures = maps.Clone(b.counters.Failures)
	counters.Latency.Buckets = slices.Clone(b.counters.Latency.Buckets)
	inFlight.Known = true
	return balancer.BackendStatus{Backend: b.Backend, Rotation: b.rotation, Healthy: !b.sick, InFlight: inFlight, Counters: counters}
}

// Close implements balancer.Driver.
func (f *Fake) Close() error { return nil }
