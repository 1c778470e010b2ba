package upstreamtest

import (
	"encoding/binary"
	"io"
	"net/http"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func shutChecks() []check {
	return []check{
		{"Shut/CloseFrameToBothSides", shutBothSides},
		{"Shut/WaitsForTheFrameBoundary", shutAtBoundary},
		{"Shut/NoSecondCloseFrame", shutAfterClose},
		{"Shut/SilentPeersAreCut", shutSilent},
	}
}

// frame is one WebSocket frame, unmasked.
type frame struct {
	op      byte
	masked  bool
	payload string
}

// bytes renders a frame as a client (masked) or server would send it.
func (f frame) bytes() string {
	b := []byte{0x80 | f.op}
	bit := byte(0)
	if f.masked {
		bit = 0x80
	}
	switch n := len(f.payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	payload := []byte(f.payload)
	if f.masked {
		mask := [4]byte{1, 2, 3, 4}
		b = append(b, mask[:]...)
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
	}
	return string(append(b, payload...))
}

// Frame reads one frame; ok is false when the connection has ended.
func (c *conn) Frame() (f frame, ok bool) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return frame{}, false
	}
	f.op, f.masked = head[0]&0xf, head[1]&0x80 != 0
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		var size [2]byte
		_, _ = io.ReadFull(c.in, size[:])
		n = uint64(binary.BigEndian.Uint16(size[:]))
	case 127:
		var size [8]byte
		_, _ = io.ReadFull(c.in, size[:])
		n = binary.BigEndian.Uint64(size[:])
	}
	var mask [4]byte
	if f.masked {
		_, _ = io.ReadFull(c.in, mask[:])
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return frame{}, false
	}
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	f.payload = string(payload)
	return f, true
}

// bye is the payload of the close frames here: code 1012, "restart".
const bye = "\x03\xf4restart"

// shutWorld has a WebSocket backend that hands its side of each tunnel over, and gives the tunnel and the client's side.
func shutWorld(t *testing.T, s *suite) (w *world, tunnel upstream.Tunnel, client, server *conn) {
	t.Helper()
	opened, servers := make(chan upstream.Tunnel, 1), make(chan *conn, 1)
	set := setting{options: upstream.Options{OnTunnel: func(_ *http.Request, tunnel upstream.Tunnel) func() {
		opened <- tunnel
		return nil
	}}}
	w = s.world(t, set, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(switching("websocket"))
		servers <- c
		c.Await(nil)
	})
	client = w.dialTunnel("websocket", "")
	return w, receive(t, opened, "the tunnel"), client, receive(t, servers, "the backend's side")
}

// shut runs Shut beside the test.
func shut(tunnel upstream.Tunnel) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		tunnel.Shut(1012, "restart")
		close(done)
	}()
	return done
}

func expectFrame(t *testing.T, c *conn, want frame) {
	t.Helper()
	got, ok := c.Frame()
	if !ok || got != want {
		t.Errorf("got frame %+v (whole: %v), want %+v", got, ok, want)
	}
}

func shutBothSides(s *suite) {
	t := s.t
	w, tunnel, client, server := shutWorld(t, s)
	client.Send(frame{1, true, "ping"}.bytes())
	expectFrame(t, server, frame{1, true, "ping"})
	done := shut(tunnel)
	expectFrame(t, client, frame{8, false, bye})
	expectFrame(t, server, frame{8, true, bye})
	client.Send(frame{1, true, "too late"}.bytes(), frame{8, true, bye}.bytes())
	server.Send(frame{1, false, "too late"}.bytes(), frame{8, false, bye}.bytes())
	receive(t, done, "Shut to return")
	if _, ok := client.Frame(); ok {
		t.Error("client got a frame after the close frame")
	}
	if _, ok := server.Frame(); ok {
		t.Error("backend got a frame after the close frame")
	}
	if res := w.done(); !res.Upgraded {
		t.Errorf("result is %+v", res)
	}
}

// shutAtBoundary shuts in the middle of a frame in both directions, one of them in the middle of a frame's header.
func shutAtBoundary(s *suite) {
	t := s.t
	w, tunnel, client, server := shutWorld(t, s)
	up, down := frame{1, true, string(make([]byte, 300))}, frame{2, false, string(make([]byte, 70000))}
	client.Send(up.bytes()[:3])
	if got := server.ReadN(3); got != up.bytes()[:3] {
		t.Fatalf("backend got %q", got)
	}
	server.Send(down.bytes()[:5000])
	if got := client.ReadN(5000); got != down.bytes()[:5000] {
		t.Fatal("client did not get the beginning of the frame")
	}
	done := shut(tunnel)
	next := frame{1, true, "not to be passed on"}
	client.Send(up.bytes()[3:], next.bytes(), frame{8, true, bye}.bytes())
	server.Send(down.bytes()[5000:], frame{1, false, "not to be passed on"}.bytes(), frame{8, false, bye}.bytes())
	if got := server.ReadN(len(up.bytes()) - 3); got != up.bytes()[3:] {
		t.Error("backend did not get the rest of the frame")
	}
	if got := client.ReadN(len(down.bytes()) - 5000); got != down.bytes()[5000:] {
		t.Error("client did not get the rest of the frame")
	}
	if f, ok := server.Frame(); ok && f != next {
		// Shut may come after the frame was whole: then one more may pass, but the close frame must be next or last.
		if f != (frame{8, true, bye}) {
			t.Errorf("backend got %+v", f)
		}
	}
	receive(t, done, "Shut to return")
	w.done()
}

func shutAfterClose(s *suite) {
	t := s.t
	w, tunnel, client, server := shutWorld(t, s)
	goodbye := frame{8, true, "\x03\xe8"}
	client.Send(goodbye.bytes())
	expectFrame(t, server, goodbye)
	done := shut(tunnel)
	expectFrame(t, client, frame{8, false, bye})
	server.Send(frame{8, false, "\x03\xe8"}.bytes())
	receive(t, done, "Shut to return")
	if f, ok := server.Frame(); ok {
		t.Errorf("backend got %+v after the client's own close frame", f)
	}
	w.done()
}

func shutSilent(s *suite) {
	t := s.t
	w, tunnel, client, server := shutWorld(t, s)
	done := shut(tunnel)
	expectFrame(t, client, frame{8, false, bye})
	expectFrame(t, server, frame{8, true, bye})
	receive(t, done, "Shut to give up waiting")
	if !client.Ended() || !server.Ended() {
		t.Error("a side that does not answer stays connected")
	}
	w.done()
}
