package balancertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
)

// World is a driver with a balancer behind it that really gets requests, and backends that answer them. Configure was not called yet.
// Requests that no backend is ready for must be refused within a second (by configuration).
type World struct {
	Driver balancer.Driver
	// Backend starts something that can answer requests, as the instance of a release on a server. Its ID is unique.
	Backend func(t *testing.T, server segue.ServerName, release segue.ReleaseName) balancer.Backend
	// Begin sends a request of a new user, on a connection of its own. The backend that gets it keeps it until Finish.
	Begin func(t *testing.T) Flight
	// BeginLong opens a long connection, such as a WebSocket. nil when the driver cannot close those.
	BeginLong func(t *testing.T) Flight
	// Restart ends the balancer without a warning and starts it again. nil when the world cannot.
	Restart func(t *testing.T)
}

// Flight is one request under way.
type Flight struct {
	// At gives, once, the backend that has the request, or "" when the balancer refused it. Nothing comes while it is parked.
	At <-chan segue.InstanceID
	// Finish lets the backend answer. It returns when the client has the answer.
	Finish func()
}

// Patience bounds every wait of the suite.
const Patience = 15 * time.Second

// Suite checks that a driver keeps its contract. open makes a fresh world for each test; tests run at the same time.
func Suite(t *testing.T, open func(t *testing.T) World) {
	t.Helper()
	for name, test := range map[string]func(*suite){
		"strangers are not found":                 (*suite).strangers,
		"adding twice is adding once":             (*suite).addTwice,
		"an added backend gets nothing":           (*suite).addedOnly,
		"an admitted backend gets traffic":        (*suite).admitted,
		"a drained backend gets nothing new":      (*suite).drained,
		"a drain is confirmed, not only asked":    (*suite).drainUnderLoad,
		"in-flight work is counted":               (*suite).inFlight,
		"long connections are counted and closed": (*suite).long,
		"removal":                            (*suite).removal,
		"one backend can be found by itself": (*suite).find,
		"removed backends keep their counters listed":   (*suite).removedListed,
		"shares decide where new users go":              (*suite).weigh,
		"shares that are none are refused":              (*suite).weighInvalid,
		"held requests wait and then arrive":            (*suite).hold,
		"maintenance answers everything":                (*suite).maintenance,
		"counters add up":                               (*suite).counters,
		"a restart keeps rotation and changes epoch":    (*suite).restart,
		"configuring again leaves backends alone":       (*suite).configureAgain,
		"a cancelled context is an error":               (*suite).cancelled,
		"methods may be called at the same time":        (*suite).concurrent,
		"everything done twice is everything done once": (*suite).twice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, World: open(t)}
			s.must(s.Driver.Configure(t.Context()))
			test(s)
		})
	}
}

type suite struct {
	*testing.T
	World
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%v (%v)", err, segue.KindOf(err))
	}
}

// add starts a backend and makes it known; in puts it in rotation too.
func (s *suite) add(server segue.ServerName, release segue.ReleaseName) balancer.Backend {
	s.Helper()
	b := s.Backend(s.T, server, release)
	s.must(s.Driver.Add(s.Context(), b))
	return b
}

func (s *suite) in(server segue.ServerName, release segue.ReleaseName) balancer.Backend {
	s.Helper()
	b := s.add(server, release)
	s.must(s.Driver.Admit(s.Context(), b.ID, 0))
	return b
}

// at waits until a request has arrived somewhere.
func (s *suite) at(f Flight) segue.InstanceID {
	s.Helper()
	select {
	case id := <-f.At:
		return id
	case <-time.After(Patience):
		s.Fatalf("request reached nobody within %v", Patience)
		return ""
	}
}

// send sends a request to its end and says who had it.
func (s *suite) send() segue.InstanceID {
	s.Helper()
	f := s.Begin(s.T)
	id := s.at(f)
	f.Finish()
	return id
}

// spread sends n requests and counts who had them.
func (s *suite) spread(n int) map[segue.InstanceID]int {
	s.Helper()
	got := map[segue.InstanceID]int{}
	for range n {
		got[s.send()]++
	}
	return got
}

// eventually waits for a condition.
func (s *suite) eventually(what string, f func() bool) {
	s.Helper()
	deadline := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

func (s *suite) flying(id segue.InstanceID) balancer.InFlight {
	s.Helper()
	n, err := s.Driver.InFlight(s.Context(), id)
	s.must(err)
	return n
}

func (s *suite) snapshot() balancer.Snapshot {
	s.Helper()
	snap, err := s.Driver.Snapshot(s.Context())
	s.must(err)
	return snap
}

func (s *suite) status(id segue.InstanceID) balancer.BackendStatus {
	s.Helper()
	snap := s.snapshot()
	i := slices.IndexFunc(snap.Backends, func(b balancer.BackendStatus) bool { return b.ID == id })
	if i < 0 {
		s.Fatalf("snapshot lacks backend %s", id)
	}
	return snap.Backends[i]
}

// wantKind fails the test unless an error has a kind.
func (s *suite) wantKind(what string, err error, kind segue.Kind) {
	s.Helper()
	if err == nil || segue.KindOf(err) != kind {
		s.Errorf("%s: error %v of kind %v, want kind %v", what, err, segue.KindOf(err), kind)
	}
}

func (s *suite) strangers() {
	ctx := s.Context()
	s.wantKind("Admit", s.Driver.Admit(ctx, "nobody", 0), segue.KindNotFound)
	s.wantKind("Drain", s.Driver.Drain(ctx, "nobody"), segue.KindNotFound)
	s.wantKind("Settle", s.Driver.Settle(ctx, "nobody"), segue.KindNotFound)
	_, err := s.Driver.InFlight(ctx, "nobody")
	s.wantKind("InFlight", err, segue.KindNotFound)
	s.must(s.Driver.Remove(ctx, "nobody"))
}

func (s *suite) addTwice() {
	b := s.in("one", "v1")
	s.must(s.Driver.Add(s.Context(), b))
	if got := s.status(b.ID).Rotation; got != segue.RotationIn {
		s.Errorf("adding again made rotation %q, want it left in", got)
	}
	other := s.Backend(s.T, "two", "v1")
	other.ID = b.ID
	s.wantKind("Add with another address", s.Driver.Add(s.Context(), other), segue.KindConflict)
}

func (s *suite) addedOnly() {
	b := s.add("one", "v1")
	if got := s.status(b.ID); got.Rotation != segue.RotationOut || got.Backend != b {
		s.Errorf("added backend is %+v, want %+v, out", got, b)
	}
	if id := s.send(); id != "" {
		s.Errorf("%s got a request before it was admitted", id)
	}
}

func (s *suite) admitted() {
	one, two := s.in("one", "v1"), s.in("two", "v1")
	got := s.spread(60)
	if got[one.ID]+got[two.ID] != 60 || got[one.ID] == 0 || got[two.ID] == 0 {
		s.Errorf("60 requests went to %v, want both backends", got)
	}
}

func (s *suite) drained() {
	one, two := s.in("one", "v1"), s.in("two", "v1")
	s.must(s.Driver.Drain(s.Context(), one.ID))
	if got := s.status(one.ID).Rotation; got != segue.RotationDraining {
		s.Errorf("rotation is %q, want draining", got)
	}
	if got := s.spread(30); got[two.ID] != 30 {
		s.Errorf("30 requests went to %v, want all to %s", got, two.ID)
	}
	s.must(s.Driver.Admit(s.Context(), one.ID, 0))
	if got := s.spread(60); got[one.ID] == 0 {
		s.Errorf("60 requests went to %v after %s was admitted again", got, one.ID)
	}
}

// drainUnderLoad drains while requests keep coming: one that begins after Drain has returned must not go there.
func (s *suite) drainUnderLoad() {
	one, two := s.in("one", "v1"), s.in("two", "v1")
	for round := range 5 {
		var load sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			load.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						s.send()
					}
				}
			})
		}
		s.must(s.Driver.Drain(s.Context(), one.ID))
		for range 10 {
			if id := s.send(); id != two.ID {
				s.Errorf("round %d: a request that began after the drain went to %q", round, id)
			}
		}
		close(stop)
		load.Wait()
		s.must(s.Driver.Admit(s.Context(), one.ID, 0))
	}
}

func (s *suite) inFlight() {
	if !s.Driver.Capabilities().CountsInFlight {
		s.Skip("the driver does not count")
	}
	b := s.in("one", "v1")
	if got := s.flying(b.ID); got != (balancer.InFlight{Known: true}) {
		s.Errorf("idle backend has %+v in flight", got)
	}
	flights := []Flight{s.Begin(s.T), s.Begin(s.T), s.Begin(s.T)}
	for _, f := range flights {
		s.at(f)
	}
	if got := s.flying(b.ID); got.Requests != 3 || got.Long != 0 {
		s.Errorf("in flight %+v, want 3 requests", got)
	}
	s.must(s.Driver.Drain(s.Context(), b.ID))
	flights[0].Finish()
	s.eventually("two in flight on the drained backend", func() bool { return s.flying(b.ID).Requests == 2 })
	flights[1].Finish()
	flights[2].Finish()
	s.eventually("nothing in flight", func() bool { return s.flying(b.ID) == balancer.InFlight{Known: true} })
	s.must(s.Driver.Settle(s.Context(), b.ID))
}

func (s *suite) long() {
	b := s.in("one", "v1")
	if !s.Driver.Capabilities().ClosesLong {
		_, err := s.Driver.CloseLong(s.Context(), b.ID, 0)
		s.wantKind("CloseLong", err, segue.KindUnsupported)
		return
	}
	for range 3 {
		s.at(s.BeginLong(s.T))
	}
	s.eventually("three long connections counted", func() bool { return s.flying(b.ID).Long == 3 })
	s.must(s.Driver.Drain(s.Context(), b.ID))
	closed, err := s.Driver.CloseLong(s.Context(), b.ID, 50*time.Millisecond)
	s.must(err)
	if closed != 3 {
		s.Errorf("closed %d, want 3", closed)
	}
	s.eventually("nothing in flight", func() bool { return s.flying(b.ID) == balancer.InFlight{Known: true} })
	if got := s.status(b.ID).Counters; got.LongClosed != 3 || got.LongCut != 0 {
		s.Errorf("counted %d closed and %d cut, want 3 and 0", got.LongClosed, got.LongCut)
	}
	closed, err = s.Driver.CloseLong(s.Context(), b.ID, 50*time.Millisecond)
	s.must(err)
	if closed != 0 {
		s.Errorf("closed %d more, want none", closed)
	}
}

func (s *suite) removal() {
	b := s.in("one", "v1")
	s.wantKind("Remove in rotation", s.Driver.Remove(s.Context(), b.ID), segue.KindConflict)
	s.must(s.Driver.Drain(s.Context(), b.ID))
	s.must(s.Driver.Remove(s.Context(), b.ID))
	s.must(s.Driver.Remove(s.Context(), b.ID))
	if id := s.send(); id != "" {
		s.Errorf("removed backend %s got a request", id)
	}
	s.wantKind("Admit after Remove", s.Driver.Admit(s.Context(), b.ID, 0), segue.KindNotFound)
	out := s.add("two", "v1")
	s.must(s.Driver.Remove(s.Context(), out.ID))
}

func (s *suite) removedListed() {
	b := s.in("one", "v1")
	s.spread(5)
	s.must(s.Driver.Drain(s.Context(), b.ID))
	s.eventually("nothing in flight", func() bool { return s.flying(b.ID).Requests == 0 })
	s.must(s.Driver.Remove(s.Context(), b.ID))
	if got := s.status(b.ID); got.Rotation != segue.RotationOut || got.Counters.Requests != 5 {
		s.Errorf("removed backend is %+v, want out with 5 requests", got)
	}
	s.must(s.Driver.Add(s.Context(), b))
	s.must(s.Driver.Admit(s.Context(), b.ID, 0))
	s.send()
	s.eventually("six requests after it came back", func() bool { return s.status(b.ID).Counters.Requests == 6 })
}

// ended gives a context that is over.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// releases counts requests by the release that had them.
func releases(got map[segue.InstanceID]int, of map[segue.InstanceID]segue.ReleaseName) map[segue.ReleaseName]int {
	sum := map[segue.ReleaseName]int{}
	for id, n := range maps.All(got) {
		sum[of[id]] += n
	}
	return sum
}
