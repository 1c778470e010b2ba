package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// echoApp serves an echo on WebSockets, and an event stream on /events.
func echoApp(t *testing.T) *app {
	t.Helper()
	return serveApp(t, "a", "v1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/ws":
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow()
			for {
				kind, text, err := conn.Read(context.WithoutCancel(r.Context()))
				if err != nil || conn.Write(context.WithoutCancel(r.Context()), kind, text) != nil {
					return
				}
			}
		default:
			_, _ = io.WriteString(w, "a")
		}
	})
}

func (r *running) socket(path string) *websocket.Conn {
	r.t.Helper()
	conn, _, err := websocket.Dial(r.t.Context(), r.url(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestTrapUpgradesAreCountedAndClosedOneByOne(t *testing.T) {
	r := run(t, Config{})
	r.admit(echoApp(t).Backend)
	const n = 5
	ends := make(chan time.Time, n)
	for range n {
		conn := r.socket("/ws")
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.Read(t.Context()); err != nil || string(text) != "hello" {
			t.Fatalf("echo %q, %v", text, err)
		}
		go func() {
			_, _, err := conn.Read(context.WithoutCancel(t.Context()))
			if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart {
				t.Errorf("closed with %v, want 1012", err)
			}
			ends <- time.Now()
		}()
	}
	if got := r.status("a").InFlight; got != (InFlight{Long: n}) {
		t.Fatalf("in flight %+v, want %d long", got, n)
	}
	r.drain("a")
	select {
	case <-ends:
		t.Fatal("a WebSocket was closed by the drain alone")
	case <-time.After(50 * time.Millisecond):
	}
	closed, err := r.client.CloseLong(t.Context(), web, "a", 500*time.Millisecond)
	if err != nil || closed != n {
		t.Errorf("closed %d, %v, want %d", closed, err, n)
	}
	first := <-ends
	last := first
	for range n - 1 {
		last = <-ends
	}
	if spread := last.Sub(first); spread < 100*time.Millisecond {
		t.Errorf("all were closed within %v, want them spread", spread)
	}
	eventually(t, "nothing is in flight", func() bool { return r.status("a").InFlight == InFlight{} })
	if got := r.status("a").Counters; got.LongClosed != n || got.LongCut != 0 || got.Classes[1] != n || got.Latency.Count != 0 {
		t.Errorf("counters %+v, want %d closed and no latency of theirs", got, n)
	}
}

func TestTrapEventStreamsEndProperlyAtTheDeadline(t *testing.T) {
	r := run(t, Config{})
	r.admit(echoApp(t).Backend)
	c := r.dial()
	c.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	ended := make(chan answer, 1)
	go func() { ended <- c.answer("GET") }()
	eventually(t, "the stream is counted", func() bool { return r.status("a").InFlight.Long == 1 })
	r.drain("a")
	if closed, err := r.client.CloseLong(t.Context(), web, "a", 0); err != nil || closed != 1 {
		t.Errorf("closed %d, %v", closed, err)
	}
	(<-ended).want(t, 200, "data: x\n\n") // with its end: the answer is complete
	eventually(t, "nothing is in flight", func() bool { return r.status("a").InFlight == InFlight{} })
	if got := r.status("a").Counters; got.LongClosed != 1 || got.LongCut != 0 || got.ClientGone != 0 || got.Requests != 1 {
		t.Errorf("counters %+v, want one closed", got)
	}
}

func TestTrapLongAnswersBecomeLong(t *testing.T) {
	r := run(t, Config{Limits: Limits{LongAfter: 30 * time.Millisecond}})
	var stop atomic.Bool
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, _ *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !stop.Load() {
			if _, err := io.WriteString(w, strings.Repeat("x", 100)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			<-tick.C
		}
	})
	t.Cleanup(func() { stop.Store(true) })
	r.admit(a.Backend)
	url := r.url("/")
	ended := make(chan answer, 1)
	go func() { ended <- sendTo(t, url, http.MethodGet, "") }()
	eventually(t, "the answer counts as long", func() bool { return r.status("a").InFlight == InFlight{Long: 1} })
	r.drain("a")
	if closed, err := r.client.CloseLong(t.Context(), web, "a", 0); err != nil || closed != 1 {
		t.Errorf("closed %d, %v", closed, err)
	}
	if got := <-ended; got.err != nil {
		t.Errorf("the answer did not end properly: %v", got.err)
	}
	eventually(t, "nothing is in flight", func() bool { return r.status("a").InFlight == InFlight{} })
}

func TestTrapBrokenWebSocketsAreCut(t *testing.T) {
	r := run(t, Config{})
	conns := make(chan interface{ Close() error }, 1)
	b := serveApp(t, "b", "v1", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
		_ = rw.Flush()
		conns <- conn
	})
	r.admit(b.Backend)
	c := r.dial()
	c.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
	if got, err := http.ReadResponse(c.Reader, nil); err != nil || got.StatusCode != 101 {
		t.Fatalf("%+v, %v", got, err)
	}
	conn := <-conns
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // a reset
	}
	_ = conn.Close()
	c.closedByPeer()
	eventually(t, "the tunnel is counted as cut", func() bool { return r.status("b").Counters.LongCut == 1 })
}

func TestTrapCloseLongStopsWithItsCaller(t *testing.T) {
	r := run(t, Config{})
	r.admit(echoApp(t).Backend)
	for range 3 {
		conn := r.socket("/ws")
		go func() { _, _, _ = conn.Read(context.WithoutCancel(t.Context())) }()
	}
	r.drain("a")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.client.CloseLong(ctx, web, "a", time.Hour); err == nil {
		t.Error("CloseLong over an hour returned at once")
	}
	closed, err := r.client.CloseLong(t.Context(), web, "a", 0)
	if err != nil || closed < 2 {
		t.Errorf("closed %d, %v, want those that were left", closed, err)
	}
}

func TestLongConnectionsAreEndedOnceByManyCallers(t *testing.T) {
	var l longs
	var ends atomic.Int32
	for range 50 {
		c := &long{from: time.Now()}
		c.end = func() {
			ends.Add(1)
			l.remove(c)
		}
		l.add(c)
	}
	var total atomic.Int32
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			n, err := l.close(t.Context(), 20*time.Millisecond)
			if err != nil {
				t.Error(err)
			}
			total.Add(int32(n))
		})
	}
	work.Wait()
	if ends.Load() != 50 || total.Load() != 50 || l.count(time.Now()) != 0 {
		t.Errorf("%d ended, %d reported, %d left", ends.Load(), total.Load(), l.count(time.Now()))
	}
}
