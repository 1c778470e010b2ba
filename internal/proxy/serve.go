package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/listen"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// exchanges lends exchanges that nobody can refer to any more.
var exchanges = sync.Pool{New: func() any { return new(exchange) }} //nolint:gochecknoglobals // memory, no state

// serve answers one request.
func (s *service) serve(w http.ResponseWriter, r *http.Request, f *front) {
	t := s.table.Load()
	f.part(w.Header())
	if cause := refuse(t, r); cause != "" {
		s.turnAway(w, r, t, cause)
		return
	}
	plain := r.ProtoMajor == 1 && upstream.Eligible(r) && (r.Body == nil || r.Body == http.NoBody)
	x := newExchange(plain)
	x.w, x.service, x.front, x.r, x.home = w, s, f, r, homeUnread
	forward(r, t.trusted, f.secure())
	if m := s.mirroring.Load(); m != nil {
		x.tap = m.tap(r)
	}
	if !plain {
		x.prepare(t)
	}
	x.run()
	x.tap.end(x)
	x.finish()
	abort := x.abort
	if plain && x.stream == nil {
		*x = exchange{}
		exchanges.Put(x)
	}
	if abort {
		panic(http.ErrAbortHandler)
	}
}

func newExchange(pooled bool) *exchange {
	if pooled {
		return exchanges.Get().(*exchange) //nolint:forcetypeassert // the pool holds nothing else
	}
	return new(exchange)
}

// prepare does what only requests with a body, upgrades and HTTP/2 need.
func (x *exchange) prepare(t *table) {
	if len(x.r.Header["Upgrade"]) > 0 {
		x.r = x.r.WithContext(context.WithValue(x.r.Context(), exchangeKey{}, x))
	}
	if x.r.ProtoMajor >= 2 {
		ctx, cancel := context.WithCancelCause(x.r.Context())
		x.r, x.cancel = x.r.WithContext(ctx), cancel
		x.guard = &guard{after: t.config.Limits.Stall, act: x.stuck}
	}
	x.body = newBody(x, t.config.Limits)
}

// stuck cuts a client that does not take what is written to its HTTP/2 stream.
func (x *exchange) stuck() {
	x.whileOpen(func() { _ = http.NewResponseController(x.w).SetWriteDeadline(time.Unix(1, 0)) })
}

// refuse gives the cause for which a request is not routed at all, or "".
func refuse(t *table, r *http.Request) string {
	switch {
	case len(r.TransferEncoding) > 0 && ambiguous(r.Context()):
		return causeAmbiguous
	case r.Method == http.MethodConnect:
		return causeMethod
	case t.maintenance != nil:
		return causeMaintenance
	default:
		return ""
	}
}

func ambiguous(ctx context.Context) bool {
	conn := listen.From(ctx)
	return conn != nil && conn.Ambiguous()
}

// turnAway answers a request that is not routed.
func (s *service) turnAway(w http.ResponseWriter, r *http.Request, t *table, cause string) {
	switch cause {
	case causeAmbiguous:
		w.Header().Set("Connection", "close")
		page{Status: http.StatusBadRequest, Title: "Bad request", Text: "The request has both Content-Length and Transfer-Encoding."}.write(w, r)
	case causeMethod:
		page{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Text: "This server is no forward proxy."}.write(w, r)
	default:
		maintenancePage(*t.maintenance).write(w, r)
	}
	s.unrouted.add(cause)
}

// run tries backends until the request is answered.
func (x *exchange) run() {
	for {
		b, t := x.claim()
		if b == nil {
			if !x.wait(t) {
				break
			}
			continue
		}
		x.held.leave(x.service)
		if x.try(b, t) {
			break
		}
	}
	x.held.done(x.service)
	if x.cancel != nil {
		x.cancel(context.Canceled)
	}
}

// claimAttempts bounds how often a backend may be closed between being picked and being claimed before the request waits.
const claimAttempts = 8

// claim picks a backend and counts the request in on it. nil means that the table it returns offers none now.
func (x *exchange) claim() (*backend, *table) {
	t := x.service.table.Load()
	for range claimAttempts {
		if t.hold != nil || t.maintenance != nil {
			return nil, t
		}
		b := x.atHome(t)
		if b == nil {
			b = t.pick(x.tried)
		}
		if b == nil || b.claim() {
			return b, t
		}
		t = x.service.table.Load()
	}
	return nil, t
}

// atHome gives the backend that the sticky cookie stands for, when it is ready and was not tried, and finds out what is to become
// of the cookie otherwise.
func (x *exchange) atHome(t *table) *backend {
	if !t.config.Sticky.On {
		x.home = homeNone
		return nil
	}
	if x.home == homeUnread {
		x.cookie = cookieValue(x.r.Header["Cookie"], t.config.Sticky.Cookie)
	}
	place, known := t.homes[x.cookie]
	switch {
	case place.ready != nil:
		x.home = homeNone
		if !slices.Contains(x.tried, place.ready) {
			return place.ready
		}
	case known:
		x.home = homeMoved
	default:
		x.home = homeFirst
	}
	return nil
}

// try sends the request to a backend that was claimed, and says whether that was the end of it.
func (x *exchange) try(b *backend, t *table) (done bool) {
	defer b.unclaim()
	x.backend, x.table, x.begun = b, t, time.Now()
	if x.home == homeFirst || x.home == homeMoved {
		x.w.Header()["Set-Cookie"] = []string{stickyCookie(t.config.Sticky.Cookie, b.token, x.front.secure())}
	}
	res := b.up.Load().Serve(x, x.r)
	if x.stream != nil {
		b.long.remove(x.stream)
	}
	return x.account(b, res)
}

// account counts what became of a try, once, and says whether that was the end of the request.
func (x *exchange) account(b *backend, res upstream.Result) (done bool) {
	c := b.counters
	ended := x.ended.Load()
	switch {
	case res.Err == nil, ended && res.Committed && !res.Upgraded:
		x.whole(b, res.Status, ended)
	case x.body.stalled():
		x.gone(b, res, http.StatusRequestTimeout)
	case res.Upgraded && (ended || !res.ClientGone):
		c.longCut.Add(1)
		x.count(b, res.Status)
	case res.ClientGone:
		x.gone(b, res, statusClientGone)
	case x.polled && res.Committed:
		c.longCut.Add(1)
		x.count(b, res.Status)
		x.abort = res.MustAbort()
	default:
		return x.failed(b, res)
	}
	return true
}

// whole counts an answer that came to its end, or to the one that a drain gave it.
func (x *exchange) whole(b *backend, status int, ended bool) {
	x.count(b, status)
	if !ended {
		x.tap.answered(b, status)
	}
	switch {
	case ended:
		b.counters.longClosed.Add(1)
		if strings.HasPrefix(x.w.Header().Get("Content-Type"), "application/grpc") && status != http.StatusSwitchingProtocols {
			x.w.Header().Set(http.TrailerPrefix+"Grpc-Status", "14") // UNAVAILABLE: clients may try again
			x.w.Header().Set(http.TrailerPrefix+"Grpc-Message", "backend is being drained")
		}
	case x.stream == nil || x.stream.from.After(time.Now()):
		b.counters.latency.Observe(time.Since(x.begun))
	}
	if b.failed.Load() != 0 {
		b.failed.Store(0)
	}
}

// count enters an answer by its status.
func (x *exchange) count(b *backend, status int) {
	class := min(max(status/100, 0), 5)
	x.enter(b, status, class == 5)
	b.counters.classes[class].Add(1)
	switch x.home {
	case homeMoved:
		x.service.moves.Add(1)
	case homeFirst:
		x.service.users.Add(1)
	case homeNone, homeUnread:
	}
}

// enter counts a request that ended on a backend, and what it was about. A status of 0 stands for no whole answer.
func (x *exchange) enter(b *backend, status int, failed bool) {
	b.counters.requests.Add(1)
	b.counters.routes.add(x.service.routes.of(x.r, status, x.begun), failed)
}

// statusClientGone is what is sent to a client that is not there any more (nginx's number); nobody sees it.
const statusClientGone = 499

// gone counts a request whose client gave it up, or was cut for being slow.
func (x *exchange) gone(b *backend, res upstream.Result, status int) {
	x.enter(b, 0, false)
	b.counters.clientGone.Add(1)
	if res.Committed {
		x.abort = res.MustAbort()
		return
	}
	x.w.Header().Del("Set-Cookie")
	x.w.Header().Set("Connection", "close")
	x.w.WriteHeader(status)
}
