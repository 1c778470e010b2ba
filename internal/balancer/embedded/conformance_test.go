package embedded_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
)

func TestConforms(t *testing.T) {
	balancertest.Suite(t, func(t *testing.T) balancertest.World {
		t.Helper()
		p := newProcess(t)
		w := &world{process: p, driver: p.driver(embedded.Options{Hold: embedded.Hold{Off: true}})}
		return balancertest.World{
			Driver: w.driver, Backend: w.backend, Begin: w.begin, BeginLong: w.beginLong,
			Restart: func(t *testing.T) {
				t.Helper()
				p.kill() // the next call starts it again
			},
		}
	})
}

// world is a proxy process with backends in this one, whose requests wait to be finished.
type world struct {
	process *process
	driver  *embedded.Driver
	flights sync.Map // of key to *flight
	keys    atomic.Int64
	started atomic.Int64
}

type flight struct {
	at       chan segue.InstanceID
	finish   chan struct{}
	finished sync.Once
	over     chan struct{} // closed when the client has its answer
}

const keyHeader = "X-Flight"

func (w *world) backend(t *testing.T, server segue.ServerName, release segue.ReleaseName) balancer.Backend {
	t.Helper()
	id := segue.NewInstanceID(server, release, segue.RolloutID(w.started.Add(1)), 1)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v, ok := w.flights.Load(r.Header.Get(keyHeader))
		if !ok {
			http.Error(rw, "unknown flight", http.StatusTeapot)
			return
		}
		f := v.(*flight) //nolint:forcetypeassert // only flights are stored
		if r.Header.Get("Upgrade") != "" {
			w.socket(rw, r, f, id)
			return
		}
		f.at <- id
		select {
		case <-f.finish:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(rw, string(id))
	}))
	t.Cleanup(s.Close)
	return balancer.Backend{ID: id, Server: server, Release: release, Address: s.Listener.Addr().String()}
}

// socket keeps a WebSocket open until the client or the proxy closes it.
func (w *world) socket(rw http.ResponseWriter, r *http.Request, f *flight, id segue.InstanceID) {
	conn, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	f.at <- id
	_, _, _ = conn.Read(context.WithoutCancel(r.Context()))
}

func (w *world) newFlight(t *testing.T) (key string, f *flight) {
	t.Helper()
	f = &flight{at: make(chan segue.InstanceID, 1), finish: make(chan struct{}), over: make(chan struct{})}
	key = fmt.Sprint(w.keys.Add(1))
	w.flights.Store(key, f)
	t.Cleanup(func() {
		f.land()
		<-f.over
	})
	return key, f
}

func (f *flight) land() { f.finished.Do(func() { close(f.finish) }) }

func (f *flight) flight() balancertest.Flight {
	return balancertest.Flight{At: f.at, Finish: func() {
		f.land()
		<-f.over
	}}
}

func (w *world) url(t *testing.T) string {
	t.Helper()
	address, err := w.driver.Address(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Error(err)
	}
	return "http://" + address + "/"
}

func (w *world) begin(t *testing.T) balancertest.Flight {
	t.Helper()
	key, f := w.newFlight(t)
	url := w.url(t)
	go func() { // ends when the flight does, which the test's cleanup sees to
		defer close(f.over)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set(keyHeader, key)
		transport := &http.Transport{DisableKeepAlives: true}
		defer transport.CloseIdleConnections()
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Errorf("request %s: %v", key, err)
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			f.at <- ""
		}
	}()
	return f.flight()
}

func (w *world) beginLong(t *testing.T) balancertest.Flight {
	t.Helper()
	key, f := w.newFlight(t)
	url := w.url(t)
	go func() { // ends when the proxy closes the tunnel
		defer close(f.over)
		conn, _, err := websocket.Dial(context.Background(), url, &websocket.DialOptions{HTTPHeader: http.Header{keyHeader: {key}}})
		if err != nil {
			t.Error(err)
			return
		}
		_, _, err = conn.Read(context.Background())
		if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart {
			t.Errorf("WebSocket ended with %v, want close code 1012", err)
		}
	}()
	return f.flight()
}
