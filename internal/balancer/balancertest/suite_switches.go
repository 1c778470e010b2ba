package balancertest

import (
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
)

func (s *suite) weigh() {
	if !s.Driver.Capabilities().Weighs {
		s.wantKind("Weigh", s.Driver.Weigh(s.Context(), map[segue.ReleaseName]float64{"v1": 1}), segue.KindUnsupported)
		return
	}
	one, two, three := s.in("one", "v1"), s.in("two", "v1"), s.in("three", "v2")
	of := map[segue.InstanceID]segue.ReleaseName{one.ID: "v1", two.ID: "v1", three.ID: "v2"}
	s.must(s.Driver.Weigh(s.Context(), map[segue.ReleaseName]float64{"v1": 1, "v2": 0}))
	if got := releases(s.spread(40), of); got["v1"] != 40 {
		s.Errorf("with all the share at v1: %v", got)
	}
	s.must(s.Driver.Weigh(s.Context(), map[segue.ReleaseName]float64{"v2": 1}))
	if got := releases(s.spread(40), of); got["v2"] != 40 {
		s.Errorf("with all the share at v2: %v", got)
	}
	s.must(s.Driver.Weigh(s.Context(), map[segue.ReleaseName]float64{"v1": 0.5, "v2": 0.5}))
	if got := releases(s.spread(200), of); got["v1"] < 50 || got["v2"] < 50 {
		s.Errorf("with half and half: %v", got)
	}
	s.must(s.Driver.Weigh(s.Context(), nil))
	if got := s.spread(90); len(got) != 3 {
		s.Errorf("with equal weights: %v, want all three", got)
	}
}

func (s *suite) weighInvalid() {
	if !s.Driver.Capabilities().Weighs {
		s.Skip("the driver does not weigh")
	}
	for _, shares := range []map[segue.ReleaseName]float64{
		{"v1": 0.5},
		{"v1": 0.9, "v2": 0.9},
		{"v1": -1, "v2": 2},
	} {
		s.wantKind("Weigh", s.Driver.Weigh(s.Context(), shares), segue.KindInvalid)
	}
}

func (s *suite) hold() {
	if !s.Driver.Capabilities().Holds {
		s.wantKind("Hold", s.Driver.Hold(s.Context(), time.Minute), segue.KindUnsupported)
		return
	}
	b := s.in("one", "v1")
	s.must(s.Driver.Hold(s.Context(), time.Minute))
	flights := []Flight{s.Begin(s.T), s.Begin(s.T)}
	s.eventually("two requests parked", func() bool { return s.snapshot().HeldNow == 2 })
	if snap := s.snapshot(); !snap.Holding || snap.Held != 2 {
		s.Errorf("snapshot says holding %v and %d held, want 2", snap.Holding, snap.Held)
	}
	for _, f := range flights {
		select {
		case id := <-f.At:
			s.Fatalf("a request arrived at %q while they were held", id)
		default:
		}
	}
	s.must(s.Driver.Unhold(s.Context()))
	for _, f := range flights {
		if id := s.at(f); id != b.ID {
			s.Errorf("a held request went to %q, want %s", id, b.ID)
		}
		f.Finish()
	}
	if snap := s.snapshot(); snap.Holding || snap.HeldNow != 0 {
		s.Errorf("snapshot says holding %v and %d waiting after Unhold", snap.Holding, snap.HeldNow)
	}
}

func (s *suite) maintenance() {
	b := s.in("one", "v1")
	s.must(s.Driver.Maintenance(s.Context(), true, time.Minute))
	if id := s.send(); id != "" {
		s.Errorf("%s got a request during maintenance", id)
	}
	if !s.snapshot().Maintenance {
		s.Error("snapshot does not say maintenance")
	}
	s.must(s.Driver.Maintenance(s.Context(), false, 0))
	if id := s.send(); id != b.ID {
		s.Errorf("request went to %q after maintenance, want %s", id, b.ID)
	}
}

func (s *suite) counters() {
	one, two := s.in("one", "v1"), s.in("two", "v2")
	got := s.spread(20)
	for _, b := range []balancer.Backend{one, two} {
		var status balancer.BackendStatus
		s.eventually("all requests counted", func() bool {
			status = s.status(b.ID)
			return status.Counters.Requests >= int64(got[b.ID])
		})
		c := status.Counters
		sum := c.ClientGone
		for _, n := range c.Classes {
			sum += n
		}
		for n := range maps.Values(c.Failures) {
			sum += n
		}
		if c.Requests != int64(got[b.ID]) || sum != c.Requests || c.Latency.Count != c.Requests {
			s.Errorf("%s had %d requests: counters are %+v", b.ID, got[b.ID], c)
		}
		s.routes(status)
		if status.Mirrored != 0 {
			s.Errorf("%s was sent %d copies, and nothing is mirrored", b.ID, status.Mirrored)
		}
	}
}

// routes checks, where a driver tells routes apart, that each request belongs to one.
func (s *suite) routes(b balancer.BackendStatus) {
	s.Helper()
	var sum balancer.RouteCounts
	for name, n := range b.Routes {
		sum.Requests, sum.Errors = sum.Requests+n.Requests, sum.Errors+n.Errors
		if name == "" || n.Requests <= 0 || n.Errors < 0 || n.Errors > n.Requests {
			s.Errorf("%s: route %q is counted as %+v", b.ID, name, n)
		}
	}
	if want := (balancer.RouteCounts{Requests: b.Counters.Requests, Errors: b.Counters.Errors()}); b.Routes != nil && sum != want {
		s.Errorf("%s: by route %+v were counted, in all %+v", b.ID, sum, want)
	}
}

func (s *suite) restart() {
	if s.Restart == nil {
		s.Skip("the world cannot restart its balancer")
	}
	one, two, three := s.in("one", "v1"), s.in("two", "v1"), s.add("three", "v2")
	s.must(s.Driver.Drain(s.Context(), two.ID))
	s.spread(3)
	before := s.snapshot()
	s.Restart(s.T)
	after := s.snapshot()
	if before.Epoch == after.Epoch {
		s.Errorf("epoch is %q before and after", before.Epoch)
	}
	for id, want := range map[segue.InstanceID]segue.Rotation{
		one.ID: segue.RotationIn, two.ID: segue.RotationDraining, three.ID: segue.RotationOut,
	} {
		if got := s.status(id); got.Rotation != want || got.Counters.Requests != 0 || len(got.Routes) != 0 {
			s.Errorf("%s is %q with %d requests after the restart, want %q with none", id, got.Rotation, got.Counters.Requests, want)
		}
	}
	if got := s.spread(10); got[one.ID] != 10 {
		s.Errorf("10 requests went to %v after the restart, want all to %s", got, one.ID)
	}
}

func (s *suite) configureAgain() {
	b := s.in("one", "v1")
	s.must(s.Driver.Configure(s.Context()))
	if got := s.status(b.ID).Rotation; got != segue.RotationIn {
		s.Errorf("rotation is %q after configuring again, want in", got)
	}
	if id := s.send(); id != b.ID {
		s.Errorf("request went to %q, want %s", id, b.ID)
	}
}

func (s *suite) cancelled() {
	b := s.in("one", "v1")
	ctx := ended(s.Context())
	s.wantKind("Drain", s.Driver.Drain(ctx, b.ID), segue.KindCanceled)
	_, err := s.Driver.Snapshot(ctx)
	s.wantKind("Snapshot", err, segue.KindCanceled)
}

// find checks that a backend that is asked for alone is what the snapshot says.
func (s *suite) find() {
	ctx := s.Context()
	_, err := balancer.Find(ctx, s.Driver, "nobody")
	s.wantKind("Find", err, segue.KindNotFound)
	other, b := s.in("one", "v1"), s.add("two", "v1")
	want := func(rotation segue.Rotation) {
		s.Helper()
		got, err := balancer.Find(s.Context(), s.Driver, b.ID)
		s.must(err)
		if listed := s.status(b.ID); got.Rotation != rotation || !reflect.DeepEqual(got, listed) {
			s.Errorf("found %+v, want %q; the snapshot has %+v", got, rotation, listed)
		}
	}
	want(segue.RotationOut)
	s.must(s.Driver.Admit(ctx, b.ID, 0))
	want(segue.RotationIn)
	s.eventually("a request on it", func() bool { return s.send() == b.ID })
	s.eventually("it counted", func() bool { return s.status(b.ID).Counters.Requests > 0 })
	want(segue.RotationIn)
	s.must(s.Driver.Drain(ctx, b.ID))
	want(segue.RotationDraining)
	s.must(s.Driver.Remove(ctx, b.ID))
	if _, finds := s.Driver.(balancer.Finder); finds {
		_, err = balancer.Find(ctx, s.Driver, b.ID)
		s.wantKind("Find after Remove", err, segue.KindNotFound)
	}
	got, err := balancer.Find(ctx, s.Driver, other.ID)
	s.must(err)
	if got.Backend != other {
		s.Errorf("asked for %s, found %+v", other.ID, got)
	}
	_, err = balancer.Find(ended(ctx), s.Driver, other.ID)
	s.wantKind("Find", err, segue.KindCanceled)
}

func (s *suite) concurrent() {
	ctx := s.Context()
	keeper := s.in("keeper", "v1")
	var work sync.WaitGroup
	for _, server := range []segue.ServerName{"one", "two", "three"} {
		b := s.Backend(s.T, server, "v1")
		work.Go(func() {
			for range 5 {
				for _, err := range []error{
					s.Driver.Add(ctx, b), s.Driver.Admit(ctx, b.ID, time.Second), s.Driver.Drain(ctx, b.ID),
					s.Driver.Settle(ctx, b.ID), s.Driver.Remove(ctx, b.ID),
				} {
					if err != nil {
						s.Error(err)
					}
				}
			}
		})
	}
	work.Go(func() {
		for range 20 {
			if _, err := s.Driver.Snapshot(ctx); err != nil {
				s.Error(err)
			}
			if id := s.send(); id == "" {
				s.Error("a request was refused while the keeper was in rotation")
			}
		}
	})
	work.Wait()
	if got := s.spread(10); got[keeper.ID] != 10 {
		s.Errorf("10 requests went to %v, want all to the keeper", got)
	}
}

func (s *suite) twice() {
	ctx := s.Context()
	b := s.Backend(s.T, "one", "v1")
	for _, do := range []func() error{
		func() error { return s.Driver.Configure(ctx) },
		func() error { return s.Driver.Add(ctx, b) },
		func() error { return s.Driver.Admit(ctx, b.ID, 0) },
		func() error { return s.Driver.Maintenance(ctx, true, time.Second) },
		func() error { return s.Driver.Maintenance(ctx, false, 0) },
		func() error { return s.Driver.Drain(ctx, b.ID) },
		func() error { return s.Driver.Settle(ctx, b.ID) },
		func() error { return s.Driver.Remove(ctx, b.ID) },
		func() error { return s.Driver.Close() },
	} {
		s.must(do())
		s.must(do())
	}
}
