// Package upstream carries one request to one backend and says precisely what became of it.
//
// The proxy decides which backend gets a request and whether another one may be tried; an Upstream only carries. It never
// retries by itself and never picks another backend, so that "was anything written" and "did a byte of an answer
// arrive" have exact answers. Two implementations exist: General (every protocol that net/http speaks) and Fast, an own
// HTTP/1.1 path for plain requests, which costs far less CPU. New takes the cheaper one for each request. WebSockets and other
// upgrades go through tunnels of this package in both. One conformance suite, package upstreamtest, passes on all.
//
// A proxy retries by itself, above: see the example of Upstream.
package upstream

import (
	"net/http"
	"time"
)

// Stage is the point a request had reached when it ended.
type Stage int

const (
	// StageUnset is the zero value: nothing was tried.
	StageUnset Stage = iota
	// StageDial means that no connection to the backend could be had; nothing was written.
	StageDial
	// StageWrite means that the request was being written.
	StageWrite
	// StageAwait means that the request was written and no byte of an answer had come.
	StageAwait
	// StageHeader means that an answer had begun, but its header was not complete or not valid.
	StageHeader
	// StageBody means that the answer's header went to the client and its body did not complete.
	StageBody
	// StageDone means that the whole answer went to the client.
	StageDone
)

// String returns the stage's name in logs and metrics.
func (s Stage) String() string {
	switch s {
	case StageDial:
		return "dial"
	case StageWrite:
		return "write"
	case StageAwait:
		return "await"
	case StageHeader:
		return "header"
	case StageBody:
		return "body"
	case StageDone:
		return "done"
	default:
		return "unset"
	}
}

// Result is what became of one request on one backend.
type Result struct {
	// Stage is how far it came.
	Stage Stage
	// Status is the final status code that was sent to the client; 0 when none was.
	Status int
	// Committed is true once a final answer's header was written to the client: from there on nobody may retry.
	Committed bool
	// Wrote is true when at least one byte of the request may have reached the backend.
	Wrote bool
	// GotByte is true when at least one byte of an answer came back.
	GotByte bool
	// Reused is true when the connection had served a request before this one.
	Reused bool
	// BodyTouched is true when bytes were read from the request's body, so that it can only be replayed by
	// Request.GetBody.
	BodyTouched bool
	// ClientGone is true when the client, not the backend, ended the exchange.
	ClientGone bool
	// Upgraded is true when the exchange became a tunnel (WebSocket and the like).
	Upgraded bool
	// Header is the time from the start to the answer's header; 0 when none came.
	Header time.Duration
	// Sent and Received count body bytes to and from the backend.
	Sent, Received int64
	// Err is nil exactly when Stage is StageDone.
	Err error
}

// MustAbort says that the client has got the beginning of an answer whose end never came: the caller must
// panic(http.ErrAbortHandler). A tunnel is closed already and needs no abort.
func (r Result) MustAbort() bool {
	return r.Committed && r.Err != nil && !r.Upgraded
}

// MayRetry says whether the same request may be sent once more (to this or another backend) without the danger of doing it
// twice: the dial failed; nothing was written; or the connection was a reused one, no byte of an answer came and the request is
// idempotent. What was already read of the body must be replayable.
func (r Result) MayRetry(req *http.Request) bool {
	if r.Stage == StageUnset || r.Committed || r.Err == nil || r.ClientGone || r.Stage >= StageHeader || r.GotByte {
		return false
	}
	if r.BodyTouched && req.GetBody == nil {
		return false
	}
	if r.Stage == StageDial || !r.Wrote {
		return true
	}
	return r.Reused && Idempotent(req)
}

// Idempotent says whether doing a request twice is doing it once: GET, HEAD, OPTIONS and TRACE without a body, or any method
// with an Idempotency-Key (the rule of net/http).
func Idempotent(req *http.Request) bool {
	for _, key := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if _, ok := req.Header[key]; ok {
			return true
		}
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0
	default:
		return false
	}
}

// Upstream carries requests to one backend. All methods may be called at the same time.
type Upstream interface {
	// Serve sends req to the backend and its answer to w, and returns when both are over (for a tunnel: when it is closed). It
	// writes nothing to w unless Result.Committed (informational 1xx answers aside). It removes hop-by-hop headers, and changes
	// no other header: forwarding headers are the caller's. It never mutates req. The caller has replaced req.Body by something replayable
	// where it wants replays, and says so by req.GetBody.
	//
	// Serve does not panic with http.ErrAbortHandler. An answer that was cut short is reported as a Result with Committed
	// true and an Err; the caller must then panic(http.ErrAbortHandler) itself, so that the client sees a cut connection and never
	// takes half an answer for a whole one. Result.MustAbort says when.
	//
	// Headers that the caller has set on w.Header() before go out with the final answer. w should give access, by itself or
	// through Unwrap, to Flush, Hijack, SetReadDeadline and EnableFullDuplex of the server's own ResponseWriter.
	Serve(w http.ResponseWriter, req *http.Request) Result
	// CloseIdle closes the idle connections to the backend. After a drain this makes sure that the backend never closes a
	// connection that might be used.
	CloseIdle()
	// Close closes all connections, those in use too.
	Close()
	// Connections counts open connections to the backend.
	Connections() (idle, active int)
}

// Tunnel is an open upgraded exchange, such as a WebSocket.
type Tunnel interface {
	// Shut ends it politely where the protocol has a way to (WebSocket: a close frame with the code, at a frame boundary,
	// to both sides), waits a short time for the answer, then closes. It is safe to call more than once.
	Shut(code int, reason string)
	// Protocol is the lower-case token of the Upgrade header ("websocket").
	Protocol() string
}

// Options shape an Upstream. The zero value of a field means its default.
type Options struct {
	// Address is host:port of the backend.
	Address string
	// H2C speaks HTTP/2 in clear text to the backend (gRPC services); HTTP/1.1 otherwise.
	H2C bool
	// DialTimeout bounds a dial. Default 2 s.
	DialTimeout time.Duration
	// IdleTimeout closes an idle connection; it must be below the backend's own. Default 4 s. A backend's
	// `Keep-Alive: timeout=N` lowers it for that connection.
	IdleTimeout time.Duration
	// MaxIdle bounds the idle connections kept. Default 1024.
	MaxIdle int
	// HeaderTimeout bounds the wait for an answer's header once the request is written. Default 0, no bound.
	HeaderTimeout time.Duration
	// MaxHeader bounds the bytes of an answer's header. Default 256 KiB.
	MaxHeader int
	// OnTunnel, when set, is told of every tunnel that opens; the function it returns is called when that tunnel is over.
	OnTunnel func(req *http.Request, tunnel Tunnel) (over func())
}
