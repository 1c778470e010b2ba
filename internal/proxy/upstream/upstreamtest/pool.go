package upstreamtest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func poolChecks() []check {
	return []check{
		{"Pool/OneConnectionServesManyRequests", connectionIsReused},
		{"Pool/ConnectionClosedWhileIdleIsNotUsed", closedWhileIdle},
		{"Pool/BytesOnAnIdleConnectionMakeItUnfit", bytesWhileIdle},
		{"Pool/AllStaleAfterARestart", staleAfterRestart},
		{"Pool/PostSurvivesAStaleConnection", postOnStale},
		{"Pool/IdleTimeoutClosesConnections", idleTimeout},
		{"Pool/KeepAliveHeaderLowersTheIdleTimeout", keepAliveHeader},
		{"Pool/CloseIdleClosesThemAll", closeIdle},
		{"Pool/AnswerWithCloseIsTheLast", answerWithClose},
		{"Pool/ManyAtOnceAreNotMixedUp", manyAtOnce},
	}
}

// numbered answers every request with the number of its connection, and tells when a connection has ended.
func numbered(ended chan<- int) func(*conn) {
	return func(c *conn) {
		answering(func(c *conn, _ *http.Request) string { return plain(string(rune('0' + c.number))) })(c)
		if ended != nil {
			ended <- c.number
		}
	}
}

func connectionIsReused(s *suite) {
	t := s.t
	w := s.world(t, setting{}, numbered(nil))
	for i := range 5 {
		_, body := w.exchange(get("/"))
		if res := w.done(); body != "1" || res.Reused != (i > 0) || !res.Wrote || !res.GotByte || res.Header <= 0 {
			t.Errorf("request %d went over connection %s, result %+v", i, body, res)
		}
	}
	if idle, active := w.Upstream.Connections(); idle != 1 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want one idle", idle, active)
	}
}

// closedWhileIdle is the race that a proxy loses without a look at the socket: the backend closes, then a request comes.
func closedWhileIdle(s *suite) {
	t := s.t
	closed := make(chan struct{}, 100)
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() != nil {
			c.Send(plain("ok"))
		}
		_ = c.Close()
		closed <- struct{}{}
	})
	for range 20 {
		answer, body := w.exchange(get("/"))
		if res := w.done(); answer.StatusCode != 200 || body != "ok" || res.Reused {
			t.Fatalf("client got %d %q, result %+v", answer.StatusCode, body, res)
		}
		receive(t, closed, "the backend to close")
	}
}

func bytesWhileIdle(s *suite) {
	t := s.t
	sent, goOn := make(chan struct{}, 1), make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		for req := c.Request(); req != nil; req = c.Request() {
			c.Send(plain("ok"))
			if c.number == 1 {
				c.Await(goOn)
				c.Send("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
				sent <- struct{}{}
			}
		}
	})
	w.exchange(get("/"))
	w.done()
	close(goOn)
	receive(t, sent, "the stray answer")
	answer, body := w.exchange(get("/"))
	if res := w.done(); answer.StatusCode != 200 || body != "ok" || res.Reused {
		t.Errorf("client got %d %q, result %+v", answer.StatusCode, body, res)
	}
}

// staleAfterRestart fills the pool, then closes all connections at the backend.
func staleAfterRestart(s *suite) {
	t := s.t
	const many = 8
	asked, goOn := make(chan struct{}, many), make(chan struct{})
	shut, closed := make(chan struct{}), make(chan struct{}, many)
	w := s.world(t, setting{}, func(c *conn) {
		if c.number > many {
			answering(func(*conn, *http.Request) string { return plain("new") })(c)
			return
		}
		if c.Request() == nil {
			return
		}
		asked <- struct{}{}
		c.Await(goOn)
		c.Send(plain("old"))
		c.Await(shut)
		_ = c.Close()
		closed <- struct{}{}
	})
	clients := make([]*conn, many)
	for i := range clients {
		clients[i] = w.client()
		clients[i].Send(get("/"))
	}
	for range many {
		receive(t, asked, "the requests")
	}
	close(goOn)
	for _, c := range clients {
		c.Answer("GET")
		w.done()
	}
	close(shut)
	for range many {
		receive(t, closed, "the backend to close")
	}
	for range 3 {
		if _, body := w.exchange(get("/")); body != "new" {
			t.Errorf("client got %q", body)
		}
		w.done()
	}
}

func postOnStale(s *suite) {
	t := s.t
	closed := make(chan struct{}, 10)
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() != nil {
			c.Send(plain("ok"))
		}
		_ = c.Close()
		closed <- struct{}{}
	})
	for _, body := range []string{"a", string(make([]byte, 200<<10)), "b"} {
		answer, _ := w.exchange(post(body))
		if res := w.done(); answer.StatusCode != 200 || res.Sent != int64(len(body)) {
			t.Fatalf("client got %d, result %+v", answer.StatusCode, res)
		}
		receive(t, closed, "the backend to close")
	}
}

func idleTimeout(s *suite) {
	t := s.t
	ended := make(chan int, 1)
	w := s.world(t, setting{options: upstream.Options{IdleTimeout: 30 * time.Millisecond}}, numbered(ended))
	w.exchange(get("/"))
	w.done()
	receive(t, ended, "the idle connection to be closed")
	if _, body := w.exchange(get("/")); body != "2" {
		t.Errorf("second request went over connection %s", body)
	}
	w.done()
}

func keepAliveHeader(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(c *conn, _ *http.Request) string {
		return "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0, max=100\r\nContent-Length: 1\r\n\r\n" + string(rune('0'+c.number))
	}))
	for _, want := range []string{"1", "2"} {
		if _, body := w.exchange(get("/")); body != want {
			t.Errorf("request went over connection %s, want %s", body, want)
		}
		if res := w.done(); res.Reused {
			t.Error("a connection was reused that the backend closes at once")
		}
	}
}

func closeIdle(s *suite) {
	t := s.t
	ended := make(chan int, 1)
	w := s.world(t, setting{}, numbered(ended))
	w.exchange(get("/"))
	w.done()
	w.Upstream.CloseIdle()
	receive(t, ended, "the idle connection to be closed")
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want none", idle, active)
	}
	if _, body := w.exchange(get("/")); body != "2" {
		t.Errorf("second request went over connection %s", body)
	}
	w.done()
}

func answerWithClose(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(c *conn, _ *http.Request) string {
		return "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n" + string(rune('0'+c.number))
	}))
	for _, want := range []string{"1", "2"} {
		answer, body := w.exchange(get("/"))
		w.done()
		if body != want || answer.Close {
			t.Errorf("request went over connection %s, want %s; client told to close: %v", body, want, answer.Close)
		}
	}
}

// manyAtOnce has clients that ask at the same time, each for the echo of its own body, while others leave in the middle.
func manyAtOnce(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		body, _ := io.ReadAll(req.Body)
		if len(body)%2 == 0 {
			return plain(string(body))
		}
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}))
	var all sync.WaitGroup
	for i := range 12 {
		c := w.client()
		leaving := w.client()
		all.Go(func() {
			leaving.Send(post(strings.Repeat("?", 100_000))[:50_000])
			_ = leaving.Close()
			for j := range 30 {
				want := strings.Repeat(string(rune('a'+i)), 1+(i*7919+j*104729)%150_000)
				c.Send(post(want))
				answer, err := c.tryAnswer("POST")
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				if got, err := io.ReadAll(answer.Body); err != nil || string(got) != want {
					t.Errorf("client %d got %d bytes, %v; want %d of its own", i, len(got), err, len(want))
					return
				}
			}
		})
	}
	all.Wait()
}
