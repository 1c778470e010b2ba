package backend_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/load/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns the handler of a backend.
func serve(t *testing.T, config backend.Config) http.Handler {
	t.Helper()
	b, err := backend.New(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b.Handler()
}

// ask sends one request to a handler.
func ask(t *testing.T, handler http.Handler, method, path, body string, header ...string) *http.Response {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

func TestOrdersAreRecordedByEachBackend(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	one := serve(t, backend.Config{Ledger: path, Server: "web-1", Release: "v1"})
	two := serve(t, backend.Config{Ledger: path, Server: "web 2", Release: "v2"})
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() { ask(t, one, http.MethodPost, "/orders", "a", "X-Load-Id", "a") })
		asking.Go(func() { ask(t, two, http.MethodPost, "/orders", "b", "X-Load-Id", "b") })
	}
	asking.Wait()
	response := ask(t, two, http.MethodPost, "/orders", "c", "X-Load-Id", "c")
	if response.StatusCode != http.StatusCreated || response.Header.Get("X-Load-Id") != "c" {
		t.Errorf("answer %v", response)
	}
	ledger, err := backend.ReadLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 50, "b": 50, "c": 1}, ledger.Applied); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, ledger.Duplicates()); diff != "" {
		t.Errorf("duplicates (-want +got):\n%s", diff)
	}
	last := ledger.Entries[len(ledger.Entries)-1]
	if last.ID != "c" || last.Server != "web_2" || last.Release != "v2" || time.Since(last.At) > time.Minute {
		t.Errorf("last entry %+v", last)
	}
}

func TestWhatIsRefusedIsNotRecorded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	handler := serve(t, backend.Config{Ledger: path})
	for want, header := range map[int][]string{
		http.StatusBadRequest:          {},
		http.StatusUnprocessableEntity: {"X-Load-Id", "a", "X-Load-Crc32", "beef"},
	} {
		if got := ask(t, handler, http.MethodPost, "/orders", "body", header...).StatusCode; got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	ledger, err := backend.ReadLedger(path)
	if err != nil || len(ledger.Entries) != 0 {
		t.Errorf("ledger %v, error %v", ledger, err)
	}
}

func TestABrokenLedgerIsSaidWithItsLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(path, []byte("a web-1 v1 5\nhalf a li"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backend.ReadLedger(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
	missing, err := backend.ReadLedger(path + ".missing")
	if err != nil || len(missing.Applied) != 0 {
		t.Errorf("missing ledger: %v, %v", missing, err)
	}
}

func TestErrorsAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	handler := serve(t, backend.Config{ErrorShare: 0.02})
	failed := 0
	for range 500 {
		if ask(t, handler, http.MethodGet, "/", "").StatusCode == http.StatusInternalServerError {
			failed++
		}
	}
	if failed != 10 {
		t.Errorf("%d of 500 requests failed, want 10", failed)
	}
}

func TestSizesOfAnswers(t *testing.T) {
	t.Parallel()
	handler := serve(t, backend.Config{})
	for path, want := range map[string]int{"/": 1024, "/?bytes=0": 0, "/?bytes=200000": 200_000} {
		body, err := io.ReadAll(ask(t, handler, http.MethodGet, path, "").Body)
		if err != nil || len(body) != want {
			t.Errorf("%s: %d bytes, error %v", path, len(body), err)
		}
	}
	if got := ask(t, handler, http.MethodGet, "/?bytes=-1", "").StatusCode; got != http.StatusBadRequest {
		t.Errorf("status %d for a negative size", got)
	}
}

// run starts a backend on a loopback port.
func run(t *testing.T, config backend.Config) (target string, cancel func(), done <-chan error) {
	t.Helper()
	b, err := backend.New(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, listener) }()
	t.Cleanup(cancel)
	return "http://" + listener.Addr().String(), cancel, ended
}

// statusOf asks for a page on a connection of its own.
func statusOf(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestReadinessFollowsBoot(t *testing.T) {
	t.Parallel()
	target, cancel, done := run(t, backend.Config{Boot: 200 * time.Millisecond})
	if got := statusOf(t, target+"/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("status %d while booting", got)
	}
	for deadline := time.Now().Add(5 * time.Second); statusOf(t, target+"/readyz") != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("does not get ready")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnUnreadyBackendStaysSo(t *testing.T) {
	t.Parallel()
	handler := serve(t, backend.Config{Unready: true})
	if got := ask(t, handler, http.MethodGet, "/readyz", "").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d", got)
	}
	if got := ask(t, handler, http.MethodGet, "/livez", "").StatusCode; got != http.StatusOK {
		t.Errorf("livez %d", got)
	}
}

func TestStopWaitsForRequestsInFlight(t *testing.T) {
	t.Parallel()
	target, cancel, done := run(t, backend.Config{Service: 300 * time.Millisecond})
	status := make(chan int, 1)
	go func() { status <- statusOf(t, target+"/") }()
	for deadline := time.Now().Add(100 * time.Millisecond); time.Now().Before(deadline); {
		statusOf(t, target+"/livez")
	}
	cancel()
	if got := <-status; got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSettingsBesideTheProgramGoFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := backend.WriteSettings(folder, map[string]string{"ERROR_SHARE": "0.5", "CRASH_AFTER": "3s"}); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"ERROR_SHARE": "0", "SERVICE_TIME": "5ms", "SEGUE_RELEASE": "v3", "SERVER": "web-9"}
	lookup, err := backend.WithFile(filepath.Join(folder, backend.SettingsFile), func(name string) (string, bool) {
		value, found := environment[name]
		return value, found
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := backend.ConfigFrom(lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := backend.Config{
		Release: "v3", Server: "web-9", Service: 5 * time.Millisecond, CrashAfter: 3 * time.Second, ErrorShare: 0.5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	_, err = backend.ConfigFrom(func(string) (string, bool) { return "-1x", true })
	if err == nil || !strings.Contains(err.Error(), "SERVICE_TIME") || !strings.Contains(err.Error(), "ERROR_SHARE") {
		t.Errorf("faults: %v", err)
	}
}

func TestCrashEndsRun(t *testing.T) {
	t.Parallel()
	_, _, done := run(t, backend.Config{CrashAfter: 20 * time.Millisecond})
	if err := <-done; !errors.Is(err, backend.ErrCrash) {
		t.Errorf("error %v", err)
	}
}
