package proxy

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

// house is a proxy with two stable backends in rotation and a candidate that is not.
type house struct {
	*running
	stable    [2]*app
	candidate *app
	records   chan MirrorRecord
	others    map[string]MirrorRecord // that came while another was waited for
	lost      atomic.Int64
	over      chan error
	cancel    context.CancelFunc
}

// newHouse starts it; handlers are told who they are by the name.
func newHouse(t *testing.T, config Config, handler func(name string, w http.ResponseWriter, r *http.Request)) *house {
	t.Helper()
	h := &house{running: run(t, config), records: make(chan MirrorRecord, 10_000), others: map[string]MirrorRecord{}, over: make(chan error, 1)}
	serve := func(name, release string) *app {
		return serveApp(t, name, release, func(w http.ResponseWriter, r *http.Request) { handler(name, w, r) })
	}
	for i := range h.stable {
		h.stable[i] = serve(name("stable", i), "v1")
		h.admit(h.stable[i].Backend)
	}
	h.candidate = serve("candidate", "v2")
	h.must(h.client.Add(t.Context(), web, h.candidate.Backend))
	return h
}

// mirror begins to mirror, and returns once it does.
func (h *house) mirror(change ...func(*Mirror)) {
	h.t.Helper()
	m := Mirror{Candidate: h.candidate.ID, Stable: []segue.InstanceID{h.stable[0].ID, h.stable[1].ID}, Share: 1}
	for _, f := range change {
		f(&m)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	h.cancel = cancel
	over := h.over
	picked := h.snapshot().Mirror
	go func() { // ended by cancel, which the cleanup waits for
		over <- h.client.Mirror(ctx, web, m, func(r MirrorRecord) {
			h.lost.Add(r.Lost)
			h.records <- r
		})
	}()
	h.t.Cleanup(func() {
		if h.cancel != nil {
			h.endMirror()
		}
	})
	eventually(h.t, "requests are picked", func() bool {
		h.get("/warm-up")
		now := h.snapshot().Mirror
		return now != nil && (picked == nil || now.Picked > picked.Picked)
	})
}

func (h *house) endMirror() {
	h.t.Helper()
	h.cancel()
	h.cancel = nil
	if err := <-h.over; err != nil {
		h.t.Errorf("Mirror: %v", err)
	}
}

// record waits for one of a path.
func (h *house) record(path string) MirrorRecord {
	h.t.Helper()
	if r, there := h.others[path]; there {
		delete(h.others, path)
		return r
	}
	deadline := time.After(15 * time.Second)
	for {
		select {
		case r := <-h.records:
			if r.Path == path {
				return r
			}
			h.others[r.Path] = r
		case <-deadline:
			h.t.Fatalf("no record of %s within 15 s: %+v", path, h.snapshot().Mirror)
		}
	}
}
