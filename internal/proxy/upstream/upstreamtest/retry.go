package upstreamtest

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func retryChecks() []check {
	return []check{
		{"Retry/DialRefused", dialRefused},
		{"Retry/ReusedConnectionClosedAfterTheRequest", closedAfterRequest},
		{"Retry/NewConnectionClosedAfterTheRequest", newClosedAfterRequest},
		{"Retry/PostIsNeverAppliedTwice", postOnce},
		{"Retry/IdempotencyKeyIsNotReplayedHere", keyNotReplayed},
		{"Retry/HalfAHeaderIsAnAnswer", halfHeader},
	}
}

func dialRefused(s *suite) {
	t := s.t
	b := listen(t, func(*conn) {})
	_ = b.Close()
	w := s.around(t, setting{}, b)
	for _, raw := range []string{get("/"), post("body")} {
		answer, _ := w.exchange(raw)
		res := w.result()
		if res.Stage != upstream.StageDial || res.Wrote || res.BodyTouched || res.ClientGone || res.Committed {
			t.Errorf("result is %+v, want a failed dial", res)
		}
		if !res.MayRetry(&http.Request{Method: method(raw)}) {
			t.Errorf("%s may not be retried after a failed dial", method(raw))
		}
		if answer.StatusCode != http.StatusBadGateway || answer.Header.Get("X-Stage") != "dial" {
			t.Errorf("client got %d %v, want the caller's own answer", answer.StatusCode, answer.Header)
		}
		if !strings.Contains(res.Err.Error(), b.Addr().String()) {
			t.Errorf("error %q does not name the backend", res.Err)
		}
	}
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want none", idle, active)
	}
}

// dropping answers the first request of a connection, reads the second and closes without a byte. It counts arrivals.
func dropping(arrivals *atomic.Int32) func(*conn) {
	return func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send(plain("ok"))
		if c.Request() != nil {
			arrivals.Add(1)
		}
	}
}

func closedAfterRequest(s *suite) {
	t := s.t
	var arrivals atomic.Int32
	w := s.world(t, setting{}, dropping(&arrivals))
	w.exchange(get("/"))
	w.done()
	answer, _ := w.exchange(get("/"))
	res := w.result()
	if !res.Reused || !res.Wrote || res.GotByte || res.Committed || res.Stage != upstream.StageAwait {
		t.Errorf("result is %+v, want a reused connection without an answer", res)
	}
	if !res.MayRetry(&http.Request{Method: "GET"}) || res.MayRetry(&http.Request{Method: "POST"}) {
		t.Error("want: GET may be retried, POST not")
	}
	if answer.StatusCode != http.StatusBadGateway || arrivals.Load() != 1 {
		t.Errorf("client got %d, the request arrived %d times", answer.StatusCode, arrivals.Load())
	}
}

func newClosedAfterRequest(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) { c.Request() })
	w.exchange(get("/"))
	res := w.result()
	if res.Reused || !res.Wrote || res.GotByte || res.Stage != upstream.StageAwait {
		t.Errorf("result is %+v, want a new connection without an answer", res)
	}
	if res.MayRetry(&http.Request{Method: "GET"}) {
		t.Error("a request that was written on a new connection may be retried")
	}
}

// postOnce loses POSTs of several sizes on a reused connection, with a caller that retries as long as MayRetry says so.
func postOnce(s *suite) {
	t := s.t
	for _, size := range []int{0, 10, 100 << 10} {
		var arrivals atomic.Int32
		b := listen(t, dropping(&arrivals))
		u := s.make(upstream.Options{Address: b.Addr().String()})
		t.Cleanup(u.Close)
		results := make(chan upstream.Result, 100)
		front := serveFunc(t, retrying(u, results))
		for _, raw := range []string{get("/"), post(strings.Repeat("x", size))} {
			c := connect(t, front)
			c.Send(raw)
			c.Answer(method(raw))
		}
		receive(t, results, "the GET")
		res := receive(t, results, "the POST")
		if !res.Reused || !res.Wrote || len(results) > 0 {
			t.Errorf("result is %+v, %d more tries; want one try on a reused connection", res, len(results))
		}
		if n := arrivals.Load(); n != 1 {
			t.Errorf("a POST of %d bytes arrived %d times", size, n)
		}
	}
}

// retrying is a proxy that tries up to five times.
func retrying(u upstream.Upstream, results chan<- upstream.Result) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		var res upstream.Result
		for range 5 {
			res = u.Serve(w, req)
			results <- res
			if !res.MayRetry(req) {
				break
			}
		}
		if !res.Committed {
			w.WriteHeader(http.StatusBadGateway)
		}
	}
}

func keyNotReplayed(s *suite) {
	t := s.t
	var arrivals atomic.Int32
	w := s.world(t, setting{}, dropping(&arrivals))
	w.exchange(get("/"))
	w.done()
	w.exchange(post("", "Idempotency-Key: 7"))
	res := w.result()
	if n := arrivals.Load(); n != 1 || !res.Reused || res.GotByte {
		t.Errorf("request arrived %d times, result %+v; want one try", n, res)
	}
	req := &http.Request{Method: "POST", Header: http.Header{"Idempotency-Key": {"7"}}}
	if !res.MayRetry(req) {
		t.Error("a POST with a key may not be retried by the caller")
	}
}

func halfHeader(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() != nil {
			c.Send(plain("ok"))
		}
		if c.Request() != nil {
			c.Send("HTTP/1.1 200 OK\r\nContent-")
		}
	})
	w.exchange(get("/"))
	w.done()
	w.exchange(get("/"))
	res := w.result()
	if !res.GotByte || res.Stage != upstream.StageHeader || res.MayRetry(&http.Request{Method: "GET"}) {
		t.Errorf("result is %+v, want stage header and no retry", res)
	}
}
