package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
)

func TestServesAndCounts(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.Copy(w, req.Body)
		_, _ = io.WriteString(w, req.URL.RawQuery)
	})
	r.admit(a.Backend)
	r.get("/").want(t, 200, "")
	r.get("/teapot").want(t, 418, "")
	r.send(http.MethodPost, "/?x=1;y=%zz", "hello ").want(t, 200, "hello x=1;y=%zz")
	got := r.status("a").Counters
	if got.Latency.Count != 3 {
		t.Errorf("latency of %d requests counted, want 3", got.Latency.Count)
	}
	got.Latency.Buckets, got.Latency.Count, got.Latency.SumMicros, got.Latency.MaxMicros = nil, 0, 0, 0
	want := Counters{Requests: 3, Classes: [6]int64{2: 2, 4: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestSpreadsRequestsAndRemovesBackends(t *testing.T) {
	r := run(t, Config{})
	for i := range 3 {
		r.admit(serveApp(t, name("a", i), "v1", nil).Backend)
	}
	seen := map[string]int{}
	for range 60 {
		seen[r.get("/").text]++
	}
	if len(seen) != 3 {
		t.Fatalf("60 requests went to %v, want all three", seen)
	}
	err := r.client.Remove(t.Context(), web, "a-1")
	if segue.KindOf(err) != segue.KindConflict {
		t.Fatalf("Remove in rotation: %v, want a conflict", err)
	}
	r.drain("a-1")
	r.must(r.client.Settle(t.Context(), web, "a-1"))
	r.must(r.client.Remove(t.Context(), web, "a-1"))
	r.must(r.client.Remove(t.Context(), web, "a-1"))
	for range 30 {
		if got := r.get("/").text; got == "a-1" {
			t.Fatal("a removed backend got a request")
		}
	}
	gone := r.status("a-1")
	if !gone.Removed || gone.Rotation != segue.RotationOut || gone.Counters.Requests != int64(seen["a-1"]) {
		t.Errorf("removed backend is listed as %+v, want out with %d requests", gone, seen["a-1"])
	}
}

func TestMetricsTellWhatSnapshotsTell(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	r.get("/")
	text, err := r.client.Metrics(t.Context())
	r.must(err)
	for _, line := range []string{
		`segue_proxy_requests_total{backend="a",class="2xx",release="v1",server="server-a",service="web"} 1`,
		`segue_proxy_request_seconds_count{backend="a",release="v1",server="server-a",service="web"} 1`,
		`segue_proxy_rotation{backend="a",release="v1",server="server-a",service="web",state="in"} 1`,
		`segue_proxy_held_total{service="web"} 0`,
		`go_goroutines`, `process_cpu_seconds_total`,
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("metrics lack %q", line)
		}
	}
}
