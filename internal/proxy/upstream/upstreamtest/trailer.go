package upstreamtest

import (
	"io"
	"net/http"

	"github.com/google/go-cmp/cmp"
)

func trailerChecks() []check {
	return []check{
		{"Trailers/Announced", func(s *suite) { answerTrailers(s, "Trailer: X-Sum, X-More\r\n") }},
		{"Trailers/Unannounced", func(s *suite) { answerTrailers(s, "") }},
		{"Trailers/ForbiddenOnesAreDropped", forbiddenTrailers},
		{"Trailers/OfTheRequest", requestTrailers},
	}
}

// answerTrailers checks that trailers come through, on a body so short that net/http would rather give it a length.
func answerTrailers(s *suite, announcement string) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 200 OK\r\n" + announcement + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-More: a\r\nX-More: b\r\n\r\n"
	}))
	for range 2 {
		answer, body := w.exchange(get("/", "Te: trailers"))
		w.done()
		want := http.Header{"X-Sum": {"7"}, "X-More": {"a", "b"}}
		if diff := cmp.Diff(want, answer.Trailer); diff != "" || body != "ok" {
			t.Errorf("client got %q, trailers (-want +got):\n%s", body, diff)
		}
	}
}

func forbiddenTrailers(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 7\r\nX-Sum: 7\r\n\r\n"
	}))
	c := w.client()
	c.Send(get("/"))
	answer := c.AnswerHead("GET")
	_, _ = io.ReadAll(answer.Body)
	w.result()
	if _, ok := answer.Trailer["Content-Length"]; ok {
		t.Errorf("client got trailers %v", answer.Trailer)
	}
}

func requestTrailers(s *suite) {
	t := s.t
	seen := make(chan http.Header, 2)
	w := s.world(t, setting{}, func(c *conn) {
		for req := c.Head(); req != nil; req = c.Head() {
			_, _ = io.ReadAll(req.Body)
			seen <- req.Trailer
			c.Send(plain("ok"))
		}
	})
	for _, announcement := range []string{"Trailer: X-Sum\r\n", ""} {
		c := w.client()
		c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n" + announcement +
			"\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
		c.Answer("POST")
		w.done()
		if diff := cmp.Diff(http.Header{"X-Sum": {"7"}}, receive(t, seen, "the trailers")); diff != "" {
			t.Errorf("announced by %q: trailers at the backend (-want +got):\n%s", announcement, diff)
		}
	}
}
