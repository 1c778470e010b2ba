package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/listen"
)

// Bounds on the client side that are not worth an option.
const (
	readHeaderTimeout = 10 * time.Second
	clientIdleTimeout = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	maxStreams        = 250
)

// front is one http.Server on a service's socket. When its kind of listening changes, another one takes over the socket and
// this one is drained.
type front struct {
	service     *service
	server      *http.Server
	socket      *listen.Socket
	turn        *listen.Turn
	listener    net.Listener
	certificate *listen.Certificate
	// closing is true from when clients are asked to leave.
	closing atomic.Bool
	// conns counts open connections, without hijacked ones.
	conns atomic.Int64
	done  chan struct{} // closed when nothing is accepted any more
}

// openFront begins to serve on a socket.
func openFront(s *service, socket *listen.Socket, config Config, certificate *listen.Certificate) (*front, error) {
	config = config.withDefaults()
	trusted, err := parsePrefixes(config.TrustedProxies)
	if err != nil {
		return nil, err
	}
	f := &front{service: s, socket: socket, certificate: certificate, done: make(chan struct{})}
	options := listen.Options{Caps: &s.caps, Stall: config.Limits.Stall, ProxyProtocol: config.ProxyProtocol, Trusted: trusted}
	if certificate != nil {
		options.TLS = &tls.Config{
			GetCertificate: certificate.Get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		}
	}
	f.turn = socket.Turn()
	if f.listener, err = listen.Open(f.turn, options); err != nil {
		_ = f.turn.Close()
		return nil, err
	}
	f.server = f.newServer(config)
	go f.accept() // ends when the turn is closed; drain and cut wait for it
	return f, nil
}

func (f *front) newServer(config Config) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(config.H2C)
	return &http.Server{
		Handler:                      f,
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: 30 * time.Second},
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  clientIdleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ConnContext:                  listen.WithConn,
		ConnState:                    f.connState,
		ErrorLog:                     slog.NewLogLogger(f.service.log.Handler(), slog.LevelDebug),
	}
}

func (f *front) accept() {
	defer close(f.done)
	if err := f.server.Serve(f.listener); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
		f.service.log.Error("accepting connections ended", "error", err)
	}
}

// ServeHTTP serves a request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.service.serve(w, r, f) } //nolint:contextcheck // the exchange derives it from the request

// part asks the client to leave its connection after this answer, while the front is being drained (on HTTP/2, net/http makes a GOAWAY of it).
func (f *front) part(h http.Header) {
	if f.closing.Load() {
		h["Connection"] = []string{"close"}
	}
}

// secure says whether clients speak TLS.
func (f *front) secure() bool { return f.certificate != nil }

func (f *front) connState(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		f.conns.Add(1)
	case http.StateHijacked:
		f.conns.Add(-1)
		if c, ok := conn.(interface{ Hijacked() }); ok {
			c.Hijacked()
		}
	case http.StateClosed:
		f.conns.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// release stops accepting, once the queue is empty, and leaves the socket to a next front. Handshakes go on.
func (f *front) release() { _ = f.turn.Close() }

// drain sends the clients away, politely first.
func (f *front) drain(ctx context.Context, t timing) {
	f.sendAway(ctx, t.grace)
	f.shut(ctx, t.limit)
}

// sendAway asks clients to leave: nothing is accepted, and every answer closes its connection. It returns after the grace time, or when
// nobody is left.
func (f *front) sendAway(ctx context.Context, grace time.Duration) {
	f.closing.Store(true)
	f.release()
	f.awaitEmpty(ctx, grace)
}

// shut closes what is idle, waits for requests in flight up to limit, and cuts the rest. A request that arrives at this moment may be lost
// (net/http drops it), which is why clients are sent away before.
func (f *front) shut(ctx context.Context, limit time.Duration) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := f.server.Shutdown(bounded); err != nil {
		f.service.log.WarnContext(ctx, "requests cut at the end of the drain", "connections", f.conns.Load())
	}
	f.cut()
}

// emptyCheck is how often a draining front looks whether anybody is left.
const emptyCheck = 20 * time.Millisecond

func (f *front) awaitEmpty(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	ticker := time.NewTicker(emptyCheck)
	defer ticker.Stop()
	for f.conns.Load() > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// cut closes everything at once.
func (f *front) cut() {
	f.release()
	_ = f.server.Close()
	_ = f.listener.Close()
	<-f.done
}
