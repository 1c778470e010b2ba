package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
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
