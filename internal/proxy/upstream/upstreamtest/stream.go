package upstreamtest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func streamChecks() []check {
	return []check{
		{"Stream/ServerSentEventsAreFlushed", serverSentEvents},
		{"Stream/HeaderComesBeforeTheBody", headerBeforeBody},
		{"Stream/UnknownLengthIsFlushed", unknownLength},
		{"Stream/BothWays", bothWays},
		{"Stream/EarlyAnswerWhileTheBodyIsSent", earlyAnswer},
		{"Stream/EarlyAnswerEndsTheWait", earlyWholeAnswer},
	}
}

func serverSentEvents(s *suite) {
	chunk := func(event string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(event), event) }
	whole := func(event string) string { return event }
	s.t.Run("chunked", func(t *testing.T) { events(t, s, "Transfer-Encoding: chunked\r\n", chunk, "0\r\n\r\n") })
	s.t.Run("known", func(t *testing.T) { events(t, s, "Content-Length: 33\r\n", whole, "") })
}

// events sends three events, each only after the one before has reached the client.
func events(t *testing.T, s *suite, framing string, frame func(event string) string, end string) {
	t.Helper()
	event := func(i int) string { return fmt.Sprintf("data: %d___\n", i) }
	goOn := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", framing, "\r\n")
		for i := range 3 {
			c.Send(frame(event(i)))
			c.Await(goOn)
		}
		c.Send(end)
	})
	c := w.client()
	c.Send(get("/events"))
	lines := bufio.NewReader(c.AnswerHead("GET").Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if line != event(i) {
			t.Fatalf("client got %q (%v), want %q before the next one is sent", line, err, event(i))
		}
		goOn <- struct{}{}
	}
	w.done()
}

func headerBeforeBody(s *suite) {
	t := s.t
	goOn := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n")
		c.Await(goOn)
		c.Send("2\r\nok\r\n0\r\n\r\n")
	})
	c := w.client()
	c.Send(get("/"))
	answer := c.AnswerHead("GET")
	close(goOn)
	if body, err := io.ReadAll(answer.Body); string(body) != "ok" || err != nil || answer.Header.Get("X-A") != "1" {
		t.Errorf("client got %q, %v", body, err)
	}
	w.done()
}

func unknownLength(s *suite) {
	t := s.t
	goOn := make(chan struct{})
	w := s.world(t, setting{}, func(c *conn) {
		if c.Request() == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\none\n")
		c.Await(goOn)
		c.Send("two\n")
	})
	c := w.client()
	c.Send(get("/"))
	lines := bufio.NewReader(c.AnswerHead("GET").Body)
	if line, err := lines.ReadString('\n'); line != "one\n" {
		t.Fatalf("client got %q, %v", line, err)
	}
	close(goOn)
	if line, err := lines.ReadString('\n'); line != "two\n" {
		t.Fatalf("client got %q, %v", line, err)
	}
	w.done()
}

// bothWays sends each piece only after the piece before came back.
func bothWays(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		req := c.Head()
		if req == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		lines := bufio.NewReader(req.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(line), line))
		}
		c.Send("0\r\n\r\n")
	})
	c := w.client()
	c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nping\n\r\n")
	first, err := c.tryAnswer("POST")
	if err != nil {
		t.Fatal(err)
	}
	if first.StatusCode == http.StatusBadGateway {
		w.result()
	}
	lines := bufio.NewReader(first.Body)
	for i := range 5 {
		if line, err := lines.ReadString('\n'); len(line) != 5 {
			t.Fatalf("echo %d is %q, %v", i, line, err)
		}
		c.Send("5\r\n", fmt.Sprintf("png%d\n", i), "\r\n")
	}
	c.Send("0\r\n\r\n")
	if rest, err := io.ReadAll(lines); len(rest) != 5 || err != nil {
		t.Fatalf("the last echo is %q, %v", rest, err)
	}
	w.done()
}

// earlyAnswer has the backend answer, then read the rest of the body, then end its answer.
func earlyAnswer(s *suite) {
	t := s.t
	const size = 512 << 10
	counted := make(chan int64, 1)
	w := s.world(t, setting{}, func(c *conn) {
		req := c.Head()
		if req == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
		n, _ := io.Copy(io.Discard, req.Body)
		counted <- n
		c.Send("0\r\n\r\n")
	})
	c := w.client()
	c.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\nbegin", size))
	answer := c.AnswerHead("POST")
	if early := make([]byte, 5); !readFull(answer.Body, early) || string(early) != "early" {
		t.Fatalf("client got %q before its body was sent", early)
	}
	c.Send(string(make([]byte, size-len("begin"))))
	if n := receive(t, counted, "the body"); n != size {
		t.Errorf("backend got %d bytes, want %d", n, size)
	}
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Errorf("read rest of the answer: %v", err)
	}
	if res := w.done(); res.Sent != size {
		t.Errorf("result counts %d bytes sent, want %d", res.Sent, size)
	}
}

// earlyWholeAnswer has the backend refuse a long body while the client is slow to send it: the client must get the answer without
// sending more, and its connection must not be used for another request.
func earlyWholeAnswer(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		if c.Head() == nil {
			return
		}
		c.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		c.Ended()
	})
	c := w.client()
	c.Send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 900000\r\n\r\nbegin")
	answer, body := c.Answer("POST")
	if answer.StatusCode != 401 || body != "no" || !answer.Close {
		t.Errorf("client got %d %q, close %v", answer.StatusCode, body, answer.Close)
	}
	if !c.Ended() {
		t.Error("the client's connection stays open with half a body on it")
	}
	if res := w.result(); res.Stage != upstream.StageDone || res.ClientGone {
		t.Errorf("result is %+v, want a whole answer", res)
	}
}

func readFull(from io.Reader, p []byte) bool {
	_, err := io.ReadFull(from, p)
	return err == nil
}
