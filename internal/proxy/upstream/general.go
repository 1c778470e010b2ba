package upstream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// general serves every protocol that net/http speaks, by httputil.ReverseProxy and one http.Transport; upgrades go to the own
// HTTP/1.1 client.
type general struct {
	opts      Options
	links     *ledger
	carrier   *carrier
	transport *http.Transport
	proxy     *httputil.ReverseProxy
}

// General returns the Upstream for every kind of request: HTTP/1.1 or, with Options.H2C, HTTP/2 in clear text to the backend.
func General(opts Options) Upstream {
	opts = opts.withDefaults()
	links := newLedger(opts)
	return newGeneral(opts, links, newCarrier(opts, links))
}

func newGeneral(opts Options, links *ledger, c *carrier) *general {
	g := &general{opts: opts, links: links, carrier: c}
	var protocols http.Protocols
	protocols.SetHTTP1(!opts.H2C)
	protocols.SetUnencryptedHTTP2(opts.H2C)
	g.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return links.dial(ctx)
		},
		Protocols:              &protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		DisableCompression:     true,
		MaxIdleConnsPerHost:    opts.MaxIdle,
		IdleConnTimeout:        opts.IdleTimeout,
		ResponseHeaderTimeout:  opts.HeaderTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: int64(opts.MaxHeader),
	}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:   g.rewrite,
		Transport: roundTripper{g},
		ErrorHandler: func(_ http.ResponseWriter, req *http.Request, err error) {
			passageOf(req.Context()).fail(err)
		},
		ErrorLog:   slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // every error is in the Result
		BufferPool: &bufferPool{},
	}
	return g
}

// Serve implements Upstream.
func (g *general) Serve(w http.ResponseWriter, req *http.Request) Result {
	if upgrade := upgradeOf(req); upgrade != "" {
		return g.carrier.carry(w, req, upgrade)
	}
	return g.serve(w, req)
}

func (g *general) serve(w http.ResponseWriter, req *http.Request) Result {
	if req.Method == http.MethodConnect {
		return Result{Err: explain(g.opts.Address, StageUnset, errUnfit)}
	}
	p := &passage{start: time.Now(), w: w, req: req, src: newSource(w, req), address: g.opts.Address}
	ctx, cancel := context.WithCancelCause(context.WithValue(req.Context(), passageKey{}, p))
	defer cancel(errEnded)
	p.cancel = cancel
	in := req.WithContext(ctx)
	in.GetBody = nil
	in.Body = http.NoBody
	if p.src != nil {
		in.Body = io.NopCloser(p.src)
	}
	p.forward(g.proxy, in)
	return p.settle()
}

// CloseIdle implements Upstream.
func (g *general) CloseIdle() {
	g.transport.CloseIdleConnections()
	g.carrier.pool.closeIdle()
}

// Close implements Upstream.
func (g *general) Close() {
	g.links.close()
	g.CloseIdle()
	g.carrier.pool.close()
}

// Connections implements Upstream.
func (g *general) Connections() (idle, active int) { return g.links.count() }

// rewrite points the request at the backend and puts back what ReverseProxy takes away though it is the caller's: the host, the
// query as the client wrote it, and the forwarding headers.
func (g *general) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.Host = g.opts.Address
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	delete(r.Out.Header, "Upgrade")
	delete(r.Out.Header, "Connection")
	for name, values := range r.In.Header {
		if forwarding(name) {
			r.Out.Header[name] = values
		}
	}
	p := passageOf(r.Out.Context())
	if p.src == nil || r.In.ContentLength >= 0 {
		r.Out.Trailer = nil
		return
	}
	// The server fills in the trailers of the request that it made, once the body has been read; the copy that goes out must see
	// them, those that were not announced too.
	trailer := make(http.Header, len(p.req.Trailer))
	for name := range p.req.Trailer {
		trailer[name] = nil
	}
	r.Out.Trailer = trailer
	p.src.onEOF = func() {
		maps.Copy(trailer, p.req.Trailer)
	}
}

// bufferPool lends ReverseProxy its copying buffers.
type bufferPool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *bufferPool) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *bufferPool) Put(buf []byte) { b.pool.Put(&buf) }

// roundTripper makes exactly one attempt of a request, where http.Transport alone might make several.
type roundTripper struct{ *general }

// staleAttempts is how many idle connections may turn out to be closed before all of them are given up.
const staleAttempts = 2

// RoundTrip implements http.RoundTripper.
func (g roundTripper) RoundTrip(out *http.Request) (*http.Response, error) {
	p := passageOf(out.Context())
	for i := 0; ; i++ {
		a := newAttempt(p)
		answer, err := g.transport.RoundTrip(a.request(out))
		if err == nil {
			answer, err = a.accept(answer)
		}
		if err == nil {
			return answer, nil
		}
		again := a.leave()
		switch {
		case !again, out.Context().Err() != nil:
			return nil, a.cause(err)
		case i == staleAttempts:
			g.transport.CloseIdleConnections()
		case i > staleAttempts && !g.opts.H2C, i > 3*staleAttempts:
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, errStale)
		}
		if g.opts.H2C {
			a.letGo(out.Context(), time.Millisecond<<i)
		}
	}
}
