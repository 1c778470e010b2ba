package listen

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// Conn is a client's connection: it gives its place back when it closes, ends a client that takes nothing, and follows the framing of
// its requests.
type Conn struct {
	net.Conn
	// release gives the connection's place back; nil when an inner Conn does that.
	release func()
	closed  atomic.Bool
	// stall is how long one write may take; 0 leaves it to an inner Conn.
	stall time.Duration
	// armed is when the write deadline was last set, in nanoseconds since birth; 0 is never.
	armed atomic.Int64
	birth time.Time
	// follow is true while the connection's bytes are HTTP/1 requests in clear text.
	follow  atomic.Bool
	framing framing
	state   *tls.ConnectionState
}

// newConn wraps an accepted connection.
func newConn(conn net.Conn, stall time.Duration, release func()) *Conn {
	c := &Conn{Conn: conn, stall: stall, release: release, birth: time.Now()}
	c.framing.nextRequest()
	return c
}

// Read reads, and follows the requests in what came.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.follow.Load() {
		c.framing.observe(b[:n])
	}
	return n, err
}

// Write writes; a client that does not take it within the stall time is cut. The deadline is moved only when half of it has gone by, so
// that ordinary writes do not pay for it.
func (c *Conn) Write(b []byte) (int, error) {
	if c.stall > 0 {
		now := int64(time.Since(c.birth)) | 1
		if armed := c.armed.Load(); armed == 0 || now-armed > int64(c.stall/2) {
			c.armed.Store(now)
			_ = c.Conn.SetWriteDeadline(time.Now().Add(c.stall))
		}
	}
	return c.Conn.Write(b)
}

// SetDeadline sets both deadlines; the next write sets its own again.
func (c *Conn) SetDeadline(t time.Time) error {
	c.armed.Store(0)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline sets the write deadline; the next write sets its own again.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.armed.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// Close closes the connection, once.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) && c.release != nil {
		c.release()
	}
	return err
}

// CloseWrite ends the sending direction, where the connection has two.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Hijacked tells the connection that its bytes are no HTTP/1 requests any more.
func (c *Conn) Hijacked() { c.follow.Store(false) }

// Ambiguous says whether a request on this connection had both Content-Length and Transfer-Encoding.
func (c *Conn) Ambiguous() bool { return c.framing.both.Load() }

// overTLS is a Conn whose handshake is done; net/http takes Request.TLS from it.
type overTLS struct{ *Conn }

// ConnectionState gives what the handshake agreed on.
func (c overTLS) ConnectionState() tls.ConnectionState { return *c.state }

type connKey struct{}

// WithConn stores the connection for From; it fits http.Server.ConnContext.
func WithConn(ctx context.Context, conn net.Conn) context.Context {
	switch c := conn.(type) {
	case *Conn:
		return context.WithValue(ctx, connKey{}, c)
	case overTLS:
		return context.WithValue(ctx, connKey{}, c.Conn)
	default:
		return ctx
	}
}

// From gives the HTTP/1 connection that a request came on; nil for another kind.
func From(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}
