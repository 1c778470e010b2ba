package balancertest

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// What a test does to a Fake beside driving it: send requests, set counts, break things.

// Request is one request to a Fake.
type Request struct {
	fake *Fake
	long bool
	// since is when it was parked.
	since time.Time
	at    chan segue.InstanceID
	on    *fakeBackend
	over  bool
}

// At gives, once, the backend that has the request, or "" when the balancer refused it. Nothing comes while it is parked.
func (r *Request) At() <-chan segue.InstanceID { return r.at }

// Finish ends a request that is on a backend, with a 200 that took so long.
func (r *Request) Finish(took time.Duration) {
	r.fake.mu.Lock()
	defer r.fake.mu.Unlock()
	if r.on == nil || r.over {
		return
	}
	r.over = true
	if r.long {
		r.on.inFlight.Long = max(0, r.on.inFlight.Long-1)
		return
	}
	r.on.inFlight.Requests = max(0, r.on.inFlight.Requests-1)
	r.on.counters.Requests++
	r.on.counters.Classes[2]++
	var one telemetry.Histogram
	one.Observe(took)
	r.on.counters.Latency = r.on.counters.Latency.Add(one.Distribution())
}

// Begin sends a request of a new user; it stays in flight until Finish.
func (f *Fake) Begin() *Request { return f.begin(false) }

// BeginLong opens a long connection.
func (f *Fake) BeginLong() *Request { return f.begin(true) }

func (f *Fake) begin(long bool) *Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &Request{fake: f, long: long, since: f.now(), at: make(chan segue.InstanceID, 1)}
	switch b := f.choose(); {
	case f.maintenance:
		f.refuse(r, "maintenance")
	case f.hold > 0:
		f.held++
		f.parked = append(f.parked, r)
	case b == nil:
		f.refuse(r, "no_backend")
	default:
		r.reach(b)
	}
	return r
}

func (f *Fake) refuse(r *Request, cause string) {
	f.unrouted[cause]++
	r.at <- ""
}

func (r *Request) reach(b *fakeBackend) {
	r.on = b
	if r.long {
		b.inFlight.Long++
	} else {
		b.inFlight.Requests++
	}
	r.at <- b.ID
}

// release lets parked requests go on, when nothing holds them.
func (f *Fake) release() {
	if f.hold > 0 {
		return
	}
	parked := f.parked
	f.parked = nil
	for _, r := range parked {
		f.longest = max(f.longest, f.now().Sub(r.since))
		if b := f.choose(); b != nil {
			r.reach(b)
		} else {
			f.refuse(r, "hold_timeout")
		}
	}
}

// choose picks backends in turn, each as often as its share says (smooth weighted round robin); of equals, the one that was added first.
func (f *Fake) choose() *fakeBackend {
	shares := f.sharesNow()
	var best *fakeBackend
	for _, b := range f.backends {
		if shares[b.ID] == 0 {
			continue
		}
		b.credit += shares[b.ID]
		if best == nil || b.credit > best.credit {
			best = b
		}
	}
	if best != nil {
		best.credit--
	}
	return best
}

// Shares gives the part of new users' requests that each backend gets now; they sum to 1, or there are none.
func (f *Fake) Shares() map[segue.InstanceID]float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sharesNow()
}

func (f *Fake) sharesNow() map[segue.InstanceID]float64 {
	shares := map[segue.InstanceID]float64{}
	if f.maintenance {
		return shares
	}
	perRelease := map[segue.ReleaseName]float64{}
	for _, b := range f.ready() {
		perRelease[b.Release] += b.weight(f.now())
	}
	sum := 0.0
	for _, b := range f.ready() {
		part := b.weight(f.now())
		if f.shares != nil {
			part = part / perRelease[b.Release] * f.shares[b.Release]
		}
		if part > 0 {
			shares[b.ID] = part
		}
		sum += part
	}
	for id := range shares {
		shares[id] /= sum
	}
	return shares
}

// ready gives the admitted and healthy backends; all admitted ones when none is healthy.
func (f *Fake) ready() []*fakeBackend {
	in := slices.DeleteFunc(slices.Clone(f.backends), func(b *fakeBackend) bool { return b.rotation != segue.RotationIn })
	well := slices.DeleteFunc(slices.Clone(in), func(b *fakeBackend) bool { return b.sick })
	if len(well) == 0 {
		return in
	}
	return well
}

// weight is 1, or less during a slow start, which begins with a tenth.
func (b *fakeBackend) weight(now time.Time) float64 {
	if b.slowStart <= 0 {
		return 1
	}
	done := float64(now.Sub(b.admitted)) / float64(b.slowStart)
	return 0.1 + 0.9*min(1, max(0, done))
}

// SetInFlight says what a backend has to do; a backend that is not known is left out.
func (f *Fake) SetInFlight(id segue.InstanceID, n balancer.InFlight) {
	f.with(id, func(b *fakeBackend) { b.inFlight = n })
}

// SetHealthy says what the balancer thinks of a backend.
func (f *Fake) SetHealthy(id segue.InstanceID, healthy bool) {
	f.with(id, func(b *fakeBackend) { b.sick = !healthy })
}

// Count changes a backend's counters.
func (f *Fake) Count(id segue.InstanceID, change func(*balancer.Counters)) {
	f.with(id, func(b *fakeBackend) { change(&b.counters) })
}

// Settled gives how often idle connections to a backend were closed.
func (f *Fake) Settled(id segue.InstanceID) (n int) {
	f.with(id, func(b *fakeBackend) { n = b.settled })
	return n
}

func (f *Fake) with(id segue.InstanceID, do func(*fakeBackend)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range slices.Concat(f.backends, f.gone) {
		if b.ID == id {
			do(b)
			return
		}
	}
}

// AddFailure enters a failed request: counted for the backend of its server that is in rotation or draining, or as unrouted when it has no
// server.
func (f *Fake) AddFailure(failed balancer.FailedRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, failed)
	for _, b := range f.backends {
		if failed.Server != "" && b.Server == failed.Server && b.Release == failed.Release {
			if b.counters.Failures == nil {
				b.counters.Failures = map[string]int64{}
			}
			b.counters.Failures[failed.Cause]++
			b.counters.Requests++
			return
		}
	}
	f.unrouted[failed.Cause]++
}

// Restart is the balancer's process dying and coming back: rotation, shares and switches stay, counters and what was in flight are
// gone, and so are removed backends.
func (f *Fake) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
	f.gone, f.failures, f.unrouted = nil, nil, map[string]int64{}
	clear(f.goneByID)
	f.held, f.longest = 0, 0
	for _, r := range f.parked {
		r.at <- ""
	}
	f.parked = nil
	for _, b := range f.backends {
		b.inFlight, b.counters, b.sick = balancer.InFlight{}, balancer.Counters{}, false
	}
}
