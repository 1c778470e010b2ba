package upstream_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// TestBackendClosesWhileASmallBodyIsRead: the connection was fine when it was taken and is not when the request is ready to be written, however little
// time has passed. A POST must not be written on it: nobody could tell afterwards whether it was done.
func TestBackendClosesWhileASmallBodyIsRead(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 4)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
			go answerAll(conn)
		}
	}()
	defer listener.Close()
	up := upstream.Fast(upstream.Options{Address: listener.Addr().String()})
	defer up.Close()
	first := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop.example/", nil)
	if res := up.Serve(httptest.NewRecorder(), first); res.Stage != upstream.StageDone {
		t.Fatalf("first request: %+v", res)
	}
	old := <-conns
	body := &closing{Reader: strings.NewReader("an order"), close: func() { _ = old.Close() }}
	post := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop.example/", body)
	post.ContentLength = int64(len("an order"))
	res := up.Serve(httptest.NewRecorder(), post)
	if res.Stage != upstream.StageDone || res.Reused || res.Sent != post.ContentLength {
		t.Errorf("POST: %+v; want it done, on a new connection", res)
	}
	(<-conns).Close()
}

// answerAll is a backend with one connection.
func answerAll(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// closing has the backend close as it is read.
type closing struct {
	io.Reader
	close func()
}

func (c *closing) Read(p []byte) (int, error) {
	c.close()
	return c.Reader.Read(p)
}
