package load

import (
	"errors"
	"net"
	"testing"
	"time"
)

// newTestPool makes a pool for a listener that accepts and keeps still; closing accepted connections is the caller's part.
func newTestPool(t *testing.T, base, most int) (*pool, <-chan net.Conn) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		close(accepted)
		for conn := range accepted {
			_ = conn.Close()
		}
	})
	p := newPool(listener.Addr().String(), base, most, time.Second)
	t.Cleanup(p.close)
	return p, accepted
}

func TestPoolGoesRoundItsLinks(t *testing.T) {
	t.Parallel()
	p, _ := newTestPool(t, 2, 4)
	until := time.Now().Add(5 * time.Second)
	var seen []*link
	for range 5 {
		l, err := p.take(t.Context(), until)
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, l)
		p.put(l, true)
	}
	if seen[0] == seen[1] || seen[2] != seen[0] || seen[3] != seen[1] || seen[4] != seen[0] {
		t.Error("links are not used in turn")
	}
	if dialed, idleCloses := p.counts(); dialed != 2 || idleCloses != 0 {
		t.Errorf("%d dialed, %d idle closes", dialed, idleCloses)
	}
}

func TestPoolRefusesWhenNoPlaceBecomesFree(t *testing.T) {
	t.Parallel()
	p, _ := newTestPool(t, 1, 1)
	l, err := p.take(t.Context(), time.Now().Add(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.take(t.Context(), time.Now().Add(10*time.Millisecond)); !errors.Is(err, errNoPlace) {
		t.Errorf("error %v, want %v", err, errNoPlace)
	}
	p.put(l, false)
	l, err = p.take(t.Context(), time.Now().Add(5*time.Second))
	if err != nil {
		t.Fatalf("after one was given back: %v", err)
	}
	p.put(l, true)
}

func TestALinkThatThePeerClosedIsNoticed(t *testing.T) {
	t.Parallel()
	tests := map[string]func(net.Conn){
		"closed":      func(conn net.Conn) { _ = conn.Close() },
		"reset":       func(conn net.Conn) { _, _ = conn.(*net.TCPConn).SetLinger(0), conn.Close() },
		"unasked for": func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 408 Request Timeout\r\n\r\n")) },
	}
	for name, end := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, accepted := newTestPool(t, 1, 1)
			l, err := p.take(t.Context(), time.Now().Add(5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if l.gone() {
				t.Fatal("a fresh link counts as gone")
			}
			p.put(l, true)
			conn := <-accepted
			defer conn.Close()
			end(conn)
			deadline := time.Now().Add(5 * time.Second)
			for !l.gone() { // the close needs a moment to arrive
				if time.Now().After(deadline) {
					t.Fatal("close is not noticed")
				}
			}
			fresh, err := p.take(t.Context(), time.Now().Add(5*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if fresh == l {
				t.Error("the link that is gone was handed out")
			}
			p.put(fresh, true)
			if dialed, idleCloses := p.counts(); dialed != 2 || idleCloses != 1 {
				t.Errorf("%d dialed, %d idle closes", dialed, idleCloses)
			}
		})
	}
}
