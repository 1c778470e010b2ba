package embedded_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
)

// TestMirror: the controller gets three answers to a user's request from a proxy process, and goes on after that process died.
func TestMirror(t *testing.T) {
	p := newProcess(t)
	d := p.driver(embedded.Options{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.Configure(t.Context()))
	mirror := balancer.Mirror{Candidate: "c.v2.1", Share: 1}
	for _, id := range []segue.InstanceID{"a.v1.1", "b.v1.1", "c.v2.1"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, string(id)) }))
		t.Cleanup(s.Close)
		must(d.Add(t.Context(), balancer.Backend{ID: id, Server: segue.ServerName(id[:1]), Release: "v1", Address: s.Listener.Addr().String()}))
		if id != mirror.Candidate {
			mirror.Stable = append(mirror.Stable, id)
			must(d.Admit(t.Context(), id, 0))
		}
	}
	mirrorer, err := balancer.MirrorOf(d)
	must(err)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		records, over := make(chan balancer.MirrorRecord, 1), make(chan error, 1)
		go func() {
			over <- mirrorer.Mirror(ctx, mirror, func(r balancer.MirrorRecord) {
				select {
				case records <- r:
				default:
				}
			})
		}()
		r := firstRecord(t, d, records)
		if string(r.Candidate.Body) != "c.v2.1" || string(r.Primary.Body) != string(r.Stable) || string(r.Secondary.Body) != string(r.Second) {
			t.Errorf("record: %+v", r)
		}
		if candidate, err := balancer.Find(t.Context(), d, mirror.Candidate); err != nil || candidate.Mirrored == 0 || candidate.Counters.Requests != 0 {
			t.Errorf("the candidate was sent copies alone, and is listed as %+v, %v", candidate, err)
		}
		p.kill()
		if err := <-over; segue.KindOf(err) != segue.KindUnavailable {
			t.Errorf("Mirror: %v, want unavailable", err)
		}
		cancel()
	}
	must(d.Configure(t.Context())) // starts it again, for the cleanup
}

// firstRecord sends requests until one is told.
func firstRecord(t *testing.T, d *embedded.Driver, records <-chan balancer.MirrorRecord) balancer.MirrorRecord {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case r := <-records:
			return r
		case <-tick.C:
		case <-deadline:
			t.Fatal("no record within 20 s")
		}
		if address, err := d.Address(t.Context()); err == nil {
			if answer, err := http.Get("http://" + address + "/"); err == nil { //nolint:noctx // short
				_ = answer.Body.Close()
			}
		}
	}
}

func TestMirrorOf(t *testing.T) {
	if _, err := balancer.MirrorOf(balancertest.NewFake(time.Now)); segue.KindOf(err) != segue.KindUnsupported {
		t.Errorf("a driver that cannot mirror: %v, want unsupported", err)
	}
}
