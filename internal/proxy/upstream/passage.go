package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// passageKey finds the passage in a request's context.
type passageKey struct{}

func passageOf(ctx context.Context) *passage {
	p, _ := ctx.Value(passageKey{}).(*passage)
	return p
}

// passage is one request on its way through ReverseProxy: the ResponseWriter it answers to, and the account of what happened.
type passage struct {
	start   time.Time
	address string
	w       http.ResponseWriter
	req     *http.Request
	src     *source
	cancel  context.CancelCauseFunc

	res  Result
	held http.Header
	told int // informational answers so far
	last *attempt

	mu    sync.Mutex
	err   error
	links []*link
	// ended says that the answer's body was read to its end.
	ended bool
}

// forward runs the proxy; the abort that it makes of a cut answer ends here.
func (p *passage) forward(proxy *httputil.ReverseProxy, in *http.Request) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a panic's value is compared as it is
			panic(v)
		}
	}()
	proxy.ServeHTTP(p, in)
}

// fail enters the error that ended it, the first one.
func (p *passage) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// failure returns that error.
func (p *passage) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Header implements http.ResponseWriter. Until the final answer is there, headers are gathered apart, so that a failed attempt
// leaves no trace in the client's answer.
func (p *passage) Header() http.Header {
	if p.res.Committed {
		return p.w.Header()
	}
	if p.held == nil {
		p.held = make(http.Header)
	}
	return p.held
}

// WriteHeader implements http.ResponseWriter.
func (p *passage) WriteHeader(status int) {
	if status < 200 {
		p.inform(status)
		return
	}
	into := p.w.Header()
	for name, values := range p.held {
		into[name] = append(into[name], values...)
	}
	untyped(into)
	p.src.share(p.req.ProtoMajor)
	p.res.Committed, p.res.Status = true, status
	p.w.WriteHeader(status)
}

func (p *passage) inform(status int) {
	if p.told++; p.told > maxInformational {
		err := badAnswer("too many informational answers")
		p.fail(err)
		p.cancel(err)
		return
	}
	if informs(p.req, status) {
		announce(p.w, status, p.held.Clone())
	}
}

// Write implements http.ResponseWriter.
func (p *passage) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.res.Received += int64(n)
	if err != nil {
		err = &clientError{err}
		p.fail(err)
	}
	return n, err
}

// FlushError passes a flush on.
func (p *passage) FlushError() error {
	return http.NewResponseController(p.w).Flush()
}

// Unwrap gives http.ResponseController the server's own writer.
func (p *passage) Unwrap() http.ResponseWriter { return p.w }

// use enters a connection that the passage works on.
func (p *passage) use(l *link) {
	l.busy.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = append(p.links, l)
}

// settle ends what still runs, and returns the exact end.
func (p *passage) settle() Result {
	p.src.stop()
	p.mu.Lock()
	links := slices.Clone(p.links)
	p.mu.Unlock()
	for _, l := range links {
		l.busy.Add(-1)
	}
	if a := p.last; a != nil {
		p.res.Wrote, p.res.GotByte, p.res.Reused = a.wrote(), a.gotByte.Load(), a.reused.Load()
		if l := a.conn.Load(); l != nil && a.watch != nil {
			l.unwatch(a.watch)
		}
	}
	if !p.ended {
		p.fail(io.ErrUnexpectedEOF)
	}
	err := p.failure()
	p.res.Stage = StageDone
	if err != nil {
		p.res.Stage = p.stage()
	}
	failure := p.src.settle(&p.res, p.req.ProtoMajor)
	p.res.Sent = p.src.read()
	if err == nil {
		p.src.linger()
		return p.res
	}
	if failure != nil {
		err = fmt.Errorf("read body of the client: %w", failure)
	}
	p.res.blame(p.req, p.src, err)
	p.res.Err = explain(p.address, p.res.Stage, p.res.Err)
	return p.res
}

func (p *passage) stage() Stage {
	a := p.last
	switch {
	case p.res.Committed:
		return StageBody
	case a == nil || !a.got.Load():
		return StageDial
	case p.res.GotByte:
		return StageHeader
	case !p.res.Wrote || !a.whole.Load():
		return StageWrite
	default:
		return StageAwait
	}
}

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
