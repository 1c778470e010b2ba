package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
)

// BenchmarkServe tells what the proxy itself does for a request: from the server's handler to the backend that is picked and back to the
// counters, without a client, sockets or a backend.
func BenchmarkServe(b *testing.B) {
	s := newService(web, slog.New(slog.DiscardHandler), func(upstream.Options) upstream.Upstream { return instant{} })
	defer s.stop()
	s.apply(storedService{Key: make([]byte, 32), Backends: []storedBackend{
		{Backend: Backend{ID: "a", Server: "a", Release: "v1", Address: "127.0.0.1:1"}, Rotation: segue.RotationIn},
		{Backend: Backend{ID: "b", Server: "b", Release: "v1", Address: "127.0.0.1:2"}, Rotation: segue.RotationIn},
	}})
	f := &front{service: s}
	for _, path := range []string{"/", "/api/v1/users/4711/orders"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
				w := silent{}
				for pb.Next() {
					s.serve(w, r, f)
				}
			})
		})
	}
}

// instant is an upstream whose backend has answered already.
type instant struct{}

func (instant) Serve(http.ResponseWriter, *http.Request) upstream.Result {
	return upstream.Result{Stage: upstream.StageDone, Status: http.StatusOK, Committed: true, Wrote: true, GotByte: true}
}

func (instant) CloseIdle()              {}
func (instant) Close()                  {}
func (instant) Connections() (int, int) { return 0, 0 }

// silent is a client that takes everything.
type silent http.Header

func (s silent) Header() http.Header         { return http.Header(s) }
func (s silent) WriteHeader(int)             {}
func (s silent) Write(p []byte) (int, error) { return len(p), nil }
