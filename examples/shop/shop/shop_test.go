package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is a shop on a database file.
func testConfig(release, database string) Config {
	return Config{
		Release: release, Server: "web-1", Database: database, Migrate: true, HashRounds: 1, Linger: time.Millisecond, Grace: 5 * time.Second,
		CrashAfter: 50 * time.Millisecond, ErrorShare: 0.02, Delay: 50 * time.Millisecond,
	}
}

// running is a shop that serves on a loopback port.
type running struct {
	shop   *Shop
	target string
	cancel context.CancelFunc
	done   chan error
}

// start runs a shop until the test ends and waits until it is open.
func start(t *testing.T, config Config) *running {
	t.Helper()
	s, err := New(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{shop: s, target: "http://" + listener.Addr().String(), cancel: cancel, done: make(chan error, 1)}
	go func() {
		r.done <- s.Run(ctx, listener)
		close(r.done)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-r.done; err != nil {
			t.Errorf("shop ends: %v", err)
		}
	})
	waitFor(t, func() bool { return s.open.Load() != nil })
	return r
}

// waitFor polls a condition for up to 10 s.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
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

// browser is somebody with cookies, who does not follow redirects.
type browser struct {
	t      *testing.T
	client *http.Client
}

// newBrowser makes a browser whose connections end with the test.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, client: &http.Client{
		Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// has reports whether the body contains a text.
func (a answer) has(text string) bool { return bytes.Contains(a.body, []byte(text)) }

// do sends one request; body is nil, url.Values for a form, or anything else as JSON; header are names and values.
func (b *browser) do(method, address string, body any, header ...string) answer {
	b.t.Helper()
	var reader io.Reader
	kind := ""
	switch sent := body.(type) {
	case nil:
	case url.Values:
		reader, kind = strings.NewReader(sent.Encode()), "application/x-www-form-urlencoded"
	default:
		encoded, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		reader, kind = bytes.NewReader(encoded), "application/json"
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, reader)
	if err != nil {
		b.t.Fatal(err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{Response: response, body: content}
}

// want fails the test unless an answer has a status.
func (b *browser) want(status int, method, address string, body any, header ...string) answer {
	b.t.Helper()
	got := b.do(method, address, body, header...)
	if got.StatusCode != status {
		b.t.Fatalf("%s %s: status %d, want %d: %s", method, address, got.StatusCode, status, got.body)
	}
	return got
}

// decodeInto reads a JSON body.
func (a answer) decodeInto(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("decode %s: %v", a.body, err)
	}
}

// credentials are what somebody registers with.
func credentials(name string) map[string]string {
	return map[string]string{"name": name, "password": name + "-password"}
}

func TestEveryAnswerSaysItsRelease(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v2", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	for _, path := range []string{
		"/", "/products/night-ferry", "/cart", "/login", "/register", "/readyz", "/livez", "/version",
		"/api/products", "/api/products/blue-tram", "/api/me", "/api/cart", "/art/night-ferry.svg", "/static/shop.css", "/static/shop.js",
	} {
		got := b.want(http.StatusOK, http.MethodGet, r.target+path, nil)
		if got.Header.Get("X-Shop-Release") != "v2" || got.Header.Get("X-Shop-Server") != "web-1" {
			t.Errorf("%s: headers %v", path, got.Header)
		}
	}
	for path, status := range map[string]int{
		"/nowhere": 404, "/api/nowhere": 404, "/products/nothing": 404, "/art/x.png": 404,
		"/static/other": 404, "/orders": 303, "/api/orders": 401,
	} {
		if got := b.do(http.MethodGet, r.target+path, nil); got.StatusCode != status || got.Header.Get("X-Shop-Release") != "v2" {
			t.Errorf("%s: status %d, want %d, headers %v", path, got.StatusCode, status, got.Header)
		}
	}
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/", nil); !got.has(`<meta name="release" content="v2">`) {
		t.Errorf("page does not say its release")
	}
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/version", nil); !got.has(`"release":"v2"`) {
		t.Errorf("version says %s", got.body)
	}
}

func TestAssetsAreKeptOnlyUnderTheirOwnHash(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	own := b.want(http.StatusOK, http.MethodGet, r.target+r.shop.assets.style.url, nil)
	if got := own.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("own style sheet: Cache-Control %q", got)
	}
	other := b.want(http.StatusOK, http.MethodGet, r.target+"/static/shop.css?v=another-release", nil)
	if got := other.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("another release's style sheet: Cache-Control %q", got)
	}
}

func TestFeaturesOfTheReleases(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "shop.db")
	one, two := start(t, testConfig("v1", database)), start(t, testConfig("v2", database))
	b := newBrowser(t)
	b.want(http.StatusCreated, http.MethodPost, one.target+"/api/register", credentials("anna"))
	for _, path := range []string{"/wishlist", "/api/wishlist"} {
		b.want(http.StatusNotFound, http.MethodGet, one.target+path, nil)
		b.want(http.StatusOK, http.MethodGet, two.target+path, nil)
	}
	if b.do(http.MethodGet, one.target+"/", nil).has("search") || !b.do(http.MethodGet, two.target+"/", nil).has("search") {
		t.Error("search is not where it belongs")
	}
	b.want(http.StatusSeeOther, http.MethodPost, two.target+"/products/night-ferry/rating", url.Values{"stars": {"4"}})
	b.want(http.StatusUnprocessableEntity, http.MethodPost, two.target+"/api/products/night-ferry/rating", map[string]int{"stars": 6})
	b.want(http.StatusSeeOther, http.MethodPost, two.target+"/wishlist", url.Values{"product": {"blue-tram"}})
	if got := b.want(http.StatusOK, http.MethodGet, two.target+"/wishlist", nil); !got.has("Blue Tram") {
		t.Error("the wish is not on the list")
	}
	b.want(http.StatusSeeOther, http.MethodPost, two.target+"/wishlist", url.Values{"product": {"blue-tram"}, "wanted": {"no"}})
	if got := b.want(http.StatusOK, http.MethodGet, two.target+"/api/wishlist", nil); got.has("blue-tram") {
		t.Error("the wish is still on the list")
	}
	waitFor(t, func() bool {
		var p Product
		b.want(http.StatusOK, http.MethodGet, two.target+"/api/products/night-ferry", nil).decodeInto(t, &p)
		return p.Stars == 4 && p.Ratings == 1
	})
	var found struct{ Products []Product }
	b.want(http.StatusOK, http.MethodGet, two.target+"/api/products?q=ambient+holt", nil).decodeInto(t, &found)
	if len(found.Products) != 1 || found.Products[0].Slug != "static-garden" {
		t.Errorf("found %v", found.Products)
	}
}
