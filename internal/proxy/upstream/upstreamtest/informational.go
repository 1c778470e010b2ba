package upstreamtest

import (
	"io"
	"net/http"
	"strings"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func informationalChecks() []check {
	return []check{
		{"Informational/EarlyHintsBeforeTheAnswer", earlyHints},
		{"Informational/TooManyAreRefused", tooManyInformational},
		{"Informational/ContinueUnaskedIsSwallowed", continueUnasked},
		{"Informational/NotForHTTP10", informationalToOld},
	}
}

func expectChecks() []check {
	return []check{
		{"Expect/BodyWaitsForTheBackend", expectWaits},
		{"Expect/RefusedWithoutTheBody", expectRefused},
	}
}

func earlyHints(s *suite) {
	t := s.t
	goOn := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
		c.Await(goOn)
		c.Send("HTTP/1.1 103 Early Hints\r\nLink: </more.css>\r\n\r\n", plain("ok"))
	})
	c := w.client()
	c.Send(get("/"))
	if early := c.AnswerHead("GET"); early.StatusCode != 103 || early.Header.Get("Link") != "</style.css>; rel=preload" {
		t.Errorf("first answer is %d %v, want the hints", early.StatusCode, early.Header)
	}
	close(goOn) // the hints came before the answer was there
	if early := c.AnswerHead("GET"); early.StatusCode != 103 || early.Header.Get("Link") != "</more.css>" {
		t.Errorf("second answer is %d %v, want more hints", early.StatusCode, early.Header)
	}
	answer, body := c.Answer("GET")
	w.done()
	if body != "ok" || answer.Header.Get("Link") != "" {
		t.Errorf("final answer is %q %v", body, answer.Header)
	}
}

func tooManyInformational(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000)+plain("ok")))
	c := w.client()
	c.Send(get("/"))
	count := 0
	for {
		answer, err := c.tryAnswer("GET")
		if err != nil {
			t.Errorf("after %d: %v; result %+v", count, err, w.result())
			return
		}
		if answer.StatusCode != 103 {
			break
		}
		count++
	}
	if res := w.result(); res.Stage != upstream.StageHeader || res.Committed || count >= 1000 {
		t.Errorf("%d informational answers came through, result is %+v", count, res)
	}
}

func continueUnasked(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 100 Continue\r\n\r\n" + plain("ok")
	}))
	for range 2 {
		if answer, body := w.exchange(get("/")); answer.StatusCode != 200 || body != "ok" {
			t.Errorf("first answer is %d %q, want 200", answer.StatusCode, body)
		}
		w.done()
	}
}

func informationalToOld(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+plain("ok")))
	c := w.client()
	c.Send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
	if answer := c.AnswerHead("GET"); answer.StatusCode != 200 || answer.Header.Get("Link") != "" {
		t.Errorf("HTTP/1.0 client got %d %v first", answer.StatusCode, answer.Header)
	}
	w.done()
}

func expectWaits(s *suite) {
	t := s.t
	headed, goOn := make(chan string, 1), make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		req := c.Head()
		if req == nil {
			return
		}
		headed <- req.Header.Get("Expect")
		c.Await(goOn)
		c.Send("HTTP/1.1 100 Continue\r\n\r\n")
		body, _ := io.ReadAll(req.Body)
		c.Send(plain(string(body)))
	})
	c := w.client()
	c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	select {
	case expect := <-headed:
		if expect != "100-continue" {
			t.Errorf("Expect at the backend is %q", expect)
		}
	case res := <-w.results:
		w.results <- res
		w.result() // skips where the request is not eligible
		t.Fatalf("result before the backend was asked: %+v", res)
	}
	close(goOn)
	if early := c.AnswerHead("POST"); early.StatusCode != 100 {
		t.Fatalf("client got %d, want 100", early.StatusCode)
	}
	c.Send("body")
	if answer, body := c.Answer("POST"); body != "body" {
		t.Errorf("client got %d %q", answer.StatusCode, body)
	}
	w.done()
}

func expectRefused(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Head() == nil {
			return
		}
		c.Send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!")
		c.Ended()
	})
	c := w.client()
	c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
	answer, body := c.Answer("POST")
	res := w.result()
	if answer.StatusCode != 413 || body != "no!" || res.Sent != 0 || res.Stage != upstream.StageDone {
		t.Errorf("client got %d %q, result %+v", answer.StatusCode, body, res)
	}
}
