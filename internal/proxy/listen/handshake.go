package listen

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// handshaker does TLS handshakes apart from each other, so that a slow client holds up nobody, and gives out connections that
// are through: *tls.Conn for HTTP/2, which net/http must see as such, and followed ones for HTTP/1.
type handshaker struct {
	inner   net.Listener
	options Options
	ready   chan net.Conn
	ctx     context.Context //nolint:containedctx // it is the listener's own life, ended by Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // the handshakes
	err     error
	over    chan struct{} // closed when nothing more comes: accepting ended, and so did the handshakes
}

func newHandshaker(inner net.Listener, o Options) *handshaker {
	ctx, cancel := context.WithCancel(context.Background())
	h := &handshaker{
		inner: inner, options: o, ready: make(chan net.Conn), ctx: ctx, cancel: cancel, over: make(chan struct{}),
	}
	go h.accept() // ends when inner is closed; Close waits for it
	return h
}

func (h *handshaker) accept() {
	defer close(h.over)
	defer h.work.Wait()
	for {
		conn, err := h.inner.Accept()
		if err != nil {
			h.err = err
			return
		}
		h.work.Go(func() { h.shake(conn) })
	}
}

func (h *handshaker) shake(conn net.Conn) {
	ctx, cancel := context.WithTimeout(h.ctx, h.options.Handshake)
	defer cancel()
	secure := tls.Server(conn, h.options.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // scanners and clients of another age; nothing that an operator could act on
		return
	}
	state := secure.ConnectionState()
	var out net.Conn = secure
	if state.NegotiatedProtocol != "h2" {
		c := newConn(secure, 0, nil)
		c.state = &state
		c.follow.Store(true)
		out = overTLS{c}
	}
	select {
	case h.ready <- out:
	case <-h.ctx.Done():
		_ = out.Close()
	}
}

// Accept waits for a connection that is through its handshake.
func (h *handshaker) Accept() (net.Conn, error) {
	select {
	case conn := <-h.ready:
		return conn, nil
	case <-h.over:
		return nil, h.err
	}
}

// Close ends the turn and the handshakes. To let those finish first, close the turn, and this one later.
func (h *handshaker) Close() error {
	err := h.inner.Close()
	h.cancel()
	<-h.over
	return err
}

// Addr is the socket's address.
func (h *handshaker) Addr() net.Addr { return h.inner.Addr() }
