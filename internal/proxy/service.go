package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/listen"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// How long removed backends stay listed: an hour, and beyond it as long as no more than so many are.
const (
	goneFor  = time.Hour
	goneKept = 256
)

// service is one service at work. Requests read the table; changes come one at a time from Proxy and publish a new one.
type service struct {
	name        string
	log         *slog.Logger
	newUpstream func(upstream.Options) upstream.Upstream

	table    atomic.Pointer[table]
	routes   routeBook
	unrouted causes
	failures ring
	budget   budget
	caps     listen.Caps

	// mirroring is set while requests are copied.
	mirroring    atomic.Pointer[mirroring]
	mirrorCounts mirrorCounts

	held, heldNow, heldLongest atomic.Int64
	moves, users, abandoned    atomic.Int64

	endWatch context.CancelFunc // of the health watch

	// woken tells the health watch that something has changed; closed ends all waiting.
	woken  chan struct{}
	closed chan struct{}

	mu       sync.Mutex
	stored   storedService
	config   Config // with defaults
	trusted  []netip.Prefix
	backends []*backend
	gone     []*backend
	front    *front
}

func newService(name string, log *slog.Logger, newUpstream func(upstream.Options) upstream.Upstream) *service {
	s := &service{
		name: name, log: log.With("service", name), newUpstream: newUpstream,
		woken: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	s.table.Store(&table{superseded: make(chan struct{})})
	s.routes.start(s.forgetRoute)
	return s
}

// apply makes the service be as it is stored. When it returns, every new request goes by it.
func (s *service) apply(stored storedService) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.config
	s.stored, s.config = stored, stored.Config.withDefaults()
	s.trusted, _ = parsePrefixes(stored.Config.TrustedProxies) // validated when it was configured
	s.caps.Limit(s.config.Limits.Connections, s.config.Limits.ConnectionsPerIP, s.trusted)
	carriersChange := before.BackendH2C != s.config.BackendH2C || before.Limits.HeaderTimeout != s.config.Limits.HeaderTimeout
	now := time.Now()
	kept := make([]*backend, 0, len(stored.Backends))
	for _, want := range stored.Backends {
		b := s.known(want.Backend)
		if b == nil {
			b = s.newBackend(want.Backend)
		} else if carriersChange {
			former := b.up.Load()
			b.up.Store(&carrier{s.upstream(b), former})
			former.CloseIdle()
		}
		b.turn(want, now)
		kept = append(kept, b)
	}
	for _, b := range s.backends {
		if !slices.Contains(kept, b) {
			s.retire(b, now)
		}
	}
	s.backends = kept
	s.publish()
	s.wake()
}

// known finds a backend, among the removed ones too: one that comes back goes on with its counters.
func (s *service) known(want Backend) *backend {
	same := func(b *backend) bool { return b.ID == want.ID && b.Address == want.Address }
	if i := slices.IndexFunc(s.backends, same); i >= 0 {
		return s.backends[i]
	}
	i := slices.IndexFunc(s.gone, same)
	if i < 0 {
		return nil
	}
	counters := s.gone[i].counters
	s.gone = slices.Delete(s.gone, i, i+1)
	b := s.newBackend(want)
	b.counters = counters
	return b
}

func (s *service) newBackend(b Backend) *backend {
	n := &backend{Backend: b, token: stickyToken(s.stored.Key, s.name, b.Server), counters: &counters{}}
	n.health.up = true
	n.up.Store(&carrier{Upstream: s.upstream(n)})
	return n
}

func (s *service) upstream(b *backend) upstream.Upstream {
	return s.newUpstream(upstream.Options{
		Address: b.Address, H2C: s.config.BackendH2C, HeaderTimeout: s.config.Limits.HeaderTimeout, OnTunnel: onTunnel(b),
	})
}

// turn gives a backend its place in the rotation. A drained one is closed before this returns: no claim succeeds from then on.
func (b *backend) turn(want storedBackend, now time.Time) {
	if want.Rotation == segue.RotationIn && b.rotation != segue.RotationIn {
		b.slowStart = want.SlowStart
		b.startSlowly(want.AdmittedAt, now)
		b.health = health{up: true}
		b.failed.Store(0)
	}
	b.rotation = want.Rotation
	b.open.Store(want.Rotation == segue.RotationIn)
	b.echoes.admit(want.Rotation != segue.RotationDraining)
}

// startSlowly begins a slow start that began at a time, unless it would be over.
func (b *backend) startSlowly(from, now time.Time) {
	b.ramp.Store(nil)
	if b.slowStart > 0 && now.Sub(from) < b.slowStart {
		b.ramp.Store(&ramp{from: from, over: b.slowStart})
	}
}

// retire makes a backend one that is only listed.
func (s *service) retire(b *backend, now time.Time) {
	b.rotation, b.removedAt = segue.RotationOut, now
	b.open.Store(false)
	b.removed.Store(true)
	b.echoes.admit(false)
	b.settle()
	s.gone = append(s.gone, b)
	for len(s.gone) > goneKept && now.Sub(s.gone[0].removedAt) > goneFor {
		s.gone = slices.Delete(s.gone, 0, 1)
	}
}

// publish builds the table anew and makes it live. s.mu is held.
func (s *service) publish() {
	t := &table{config: s.config, trusted: s.trusted, homes: map[string]home{}, superseded: make(chan struct{})}
	var admitted []*backend
	for _, b := range s.backends {
		if b.rotation == segue.RotationIn {
			admitted = append(admitted, b)
			if b.health.up {
				t.ready = append(t.ready, b)
			}
		}
	}
	if len(t.ready) == 0 {
		t.ready = admitted
	}
	for _, b := range slices.Concat(s.gone, s.backends) {
		t.homes[b.token] = home{}
	}
	for _, b := range t.ready {
		t.homes[b.token] = home{ready: b}
	}
	t.groups = groupsOf(t.ready, s.stored.Shares)
	if t.groups != nil && len(t.groups) == 0 {
		t.groups, t.ready = nil, nil
	}
	if h := s.stored.Hold; h != nil {
		t.hold = &h.Most
	}
	if m := s.stored.Maintenance; m != nil {
		t.maintenance = &m.RetryAfter
	}
	close(s.table.Swap(t).superseded)
}

// groupsOf sorts ready backends by release, for those that have a share; nil when nothing is weighed.
func groupsOf(ready []*backend, shares map[segue.ReleaseName]float64) []group {
	if shares == nil {
		return nil
	}
	groups := []group{}
	for release, share := range shares {
		g := group{release: release, upTo: share}
		for _, b := range ready {
			if b.Release == release {
				g.ready = append(g.ready, b)
			}
		}
		if share > 0 && len(g.ready) > 0 {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(a.release, b.release) })
	sum := 0.0
	for i := range groups {
		sum += groups[i].upTo
		groups[i].upTo = sum
	}
	return groups
}

// total counts the requests that ended on backends.
func (s *service) total() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backends {
		n += b.counters.requests.Load()
	}
	return n
}

// forgetRoute begins a route's counters anew, and calls then while no snapshot is taken.
func (s *service) forgetRoute(route uint8, then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range slices.Concat(s.gone, s.backends) {
		b.counters.routes.forget(route)
	}
	then()
}

// find gives a registered backend; nil when there is none of that identity.
func (s *service) find(id segue.InstanceID) *backend {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backends {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// closeLong ends all long connections of all backends, spread over a time.
func (s *service) closeLong(ctx context.Context, spread time.Duration) {
	s.mu.Lock()
	backends := slices.Concat(s.backends, s.gone)
	s.mu.Unlock()
	var work sync.WaitGroup
	for _, b := range backends {
		work.Go(func() { _, _ = b.long.close(ctx, spread) })
	}
	work.Wait()
}

// stop ends waiting requests and closes every connection to a backend. The fronts must be done.
func (s *service) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range slices.Concat(s.backends, s.gone) {
		b.close()
	}
}
