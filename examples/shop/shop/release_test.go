package shop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsAreNamedByTheRelease(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]Fault{
		"v1": FaultNone, "v2": FaultNone, "v3": FaultNone, "bad": FaultNone,
		"bad-unready": FaultUnready, "bad-crash": FaultCrash, "bad-errors": FaultErrors, "bad-slow": FaultSlow,
	} {
		if got := faultOf(release); got != want {
			t.Errorf("%s: fault %v, want %v", release, got, want)
		}
	}
	if !featuresOf("bad-slow").ratings || featuresOf("v1").ratings {
		t.Error("features are not those of the releases")
	}
}

func TestUnreadyNeverGetsReady(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("bad-unready", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	b.want(http.StatusServiceUnavailable, http.MethodGet, r.target+"/readyz", nil)
	b.want(http.StatusOK, http.MethodGet, r.target+"/livez", nil)
}

func TestErrorsAreTwoInAHundredAndLogged(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s, err := New(testConfig("bad-errors", filepath.Join(t.TempDir(), "shop.db")), slog.New(slog.NewJSONHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	handler := s.Handler()
	failed := 0
	for range 500 {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/art/x.svg", nil))
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/livez", nil))
		if recorder.Code == http.StatusInternalServerError {
			failed++
		}
	}
	if failed != 10 {
		t.Errorf("%d of 500 requests failed, want 10", failed)
	}
	if got := strings.Count(logged.String(), `"msg":"price not found"`); got != 10 {
		t.Errorf("%d errors logged", got)
	}
	if !strings.Contains(logged.String(), `"release":"bad-errors","server":"web-1"`) {
		t.Errorf("log lines do not say who wrote them: %.300s", logged.String())
	}
}

func TestSlowDelaysEveryAnswerButProbes(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("bad-slow", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	start := time.Now()
	b.want(http.StatusOK, http.MethodGet, r.target+"/", nil)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

func TestCrashEndsTheProgram(t *testing.T) {
	t.Parallel()
	s, err := New(testConfig("bad-crash", filepath.Join(t.TempDir(), "shop.db")), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), listener); !errors.Is(err, ErrCrash) {
		t.Errorf("error %v", err)
	}
}

func TestBeforeItIsOpenTheShopSaysSo(t *testing.T) {
	t.Parallel()
	s, err := New(testConfig("v1", "unused"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	handler := s.Handler()
	for path, want := range map[string]int{"/readyz": 503, "/": 503, "/api/me": 503, "/stock": 503, "/events": 503, "/livez": 200, "/version": 200} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if recorder.Code != want {
			t.Errorf("%s: status %d, want %d", path, recorder.Code, want)
		}
	}
}

func TestAStopIsSeenBeforeItIsDone(t *testing.T) {
	t.Parallel()
	config := testConfig("v1", filepath.Join(t.TempDir(), "shop.db"))
	config.Linger = 200 * time.Millisecond
	r := start(t, config)
	b := newBrowser(t)
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/readyz", nil); got.Close {
		t.Error("closes connections while it serves")
	}
	r.cancel()
	waitFor(t, func() bool { return r.shop.stopping.Load() })
	if got := b.want(http.StatusServiceUnavailable, http.MethodGet, r.target+"/readyz", nil); !got.Close {
		t.Error("keeps connections while it stops")
	}
	b.want(http.StatusOK, http.MethodGet, r.target+"/", nil)
}

func TestADatabaseThatCannotBeOpenedEndsTheShop(t *testing.T) {
	t.Parallel()
	s, err := New(testConfig("v1", "/proc/nowhere/shop.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "open database") {
		t.Errorf("error %v", err)
	}
}

func TestManyOpenAtOnceAndWriteWithoutAFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "shop.db")
	const openers, writes = 8, 60
	var opening sync.WaitGroup
	for i := range openers {
		opening.Go(func() {
			release := fmt.Sprintf("v%d", 1+i%2)
			s, err := openStore(context.Background(), testConfig(release, path))
			if err != nil {
				t.Errorf("opener %d: %v", i, err)
				return
			}
			defer s.close()
			for n := range writes {
				if _, err := s.register(context.Background(), featuresOf(release), session{}, newcomer{fmt.Sprintf("user-%d-%d", i, n), "a-password"}, 1); err != nil {
					t.Errorf("opener %d, write %d: %v", i, n, err)
					return
				}
			}
		})
	}
	opening.Wait()
	s, err := openStore(t.Context(), testConfig("v2", path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var users, products int
	row := s.read.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM products)`)
	if err := row.Scan(&users, &products); err != nil {
		t.Fatal(err)
	}
	if users != openers*writes || products != len(assortment()) {
		t.Errorf("%d users, want %d; %d products, want %d", users, openers*writes, products, len(assortment()))
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"PORT": "9000", "SEGUE_SERVER": "web-7", "DATABASE_URL": "file:/data/a%20b.db?mode=rwc", "SHOP_DELAY": "20ms"}
	lookup := func(name string) (string, bool) {
		value, found := environment[name]
		return value, found
	}
	got, err := ReadConfig("v2", []string{"--hash-rounds", "5"}, lookup)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Release: "v2", Server: "web-7", Listen: "127.0.0.1:9000", Database: "/data/a b.db", Migrate: true, HashRounds: 5,
		Linger: 100 * time.Millisecond, Grace: 25 * time.Second, CrashAfter: 3 * time.Second, ErrorShare: 0.02, Delay: 20 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	_, err = ReadConfig("v2", []string{"--listen", ":1", "--hash-rounds", "none", "--database", "mysql://localhost/shop"}, lookup)
	if err == nil || !strings.Contains(err.Error(), "hash-rounds") || !strings.Contains(err.Error(), "SQLite or PostgreSQL") {
		t.Errorf("faults: %v", err)
	}
}
