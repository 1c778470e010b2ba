package upstream

import (
	"context"
	"net/http"
	"time"
)

// Eligible says whether a request is one for the own HTTP/1.1 path: no Upgrade, no Expect, no trailers of its own, and no body or one
// of known length that is at most 1 MiB or replayable (Request.GetBody). Whether the client speaks HTTP/1.1 or HTTP/2 does not
// matter.
func Eligible(req *http.Request) bool {
	if req.Method == http.MethodConnect || len(req.Trailer) > 0 || upgradeOf(req) != "" {
		return false
	}
	if _, expects := req.Header["Expect"]; expects {
		return false
	}
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	return req.ContentLength >= 0 && (req.ContentLength <= maxFastBody || req.GetBody != nil)
}

// carrier is the own HTTP/1.1 client: synchronous, one goroutine per exchange (the caller's), few allocations. It serves plain
// requests on pooled connections and upgrades on connections of their own.
type carrier struct {
	opts      Options
	links     *ledger
	pool      *pool
	exchanges exchanges
}

func newCarrier(opts Options, links *ledger) *carrier {
	return &carrier{opts: opts, links: links, pool: newPool(links)}
}

// carry serves one request. upgrade, when set, is the protocol it wants to switch to.
func (c *carrier) carry(w http.ResponseWriter, req *http.Request, upgrade string) Result {
	x := c.exchanges.get()
	defer c.exchanges.put(x)
	x.start = time.Now()
	x.src = newSource(w, req)

	var err error
	if x.buf, err = compose(x.buf, req, upgrade, x.src.length()); err != nil {
		x.res.Err = explain(c.opts.Address, StageUnset, err)
		return x.res
	}
	unwatch, err := c.acquire(req.Context(), x, upgrade == "")
	if err == nil {
		err = c.exchange(w, req, x, upgrade)
	}
	alone := unwatch == nil || unwatch()
	fit := x.settle(req, c.opts.Address, err)
	if x.link != nil {
		if fit && alone && upgrade == "" {
			x.link.heed(x.head.keep)
			x.link.unwatch(x.watch)
			c.pool.put(x.link, x.ended())
		} else {
			c.pool.drop(x.link)
		}
	}
	return x.res
}

// acquire gives x a connection, and reads the body into x.buf where it fits there. A body can be slow to come, so that the backend may
// have closed the connection meanwhile: then another one is taken. Until unwatch is called, the end of ctx closes the connection.
func (c *carrier) acquire(ctx context.Context, x *exchange, pooled bool) (unwatch func() bool, err error) {
	fits, now := x.fits(), x.start
	for {
		var l *link
		if pooled {
			l, x.res.Reused, err = c.pool.get(ctx, now)
		} else {
			l, err = c.pool.fresh(ctx)
		}
		if err != nil {
			return nil, err
		}
		x.link, x.mark = l, l.sent.Load()
		if x.src != nil {
			x.watch = l.watch(x.src.stop)
		}
		if ctx.Done() != nil {
			unwatch = context.AfterFunc(ctx, l.abort)
		}
		if !fits {
			return unwatch, nil
		}
		fits = false
		if err = x.readBody(); err != nil {
			return unwatch, err
		}
		now = time.Now()
		// However short that took: what is written on a connection that was closed meanwhile is a POST that nobody knows the fate of.
		if l.state() == quiet || over(ctx) {
			return unwatch, nil
		}
		if unwatch != nil {
			unwatch()
		}
		l.unwatch(x.watch)
		c.pool.drop(l)
		x.link = nil
	}
}

// over says that ctx has ended, and so closes the connection: writing to it says the rest.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// exchange sends the request and passes the answer on.
func (c *carrier) exchange(w http.ResponseWriter, req *http.Request, x *exchange, upgrade string) error {
	body := int64(0)
	if x.src != nil && x.src.ended() {
		body = x.src.length()
	}
	if err := x.send(body); err != nil {
		return err
	}
	if err := x.readHead(w, req); err != nil {
		return err
	}
	if upgrade != "" && x.head.status == http.StatusSwitchingProtocols {
		return c.tunnel(w, req, x, upgrade)
	}
	return x.relay(w, req)
}

// fast is the own HTTP/1.1 path alone.
type fast struct{ *carrier }

// Fast returns an Upstream that serves plain requests (see Eligible) and upgrades by an own HTTP/1.1 client. For anything else Serve
// or with Options.H2C, Serve returns ErrIneligible at StageUnset; New knows what to do with those.
func Fast(opts Options) Upstream {
	opts = opts.withDefaults()
	return fast{newCarrier(opts, newLedger(opts))}
}

// Serve implements Upstream.
func (f fast) Serve(w http.ResponseWriter, req *http.Request) Result {
	if upgrade := upgradeOf(req); upgrade != "" {
		return f.carry(w, req, upgrade)
	}
	if f.opts.H2C || !Eligible(req) {
		return Result{Err: ErrIneligible}
	}
	return f.carry(w, req, "")
}

// CloseIdle implements Upstream.
func (f fast) CloseIdle() { f.pool.closeIdle() }

// Close implements Upstream.
func (f fast) Close() {
	f.links.close()
	f.pool.close()
}

// Connections implements Upstream.
func (f fast) Connections() (idle, active int) { return f.links.count() }
