package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// The trap list, one test each: what an ordinary reverse proxy gets wrong.

func TestTrapHopByHop(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "X-Private")
		w.Header().Set("X-Private", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("X-Public", "1")
	})
	r.admit(a.Backend)
	got := r.get("/", "Connection", "X-Drop, X-Forwarded-For, X-Forwarded-Proto", "X-Drop", "1", "Keep-Alive", "timeout=9", "Te", "gzip", "Proxy-Authorization", "x")
	if got.Header.Get("X-Private") != "" || got.Header.Get("Keep-Alive") != "" || got.Header.Get("X-Public") != "1" {
		t.Errorf("answer's header: %v", got.Header)
	}
	in := a.requests()[0].Header
	for _, name := range []string{"X-Drop", "Keep-Alive", "Te", "Proxy-Authorization"} {
		if in.Get(name) != "" {
			t.Errorf("the backend got %s: %q", name, in.Get(name))
		}
	}
	if in.Get("X-Forwarded-For") != "127.0.0.1" || in.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("a client stripped the proxy's headers by Connection: %v", in)
	}
}

func TestTrapSmuggling(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		_, _ = w.Write(text)
	})
	r.admit(a.Backend)
	for name, request := range map[string]string{
		"length first":   "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"encoding first": "POST / HTTP/1.1\r\nHost: x\r\ntransfer-ENCODING: chunked\r\ncontent-LENGTH: 4\r\n\r\n0\r\n\r\n",
		"pipelined": "GET / HTTP/1.1\r\nHost: x\r\n\r\n" +
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			c.write(request)
			got := c.answer("POST")
			if name == "pipelined" {
				got.want(t, 200, "")
				got = c.answer("POST")
			}
			if got.err != nil || got.StatusCode != 400 || !got.Close {
				t.Errorf("answer %+v, want 400 and close", got)
			}
			c.closedByPeer()
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		c := r.dial()
		for _, b := range []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") {
			c.write(string(b))
		}
		if got := c.answer("POST"); got.StatusCode != 400 {
			t.Errorf("answer %+v, want 400", got)
		}
	})
	t.Run("bodies that look like it are none", func(t *testing.T) {
		c := r.dial()
		text := "x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
		for range 3 {
			c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
			c.answer("POST").want(t, 200, text)
			c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text))
			c.answer("POST").want(t, 200, text)
		}
	})
	t.Run("other ambiguities net/http refuses", func(t *testing.T) {
		for _, header := range []string{
			"Content-Length: 1\r\nContent-Length: 2", "Transfer-Encoding: gzip, chunked", "Content-Length: +4", "Transfer-Encoding : chunked",
		} {
			c := r.dial()
			c.write("POST / HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n")
			if got := c.answer("POST"); got.err != nil || got.StatusCode < 400 {
				t.Errorf("%q: %+v", header, got)
			}
		}
	})
	if by := r.snapshot().Unrouted; by[causeAmbiguous] != 4 {
		t.Errorf("unrouted %v, want 4 ambiguous ones", by)
	}
}

func TestTrapExpectContinue(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		text, _ := io.ReadAll(req.Body)
		_, _ = w.Write(text)
	})
	r.admit(a.Backend)
	c := r.dial()
	c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	line, err := c.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("got %q, %v, want 100", line, err)
	}
	_, _ = c.ReadString('\n')
	c.write("body")
	c.answer("POST").want(t, 200, "body")
	refused := r.dial()
	refused.write("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\nExpect: 100-continue\r\n\r\n")
	if got := refused.answer("POST"); got.err != nil || got.StatusCode != 413 {
		t.Errorf("answer %+v, want 413 without a 100", got)
	}
}

func TestTrapTrailers(t *testing.T) {
	r := run(t, Config{})
	got := make(chan http.Header, 1)
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		got <- req.Trailer
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
	})
	r.admit(a.Backend)
	c := r.dial()
	c.write("POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 9\r\n\r\n")
	res, err := http.ReadResponse(c.Reader, &http.Request{Method: http.MethodPost})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if sum := (<-got).Get("X-Sum"); sum != "9" {
		t.Errorf("the backend got trailer %q, want 9", sum)
	}
	if res.Trailer.Get("X-Announced") != "1" || res.Trailer.Get("X-Unannounced") != "2" {
		t.Errorf("the client got trailers %v", res.Trailer)
	}
}

func TestTrapInformationalAnswers(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "a")
	})
	r.admit(a.Backend)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h.Get("Link")))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/"), nil)
	r.must(err)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	r.must(err)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if len(hints) != 1 || hints[0] != "103</style.css>; rel=preload" || res.StatusCode != 200 {
		t.Errorf("hints %q before %d", hints, res.StatusCode)
	}
}

func TestTrapClientAbort(t *testing.T) {
	r := run(t, Config{})
	began, noticed := make(chan struct{}), make(chan struct{})
	a := serveApp(t, "a", "v1", func(_ http.ResponseWriter, req *http.Request) {
		close(began)
		<-req.Context().Done()
		close(noticed)
	})
	r.admit(a.Backend)
	c := r.dial()
	c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-began
	_ = c.Conn.Close()
	<-noticed
	eventually(t, "the client that left is counted", func() bool { return r.status("a").Counters.ClientGone == 1 })
	got := r.status("a")
	if got.Counters.Requests != 1 || len(got.Counters.Failures) != 0 || !got.Healthy {
		t.Errorf("status %+v, want one request and no failure", got)
	}
	if snap := r.snapshot(); len(snap.Failures) != 0 {
		t.Errorf("failures %+v, want none", snap.Failures)
	}
}

func TestTrapHeaderSizeFromBackend(t *testing.T) {
	r := run(t, Config{})
	r.admit(script(t, "a", func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for range 400 {
			_, _ = io.WriteString(conn, "X-Long: "+strings.Repeat("x", 1000)+"\r\n")
		}
	}))
	if got := r.get("/"); got.err != nil || got.StatusCode != 502 {
		t.Errorf("answer %+v, want 502", got)
	}
	if by := r.status("a").Counters.Failures; by[causeBadAnswer] != 1 {
		t.Errorf("failures %v, want a bad answer", by)
	}
}

func TestTrapResponseAbortedMidBody(t *testing.T) {
	r := run(t, Config{})
	r.admit(script(t, "a", func(_ int, conn *net.TCPConn, in *bufio.Reader) {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.URL.Path == "/length" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		} else {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		}
	}))
	for _, path := range []string{"/length", "/chunked"} {
		if got := r.get(path); got.err == nil {
			t.Errorf("%s: half an answer was given for a whole one: %q", path, got.text)
		}
	}
	got := r.status("a").Counters
	if got.Failures[causeTruncated] != 2 || got.Requests != 2 || got.Classes[2] != 0 {
		t.Errorf("counters %+v, want two truncated answers, each counted once", got)
	}
}

func TestTrapQueryStrings(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	for _, target := range []string{"/?a=1;b=2", "/?x=%zz&y", "/?", "/p%2Fq?&&=", "//double//"} {
		c := r.dial()
		c.write("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		c.answer("GET").want(t, 200, "a")
		seen := a.requests()
		if got := seen[len(seen)-1].RequestURI; got != target {
			t.Errorf("%s reached the backend as %s", target, got)
		}
	}
}

func TestTrapSlowHeaders(t *testing.T) {
	s := newService("web", discard(), nil)
	f := &front{service: s}
	server := f.newServer(Config{})
	if server.ReadHeaderTimeout != 10*time.Second || server.IdleTimeout != 120*time.Second || server.MaxHeaderBytes != 64<<10 || server.ReadTimeout != 0 {
		t.Errorf("bounds %v, %v, %d, and ReadTimeout %v", server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes, server.ReadTimeout)
	}
}

func TestTrapSlowBodies(t *testing.T) {
	r := run(t, Config{Limits: Limits{Stall: 150 * time.Millisecond}})
	big := strings.Repeat("x", 64<<20)
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		if req.URL.Path == "/big" {
			_, _ = io.WriteString(w, big)
		}
	})
	r.admit(a.Backend)
	t.Run("a client that stops sending", func(t *testing.T) {
		c := r.dial()
		c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
		if got := c.answer("POST"); got.err != nil || got.StatusCode != 408 {
			t.Errorf("answer %+v, want 408", got)
		}
		c.closedByPeer()
	})
	t.Run("a client that stops taking", func(t *testing.T) {
		c := r.dial()
		c.write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "the client is cut", func() bool { return r.status("a").Counters.ClientGone == 2 })
	})
	t.Run("a slow client that goes on is served", func(t *testing.T) {
		c := r.dial()
		c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n")
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range 10 {
			c.write(strings.Repeat("x", 200))
			<-tick.C
		}
		c.answer("POST").want(t, 200, "")
	})
	t.Run("idle between requests is no stall", func(t *testing.T) {
		c := r.dial()
		for range 2 {
			c.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
			c.answer("POST").want(t, 200, "")
			<-time.After(300 * time.Millisecond)
		}
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.answer("GET").want(t, 200, "")
	})
}

func TestTrapSlowBackendIsNoStalledClient(t *testing.T) {
	r := run(t, Config{Limits: Limits{Stall: 100 * time.Millisecond}})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		<-time.After(300 * time.Millisecond)
		text, _ := io.ReadAll(req.Body)
		_, _ = w.Write(text[:4])
		w.(http.Flusher).Flush()
		<-time.After(300 * time.Millisecond)
		_, _ = w.Write(text[4:])
	})
	r.admit(a.Backend)
	body := strings.Repeat("x", 4<<20)
	if got := r.send(http.MethodPost, "/", body); got.err != nil || got.text != body {
		t.Errorf("%v, %d bytes", got.err, len(got.text))
	}
}

func TestTrapConnectionCaps(t *testing.T) {
	r := run(t, Config{Limits: Limits{ConnectionsPerIP: 3}})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	var kept []*raw
	for range 3 {
		c := r.dial()
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.answer("GET").want(t, 200, "a")
		kept = append(kept, c)
	}
	r.dial().closedByPeer()
	if snap := r.snapshot(); snap.Connections != 3 || snap.Refused != 1 {
		t.Errorf("%d connections, %d refused, want 3 and 1", snap.Connections, snap.Refused)
	}
	_ = kept[0].Conn.Close()
	eventually(t, "there is a place again", func() bool { return r.snapshot().Connections == 2 })
	r.get("/").want(t, 200, "a")
}

func TestTrapConnectIsNoTunnel(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	c := r.dial()
	c.write("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
	if got := c.answer("CONNECT"); got.err != nil || got.StatusCode != 405 {
		t.Errorf("answer %+v, want 405", got)
	}
}

func TestTrapEventStreamsAreFlushedAtOnce(t *testing.T) {
	r := run(t, Config{})
	next := make(chan struct{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	r.admit(a.Backend)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/"), nil)
	r.must(err)
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	r.must(err)
	defer res.Body.Close()
	buf := make([]byte, 9)
	for range 3 {
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "data: x\n\n" {
			t.Fatalf("%q, %v", buf, err)
		}
		if n := r.status("a").InFlight; n.Long != 1 || n.Requests != 0 {
			t.Errorf("in flight %+v, want one long", n)
		}
		next <- struct{}{}
	}
}
