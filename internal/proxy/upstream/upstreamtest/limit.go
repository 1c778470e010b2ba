package upstreamtest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func limitChecks() []check {
	return []check{
		{"Limit/HeaderOfTheAnswer", headerLimit},
		{"Limit/LongHeaderThatIsAllowed", longHeader},
		{"Limit/HeaderTimeout", headerTimeout},
		{"Limit/HeaderTimeoutSparesTheBody", headerTimeoutSparesBody},
	}
}

func headerLimit(s *suite) {
	t := s.t
	for name, header := range map[string]string{
		"one line":   "X-Long: " + strings.Repeat("x", 300<<10),
		"many lines": strings.Repeat("X-Many: 0123456789\r\n", 20<<10) + "X-Last: 1",
		"no end":     strings.Repeat("x", 400<<10),
	} {
		t.Run(name, func(t *testing.T) {
			w := s.world(t, setting{}, once("HTTP/1.1 200 OK\r\n"+header+"\r\nContent-Length: 2\r\n\r\nok"))
			answer, _ := w.exchange(get("/"))
			if res := w.result(); res.Stage != upstream.StageHeader || res.Committed {
				t.Errorf("result is %+v, want stage header", res)
			}
			if answer.StatusCode != http.StatusBadGateway {
				t.Errorf("client got %d", answer.StatusCode)
			}
		})
	}
}

func longHeader(s *suite) {
	t := s.t
	long := strings.Repeat("x", 100<<10)
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 200 OK\r\nX-Long: " + long + "\r\nContent-Length: 2\r\n\r\nok"
	}))
	for range 2 {
		answer, body := w.exchange(get("/"))
		w.done()
		if answer.Header.Get("X-Long") != long || body != "ok" {
			t.Errorf("client got %q with a header of %d bytes", body, len(answer.Header.Get("X-Long")))
		}
	}
}

func headerTimeout(s *suite) {
	t := s.t
	for _, body := range []string{"small", strings.Repeat("x", 200<<10)} {
		w := s.world(t, setting{options: upstream.Options{HeaderTimeout: 50 * time.Millisecond}}, func(c *conn) {
			if c.Request() != nil {
				c.Ended()
			}
		})
		w.exchange(post(body))
		res := w.result()
		if res.Stage != upstream.StageAwait || res.ClientGone || !strings.Contains(res.Err.Error(), "timeout") {
			t.Errorf("result is %+v, want a timeout while awaiting the answer", res)
		}
	}
}

// headerTimeoutSparesBody has a body that takes longer than the bound for the header.
func headerTimeoutSparesBody(s *suite) {
	t := s.t
	w := s.world(t, setting{options: upstream.Options{HeaderTimeout: 100 * time.Millisecond}}, func(c *conn) {
		for range 2 {
			req := c.Request()
			if req == nil {
				return
			}
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
			timer := time.NewTimer(200 * time.Millisecond)
			<-timer.C
			c.Send("ok")
		}
	})
	for range 2 {
		if _, body := w.exchange(get("/")); body != "okok" {
			t.Errorf("client got %q", body)
		}
		w.done()
	}
}
