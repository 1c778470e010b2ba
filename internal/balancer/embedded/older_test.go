package embedded_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
	"github.com/segue-deploy/segue/internal/proxy"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// TestFindWithAnOlderProxy: a proxy that was started before this version knows no single backends. It serves on, and rollouts go on with it.
func TestFindWithAnOlderProxy(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "proxy.sock")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/services/web", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(proxy.Snapshot{Service: "web", Backends: []proxy.BackendStatus{
			{Backend: proxy.Backend{ID: "web-1.v1.1", Server: "web-1"}, Rotation: segue.RotationIn},
		}})
	})
	mux.HandleFunc("DELETE /v1/services/web/backends/{id}", func(http.ResponseWriter, *http.Request) {})
	listener, err := unixsock.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	driver, err := embedded.New(embedded.Config{Service: "web", Socket: socket, Options: embedded.Options{Listen: "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer driver.Close()
	found, err := balancer.Find(t.Context(), driver, "web-1.v1.1")
	if err != nil || found.Rotation != segue.RotationIn || found.Server != "web-1" {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := balancer.Find(t.Context(), driver, "web-2.v1.1"); segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("a stranger: %v (%v)", err, segue.KindOf(err))
	}
}
