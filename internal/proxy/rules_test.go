package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// The rules for zero failed requests, one test each.

// still is an Upstream that does nothing.
type still struct{ idleClosed, closed atomic.Int32 }

func (s *still) Serve(http.ResponseWriter, *http.Request) upstream.Result {
	return upstream.Result{Stage: upstream.StageDone, Status: 200}
}
func (s *still) CloseIdle()                      { s.idleClosed.Add(1) }
func (s *still) Close()                          { s.closed.Add(1) }
func (s *still) Connections() (idle, active int) { return 0, 0 }

func TestRuleClaimThenCheck(t *testing.T) {
	for range 200 {
		b := &backend{counters: &counters{}}
		b.up.Store(&carrier{Upstream: &still{}})
		b.open.Store(true)
		var drained atomic.Bool
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for b.claim() {
					if drained.Load() {
						t.Error("a claim succeeded after the drain had seen none")
					}
					b.unclaim()
				}
			})
		}
		b.open.Store(false)
		for b.busy.Load() != 0 {
		}
		drained.Store(true)
		work.Wait()
	}
}

func TestRuleDrainThenWaitThenCloseIdleThenStop(t *testing.T) {
	r := run(t, Config{})
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "a")
	})
	r.admit(a.Backend)
	r.admit(serveApp(t, "b", "v1", nil).Backend)
	slow := make(chan answer, 1)
	url := r.url("/slow")
	for range 20 {
		r.get("/")
	}
	go func() { slow <- sendTo(t, url, http.MethodGet, "") }()
	select {
	case <-arrived:
	case got := <-slow: // it went to b
		if got.text != "b" {
			t.Fatal(got)
		}
		go func() { slow <- sendTo(t, url, http.MethodGet, "") }()
		for done := false; !done; {
			select {
			case <-arrived:
				done = true
			case <-slow:
				go func() { slow <- sendTo(t, url, http.MethodGet, "") }()
			}
		}
	}
	r.drain("a")
	if n, err := r.client.InFlight(t.Context(), web, "a"); err != nil || n.Requests != 1 {
		t.Fatalf("in flight %+v, %v, want the slow request", n, err)
	}
	close(release)
	(<-slow).want(t, 200, "a")
	eventually(t, "nothing in flight", func() bool {
		n, err := r.client.InFlight(t.Context(), web, "a")
		return err == nil && n.Requests == 0
	})
	r.must(r.client.Settle(t.Context(), web, "a"))
	eventually(t, "the backend has no connection open", func() bool { return a.conns.Load() == 0 })
}

func TestRuleIdleConnectionClosedByTheBackendCostsNothing(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	for range 20 {
		r.send(http.MethodPost, "/", "body").want(t, 200, "a")
		a.server.CloseClientConnections()
	}
	if got := r.status("a").Counters; got.Requests != 20 || len(got.Failures) != 0 {
		t.Errorf("counters %+v, want 20 requests without failures", got)
	}
}

// script is a backend that answers by hand: each accepted connection is given, with its number from 1.
func script(t *testing.T, id string, serve func(n int, conn *net.TCPConn, in *bufio.Reader)) Backend {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for n := 1; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			work.Go(func() {
				defer conn.Close()
				serve(n, conn.(*net.TCPConn), bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return Backend{
		ID: segue.InstanceID(id), Server: segue.ServerName("server-" + id), Release: "v1", Address: listener.Addr().String(),
	}
}

// dead gives an address that refuses connections.
func dead(t *testing.T, id string) Backend {
	t.Helper()
	b := script(t, id, func(int, *net.TCPConn, *bufio.Reader) {})
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Address = listener.Addr().String()
	_ = listener.Close()
	return b
}

// firstThenDrop answers one request on each connection, and drops the second after reading it.
func firstThenDrop(seen *atomic.Int32) func(int, *net.TCPConn, *bufio.Reader) {
	return func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		for i := range 2 {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			seen.Add(1)
			if i == 0 {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
			}
		}
	}
}

func TestRuleRetriesOnlyWhatCannotHappenTwice(t *testing.T) {
	for name, c := range map[string]struct {
		method, body string
		headers      []string
		status       int
		text         string
		writes       int32 // of the second request, to any backend
	}{
		"GET on a reused connection without an answer":  {method: "GET", status: 200, text: "first", writes: 2},
		"POST on a reused connection without an answer": {method: "POST", body: "x", status: 502, writes: 1},
		"POST with an Idempotency-Key": {
			method: "POST", body: "x", headers: []string{"Idempotency-Key", "k"}, status: 200, text: "first", writes: 2,
		},
		"GET with a body": {method: "GET", body: "x", status: 502, writes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int32
			r := run(t, Config{Health: HealthConfig{Failures: -1}})
			r.admit(script(t, "a", firstThenDrop(&seen)))
			r.get("/").want(t, 200, "first")
			got := r.send(c.method, "/", c.body, c.headers...)
			if got.err != nil || got.StatusCode != c.status || (c.text != "" && got.text != c.text) {
				t.Errorf("answer %+v %q, want %d %q", got.Response, got.text, c.status, c.text)
			}
			if n := seen.Load() - 1; n != c.writes {
				t.Errorf("the request reached the backend %d times, want %d", n, c.writes)
			}
			want := Counters{Requests: 1, Failures: map[string]int64{causeReset: 1}}
			if got := r.status("a").Counters; c.status == 502 && (got.Failures[causeReset] != 1 || got.Requests != 2) {
				t.Errorf("counters %+v, want %+v beside the first request", got, want)
			}
		})
	}
}

func TestRuleDialFailuresAreTriedElsewhereWithTheirBody(t *testing.T) {
	r := run(t, Config{Health: HealthConfig{Failures: -1}})
	r.admit(dead(t, "dead"))
	echo := serveApp(t, "b", "v1", func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		_, _ = w.Write(text)
	})
	r.admit(echo.Backend)
	body := strings.Repeat("0123456789abcdef", 4<<10)
	for range 20 {
		if got := r.send(http.MethodPost, "/", body); got.err != nil || got.StatusCode != 200 || got.text != body {
			t.Fatalf("POST of 64 KiB: %v, %d bytes came back of %d", got.err, len(got.text), len(body))
		}
		if got := r.send(http.MethodPost, "/", body+body); got.err != nil || len(got.text) != 2*len(body) {
			t.Fatalf("POST of 128 KiB: %v, %d bytes came back", got.err, len(got.text))
		}
	}
	if n := len(echo.requests()); n != 40 {
		t.Errorf("the living backend had %d requests, want 40", n)
	}
	if got := r.status("dead").Counters; got.Requests != 0 || got.Retries == 0 {
		t.Errorf("the dead backend's counters are %+v, want retries and no requests", got)
	}
}

func TestRuleRetriesAreBounded(t *testing.T) {
	var seen atomic.Int32
	drop := func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		for i := 0; ; i++ {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			if i > 0 {
				seen.Add(1)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
	r := run(t, Config{Health: HealthConfig{Failures: -1}})
	for i := range 6 {
		r.admit(script(t, name("a", i), drop))
	}
	var warm sync.WaitGroup
	url := r.url("/")
	for range 40 { // every backend has idle connections
		warm.Go(func() { sendTo(t, url, http.MethodGet, "") })
	}
	warm.Wait()
	seen.Store(0)
	r.get("/")
	if n := seen.Load(); n > maxTries {
		t.Errorf("one request was written %d times, want at most %d", n, maxTries)
	}
	t.Run("by a budget", func(t *testing.T) {
		var b budget
		now := time.Now()
		requests := int64(0)
		taken := 0
		for range 1000 {
			if b.take(now, func() int64 { return requests }) {
				taken++
			}
		}
		if taken != budgetFloor {
			t.Errorf("%d retries without requests, want %d", taken, budgetFloor)
		}
		requests = 10_000
		for range 10_000 {
			if b.take(now.Add(time.Second), func() int64 { return requests }) {
				taken++
			}
		}
		if want := budgetFloor + 10_000/budgetShare; taken != want {
			t.Errorf("%d retries of 10,000 requests, want %d", taken, want)
		}
		if !b.take(now.Add(budgetWindow), func() int64 { return requests }) {
			t.Error("no retry in a new window")
		}
	})
}

func TestRulePoliteDrainOfClients(t *testing.T) {
	r := run(t, Config{}, func(o *Options) { o.Grace = 5 * time.Second })
	release := make(chan struct{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			<-release
		}
		_, _ = io.WriteString(w, "a")
	})
	r.admit(a.Backend)
	idle, busy := r.dial(), r.dial()
	idle.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	first := idle.answer("GET").want(t, 200, "a")
	if first.Close {
		t.Fatal("the connection was closed before anybody left")
	}
	busy.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the slow request is in flight", func() bool { return r.status("a").InFlight.Requests == 1 })
	address := r.snapshot().Address
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	eventually(t, "nobody is let in", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	idle.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if last := idle.answer("GET").want(t, 200, "a"); !last.Close {
		t.Error("an answer during the drain does not close its connection")
	}
	close(release)
	busy.answer("GET").want(t, 200, "a")
	<-stopped
}

func TestRuleDeadBackendIsFoundByRequestsAndComesBack(t *testing.T) {
	r := run(t, Config{})
	a, b := serveApp(t, "a", "v1", nil), serveApp(t, "b", "v1", nil)
	r.admit(a.Backend)
	r.admit(b.Backend)
	a.server.CloseClientConnections()
	_ = a.server.Listener.Close()
	for range 40 {
		r.get("/").want(t, 200, "b")
	}
	if r.status("a").Healthy {
		t.Error("a backend that refuses connections is still healthy")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", a.Address)
	r.must(err)
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a again") })}
	go func() { _ = back.Serve(listener) }()
	t.Cleanup(func() { _ = back.Close() })
	eventually(t, "the backend is back", func() bool { return r.status("a").Healthy })
	eventually(t, "it gets requests again", func() bool { return r.get("/").text == "a again" })
}

func TestRuleTheLastBackendIsNeverGivenUp(t *testing.T) {
	r := run(t, Config{Hold: HoldConfig{MaxWait: 10 * time.Second}})
	a := dead(t, "a")
	r.admit(a)
	url := r.url("/")
	results := make(chan answer, 8)
	for range cap(results) {
		go func() { results <- sendTo(t, url, http.MethodPost, "x") }()
	}
	eventually(t, "all wait", func() bool { return r.snapshot().HeldNow == int64(cap(results)) })
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", a.Address)
	r.must(err)
	back := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up") })}
	go func() { _ = back.Serve(listener) }()
	t.Cleanup(func() { _ = back.Close() })
	for range cap(results) {
		(<-results).want(t, 200, "up")
	}
	if snap := r.snapshot(); len(snap.Failures) != 0 || snap.HeldLongest == 0 {
		t.Errorf("failures %v, longest hold %v, want none and some", snap.Failures, snap.HeldLongest)
	}
}

func TestRuleHoldWhenAllAreOut(t *testing.T) {
	t.Run("until one is admitted", func(t *testing.T) {
		r := run(t, Config{})
		result := make(chan answer, 1)
		url := r.url("/")
		go func() { result <- sendTo(t, url, http.MethodPost, "x") }()
		eventually(t, "the request waits", func() bool { return r.snapshot().HeldNow == 1 })
		r.admit(serveApp(t, "a", "v1", nil).Backend)
		(<-result).want(t, 200, "a")
	})
	t.Run("for a time", func(t *testing.T) {
		r := run(t, Config{Hold: HoldConfig{MaxWait: 50 * time.Millisecond}})
		got := r.get("/", "Accept", "application/json")
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || !strings.Contains(got.text, `"status":503`) {
			t.Errorf("answer %d %q", got.StatusCode, got.text)
		}
		if snap := r.snapshot(); snap.Unrouted[causeHoldTimeout] != 1 || snap.HeldLongest < 50*time.Millisecond || snap.Failures[0].Cause != causeHoldTimeout {
			t.Errorf("snapshot %+v", snap)
		}
	})
	t.Run("in a bounded queue", func(t *testing.T) {
		r := run(t, Config{Hold: HoldConfig{MaxWait: 300 * time.Millisecond, Queue: 2}})
		url := r.url("/")
		results := make(chan answer, 5)
		for range cap(results) {
			go func() { results <- sendTo(t, url, http.MethodGet, "") }()
		}
		for range cap(results) {
			if got := <-results; got.StatusCode != 503 {
				t.Errorf("answer %d", got.StatusCode)
			}
		}
		if by := r.snapshot().Unrouted; by[causeHoldFull] != 3 || by[causeHoldTimeout] != 2 {
			t.Errorf("unrouted %v, want 3 and 2", by)
		}
	})
	t.Run("unless its client leaves", func(t *testing.T) {
		r := run(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/"), nil)
		r.must(err)
		transport := &http.Transport{}
		over := make(chan error, 1)
		go func() {
			res, err := transport.RoundTrip(req)
			if err == nil {
				_ = res.Body.Close()
			}
			over <- err
		}()
		eventually(t, "the request waits", func() bool { return r.snapshot().HeldNow == 1 })
		cancel()
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		eventually(t, "nobody waits", func() bool { return r.snapshot().HeldNow == 0 })
		if snap := r.snapshot(); len(snap.Failures) != 0 || len(snap.Unrouted) != 0 {
			t.Errorf("a client that left was counted as a failure: %+v", snap)
		}
	})
}

func TestRuleSafeRequestOnANewConnectionIsSentOnceMore(t *testing.T) {
	for method, want := range map[string]int32{http.MethodGet: 2, http.MethodPost: 1} {
		t.Run(method, func(t *testing.T) {
			var seen atomic.Int32
			drop := func(_ int, _ *net.TCPConn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err == nil {
					seen.Add(1)
				}
			}
			r := run(t, Config{Health: HealthConfig{Failures: -1}})
			for i := range 4 {
				r.admit(script(t, name("a", i), drop))
			}
			if got := r.send(method, "/", ""); got.err != nil || got.StatusCode != 502 {
				t.Errorf("answer %+v, want 502", got)
			}
			if n := seen.Load(); n != want {
				t.Errorf("a request that brings backends down was sent to %d of them, want %d", n, want)
			}
		})
	}
}
