package proxy

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// causeOf names what went wrong on a backend.
func causeOf(res upstream.Result) (cause string, status int) {
	var timeout net.Error
	late := errors.Is(res.Err, os.ErrDeadlineExceeded) || (errors.As(res.Err, &timeout) && timeout.Timeout())
	switch res.Stage {
	case upstream.StageDial:
		return causeDial, http.StatusBadGateway
	case upstream.StageWrite, upstream.StageAwait:
		if late {
			return causeTimeout, http.StatusGatewayTimeout
		}
		return causeReset, http.StatusBadGateway
	case upstream.StageBody:
		return causeTruncated, http.StatusBadGateway
	case upstream.StageUnset, upstream.StageHeader, upstream.StageDone:
	}
	return causeBadAnswer, http.StatusBadGateway
}

// failed decides whether a try that failed is followed by another one. If not, the failure is counted and answered.
func (x *exchange) failed(b *backend, res upstream.Result) (done bool) {
	cause, status := causeOf(res)
	if cause == causeDial || cause == causeReset {
		x.service.suspect(b)
	}
	if !x.body.replayable() {
		x.r.GetBody = nil
	}
	if (res.MayRetry(x.r) || x.mayRepeat(res, cause)) && x.again(b, res) {
		x.last = failure{b, cause, status}
		b.counters.retries.Add(1)
		x.rewind()
		return false
	}
	x.fail(failure{b, cause, status}, res.Committed)
	x.abort = res.MustAbort()
	return true
}

// mayRepeat goes one step beyond Result.MayRetry: a request that is safe by its method, has no body and met a connection that broke without a byte
// of an answer is sent again even where that connection was a new one, but only once: should the request itself have brought the backend
// down, it takes one more with it and not the fleet (RFC 9110, 9.2.1 and 9.2.2).
func (x *exchange) mayRepeat(res upstream.Result, cause string) bool {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
	default:
		return false
	}
	broke := cause == causeReset && res.Stage <= upstream.StageAwait && !res.GotByte && !res.Committed && !res.ClientGone && res.Err != nil
	return broke && x.tries == 0 && x.r.ContentLength == 0
}

// again says whether one more try is within bounds. A request that reached no backend may go round for as long as requests may be held;
// one that did may have maxTries.
func (x *exchange) again(b *backend, res upstream.Result) bool {
	x.tried = append(x.tried, b)
	if res.Stage == upstream.StageDial {
		return true
	}
	x.tries++
	return x.tries < maxTries && x.service.budget.take(time.Now(), x.service.total)
}

// rewind makes the request as it was before the first try.
func (x *exchange) rewind() {
	if x.body != nil {
		x.r.Body = x.body.again()
	}
	x.w.Header().Del("Set-Cookie")
	x.tap.again()
	x.header, x.stream, x.polled, x.written = time.Time{}, nil, false, false
}

// fail counts a failure that belongs to a backend, and answers it unless an answer has begun.
func (x *exchange) fail(f failure, committed bool) {
	x.enter(f.backend, 0, true)
	f.backend.counters.failures.add(f.cause)
	if committed {
		f.status = 0
	} else {
		x.answer(page{
			Status: f.status, Title: http.StatusText(f.status), RetryAfter: time.Second,
			Text: "The server that should have answered could not. Please try again.",
		})
	}
	x.service.failures.add(FailedRequest{
		At: time.Now(), Server: f.backend.Server, Release: f.backend.Release,
		Cause: f.cause, Status: f.status, Method: x.r.Method, Path: clip(x.r.URL.Path),
	})
}

// unroutable counts a failure that belongs to no backend, and answers it.
func (x *exchange) unroutable(cause string) {
	x.service.unrouted.add(cause)
	x.answer(page{
		Status: http.StatusServiceUnavailable, Title: "Service unavailable", RetryAfter: time.Second,
		Text: "No server is ready to answer right now. Please try again in a moment.",
	})
	x.service.failures.add(FailedRequest{
		At: time.Now(), Cause: cause, Status: http.StatusServiceUnavailable, Method: x.r.Method, Path: clip(x.r.URL.Path),
	})
}

func (x *exchange) answer(p page) {
	x.w.Header().Del("Set-Cookie")
	p.write(x.w, x.r)
}

// clip bounds what is kept of a path.
func clip(path string) string { return path[:min(len(path), 256)] }

// budget bounds retries of requests that reached a backend, so that a fleet in trouble is not sent several times its load: in any ten seconds,
// a hundred and a fifth of the requests. The zero value is ready.
type budget struct {
	mu    sync.Mutex
	since time.Time
	// before is the count of requests when the window began, spent the retries in it.
	before, spent int64
	// recent are the requests of the window before.
	recent int64
}

const (
	budgetWindow = 10 * time.Second
	budgetFloor  = 100
	budgetShare  = 5 // one in so many
)

// take spends one retry, if there is one. total counts the requests so far; it is asked only here, away from the hot path.
func (b *budget) take(now time.Time, total func() int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests := total()
	if now.Sub(b.since) >= budgetWindow {
		b.recent = requests - b.before
		if b.since.IsZero() || now.Sub(b.since) >= 2*budgetWindow {
			b.recent = 0 // the window before lies too far back
		}
		b.since, b.before, b.spent = now, requests, 0
	}
	if b.spent >= budgetFloor+max(b.recent, requests-b.before)/budgetShare {
		return false
	}
	b.spent++
	return true
}
