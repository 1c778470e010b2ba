package upstreamtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

func h2cChecks() []check {
	return []check{
		{"H2C/PlainRequests", h2cPlain},
		{"H2C/GRPC", h2cGRPC},
		{"H2C/BothWays", h2cBothWays},
		{"H2C/ClientLeaves", h2cClientLeaves},
		{"H2C/AnswerCutShort", h2cCutShort},
		{"H2C/ConnectionClosedWhileIdle", h2cClosedWhileIdle},
		{"H2C/RefusedStreamIsNotReplayedHere", h2cRefusedStream},
		{"H2C/CloseIdle", h2cCloseIdle},
		{"H2/ClientOfAnHTTP1Backend", h2Client},
	}
}

// h2cWorld puts an Upstream that speaks h2c before a server that does, for clients that do.
func h2cWorld(t *testing.T, s *suite, handler http.HandlerFunc) (*world, *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	b := &backend{Listener: server.Listener}
	w := s.around(t, setting{h2c: true, options: upstream.Options{H2C: true}}, b)
	return w, h2cClient(t)
}

func h2cClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask does one request through the front.
func (w *world) ask(client *http.Client, method, target string, body io.Reader) *reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.Front.URL+target, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return fetch(w.t, client, req)
}

// fetch does a request, and closes the answer's body at the end of the test.
func fetch(t *testing.T, client *http.Client, req *http.Request) *reply {
	t.Helper()
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return newReply(answer)
}

func h2cPlain(s *suite) {
	t := s.t
	w, client := h2cWorld(t, s, func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		_, _ = fmt.Fprintf(rw, "%s %s %s %s", req.Proto, req.Method, req.RequestURI, body)
	})
	for i, method := range []string{"GET", "POST", "PUT"} {
		var body io.Reader
		if i > 0 {
			body = strings.NewReader("body")
		}
		answer := w.ask(client, method, "/a?x;y", body)
		got, _ := io.ReadAll(answer.Body)
		res := w.result()
		want := strings.TrimSuffix("HTTP/2.0 "+method+" /a?x;y "+strings.Repeat("body", min(i, 1)), "")
		if string(got) != want || res.Stage != upstream.StageDone || res.Reused != (i > 0) || !res.Wrote || !res.GotByte {
			t.Errorf("client got %q, want %q; result %+v", got, want, res)
		}
	}
}

func h2cGRPC(s *suite) {
	t := s.t
	var config net.ListenConfig
	ln, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	states := health.NewServer()
	healthpb.RegisterHealthServer(server, states)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	w := s.around(t, setting{h2c: true, options: upstream.Options{H2C: true}}, &backend{Listener: ln})
	conn, err := grpc.NewClient("passthrough:///"+w.Front.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := healthpb.NewHealthClient(conn)
	answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{})
	w.result()
	if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("unary call: %v, %v", answer, err)
	}
	if _, err = client.Check(ctx, &healthpb.HealthCheckRequest{Service: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("status in the trailers is %v, want NotFound", err)
	}
	w.done()
	stream, err := client.Watch(ctx, &healthpb.HealthCheckRequest{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []healthpb.HealthCheckResponse_ServingStatus{
		healthpb.HealthCheckResponse_SERVICE_UNKNOWN, healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING,
	} {
		message, err := stream.Recv()
		if err != nil || message.GetStatus() != state {
			t.Fatalf("stream: %v, %v; want %v", message, err, state)
		}
		if state == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
			states.SetServingStatus("shop", healthpb.HealthCheckResponse_SERVING)
		} else {
			states.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
		}
	}
	cancel()
	if res := w.result(); !res.ClientGone || !res.Committed {
		t.Errorf("result of a cancelled stream is %+v", res)
	}
}

func h2cBothWays(s *suite) {
	t := s.t
	w, client := h2cWorld(t, s, func(rw http.ResponseWriter, req *http.Request) {
		control := http.NewResponseController(rw)
		rw.Header().Set("Trailer", "X-Count")
		_ = control.Flush()
		lines := bufio.NewScanner(req.Body)
		count := 0
		for lines.Scan() {
			_, _ = fmt.Fprintln(rw, lines.Text())
			_ = control.Flush()
			count++
		}
		rw.Header().Set("X-Count", fmt.Sprint(count, req.Trailer.Get("X-Sum")))
	})
	reader, writer := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Front.URL, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Sum": {" sum"}}
	answer := fetch(t, client, req)
	if answer.StatusCode == http.StatusBadGateway {
		_ = writer.Close()
		w.result()
	}
	lines := bufio.NewReader(answer.Body)
	for i := range 5 {
		_, _ = fmt.Fprintln(writer, "line", i)
		if line, err := lines.ReadString('\n'); line != fmt.Sprintln("line", i) {
			t.Fatalf("echo is %q, %v", line, err)
		}
	}
	_ = writer.Close()
	if _, err := io.ReadAll(lines); err != nil || answer.Trailer.Get("X-Count") != "5 sum" {
		t.Errorf("end is %v, trailers %v", err, answer.Trailer)
	}
	w.done()
}

func h2cClientLeaves(s *suite) {
	t := s.t
	asked, gone := make(chan struct{}), make(chan struct{})
	w, client := h2cWorld(t, s, func(_ http.ResponseWriter, req *http.Request) {
		close(asked)
		<-req.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Front.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		answer, err := client.Do(req)
		if err == nil {
			_ = answer.Body.Close()
		}
		failed <- err
	}()
	select {
	case <-asked:
	case res := <-w.results:
		w.results <- res
		w.result()
	}
	cancel()
	if err := receive(t, failed, "the client to give up"); err == nil {
		t.Error("client got an answer")
	}
	receive(t, gone, "the backend to see the client leave")
	if res := w.result(); !res.ClientGone || res.Committed || !res.Wrote {
		t.Errorf("result is %+v, want the client gone", res)
	}
}

func h2cCutShort(s *suite) {
	t := s.t
	w, client := h2cWorld(t, s, func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "half")
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	answer := w.ask(client, "GET", "/", nil)
	_, err := io.ReadAll(answer.Body)
	res := w.result()
	if err == nil || res.Stage != upstream.StageBody || !res.MustAbort() || res.ClientGone {
		t.Errorf("client read with error %v, result %+v; want a cut body", err, res)
	}
}

func h2cClosedWhileIdle(s *suite) {
	t := s.t
	conns := make(chan net.Conn, 100)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "ok")
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		conns <- c
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	w := s.around(t, setting{options: upstream.Options{H2C: true}}, &backend{Listener: server.Listener})
	for range 5 {
		answer, body := w.exchange(get("/"))
		res := w.result()
		if answer.StatusCode != 200 || body != "ok" {
			t.Fatalf("client got %d %q, result %+v", answer.StatusCode, body, res)
		}
		_ = receive(t, conns, "the connection").Close()
	}
}

// h2cRefusedStream has a backend that refuses every stream: Transport would try again and again.
func h2cRefusedStream(s *suite) {
	t := s.t
	headers := make(chan struct{}, 100)
	b := listen(t, func(c *conn) { refuseStreams(c, headers) })
	w := s.around(t, setting{options: upstream.Options{H2C: true}}, b)
	w.exchange(get("/"))
	res := w.result()
	if res.Committed || res.Err == nil || len(headers) != 1 {
		t.Errorf("result is %+v after %d tries, want one", res, len(headers))
	}
	if !res.MayRetry(&http.Request{Method: "POST"}) {
		t.Errorf("what the backend says it has not begun may not be retried: %+v", res)
	}
}

func h2cCloseIdle(s *suite) {
	t := s.t
	w, client := h2cWorld(t, s, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "ok") })
	w.ask(client, "GET", "/", nil)
	w.result()
	if idle, active := w.Upstream.Connections(); idle != 1 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want one idle", idle, active)
	}
	w.Upstream.CloseIdle()
	deadline := time.Now().Add(patience)
	for idle := 1; idle > 0 && time.Now().Before(deadline); idle, _ = w.Upstream.Connections() {
		w.Upstream.CloseIdle()
	}
	if idle, active := w.Upstream.Connections(); idle != 0 || active != 0 {
		t.Errorf("connections are %d idle, %d active; want none", idle, active)
	}
}

// h2Client asks by HTTP/2 for what an HTTP/1.1 backend has.
func h2Client(s *suite) {
	t := s.t
	w := s.world(t, setting{h2c: true}, answering(func(_ *conn, req *http.Request) string {
		body, _ := io.ReadAll(req.Body)
		if req.URL.Path == "/trailers" {
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n"
		}
		return plain(req.Host + string(body))
	}))
	client := h2cClient(t)
	answer := w.ask(client, "POST", "/", strings.NewReader("body"))
	got, _ := io.ReadAll(answer.Body)
	w.done()
	if want := w.Front.Listener.Addr().String() + "body"; string(got) != want {
		t.Errorf("client got %q, want %q", got, want)
	}
	answer = w.ask(client, "GET", "/trailers", nil)
	got, err := io.ReadAll(answer.Body)
	w.done()
	if string(got) != "ok" || err != nil || answer.Trailer.Get("X-Sum") != "7" {
		t.Errorf("client got %q, %v, trailers %v", got, err, answer.Trailer)
	}
}
