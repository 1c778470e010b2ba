package proxy

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// slowest is the rate, in bytes per second, below which a client that has been waited for longer than the stall time is cut.
const slowest = 128

// errReplaced is what an earlier try's reader of a body gets.
var errReplaced = errors.New("body is read by another try")

// body is a request's body on its way to a backend. What was read of a small one is kept, so that another try can read it again; a client
// that stalls is cut. One reader at a time uses it: upstream promises that none is left when a try is over.
type body struct {
	x     *exchange
	src   io.Reader
	keep  int // how much may be kept
	kept  []byte
	more  bool // more was read than may be kept
	turn  atomic.Int32
	err   error // the client's, for good
	guard *guard
	// cut is true once the client was cut for stalling.
	cut    atomic.Bool
	waited time.Duration
	read   int64
}

// bodies lends buffers of the default size.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, defaultBuffer); return &b }} //nolint:gochecknoglobals // memory, no state

// newBody wraps r's body, if it has one, and gives the request a GetBody where it may be kept.
func newBody(x *exchange, limits Limits) *body {
	r := x.r
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	b := &body{x: x, src: r.Body}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") { // a stream may be silent for hours
		b.guard = &guard{after: limits.Stall, act: b.stall}
	}
	if r.ContentLength <= int64(limits.BufferBody) && limits.BufferBody > 0 {
		b.keep = limits.BufferBody
		r.GetBody = func() (io.ReadCloser, error) { return b.again(), nil }
	}
	r.Body = b.again()
	return b
}

// again gives a reader from the beginning, and ends the one before.
func (b *body) again() io.ReadCloser { return &bodyReader{body: b, turn: b.turn.Add(1)} }

// replayable says whether a reader from the beginning gives the whole body.
func (b *body) replayable() bool {
	whole := b == nil || b.err == nil || b.err == io.EOF //nolint:errorlint // readers return it bare
	return whole && (b == nil || !b.more)
}

// stall cuts the client.
func (b *body) stall() {
	b.x.whileOpen(func() {
		b.cut.Store(true)
		_ = http.NewResponseController(b.x.w).SetReadDeadline(time.Unix(1, 0))
	})
}

// stalled says whether the client was cut for being slow.
func (b *body) stalled() bool { return b != nil && b.cut.Load() }

// release gives the buffer back, once nobody reads.
func (b *body) release() {
	if b == nil {
		return
	}
	b.turn.Add(1)
	b.guard.stop()
	if cap(b.kept) == defaultBuffer {
		buf := b.kept[:0]
		bodies.Put(&buf)
	}
	b.kept = nil
}

// pull reads from the client.
func (b *body) pull(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	begun := time.Now()
	if b.guard != nil {
		b.guard.begin()
	}
	n, err := b.src.Read(p)
	if b.guard != nil {
		b.guard.end()
		b.waited += time.Since(begun)
		if b.waited > b.guard.after && float64(b.read+int64(n)) < slowest*b.waited.Seconds() && err == nil {
			b.stall()
		}
	}
	b.read += int64(n)
	b.store(p[:n])
	b.err = err
	return n, err
}

func (b *body) store(p []byte) {
	switch {
	case b.keep == 0 || b.more || len(p) == 0:
		b.more = b.more || len(p) > 0
	case len(b.kept)+len(p) > b.keep:
		b.more = true
	default:
		if b.kept == nil && b.keep <= defaultBuffer {
			b.kept = *bodies.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
		}
		b.kept = append(b.kept, p...)
	}
}

// bodyReader is one try's view of a body.
type bodyReader struct {
	body *body
	turn int32
	at   int
}

// Read gives what is kept, then what comes.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	if b.turn.Load() != r.turn {
		return 0, errReplaced
	}
	if r.at < len(b.kept) && !b.more {
		n := copy(p, b.kept[r.at:])
		r.at += n
		if r.at == len(b.kept) && b.err == io.EOF { //nolint:errorlint // readers return it bare
			return n, io.EOF
		}
		return n, nil
	}
	n, err := b.pull(p)
	r.at += n
	return n, err
}

// Close does nothing: the server closes the client's body when the handler returns, and another try may need it.
func (r *bodyReader) Close() error { return nil }
