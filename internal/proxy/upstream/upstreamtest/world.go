package upstreamtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// patience bounds every wait for an event that must come.
const patience = 20 * time.Second

// world is one backend, the Upstream to it, and an HTTP server in front of that.
type world struct {
	t        *testing.T
	Upstream upstream.Upstream
	Backend  *backend
	Front    *httptest.Server
	// results has one Result per request.
	results chan upstream.Result
}

// setting shapes a world.
type setting struct {
	options upstream.Options
	// before, when set, sees each request just before it is served.
	before func(w http.ResponseWriter, req *http.Request) *http.Request
	// h2c serves clients HTTP/2 in clear text.
	h2c bool
}

// world starts all three around script, which the backend runs for each connection.
func (s *suite) world(t *testing.T, set setting, script func(c *conn)) *world {
	t.Helper()
	b := listen(t, script)
	return s.around(t, set, b)
}

// around starts an Upstream to b, and a front.
func (s *suite) around(t *testing.T, set setting, b *backend) *world {
	t.Helper()
	set.options.Address = b.Addr().String()
	w := &world{t: t, Backend: b, Upstream: s.make(set.options), results: make(chan upstream.Result, 4096)}
	t.Cleanup(w.Upstream.Close)
	w.Front = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if set.before != nil {
			req = set.before(rw, req)
		}
		res := w.Upstream.Serve(rw, req)
		w.results <- res
		switch {
		case res.MustAbort():
			panic(http.ErrAbortHandler)
		case !res.Committed:
			if errors.Is(res.Err, upstream.ErrIneligible) {
				rw.Header().Set("Connection", "close")
			}
			rw.Header().Set("X-Stage", res.Stage.String())
			rw.WriteHeader(http.StatusBadGateway)
		}
	}))
	if set.h2c {
		w.Front.Config.Protocols = new(http.Protocols)
		w.Front.Config.Protocols.SetUnencryptedHTTP2(true)
		w.Front.Config.Protocols.SetHTTP1(true)
	}
	w.Front.Start()
	t.Cleanup(w.Front.Close)
	return w
}

// result waits for the next Result, and skips the test when the request was not one for this Upstream.
func (w *world) result() upstream.Result {
	w.t.Helper()
	res := receive(w.t, w.results, "the result")
	if errors.Is(res.Err, upstream.ErrIneligible) {
		w.t.Skip("not a request for this upstream")
	}
	return res
}

// done waits for the next Result and demands that it is a whole exchange.
func (w *world) done() upstream.Result {
	w.t.Helper()
	res := w.result()
	if res.Stage != upstream.StageDone || res.Err != nil || !res.Committed {
		w.t.Fatalf("result is %+v, want a whole exchange", res)
	}
	return res
}

// client is a raw connection to the front.
func (w *world) client() *conn {
	w.t.Helper()
	return connect(w.t, w.Front.Listener.Addr().String())
}

// exchange writes raw bytes to the front and reads one answer with its body.
func (w *world) exchange(raw string) (*reply, string) {
	w.t.Helper()
	c := w.client()
	c.Send(raw)
	return c.Answer(method(raw))
}

// method is the first word of a raw request.
func method(raw string) string {
	word, _, _ := strings.Cut(raw, " ")
	return word
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// conn is a raw connection, of a client or of a backend.
type conn struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
	// number counts a backend's connections from 1.
	number int
	// over is closed when a backend's time is over.
	over chan struct{}
}

// Await waits for an event in a backend's script, or the end of the test.
func (c *conn) Await(event <-chan struct{}) {
	select {
	case <-event:
	case <-c.over:
	}
}

func connect(t *testing.T, address string) *conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return wrap(t, c)
}

func wrap(t *testing.T, c net.Conn) *conn {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	return &conn{t: t, Conn: c, in: bufio.NewReader(c)}
}

// Send writes the parts; a peer that is gone is no fault here.
func (c *conn) Send(parts ...string) {
	_, _ = io.WriteString(c.Conn, strings.Join(parts, ""))
}

// Request reads one request with its body, or returns nil when the connection has ended.
func (c *conn) Request() *http.Request {
	req := c.Head()
	if req == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	return req
}

// Head reads one request's header.
func (c *conn) Head() *http.Request {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return nil
	}
	return req
}

// reply is an answer as a raw client reads it.
type reply struct {
	StatusCode      int
	Header, Trailer http.Header
	ContentLength   int64
	Close           bool
	Body            io.Reader
}

// Answer reads one final answer with its body.
func (c *conn) Answer(method string) (*reply, string) {
	c.t.Helper()
	answer := c.AnswerHead(method)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatalf("read body of the answer: %v (got %q)", err, body)
	}
	return answer, string(body)
}

// AnswerHead reads one answer's header, 1xx or final.
func (c *conn) AnswerHead(method string) *reply {
	c.t.Helper()
	answer, err := c.tryAnswer(method)
	if err != nil {
		c.t.Fatalf("read answer: %v", err)
	}
	return answer
}

// tryAnswer is AnswerHead where it may fail.
func (c *conn) tryAnswer(method string) (*reply, error) {
	answer, err := http.ReadResponse(c.in, &http.Request{Method: method}) //nolint:bodyclose // it ends with the connection
	if err != nil {
		return nil, err
	}
	return newReply(answer), nil
}

func newReply(answer *http.Response) *reply {
	r := &reply{StatusCode: answer.StatusCode, Header: answer.Header, ContentLength: answer.ContentLength, Close: answer.Close}
	r.Body = &replyBody{answer.Body, func() { r.Trailer = answer.Trailer }}
	return r
}

// replyBody sees the trailers once the body has been read.
type replyBody struct {
	io.ReadCloser
	ended func()
}

func (b *replyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	return n, err
}

// Ended waits for the other side to close, and says whether it did so without sending anything.
func (c *conn) Ended() bool {
	_, err := c.in.ReadByte()
	var timeout net.Error
	return err != nil && (!errors.As(err, &timeout) || !timeout.Timeout())
}

// Reset closes with a RST.
func (c *conn) Reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// backend runs a script for every connection it gets.
type backend struct {
	net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	running sync.WaitGroup
}

func listen(t *testing.T, script func(c *conn)) *backend {
	t.Helper()
	var config net.ListenConfig
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, over := &backend{Listener: ln}, make(chan struct{})
	b.running.Go(func() {
		for number := 1; ; number++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, c)
			b.mu.Unlock()
			b.running.Go(func() {
				defer func() { _ = c.Close() }()
				raw := wrap(t, c)
				raw.number, raw.over = number, over
				script(raw)
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = ln.Close()
		b.mu.Lock()
		for _, c := range b.conns {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.running.Wait()
	})
	return b
}

// answering is the script of a backend that answers every request with what make returns.
func answering(reply func(c *conn, req *http.Request) string) func(c *conn) {
	return func(c *conn) {
		for req := c.Request(); req != nil; req = c.Request() {
			c.Send(reply(c, req))
		}
	}
}

// plain is an ordinary answer.
func plain(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// get is an ordinary request.
func get(target string, headers ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

// post is a request to / with a body.
func post(body string, headers ...string) string {
	headers = append(headers, fmt.Sprintf("Content-Length: %d", len(body)), "", "")
	return "POST / HTTP/1.1\r\nHost: shop.example\r\n" + strings.Join(headers, "\r\n") + body
}
