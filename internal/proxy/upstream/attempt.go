package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// attempt is one try of http.Transport. It allows one connection and one writing: what comes after is refused.
type attempt struct {
	p *passage
	// conn and mark are the connection and what was written on it before; they are set once, before anything is written.
	conn atomic.Pointer[link]
	mark int64
	// watch stops the reading of the request's body when the connection closes.
	watch *func()

	got, reused, gotByte, whole atomic.Bool
	// header says that an HTTP/2 header was written; many streams share a connection's count of bytes.
	header atomic.Bool
	// stale says that the connection was closed by the backend while it was idle; replayed that Transport wanted to try again.
	stale, replayed atomic.Bool
	cancel          context.CancelCauseFunc
}

func newAttempt(p *passage) *attempt {
	a := &attempt{p: p}
	p.last = a
	return a
}

// request makes the request of this attempt: it is watched, cannot be rewound, and its body cannot be read before a live connection
// is there.
func (a *attempt) request(out *http.Request) *http.Request {
	ctx, cancel := context.WithCancelCause(out.Context())
	a.cancel = cancel
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              a.gotConn,
		WroteHeaders:         a.wroteHeaders,
		WroteRequest:         func(info httptrace.WroteRequestInfo) { a.whole.Store(info.Err == nil) },
		GotFirstResponseByte: a.gotFirstByte,
	})
	r := out.WithContext(ctx)
	r.GetBody = nil
	r.Body = nil
	if a.p.src != nil {
		r.Body = attemptBody{a}
	}
	return r
}

// gotConn looks at the connection that Transport has chosen, before anything is written on it.
func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	l, _ := info.Conn.(*link)
	if l == nil {
		return
	}
	if !a.got.CompareAndSwap(false, true) {
		// Transport tries again. It may not: whether a request is sent twice is the caller's decision.
		a.replayed.Store(true)
		a.refuse(l, errReplay)
		return
	}
	a.p.use(l)
	a.mark = l.sent.Load()
	a.reused.Store(info.Reused)
	a.conn.Store(l)
	if info.Reused && a.dead(l, info) {
		a.stale.Store(true)
		a.refuse(l, errStale)
		return
	}
	if a.p.src != nil && !l.ledger.opts.H2C {
		a.watch = l.watch(a.p.src.stop)
	}
}

// wroteHeaders counts for HTTP/2 only: HTTP/1.1 calls it before anything has left the buffer.
func (a *attempt) wroteHeaders() {
	if l := a.conn.Load(); l != nil && l.ledger.opts.H2C {
		a.header.Store(true)
	}
}

// gotFirstByte sees the bytes of an answer, or bytes that the backend had sent before the request, which Transport's reader had in hand
// already when the connection was looked at: then the connection was as good as closed.
func (a *attempt) gotFirstByte() {
	l := a.conn.Load()
	if l != nil && !l.ledger.opts.H2C && l.heard.Load() <= a.mark {
		a.stale.Store(true)
		a.refuse(l, errStale)
		return
	}
	a.gotByte.Store(true)
}

// dead says that a reused connection must not be written on. HTTP/2 may have frames waiting; HTTP/1.1 may have nothing.
func (a *attempt) dead(l *link, info httptrace.GotConnInfo) bool {
	state := l.state()
	if l.ledger.opts.H2C {
		return state == ended
	}
	return state != quiet || info.WasIdle && info.IdleTime >= time.Duration(l.keep.Load())
}

// refuse makes sure that nothing is written. Nobody else works on an HTTP/1.1 connection, so it is closed; on HTTP/2 the cancelled
// context keeps the stream from opening.
func (a *attempt) refuse(l *link, cause error) {
	a.cancel(cause)
	if !l.ledger.opts.H2C || errors.Is(cause, errStale) && l.busy.Load() == 1 {
		_ = l.Close()
	}
}

// letGo waits a moment for Transport to notice that an HTTP/2 connection has ended: until its reader has, it would choose it again.
func (a *attempt) letGo(ctx context.Context, moment time.Duration) {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	l := a.conn.Load()
	if l == nil {
		return
	}
	select {
	case <-l.deaf:
	case <-timer.C:
		return
	case <-ctx.Done():
		return
	}
	select { // the reader has still to say so
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wrote says that bytes of the request may have reached the backend. A replay on HTTP/2 is only ever wanted where the backend said that
// it did not process the first try, which is as good as not written.
func (a *attempt) wrote() bool {
	l := a.conn.Load()
	if l == nil || l.ledger.opts.H2C && (a.stale.Load() || a.replayed.Load()) {
		return false
	}
	// A cancelled HTTP/2 stream does not wait for its writer, and the count of a shared connection holds the others' bytes too: where
	// that leaves a doubt, the answer is yes.
	return a.header.Load() || l.sent.Load() > a.mark || l.ledger.opts.H2C && a.p.req.Context().Err() != nil
}

// leave says, of a failed attempt, whether another one is only another choice of connection: it was stale, and nothing was written.
func (a *attempt) leave() (again bool) {
	a.cancel(errEnded)
	return a.stale.Load() && !a.wrote() && !a.p.src.begun()
}

// cause is the error that ended the attempt, in our words where Transport knows only ours.
func (a *attempt) cause(err error) error {
	if a.replayed.Load() || a.stale.Load() {
		return ErrNoAnswer
	}
	return err
}

// accept takes an answer's header.
func (a *attempt) accept(answer *http.Response) (*http.Response, error) {
	if a.stale.Load() {
		_ = answer.Body.Close()
		return nil, errStale
	}
	if err := a.p.failure(); err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close()
		return nil, badAnswer("protocol switched unasked")
	}
	a.p.res.Header = time.Since(a.p.start)
	if l := a.conn.Load(); l != nil {
		var h head
		h.reset()
		for _, value := range answer.Header["Keep-Alive"] {
			h.takeKeepAlive(value)
		}
		l.heed(h.keep)
	}
	for name := range answer.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			_ = answer.Body.Close()
			return nil, badAnswer("header name is not valid")
		}
	}
	answer.Body = &answerBody{ReadCloser: answer.Body, p: a.p, answer: answer}
	return answer, nil
}

// attemptBody is the request's body as one attempt may read it. Closing is the caller's.
type attemptBody struct{ a *attempt }

func (b attemptBody) Read(p []byte) (int, error) {
	if b.a.stale.Load() || b.a.replayed.Load() {
		return 0, errStale
	}
	return b.a.p.src.Read(p)
}

func (b attemptBody) Close() error { return nil }

// answerBody sees how an answer's body ends.
type answerBody struct {
	io.ReadCloser
	p      *passage
	answer *http.Response
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.p.ended = true
		for name := range b.answer.Trailer {
			if !httpguts.ValidTrailerHeader(name) {
				delete(b.answer.Trailer, name)
			}
		}
	case err != nil:
		b.p.fail(err)
	}
	return n, err
}
