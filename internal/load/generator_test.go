package load_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/load/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startBackend serves a backend on a loopback port until the returned stop is called, or the test ends.
func startBackend(t *testing.T, config backend.Config) (target string, stop func()) {
	t.Helper()
	b, err := backend.New(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx, listener) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("backend ends: %v", err)
		}
	}
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}

// listen opens a loopback port.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// sendFor runs a configuration for a time.
func sendFor(t *testing.T, d time.Duration, config load.Config) *load.Report {
	t.Helper()
	generator, err := load.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return generator.Run(ctx)
}

func TestMixedTrafficIsAllAccountedFor(t *testing.T) {
	t.Parallel()
	ledger := filepath.Join(t.TempDir(), "ledger")
	target, _ := startBackend(t, backend.Config{
		Server: "web-1", Release: "v1", Ledger: ledger, Stream: 200 * time.Millisecond, BodyBytes: 1024, Grace: 5 * time.Second,
	})
	report := sendFor(t, time.Second, load.Config{
		Target: target, Gets: 200, Posts: 100, Uploads: 2, Streams: 2, WebSockets: 3, Connections: 8,
		UploadBytes: 1_000_000, UploadTime: 300 * time.Millisecond, EchoEvery: 20 * time.Millisecond,
	})
	if report.Failed != 0 {
		t.Errorf("failures: %v\n%v", report.Causes, report.Failures)
	}
	for _, kind := range []load.Kind{load.KindGet, load.KindPost, load.KindUpload, load.KindStream, load.KindWebSocket} {
		if report.Kinds[kind].Requests == 0 {
			t.Errorf("no %s was sent", kind)
		}
	}
	if got := report.Kinds[load.KindGet].Requests; got < 150 || got > 202 {
		t.Errorf("%d GETs in a second at 200/s", got)
	}
	if got := report.Kinds[load.KindUpload].P50MS; got < 200 {
		t.Errorf("an upload planned for 300 ms took %v ms", got)
	}
	kept, err := backend.ReadLedger(ledger)
	if err != nil {
		t.Fatal(err)
	}
	orders := report.Reconcile(kept.Applied)
	posts := report.Kinds[load.KindPost].Requests
	if orders.Applied != posts || orders.Acknowledged != posts || len(orders.Lost)+len(orders.Twice) != 0 || orders.Foreign != 0 {
		t.Errorf("%d POSTs, orders %+v", posts, orders)
	}
	if report.WebSockets.Opened != 3 || len(report.WebSockets.Codes) != 0 {
		t.Errorf("WebSockets %+v", report.WebSockets)
	}
	if len(report.Servers) != 1 || report.Servers["web-1"] == 0 || report.Releases["v1"] == 0 {
		t.Errorf("servers %v, releases %v", report.Servers, report.Releases)
	}
}

func TestIdleClosesAreSeenAndAreNoFailures(t *testing.T) {
	t.Parallel()
	target, _ := startBackend(t, backend.Config{IdleTimeout: 20 * time.Millisecond, BodyBytes: 10})
	report := sendFor(t, time.Second, load.Config{Target: target, Gets: 50, Connections: 10}) // each rests 200 ms
	if report.Failed != 0 {
		t.Errorf("failures: %v", report.Failures)
	}
	if report.Connections.IdleCloses < 10 {
		t.Errorf("%d idle closes seen", report.Connections.IdleCloses)
	}
}

func TestASlowServerDoesNotSlowTheSending(t *testing.T) {
	t.Parallel()
	target, _ := startBackend(t, backend.Config{Service: 300 * time.Millisecond})
	report := sendFor(t, time.Second, load.Config{Target: target, Gets: 100, Connections: 2})
	get := report.Kinds[load.KindGet]
	if get.Requests < 80 || get.Failed != 0 {
		t.Errorf("%d requests in a second at 100/s, %d failed: %v", get.Requests, get.Failed, report.Failures)
	}
	if get.P50MS < 290 {
		t.Errorf("half the answers within %v ms from a server that needs 300", get.P50MS)
	}
}

func TestAClosedLoopSendsWhatIsCarried(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var now, most atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		for n, old := now.Add(1), most.Load(); n > old && !most.CompareAndSwap(old, n); {
			old = most.Load()
		}
		<-release
		now.Add(-1)
	}))
	t.Cleanup(server.Close)
	generator, err := load.New(load.Config{Target: server.URL, Gets: 2000, ClosedAt: 3})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	waitFor(t, func() bool { return now.Load() == 3 })
	settled := make(chan struct{})
	go func() {
		generator.Settle()
		close(settled)
	}()
	select {
	case <-settled:
		t.Error("settled while three requests were in flight")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	<-settled
	waitFor(t, func() bool { return generator.Snapshot().Requests > 100 }) // and it goes on
	cancel()
	if report := <-done; report.Failed != 0 || most.Load() > 3 {
		t.Errorf("%d of %d failed, %d in flight at one time, want 3 at most", report.Failed, report.Requests, most.Load())
	}
}

func TestTheEndWaitsForWhatIsInFlight(t *testing.T) {
	t.Parallel()
	target, _ := startBackend(t, backend.Config{Stream: 600 * time.Millisecond})
	start := time.Now()
	report := sendFor(t, 100*time.Millisecond, load.Config{Target: target, Streams: 1})
	if got := report.Kinds[load.KindStream]; got.Requests != 1 || got.Failed != 0 {
		t.Errorf("stream %+v: %v", got, report.Failures)
	}
	if took := time.Since(start); took < 500*time.Millisecond {
		t.Errorf("Run returned after %v, before the stream's end", took)
	}
}

func TestWebSocketsNoteHowTheyWereClosed(t *testing.T) {
	t.Parallel()
	target, stop := startBackend(t, backend.Config{Grace: 5 * time.Second})
	generator, err := load.New(load.Config{Target: target, WebSockets: 2, EchoEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	waitFor(t, func() bool { return generator.Snapshot().Kinds[load.KindWebSocket].Requests > 10 })
	stop()
	waitFor(t, func() bool {
		return generator.Snapshot().Causes[load.CauseRefused] > 0 && len(generator.Snapshot().WebSockets.Closes) >= 2
	})
	cancel()
	report := <-done
	if report.WebSockets.Codes[1001] != 2 || report.WebSockets.Cut != 0 {
		t.Errorf("WebSockets %+v", report.WebSockets)
	}
	for _, c := range report.WebSockets.Closes {
		if c.Reason != "server stops" || c.AgeSeconds <= 0 {
			t.Errorf("close %+v", c)
		}
	}
}

func TestACutWebSocketIsAFailureAndIsOpenedAgain(t *testing.T) {
	t.Parallel()
	b, err := backend.New(backend.Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	listener := &trackingListener{Listener: listen(t)}
	server := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: time.Second}
	go server.Serve(listener)
	defer server.Close()
	generator, err := load.New(load.Config{
		Target: "http://" + listener.Addr().String(), WebSockets: 1, EchoEvery: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	waitFor(t, func() bool { return generator.Snapshot().Kinds[load.KindWebSocket].Requests > 2 })
	listener.cut()
	waitFor(t, func() bool { return generator.Snapshot().WebSockets.Opened == 2 })
	cancel()
	report := <-done
	if report.WebSockets.Cut != 1 || report.WebSockets.Codes[-1] != 1 || report.Causes[load.CauseCut] != 1 {
		t.Errorf("WebSockets %+v, causes %v", report.WebSockets, report.Causes)
	}
}

// waitFor polls a condition for up to 10 s.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("condition does not come true")
		}
	}
}
