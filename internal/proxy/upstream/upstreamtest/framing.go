package upstreamtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func framingChecks() []check {
	return []check{
		{"Smuggling/AmbiguousAnswersAreRefused", ambiguousRefused},
		{"Smuggling/BothFramingsNeverReachTheClient", bothFramings},
		{"Smuggling/FoldedLinesNeverReachTheClient", foldedLines},
		{"Smuggling/BytesAfterAnAnswerAreNotTheNextAnswer", bytesAfterAnswer},
		{"Smuggling/BadChunksCutTheAnswer", badChunks},
		{"Framing/SameLengthTwice", sameLengthTwice},
		{"Framing/ChunkedInPieces", chunkedInPieces},
		{"Framing/ToTheEndOfTheConnection", toTheEnd},
		{"Framing/Bodiless", bodiless},
		{"Framing/RequestBodies", requestBodies},
		{"Framing/LargeAnswers", largeAnswers},
	}
}

// once answers the first request with raw bytes and closes.
func once(raw string) func(*conn) {
	return func(c *conn) {
		if c.Request() != nil {
			c.Send(raw)
		}
	}
}

func ambiguousRefused(s *suite) {
	t := s.t
	for name, raw := range map[string]string{
		"differing lengths":   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"length list":         "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
		"length sign":         "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
		"length negative":     "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab",
		"length too large":    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab",
		"unknown encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"encoding twice":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"space before colon":  "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab",
		"no colon":            "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\nab",
		"empty name":          "HTTP/1.1 200 OK\r\n: 2\r\n\r\nab",
		"not http":            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"status too short":    "HTTP/1.1 20\r\n\r\n",
		"status not a number": "HTTP/1.1 2x0 OK\r\n\r\n",
		"switch unasked":      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, setting{}, once(raw))
			answer, _ := w.exchange(get("/"))
			res := w.result()
			if res.Stage != upstream.StageHeader || res.Committed || !res.GotByte || !res.Wrote || res.Err == nil {
				t.Errorf("result is %+v, want stage header and nothing committed", res)
			}
			if res.MayRetry(&http.Request{Method: "GET"}) {
				t.Error("a malformed answer may be retried")
			}
			if answer.StatusCode != http.StatusBadGateway {
				t.Errorf("client got %d, want the caller's 502", answer.StatusCode)
			}
		})
	}
}

func bothFramings(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once("HTTP/1.1 200 OK\r\nContent-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
	answer, body := w.exchange(get("/"))
	if res := w.result(); !res.Committed {
		return // refused: the stricter of the two right ways
	}
	if body != "ok" || answer.ContentLength == 30 {
		t.Errorf("client got %q with length %d, want the chunked reading alone", body, answer.ContentLength)
	}
}

func foldedLines(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once("HTTP/1.1 200 OK\r\nX-A: 1\r\n Content-Length: 9\r\nContent-Length: 2\r\n\r\nok"))
	answer, body := w.exchange(get("/"))
	if res := w.result(); !res.Committed {
		return
	}
	if body != "ok" || answer.Header.Get("X-A") != "1 Content-Length: 9" {
		t.Errorf("client got %q with %v, want one joined line", body, answer.Header)
	}
}

func bytesAfterAnswer(s *suite) {
	t := s.t
	w := s.world(t, setting{}, func(c *conn) {
		for req := c.Request(); req != nil; req = c.Request() {
			c.Send(plain("answer to "+req.URL.Path), plain("poison"))
		}
	})
	for i := range 3 {
		path := fmt.Sprintf("/%d", i)
		_, body := w.exchange(get(path))
		if res := w.done(); res.Reused {
			t.Error("a connection with bytes left over was used again")
		}
		if body != "answer to "+path {
			t.Errorf("client got %q for %s", body, path)
		}
	}
}

func badChunks(s *suite) {
	t := s.t
	for name, chunks := range map[string]string{
		"size not hex":       "zz\r\nok\r\n0\r\n\r\n",
		"size empty":         "\r\nok\r\n0\r\n\r\n",
		"size negative":      "-2\r\nok\r\n0\r\n\r\n",
		"size prefixed":      "0x2\r\nok\r\n0\r\n\r\n",
		"size too large":     "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
		"bare LF after size": "2\nok\r\n0\r\n\r\n",
		"longer than size":   "2\r\nokay\r\n0\r\n\r\n",
		"endless extension":  "2;" + strings.Repeat("x", 8<<10) + "\r\nok\r\n0\r\n\r\n",
		"no last chunk":      "2\r\nok\r\n",
		"cut in a chunk":     "5\r\nok",
		"cut in a trailer":   "2\r\nok\r\n0\r\nX-Check: 1",
	} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, setting{}, once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks))
			c := w.client()
			c.Send(get("/"))
			answer, err := c.tryAnswer("GET")
			if err == nil {
				_, err = io.ReadAll(answer.Body)
			}
			if err == nil {
				t.Error("client took a broken answer for a whole one")
			}
			if res := w.result(); res.Stage != upstream.StageBody || !res.MustAbort() || res.ClientGone {
				t.Errorf("result is %+v, want a cut body", res)
			}
		})
	}
}

func sameLengthTwice(s *suite) {
	t := s.t
	w := s.world(t, setting{}, once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"))
	answer, body := w.exchange(get("/"))
	w.done()
	if body != "ok" || len(answer.Header["Content-Length"]) != 1 {
		t.Errorf("client got %q with %v", body, answer.Header)
	}
}

func chunkedInPieces(s *suite) {
	t := s.t
	raw := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0A\r\n0123456789\r\n1;x\r\n!\r\n0\r\n\r\n"
	w := s.world(t, setting{}, func(c *conn) {
		for req := c.Request(); req != nil; req = c.Request() {
			for _, b := range []byte(raw) {
				c.Send(string(b))
			}
		}
	})
	for i := range 3 {
		_, body := w.exchange(get("/"))
		res := w.done()
		if body != "abc0123456789!" || res.Received != int64(len(body)) {
			t.Errorf("client got %q, result counts %d", body, res.Received)
		}
		if res.Reused != (i > 0) {
			t.Errorf("request %d: reused is %v", i, res.Reused)
		}
	}
}

func toTheEnd(s *suite) {
	t := s.t
	for _, status := range []string{"HTTP/1.0 200 OK\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n"} {
		w := s.world(t, setting{}, once(status+"X-A: 1\r\n\r\nto the very end"))
		answer, body := w.exchange(get("/"))
		if res := w.done(); body != "to the very end" || answer.Header.Get("X-A") != "1" || res.Received != 15 {
			t.Errorf("client got %q with %v", body, answer.Header)
		}
	}
}

func bodiless(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		switch req.URL.Path {
		case "/304":
			return "HTTP/1.1 304 Not Modified\r\nEtag: \"1\"\r\nContent-Length: 99\r\n\r\n"
		case "/204":
			return "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"
		default:
			return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
		}
	}))
	head, _ := w.exchange("HEAD / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	w.done()
	if head.Header.Get("Content-Length") != "99" {
		t.Errorf("HEAD lost its Content-Length: %v", head.Header)
	}
	for _, code := range []int{204, 304} {
		answer, body := w.exchange(get("/" + strconv.Itoa(code)))
		if res := w.done(); answer.StatusCode != code || body != "" || !res.Reused {
			t.Errorf("client got %d %q, reused %v", answer.StatusCode, body, res.Reused)
		}
	}
}

func requestBodies(s *suite) {
	t := s.t
	type arrival struct{ size, length int }
	seen := make(chan arrival, 1)
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		body, _ := io.ReadAll(req.Body)
		if len(bytes.Trim(body, "b")) > 0 {
			t.Errorf("body of %d bytes was changed", len(body))
		}
		seen <- arrival{len(body), int(req.ContentLength)}
		return plain("ok")
	}))
	reused := false
	for _, size := range []int{1, 1000, 16 << 10, 64 << 10, 300 << 10, 1 << 20} {
		w.exchange(post(strings.Repeat("b", size)))
		res := w.done()
		if got := receive(t, seen, "the request"); got != (arrival{size, size}) {
			t.Errorf("backend got %+v, want %d bytes", got, size)
		}
		if res.Sent != int64(size) || !res.BodyTouched || res.Reused != reused {
			t.Errorf("result for %d bytes is %+v", size, res)
		}
		reused = true
	}
}

func largeAnswers(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		size, _ := strconv.Atoi(req.URL.Query().Get("n"))
		body := strings.Repeat("b", size)
		if req.URL.Path == "/chunked" {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body)
		}
		return plain(body)
	}))
	for _, path := range []string{"/known", "/chunked"} {
		for _, size := range []int{4095, 64 << 10, 3 << 20} {
			_, body := w.exchange(get(fmt.Sprintf("%s?n=%d", path, size)))
			res := w.done()
			if len(body) != size || strings.Trim(body, "b") != "" || res.Received != int64(size) {
				t.Errorf("%s: client got %d bytes, result counts %d, want %d", path, len(body), res.Received, size)
			}
		}
	}
}
