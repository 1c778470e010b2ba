package upstreamtest

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func tunnelChecks() []check {
	return []check{
		{"Upgrade/EchoWithEarlyBytes", tunnelEcho},
		{"Upgrade/HeadersReachTheBackend", tunnelHeaders},
		{"Upgrade/RefusedIsAnOrdinaryAnswer", tunnelRefused},
		{"Upgrade/WrongProtocolIsRefused", tunnelWrongProtocol},
		{"Upgrade/DialRefused", tunnelDialRefused},
		{"Upgrade/HalfClosedStreamGoesOn", tunnelHalfClosed},
		{"Upgrade/BackendDies", tunnelBackendDies},
		{"Upgrade/ClientDies", tunnelClientDies},
		{"Upgrade/CountsAsActiveConnection", tunnelCounted},
	}
}

// upgrade is a request to switch.
func upgrade(protocol string) string {
	return get("/ws", "Connection: keep-alive, Upgrade", "Upgrade: "+protocol, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Version: 13")
}

// switching is the answer to it.
func switching(protocol string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol +
		"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
}

// dialTunnel sends an upgrade and reads the 101.
func (w *world) dialTunnel(protocol, early string) *conn {
	w.t.Helper()
	c := w.client()
	c.Send(upgrade(protocol), early)
	answer := c.AnswerHead("GET")
	if answer.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(answer.Header.Get("Upgrade"), protocol) {
		w.t.Fatalf("client got %d %v, want 101", answer.StatusCode, answer.Header)
	}
	return c
}

// ReadN reads exactly n bytes.
func (c *conn) ReadN(n int) string {
	p := make([]byte, n)
	m, err := io.ReadFull(c.in, p)
	if err != nil {
		return fmt.Sprintf("%s (%v)", p[:m], err)
	}
	return string(p)
}

func tunnelEcho(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(switching("echo"), "hello ")
		_, _ = io.Copy(c.Conn, c.in)
	})
	c := w.dialTunnel("echo", "early ")
	if got := c.ReadN(12); got != "hello early " {
		t.Fatalf("client got %q", got)
	}
	large := strings.Repeat("0123456789", 50<<10)
	go c.Send(large)
	if got := c.ReadN(len(large)); got != large {
		t.Error("a large message was changed")
	}
	_ = c.Close()
	res := w.done()
	if !res.Upgraded || res.Status != 101 || res.Sent != int64(len(large)+6) || res.Received != int64(len(large)+12) {
		t.Errorf("result is %+v", res)
	}
}

func tunnelHeaders(s *suite) {
	t := s.t
	seen := make(chan http.Header, 1)
	set := setting{before: func(w http.ResponseWriter, req *http.Request) *http.Request {
		w.Header().Set("X-Request-Id", "42")
		return req
	}}
	w := s.world(t, set, func(c *conn) {
		if req := c.Request(); req != nil {
			seen <- req.Header
			c.Send(switching("websocket"))
			c.Ended()
		}
	})
	c := w.client()
	c.Send(upgrade("websocket"))
	answer := c.AnswerHead("GET")
	got := receive(t, seen, "the request")
	if got.Get("Connection") != "Upgrade" || got.Get("Upgrade") != "websocket" || got.Get("Sec-Websocket-Key") == "" {
		t.Errorf("backend got %v", got)
	}
	if answer.Header.Get("Sec-Websocket-Accept") == "" || answer.Header.Get("X-Request-Id") != "42" {
		t.Errorf("client got %v", answer.Header)
	}
	_ = c.Close()
	w.done()
}

func tunnelRefused(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
	}))
	answer, body := w.exchange(upgrade("websocket"))
	if res := w.done(); answer.StatusCode != 403 || body != "no" || res.Upgraded || res.Status != 403 {
		t.Errorf("client got %d %q, result %+v", answer.StatusCode, body, res)
	}
}

func tunnelWrongProtocol(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once(switching("other")))
	answer, _ := w.exchange(upgrade("websocket"))
	if res := w.result(); answer.StatusCode != http.StatusBadGateway || res.Stage != upstream.StageHeader || res.Committed {
		t.Errorf("client got %d, result %+v", answer.StatusCode, res)
	}
}

func tunnelDialRefused(s *suite) {
	t := s.t
	b := listen(t, func(*conn) {})
	_ = b.Close()
	w := s.around(t, setting{}, b)
	w.exchange(upgrade("websocket"))
	res := w.result()
	if res.Stage != upstream.StageDial || !res.MayRetry(&http.Request{Method: "GET"}) {
		t.Errorf("result is %+v, want a failed dial that may be retried", res)
	}
}

func tunnelHalfClosed(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(switching("tcp"))
		all, _ := io.ReadAll(c.in)
		c.Send("got ", string(all))
	})
	c := w.dialTunnel("tcp", "")
	c.Send("question")
	if half, ok := c.Conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		t.Fatal("cannot close one direction")
	}
	if got := c.ReadN(12); got != "got question" {
		t.Errorf("client got %q after it had closed its direction", got)
	}
	w.done()
}

func tunnelBackendDies(s *suite) {
	t := s.t
	seen := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(switching("websocket"))
		c.Await(seen)
		c.Reset()
	})
	c := w.dialTunnel("websocket", "")
	close(seen)
	if !c.Ended() {
		t.Error("client's connection stays open")
	}
	if res := w.result(); !res.Upgraded || res.ClientGone || res.Err == nil || res.MustAbort() {
		t.Errorf("result is %+v, want the backend's failure", res)
	}
}

func tunnelClientDies(s *suite) {
	t := s.t
	gone := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(switching("websocket"))
		c.Ended()
		close(gone)
	})
	w.dialTunnel("websocket", "").Reset()
	receive(t, gone, "the backend to see the end")
	if res := w.result(); !res.Upgraded || !res.ClientGone || res.Err == nil {
		t.Errorf("result is %+v, want the client gone", res)
	}
}

func tunnelCounted(s *suite) {
	t := s.t
	opened := make(chan upstream.Tunnel, 1)
	over := make(chan struct{})
	set := setting{options: upstream.Options{OnTunnel: func(_ *http.Request, tunnel upstream.Tunnel) func() {
		opened <- tunnel
		return func() { close(over) }
	}}}
	w := s.world(t, set, func(c *conn) {
		if c.Request() != nil {
			c.Send(switching("tcp"))
			c.Ended()
		}
	})
	c := w.dialTunnel("tcp", "")
	tunnel := receive(t, opened, "the tunnel")
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 1 || tunnel.Protocol() != "tcp" {
		t.Errorf("connections are %d idle, %d active, protocol %q", idle, active, tunnel.Protocol())
	}
	tunnel.Shut(1001, "bye")
	tunnel.Shut(1001, "bye")
	if !c.Ended() {
		t.Error("client's connection stays open")
	}
	receive(t, over, "the end of the tunnel")
	w.result()
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want none", idle, active)
	}
}
