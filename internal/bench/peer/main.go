// Command peer is what the proxy is measured beside: `peer backend ADDR` answers GETs with as many bytes as the path says, `peer reverseproxy ADDR TARGET`
// is a bare, tuned httputil.ReverseProxy.
package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "backend":
		return serve(args[1], http.HandlerFunc(answer))
	case len(args) == 3 && args[0] == "reverseproxy":
		target, err := url.Parse("http://" + args[2])
		if err != nil {
			return fmt.Errorf("parse target: %w", err)
		}
		return serve(args[1], reverseProxy(target))
	default:
		return fmt.Errorf("usage: peer backend ADDR | peer reverseproxy ADDR TARGET")
	}
}

func serve(address string, handler http.Handler) error {
	server := &http.Server{
		Addr: address, Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	return server.ListenAndServe()
}

// answer sends "/1024" 1,024 bytes.
func answer(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || size < 0 || size > 1<<20 {
		size = 1024
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(body[:size])
}

var body = make([]byte, 1<<20) //nolint:gochecknoglobals // only read

func reverseProxy(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
		Transport: &http.Transport{
			MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
		},
		BufferPool: &buffers{free: make(chan []byte, 256)},
	}
}

// buffers is a small free list.
type buffers struct{ free chan []byte }

// Get gives a buffer.
func (b *buffers) Get() []byte {
	select {
	case buffer := <-b.free:
		return buffer
	default:
		return make([]byte, 32<<10)
	}
}

// Put takes it back.
func (b *buffers) Put(buffer []byte) {
	select {
	case b.free <- buffer:
	default:
	}
}
