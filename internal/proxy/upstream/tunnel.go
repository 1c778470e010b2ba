package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tunnelBuffer is the memory of one direction of a tunnel, in bytes: there can be many, mostly silent ones.
const tunnelBuffer = 4 << 10

// tunnel is an upgraded exchange: two directions, each copied by its own goroutine.
type tunnel struct {
	protocol string
	up, down *direction
	both     sync.WaitGroup
	open     atomic.Int32
	over     chan struct{}
	once     sync.Once
}

// Protocol implements Tunnel.
func (t *tunnel) Protocol() string { return t.protocol }

// Shut implements Tunnel.
func (t *tunnel) Shut(code int, reason string) {
	t.once.Do(func() {
		if t.protocol != "websocket" {
			t.close()
			return
		}
		until := time.Now().Add(closeWait)
		_ = t.down.to.SetWriteDeadline(until)
		_ = t.up.to.SetWriteDeadline(until)
		t.down.shut(closeFrame(code, reason, false))
		t.up.shut(closeFrame(code, reason, true))
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case <-t.over:
		case <-timer.C:
			t.close()
		}
	})
	<-t.over
}

func (t *tunnel) close() {
	_ = t.up.from.Close()
	_ = t.up.to.Close()
}

// begin starts copying; over is closed once both directions are done.
func (t *tunnel) begin() {
	t.open.Store(2)
	run := func(d, other *direction) {
		d.end(d.copy(), other)
		if t.open.Add(-1) == 0 {
			t.close()
			close(t.over)
		}
	}
	t.both.Go(func() { run(t.up, t.down) })
	t.both.Go(func() { run(t.down, t.up) })
}

// wait returns when the tunnel is over, with what ended it.
func (t *tunnel) wait() error {
	t.both.Wait()
	return errors.Join(t.up.err, t.down.err)
}

// direction is one way through a tunnel.
type direction struct {
	from, to net.Conn
	// first are bytes of from that were read already.
	first []byte
	idle  time.Duration

	mu sync.Mutex
	// frames follows a WebSocket; nil for another protocol.
	frames *frames
	// farewell, when set, is the close frame to put in at the next boundary; said is true once it is.
	farewell []byte
	said     bool
	n        int64
	err      error
	// halved is true once the other direction has ended: this one may not be silent for long.
	halved bool
}

// copy passes bytes on until from ends, or until a shut tunnel has seen from's close frame.
func (d *direction) copy() error {
	if len(d.first) > 0 {
		if err := d.pass(d.first); err != nil {
			return err
		}
		d.first = nil
	}
	buf := make([]byte, tunnelBuffer)
	for !d.parted() {
		n, err := d.from.Read(buf)
		if n > 0 {
			if err := d.pass(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parted says that a shut direction has seen its source's close frame. It also renews the patience with a half-closed tunnel.
func (d *direction) parted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.halved {
		_ = d.from.SetReadDeadline(time.Now().Add(d.idle))
	}
	return d.farewell != nil && d.frames.closed
}

// pass writes p on. Once the tunnel is shut it writes to the next frame boundary only, then the close frame, then nothing.
func (d *direction) pass(p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.said {
		d.frames.skip(p)
		return nil
	}
	d.n += int64(len(p))
	if d.farewell == nil {
		if d.frames != nil {
			d.frames.skip(p)
		}
		_, err := d.to.Write(p)
		return err
	}
	n := d.frames.next(p)
	if _, err := d.to.Write(p[:n]); err != nil {
		return err
	}
	if err := d.bid(); err != nil {
		return err
	}
	d.frames.skip(p[n:])
	return nil
}

// bid writes the close frame if this is the place for it: a boundary, and no close frame of the source went by.
func (d *direction) bid() error {
	if d.said || !d.frames.boundary() {
		return nil
	}
	d.said = true
	if d.frames.closed {
		return nil
	}
	_, err := d.to.Write(d.farewell)
	return err
}

// shut puts the close frame in, now or at the next boundary.
func (d *direction) shut(farewell []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.farewell = farewell
	if err := d.bid(); err != nil {
		_ = d.to.Close()
	}
	if d.frames.closed {
		_ = d.from.SetReadDeadline(time.Unix(1, 0)) // its close frame came before: do not wait for another
	}
}

// end enters how this direction ended. A clean end is passed on, and the other one may go on for a while; any other ends both.
func (d *direction) end(err error, other *direction) {
	d.mu.Lock()
	if d.farewell != nil || d.halved && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // a tunnel that was shut, or half of which has ended, may end in any way
	}
	d.err = err
	d.mu.Unlock()
	if err == nil && closeWrite(d.to) == nil {
		other.halve()
		return
	}
	_ = d.from.Close()
	_ = d.to.Close()
}

// halve starts the patience with a direction whose counterpart has ended.
func (d *direction) halve() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halved = true
	if d.farewell == nil {
		_ = d.from.SetReadDeadline(time.Now().Add(d.idle))
	}
}

// closeWrite passes an end of file on.
func closeWrite(c net.Conn) error {
	if l, ok := c.(*link); ok {
		c = l.Conn
	}
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// tunnel takes over the client's connection, passes the 101 on, and copies both ways until the tunnel is over.
func (c *carrier) tunnel(w http.ResponseWriter, req *http.Request, x *exchange, upgrade string) error {
	if !strings.EqualFold(x.head.upgrade, upgrade) && !hasToken(req.Header["Upgrade"], x.head.upgrade) {
		return badAnswer("switched to a protocol that was not asked for")
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return &clientError{err}
	}
	x.res.Committed, x.res.Status, x.res.Upgraded = true, http.StatusSwitchingProtocols, true
	var first []byte
	if n := buffered.Reader.Buffered(); n > 0 {
		first, _ = buffered.Reader.Peek(n)
		first = bytes.Clone(first)
	}
	if _, err := client.Write(x.switching(w.Header())); err != nil {
		_ = client.Close()
		return &clientError{err}
	}
	t := newTunnel(strings.ToLower(x.head.upgrade), client, x.link)
	t.up.first, t.down.first = first, bytes.Clone(x.buf[x.r:x.n])
	x.buf, x.r, x.n = nil, 0, 0 // a tunnel can live long
	t.begin()
	if c.opts.OnTunnel != nil {
		if over := c.opts.OnTunnel(req, t); over != nil {
			defer over()
		}
	}
	err = t.wait()
	x.res.Sent += t.up.n
	x.res.Received += t.down.n
	return x.judge(t, err)
}

// newTunnel joins two connections.
func newTunnel(protocol string, client net.Conn, backend *link) *tunnel {
	t := &tunnel{
		protocol: protocol,
		over:     make(chan struct{}),
		up:       &direction{from: client, to: backend, idle: streamIdle},
		down:     &direction{from: backend, to: client, idle: streamIdle},
	}
	if protocol == "websocket" {
		t.up.frames, t.down.frames = &frames{}, &frames{}
		t.up.idle, t.down.idle = frameIdle, frameIdle
	}
	return t
}

// judge says whose doing the end of a tunnel was: a read tells of who is read from, a write of who is written to.
func (x *exchange) judge(t *tunnel, err error) error {
	if err == nil {
		return nil
	}
	first := t.up.err
	if first == nil || errors.Is(first, net.ErrClosed) {
		first = t.down.err
	}
	if first == nil || errors.Is(first, net.ErrClosed) {
		return err
	}
	if op, ok := errors.AsType[*net.OpError](first); ok {
		reading := op.Op == "read"
		if reading == (first == t.up.err) { //nolint:errorlint // which of the two it is, not what kind
			return &clientError{first}
		}
	}
	return first
}

// switching builds the header of the 101 answer: the backend's, and what the caller has set.
func (x *exchange) switching(set http.Header) []byte {
	x.head.install(set)
	b := []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + x.head.upgrade + "\r\n")
	for name, values := range set {
		if hopByHop(name) || name == "Content-Length" {
			continue
		}
		for _, value := range values {
			b = append(b, name+": "+value+"\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}
