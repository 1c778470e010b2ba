package upstreamtest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func abortChecks() []check {
	return []check{
		{"Abort/ClientLeavesBeforeTheAnswer", clientLeavesEarly},
		{"Abort/ClientLeavesDuringTheAnswer", clientLeavesLate},
		{"Abort/ClientLeavesDuringItsBody", clientLeavesItsBody},
		{"Abort/CallersDeadlineIsNotTheClients", callersDeadline},
		{"Abort/BackendDiesDuringTheBodyOfASlowClient", backendDiesDuringBody},
		{"Abort/AnswerCutShortIsNeverCompleted", answerCutShort},
		{"Abort/ResetDuringTheAnswer", answerReset},
		{"Abort/CloseEndsWhatIsRunning", closeEndsAll},
	}
}

func clientLeavesEarly(s *suite) {
	t := s.t
	asked, gone := make(chan struct{}), make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		close(asked)
		if c.Ended() {
			close(gone)
		}
	})
	c := w.client()
	c.Send(get("/"))
	receive(t, asked, "the request")
	_ = c.Close()
	receive(t, gone, "the backend to see the client leave")
	res := w.result()
	if !res.ClientGone || res.Committed || res.Err == nil || res.Stage != upstream.StageAwait {
		t.Errorf("result is %+v, want the client gone", res)
	}
	if res.MayRetry(&http.Request{Method: "GET"}) {
		t.Error("a request whose client is gone may be retried")
	}
}

func clientLeavesLate(s *suite) {
	t := s.t
	gone := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		if c.Ended() {
			close(gone)
		}
	})
	c := w.client()
	c.Send(get("/"))
	c.AnswerHead("GET")
	_ = c.Close()
	receive(t, gone, "the backend to see the client leave")
	if res := w.result(); !res.ClientGone || !res.Committed || res.Err == nil || res.Stage != upstream.StageBody {
		t.Errorf("result is %+v, want the client gone in the body", res)
	}
}

func clientLeavesItsBody(s *suite) {
	t := s.t
	for _, size := range []string{"1000", "900000"} {
		gone := make(chan struct{})
		w := s.world(t, setting{}, func(c *conn) {
			req := c.Head()
			if req == nil {
				close(gone)
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			close(gone)
		})
		c := w.client()
		c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: " + size + "\r\n\r\nbegin")
		_ = c.Close()
		res := w.result()
		if !res.ClientGone || res.Committed || !res.BodyTouched || res.Err == nil {
			t.Errorf("result is %+v, want the client gone", res)
		}
		w.Upstream.CloseIdle()
		receive(t, gone, "the backend to see the client leave")
	}
}

var errTired = errors.New("tired of waiting")

func callersDeadline(s *suite) {
	t := s.t
	asked := make(chan context.CancelCauseFunc, 1)
	cancels := make(chan context.CancelCauseFunc, 1)
	set := setting{before: func(_ http.ResponseWriter, req *http.Request) *http.Request {
		ctx, cancel := context.WithCancelCause(req.Context())
		cancels <- cancel
		return req.WithContext(ctx)
	}}
	w := s.world(t, set, func(c *conn) {
		if c.Request() == nil {
			return
		}
		asked <- <-cancels
		c.Ended()
	})
	c := w.client()
	c.Send(get("/"))
	receive(t, asked, "the request")(errTired)
	answer, _ := c.Answer("GET")
	res := w.result()
	if res.ClientGone || !errors.Is(res.Err, errTired) || answer.StatusCode != http.StatusBadGateway {
		t.Errorf("result is %+v, status %d; want the caller's cause", res, answer.StatusCode)
	}
}

// backendDiesDuringBody must not wait for the client to go on sending.
func backendDiesDuringBody(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Head() != nil {
			_, _ = c.in.Discard(5)
			c.Reset()
		}
	})
	c := w.client()
	c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 900000\r\n\r\nbegin")
	answer, _ := c.Answer("POST")
	res := w.result()
	if res.ClientGone || res.Committed || !res.Wrote || !res.BodyTouched || res.Stage != upstream.StageWrite {
		t.Errorf("result is %+v, want a failed write", res)
	}
	if answer.StatusCode != http.StatusBadGateway || !c.Ended() {
		t.Errorf("client got %d, want 502 and the end of its connection", answer.StatusCode)
	}
}

func answerCutShort(s *suite) {
	t := s.t
	for name, raw := range map[string]string{
		"length":  "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"large":   "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + string(make([]byte, 500000)),
	} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, setting{}, once(raw))
			c := w.client()
			c.Send(get("/"))
			// What came before the cut may have been held back, or reached the client; a whole answer must not.
			answer, err := c.tryAnswer("GET")
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
			}
			if err == nil {
				t.Error("client took it for a whole answer")
			}
			res := w.result()
			if res.Stage != upstream.StageBody || !res.Committed || !res.MustAbort() || res.ClientGone || res.Status != 200 {
				t.Errorf("result is %+v, want a cut body", res)
			}
			if !errors.Is(res.Err, io.ErrUnexpectedEOF) {
				t.Errorf("error is %v, want an unexpected end", res.Err)
			}
		})
	}
}

func answerReset(s *suite) {
	t := s.t
	seen := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
		c.Await(seen)
		c.Reset()
	})
	c := w.client()
	c.Send(get("/"))
	answer := c.AnswerHead("GET")
	if half := make([]byte, 4); !readFull(answer.Body, half) {
		t.Error("client did not get the first half")
	}
	close(seen)
	if _, err := io.ReadAll(answer.Body); err == nil {
		t.Error("client took a reset for the end of the answer")
	}
	if res := w.result(); res.Stage != upstream.StageBody || !res.MustAbort() || res.ClientGone {
		t.Errorf("result is %+v, want a cut body", res)
	}
}

func closeEndsAll(s *suite) {
	t := s.t
	asked, gone := make(chan struct{}), make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		close(asked)
		c.Ended()
		close(gone)
	})
	c := w.client()
	c.Send(get("/"))
	receive(t, asked, "the request")
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 1 {
		t.Errorf("connections are %d idle, %d active; want one active", idle, active)
	}
	w.Upstream.Close()
	receive(t, gone, "the backend to see the close")
	if res := w.result(); res.Err == nil || res.ClientGone || res.Stage != upstream.StageAwait {
		t.Errorf("result is %+v, want an error that is not the client's", res)
	}
	c.Answer("GET")
	w.exchange(get("/"))
	if res := w.result(); res.Stage != upstream.StageDial || !errors.Is(res.Err, upstream.ErrClosed) {
		t.Errorf("result after Close is %+v, want ErrClosed", res)
	}
}
