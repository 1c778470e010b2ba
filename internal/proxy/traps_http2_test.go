package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/segue-deploy/segue"
)

// h2cServer is a backend that speaks HTTP/2 in clear text.
func h2cServer(t *testing.T, id string, handler http.HandlerFunc) Backend {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return Backend{ID: segue.InstanceID(id), Server: segue.ServerName("server-" + id), Release: "v1", Address: s.Listener.Addr().String()}
}

// h2cClient speaks HTTP/2 in clear text, by one connection.
func h2cClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func ask(t *testing.T, client *http.Client, method, url string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text), err}
}

func TestTrapHTTP2BalancesRequestsNotConnections(t *testing.T) {
	r := run(t, Config{H2C: true})
	for i := range 3 {
		r.admit(serveApp(t, name("a", i), "v1", nil).Backend)
	}
	client := h2cClient(t)
	seen := map[string]int{}
	for range 60 {
		got := ask(t, client, http.MethodGet, r.url("/"), nil)
		if got.err != nil || got.ProtoMajor != 2 {
			t.Fatalf("%+v, %v", got.Response, got.err)
		}
		seen[got.text]++
	}
	if len(seen) != 3 {
		t.Errorf("60 requests of one connection went to %v, want all three", seen)
	}
	if n := r.snapshot().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	r.get("/") // HTTP/1.1 beside it
}

func TestTrapGRPC(t *testing.T) {
	r := run(t, Config{H2C: true, BackendH2C: true, Limits: Limits{LongAfter: 50 * time.Millisecond, Stall: 100 * time.Millisecond}})
	echo := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		buf := make([]byte, 1024)
		for {
			n, err := req.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
	}
	r.admit(h2cServer(t, "a", echo))
	client := h2cClient(t)
	unary := ask(t, client, http.MethodPost, r.url("/pkg.Service/Unary"), bytes.NewReader([]byte("frame")), "Content-Type", "application/grpc", "Te", "trailers")
	unary.want(t, 200, "frame")
	if got := unary.Trailer.Get("Grpc-Status"); got != "0" {
		t.Errorf("grpc-status %q, want 0", got)
	}

	reader, writer := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/pkg.Service/Stream"), reader)
	r.must(err)
	req.Header.Set("Content-Type", "application/grpc")
	res, err := client.Do(req)
	r.must(err)
	defer res.Body.Close()
	buf := make([]byte, 4)
	for range 3 { // silent for longer than a body may stall
		_, _ = writer.Write([]byte("ping"))
		if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "ping" {
			t.Fatalf("echo %q, %v", buf, err)
		}
		<-time.After(150 * time.Millisecond)
	}
	if got := r.status("a").InFlight; got != (InFlight{Long: 1}) {
		t.Errorf("in flight %+v, want one long", got)
	}
	r.drain("a")
	if closed, err := r.client.CloseLong(t.Context(), web, "a", 0); err != nil || closed != 1 {
		t.Errorf("closed %d, %v", closed, err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err != nil || res.Trailer.Get("Grpc-Status") != "14" {
		t.Errorf("the stream ended with %v and status %q, want 14", err, res.Trailer.Get("Grpc-Status"))
	}
	_ = writer.Close()
	eventually(t, "nothing is in flight", func() bool { return r.status("a").InFlight == InFlight{} })
}

func TestTrapGoAwayOnPoliteDrain(t *testing.T) {
	r := run(t, Config{H2C: true}, func(o *Options) { o.Grace = 10 * time.Second })
	release := make(chan struct{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			<-release
		}
		_, _ = io.WriteString(w, "a")
	})
	r.admit(a.Backend)
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client, err := transport.NewClientConn(t.Context(), "http", r.snapshot().Address)
	r.must(err)
	t.Cleanup(func() { _ = client.Close() })
	send := func(path string) answer {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x"+path, nil)
		if err != nil {
			return answer{err: err}
		}
		res, err := client.RoundTrip(req)
		if err != nil {
			return answer{err: err}
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return answer{res, string(text), err}
	}
	slow := make(chan answer, 1)
	go func() { slow <- send("/slow") }()
	eventually(t, "the slow request is in flight", func() bool { return r.status("a").InFlight.Requests == 1 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	eventually(t, "the proxy stops", func() bool {
		h, err := r.client.Health(t.Context())
		return err != nil || h.Stopping
	})
	eventually(t, "the client was told to go away", func() bool {
		if client.Available() == 0 {
			return true
		}
		send("/").want(t, 200, "a") // answered, with a GOAWAY once the drain has begun
		return false
	})
	close(release)
	(<-slow).want(t, 200, "a") // a stream below the last id is finished
	<-stopped
}

func TestTrapWebSocketOverHTTP2IsOff(t *testing.T) {
	r := run(t, Config{H2C: true})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.snapshot().Address)
	r.must(err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, http2.ClientPreface)
	r.must(err)
	framer := http2.NewFramer(conn, conn)
	r.must(framer.WriteSettings())
	for {
		frame, err := framer.ReadFrame()
		r.must(err)
		settings, ok := frame.(*http2.SettingsFrame)
		if !ok {
			continue
		}
		if on, ok := settings.Value(http2.SettingEnableConnectProtocol); ok && on != 0 {
			t.Error("extended CONNECT is offered")
		}
		return
	}
}

func TestTrapClientAbortOnHTTP2(t *testing.T) {
	r := run(t, Config{H2C: true})
	began, noticed := make(chan struct{}), make(chan struct{})
	r.admit(serveApp(t, "a", "v1", func(_ http.ResponseWriter, req *http.Request) {
		close(began)
		<-req.Context().Done()
		close(noticed)
	}).Backend)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("/"), nil)
	r.must(err)
	client := h2cClient(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
		}
	}()
	<-began
	cancel()
	<-over
	<-noticed
	eventually(t, "the client that left is counted", func() bool { return r.status("a").Counters.ClientGone == 1 })
}

func TestTLSOffersHTTP2AndRereadsCertificates(t *testing.T) {
	dir := t.TempDir()
	files := writeCertificate(t, dir, "one.example")
	r := run(t, Config{TLS: &files})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	for _, protocol := range []string{"h2", "http/1.1"} {
		dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", r.snapshot().Address)
		r.must(err)
		state := conn.(*tls.Conn).ConnectionState()
		if state.NegotiatedProtocol != protocol || state.PeerCertificates[0].DNSNames[0] != "one.example" {
			t.Errorf("negotiated %q with %v", state.NegotiatedProtocol, state.PeerCertificates[0].DNSNames)
		}
		_ = conn.Close()
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	got := ask(t, &http.Client{Transport: transport}, http.MethodGet, "https://"+r.snapshot().Address+"/", nil)
	got.want(t, 200, "a")
	if got.ProtoMajor != 2 || a.requests()[0].Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("protocol %s, X-Forwarded-Proto %q", got.Proto, a.requests()[0].Header.Get("X-Forwarded-Proto"))
	}
	t.Run("and refuses smuggling there too", func(t *testing.T) {
		dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
		conn, err := dialer.DialContext(t.Context(), "tcp", r.snapshot().Address)
		r.must(err)
		defer conn.Close()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		text, _ := io.ReadAll(conn)
		if !bytes.HasPrefix(text, []byte("HTTP/1.1 400")) {
			t.Errorf("answer %q, want 400", text)
		}
	})
}
