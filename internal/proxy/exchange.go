package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// maxTries bounds how often one request is written to backends.
const maxTries = 3

// errEnded ends a stream at a drain's deadline.
var errEnded = errors.New("long connection ended by a drain")

// exchange is one client's request on its way: an http.ResponseWriter that notices what becomes a long connection. Those that nobody can
// still refer to when the handler returns are reused.
type exchange struct {
	w       http.ResponseWriter
	service *service
	r       *http.Request
	front   *front

	// Of the present try.
	backend *backend
	table   *table
	begun   time.Time
	header  time.Time // when the final header went out; zero before
	stream  *long
	polled  bool // the stream is an event stream: clients come again by themselves
	written bool
	ended   atomic.Bool

	body   *body
	tried  []*backend
	tries  int // how often a byte of it was written to a backend
	cookie string
	home   homing
	last   failure
	held   hold
	tap    *tap // nil for most

	// cancel ends an HTTP/2 exchange; nil on HTTP/1.
	cancel context.CancelCauseFunc
	// guard watches writes on HTTP/2, where one stream may be stuck and the connection is not.
	guard *guard

	// mu keeps a timer or a drain from touching the client's connection once the handler has returned.
	mu    sync.Mutex
	over  bool
	abort bool // the client must see a broken answer
	slots [4]*backend
}

// homing says what the sticky cookie of an exchange is about.
type homing uint8

const (
	homeNone   homing = iota // no cookie is to be set
	homeFirst                // a newcomer gets one
	homeMoved                // its server is away: another one
	homeUnread               // the cookie was not looked at yet
)

// failure is a try that failed, whose request waits for another one.
type failure struct {
	backend *backend
	cause   string
	status  int
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.w.Header() }

// Unwrap gives http.ResponseController the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// WriteHeader sends a header and looks at what kind of answer begins.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 && x.header.IsZero() {
		x.header = time.Now()
		x.front.part(x.w.Header())
		if x.backend != nil {
			x.notice()
			x.tap.expect(x.w.Header())
		}
	}
	x.w.WriteHeader(status)
}

// notice registers event streams as long from now on, and gRPC calls once they last.
func (x *exchange) notice() {
	kind := x.w.Header()["Content-Type"]
	if len(kind) == 0 {
		return
	}
	switch {
	case strings.HasPrefix(kind[0], "text/event-stream"):
		x.polled = true
		x.lengthen(x.header)
	case strings.HasPrefix(kind[0], "application/grpc"):
		x.lengthen(x.header.Add(x.table.config.Limits.LongAfter))
	}
}

// lengthen registers the exchange as a long connection that counts from a time on.
func (x *exchange) lengthen(from time.Time) {
	x.stream = &long{from: from, end: x.end}
	x.backend.long.add(x.stream)
	x.tap.skip()
}

// Write passes a piece of the answer on. An answer that is still being written after a time becomes a long connection; one that was
// ended writes no more.
func (x *exchange) Write(p []byte) (int, error) {
	if x.header.IsZero() {
		x.WriteHeader(http.StatusOK)
	}
	if x.written {
		if x.ended.Load() {
			return 0, errEnded
		}
		if x.stream == nil && x.backend != nil && time.Since(x.header) > x.table.config.Limits.LongAfter {
			x.lengthen(time.Now())
		}
	}
	x.written = true
	x.tap.keep(p)
	if x.guard != nil {
		x.guard.begin()
		defer x.guard.end()
	}
	return x.w.Write(p)
}

// FlushError passes a flush on.
func (x *exchange) FlushError() error {
	if x.ended.Load() {
		return errEnded
	}
	if x.guard != nil {
		x.guard.begin()
		defer x.guard.end()
	}
	return http.NewResponseController(x.w).Flush()
}

// Flush implements http.Flusher.
func (x *exchange) Flush() { _ = x.FlushError() }

// end ends a stream from outside: what was written is completed properly, and nothing follows. It returns at once.
func (x *exchange) end() {
	x.ended.Store(true)
	x.whileOpen(func() {
		if x.cancel != nil {
			x.cancel(errEnded)
		}
		// This ends the reading of a body that is still coming. On HTTP/1, net/http reads from the connection meanwhile, to notice
		// a client that leaves: the deadline ends that too, and the request's context with it. Writing is not touched.
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0))
	})
}

// whileOpen runs f unless the handler has returned.
func (x *exchange) whileOpen(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		f()
	}
}

// finish makes sure that nobody touches the client's connection any more.
func (x *exchange) finish() {
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
	x.guard.stop()
	x.body.release()
}

// exchangeKey finds the exchange of an upgrade in its request's context.
type exchangeKey struct{}

// onTunnel enters a tunnel into the backend's long connections.
func onTunnel(b *backend) func(*http.Request, upstream.Tunnel) func() {
	return func(req *http.Request, tunnel upstream.Tunnel) func() {
		x, ok := req.Context().Value(exchangeKey{}).(*exchange)
		if !ok {
			return nil
		}
		x.stream = &long{from: time.Now(), end: func() {
			x.ended.Store(true)
			tunnel.Shut(closeServiceRestart, "service restart")
		}}
		b.long.add(x.stream)
		return nil // settled with the exchange
	}
}

// closeServiceRestart is the WebSocket close code that tells a client to connect again (RFC 6455 registry).
const closeServiceRestart = 1012

// guard acts when something between begin and end takes too long. A nil guard does nothing on stop.
type guard struct {
	after time.Duration
	act   func()
	timer *time.Timer
}

func (g *guard) begin() {
	if g.timer == nil {
		g.timer = time.AfterFunc(g.after, g.act)
		return
	}
	g.timer.Reset(g.after)
}

func (g *guard) end() { g.timer.Stop() }

func (g *guard) stop() {
	if g != nil && g.timer != nil {
		g.timer.Stop()
	}
}
