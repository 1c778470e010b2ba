package upstreamtest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// serveFunc starts an HTTP server and returns its address.
func serveFunc(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	return front.Listener.Addr().String()
}
