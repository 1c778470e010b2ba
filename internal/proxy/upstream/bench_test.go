package upstream_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// bare is the least that a Go proxy can be: httputil.ReverseProxy with a tuned Transport. It is what the others are measured by.
func bare(address string) http.Handler {
	target := &url.URL{Scheme: "http", Host: address}
	return &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true, IdleConnTimeout: 4 * time.Second},
		BufferPool: &buffers{},
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[]byte); ok {
		return *buf
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }

// handler makes a proxy of an Upstream.
func handler(u upstream.Upstream) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if res := u.Serve(w, req); res.MustAbort() {
			panic(http.ErrAbortHandler)
		}
	})
}

func contestants(address string) map[string]http.Handler {
	return map[string]http.Handler{
		"ReverseProxy": bare(address),
		"General":      handler(upstream.General(upstream.Options{Address: address})),
		"Fast":         handler(upstream.Fast(upstream.Options{Address: address})),
		"New":          handler(upstream.New(upstream.Options{Address: address})),
	}
}

// BenchmarkProxy measures whole proxies: CPU time per request of the proxy's process, client and backend being in another.
func BenchmarkProxy(b *testing.B) {
	p := startPeer(b)
	for _, load := range []struct {
		name     string
		up, down int
	}{{"get1KiB", 0, 1 << 10}, {"get64KiB", 0, 64 << 10}, {"get1MiB", 0, 1 << 20}, {"post1KiB", 1 << 10, 100}, {"post64KiB", 64 << 10, 100}} {
		for name, h := range contestants(p.backend) {
			b.Run(load.name+"/"+name, func(b *testing.B) {
				front := httptest.NewServer(h)
				defer front.Close()
				address := front.Listener.Addr().String()
				p.load(b, address, 64, load.up, load.down)
				b.ReportAllocs()
				b.ResetTimer()
				before := cpu(b)
				p.load(b, address, b.N, load.up, load.down)
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
			})
		}
	}
}

// cpu is the CPU time of this process so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkServe measures Serve alone: no client, no server.
func BenchmarkServe(b *testing.B) {
	p := startPeer(b)
	for name, h := range contestants(p.backend) {
		b.Run(name, func(b *testing.B) {
			req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "http://shop.example/1024", nil)
			req.Header = http.Header{"Accept": {"*/*"}, "Cookie": {"session=0123456789abcdef"}, "User-Agent": {"peer"}}
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, req)
			}
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
		})
	}
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
