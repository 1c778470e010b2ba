package proxy

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// backend is a Backend at work. Its fields up to the first blank line do not change.
type backend struct {
	Backend
	token    string // of the sticky cookie
	counters *counters
	long     longs
	// up carries requests; a changed configuration puts another one in its place, and in-flight requests end on the old one.
	up atomic.Pointer[carrier]
	// echoes are copies of requests that were sent to other backends, and mirrored counts those that are over. They are no work of its own.
	echoes   echoes
	mirrored atomic.Int64

	// busy counts claims: requests and long connections alike.
	busy atomic.Int64
	// open is true while the backend may be claimed.
	open atomic.Bool
	// removed is true once it is only listed.
	removed atomic.Bool
	ramp    atomic.Pointer[ramp]
	// failed counts failures in a row that passive health goes by.
	failed atomic.Int32

	// Guarded by service.mu.
	rotation  segue.Rotation
	slowStart time.Duration
	health    health
	removedAt time.Time
}

// claim counts a request in, then checks that the backend takes any: whoever closes it first and then sees no claim knows that none
// will come. false leaves nothing counted.
func (b *backend) claim() bool {
	b.busy.Add(1)
	if b.open.Load() {
		return true
	}
	b.unclaim()
	return false
}

// unclaim counts a request out. The last one on a closed backend leaves no idle connection behind.
func (b *backend) unclaim() {
	if b.busy.Add(-1) == 0 && !b.open.Load() {
		b.settle()
	}
}

// settle closes the idle connections, and everything when the backend was removed and has nothing in flight.
func (b *backend) settle() {
	for c := b.up.Load(); c != nil; c = c.former {
		c.CloseIdle()
		if b.removed.Load() && b.busy.Load() == 0 {
			c.Close()
		}
	}
}

// close cuts whatever is open.
func (b *backend) close() {
	for c := b.up.Load(); c != nil; c = c.former {
		c.Close()
	}
}

// carrier is an Upstream and the one it took the place of, which may still have requests in flight.
type carrier struct {
	upstream.Upstream
	former *carrier
}

func (b *backend) inFlight(now time.Time) InFlight {
	long := b.long.count(now)
	return InFlight{Requests: max(0, int(b.busy.Load())-long), Long: long}
}

// ramp is a slow start: the share grows from a tenth to the whole.
type ramp struct {
	from time.Time
	over time.Duration
}

// rampFloor is where a slow start begins.
const rampFloor = 0.1

// share gives the backend's weight in comparisons.
func (b *backend) share() float64 {
	weight := b.Weight
	if weight <= 0 {
		weight = 1
	}
	r := b.ramp.Load()
	if r == nil {
		return weight
	}
	done := float64(time.Since(r.from)) / float64(r.over)
	if done >= 1 {
		b.ramp.CompareAndSwap(r, nil)
		return weight
	}
	return weight * (rampFloor + (1-rampFloor)*max(0, done))
}

// counters are a backend's, written on every request: no lock on that way but for failures.
type counters struct {
	requests   atomic.Int64
	classes    [6]atomic.Int64
	clientGone atomic.Int64
	retries    atomic.Int64
	longClosed atomic.Int64
	longCut    atomic.Int64
	latency    telemetry.Histogram
	failures   causes
	routes     routeCounters
}

func (c *counters) snapshot() Counters {
	s := Counters{
		Requests:   c.requests.Load(),
		Failures:   c.failures.snapshot(),
		ClientGone: c.clientGone.Load(),
		Retries:    c.retries.Load(),
		LongClosed: c.longClosed.Load(),
		LongCut:    c.longCut.Load(),
		Latency:    c.latency.Distribution(),
	}
	for i := range c.classes {
		s.Classes[i] = c.classes[i].Load()
	}
	return s
}

// causes counts by cause; for the rare.
type causes struct {
	mu sync.Mutex
	by map[string]int64
}

func (c *causes) add(cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int64{}
	}
	c.by[cause]++
}

func (c *causes) snapshot() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.by) == 0 {
		return nil
	}
	return maps.Clone(c.by)
}
