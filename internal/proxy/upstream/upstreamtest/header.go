package upstreamtest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func headerChecks() []check {
	return []check{
		{"HopByHop/RequestHeadersAreRemoved", hopByHopRequest},
		{"HopByHop/AnswerHeadersAreRemoved", hopByHopAnswer},
		{"HopByHop/ForwardingHeadersCannotBeStripped", forwardingSurvives},
		{"Headers/OthersAreUnchanged", headersUnchanged},
		{"Headers/AnswerIsUnchanged", answerUnchanged},
		{"Headers/OfTheCallerAreKept", callersHeaders},
		{"Headers/InvalidOnesAreNotSent", invalidHeaders},
		{"Target/QueryIsVerbatim", queryVerbatim},
		{"Target/EscapedPathIsVerbatim", pathVerbatim},
		{"Request/IsNotMutated", requestNotMutated},
	}
}

func hopByHopRequest(s *suite) {
	t := s.t
	seen := make(chan http.Header, 1)
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		seen <- req.Header
		return plain("ok")
	}))
	w.exchange(get("/", "Connection: close, X-Secret", "X-Secret: 1", "Keep-Alive: timeout=9", "Proxy-Authorization: Basic eA==",
		"Proxy-Connection: keep-alive", "Te: gzip", "X-Stays: yes"))
	w.done()
	want := http.Header{"X-Stays": {"yes"}}
	if diff := cmp.Diff(want, receive(t, seen, "the request")); diff != "" {
		t.Errorf("headers at the backend (-want +got):\n%s", diff)
	}
}

func hopByHopAnswer(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 200 OK\r\nX-Secret: 1\r\nConnection: keep-alive, X-Secret\r\nKeep-Alive: timeout=9\r\n" +
			"Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nContent-Length: 2\r\nX-Stays: yes\r\n\r\nok"
	}))
	answer, body := w.exchange(get("/"))
	w.done()
	for _, name := range []string{"X-Secret", "Connection", "Keep-Alive", "Proxy-Authenticate", "Upgrade"} {
		if _, ok := answer.Header[name]; ok {
			t.Errorf("%s reached the client: %v", name, answer.Header)
		}
	}
	if answer.Header.Get("X-Stays") != "yes" || body != "ok" {
		t.Errorf("answer is %v %q", answer.Header, body)
	}
}

func forwardingSurvives(s *suite) {
	t := s.t
	seen := make(chan http.Header, 1)
	set := setting{before: func(_ http.ResponseWriter, req *http.Request) *http.Request {
		req.Header.Set("X-Forwarded-For", "192.0.2.7")
		req.Header.Set("Forwarded", "for=192.0.2.7")
		return req
	}}
	w := s.world(t, set, answering(func(_ *conn, req *http.Request) string {
		seen <- req.Header
		return plain("ok")
	}))
	w.exchange(get("/", "Connection: X-Forwarded-For, Forwarded, X-Other", "X-Other: 1"))
	w.done()
	want := http.Header{"X-Forwarded-For": {"192.0.2.7"}, "Forwarded": {"for=192.0.2.7"}}
	if diff := cmp.Diff(want, receive(t, seen, "the request")); diff != "" {
		t.Errorf("headers at the backend (-want +got):\n%s", diff)
	}
}

func headersUnchanged(s *suite) {
	t := s.t
	type arrival struct {
		host   string
		header http.Header
	}
	seen := make(chan arrival, 2)
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		seen <- arrival{req.Host, req.Header}
		return plain("ok")
	}))
	w.exchange(get("/", "Cookie: a=1", "X-Twice: 1", "X-Twice: 2", "Te: trailers"))
	w.done()
	want := arrival{"shop.example", http.Header{"Cookie": {"a=1"}, "X-Twice": {"1", "2"}, "Te": {"trailers"}}}
	if diff := cmp.Diff(want, receive(t, seen, "the request"), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Errorf("GET at the backend (-want +got):\n%s", diff)
	}
	w.exchange("POST / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: lamp\r\nContent-Length: 0\r\n\r\n")
	w.done()
	want = arrival{"shop.example", http.Header{"User-Agent": {"lamp"}, "Content-Length": {"0"}}}
	if diff := cmp.Diff(want, receive(t, seen, "the request"), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Errorf("empty POST at the backend (-want +got):\n%s", diff)
	}
}

func answerUnchanged(s *suite) {
	t := s.t
	w := s.world(t, setting{}, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 418 Teapot\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 6\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" +
			"Server: old\r\nVary:  a , b \r\n\r\n<html>"
	}))
	answer, _ := w.exchange(get("/"))
	w.done()
	want := http.Header{
		"Set-Cookie": {"a=1", "b=2"}, "Content-Length": {"6"}, "Date": {"Thu, 01 Jan 1970 00:00:00 GMT"}, "Server": {"old"},
		"Vary": {"a , b"},
	}
	if diff := cmp.Diff(want, answer.Header); diff != "" {
		t.Errorf("headers at the client (-want +got):\n%s", diff)
	}
	if answer.StatusCode != 418 {
		t.Errorf("status is %d, want 418", answer.StatusCode)
	}
}

func callersHeaders(s *suite) {
	t := s.t
	set := setting{before: func(w http.ResponseWriter, req *http.Request) *http.Request {
		w.Header().Set("X-Request-Id", "42")
		w.Header().Add("Set-Cookie", "sticky=1")
		return req
	}}
	w := s.world(t, set, answering(func(*conn, *http.Request) string {
		return "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
			"HTTP/1.1 200 OK\r\nSet-Cookie: app=2\r\nContent-Length: 0\r\n\r\n"
	}))
	c := w.client()
	c.Send(get("/"))
	if early := c.AnswerHead("GET"); early.Header.Get("X-Request-Id") != "" || early.Header.Get("Link") != "</a>" {
		t.Errorf("103 has %v, want the backend's headers alone", early.Header)
	}
	answer, _ := c.Answer("GET")
	w.done()
	cookies := answer.Header["Set-Cookie"]
	slices.Sort(cookies)
	if diff := cmp.Diff([]string{"app=2", "sticky=1"}, cookies); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if answer.Header.Get("X-Request-Id") != "42" || answer.Header.Get("Link") != "" {
		t.Errorf("final answer has %v", answer.Header)
	}
}

func invalidHeaders(s *suite) {
	t := s.t
	set := setting{before: func(_ http.ResponseWriter, req *http.Request) *http.Request {
		req.Header.Set("X-Name", "a\r\nX-Injected: 1")
		return req
	}}
	w := s.world(t, set, answering(func(_ *conn, req *http.Request) string {
		t.Errorf("backend got %v", req.Header)
		return plain("ok")
	}))
	answer, _ := w.exchange(get("/"))
	if res := w.result(); res.Err == nil || res.Wrote || answer.StatusCode != http.StatusBadGateway {
		t.Errorf("result is %+v, status %d; want an error and nothing written", res, answer.StatusCode)
	}
}

func queryVerbatim(s *suite) {
	t := s.t
	seen := make(chan string, 1)
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		seen <- req.RequestURI
		return plain("ok")
	}))
	for _, target := range []string{"/a?x=1;y=2", "/a?%zz&b=%41", "/a?", "/a?q=a+b&&=", "/?a=b?c#"} {
		w.exchange(get(target))
		w.done()
		want := strings.TrimSuffix(target, "#")
		if got := receive(t, seen, "the request"); got != want && got != target {
			t.Errorf("backend got %q, want %q", got, target)
		}
	}
}

func pathVerbatim(s *suite) {
	t := s.t
	seen := make(chan string, 1)
	w := s.world(t, setting{}, answering(func(_ *conn, req *http.Request) string {
		seen <- req.RequestURI
		return plain("ok")
	}))
	for _, target := range []string{"/a%2fb", "//double//slash", "/a%20b", "/%E2%82%AC", "/a/../b", "/(x)!$&'*,;=:@"} {
		w.exchange(get(target))
		w.done()
		if got := receive(t, seen, "the request"); got != target {
			t.Errorf("backend got %q, want %q", got, target)
		}
	}
	w.exchange("OPTIONS * HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\nMax-Forwards: 3\r\n\r\n")
	// net/http answers OPTIONS * itself; what matters is that nothing breaks.
}

func requestNotMutated(s *suite) {
	t := s.t
	type shape struct {
		Method, Target, Host string
		Header               http.Header
	}
	look := func(req *http.Request) shape {
		return shape{req.Method, req.URL.String(), req.Host, req.Header.Clone()}
	}
	var u upstream.Upstream
	checked := make(chan [2]shape, 1)
	b := listen(t, answering(func(*conn, *http.Request) string { return plain("ok") }))
	u = s.make(upstream.Options{Address: b.Addr().String()})
	t.Cleanup(u.Close)
	front := serveFunc(t, func(w http.ResponseWriter, req *http.Request) {
		before := look(req)
		u.Serve(w, req)
		checked <- [2]shape{before, look(req)}
	})
	c := connect(t, front)
	c.Send(get("/x?y;z", "Connection: X-A", "X-A: 1", "Te: trailers"))
	c.Answer("GET")
	pair := receive(t, checked, "the request")
	if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
		t.Errorf("request after Serve (-before +after):\n%s", diff)
	}
}
