package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/telemetry"
)

// bookkeeping is a routeBook with one backend's counters.
type bookkeeping struct {
	book     routeBook
	counters routeCounters
	at       time.Time
}

func newBook() *bookkeeping {
	k := &bookkeeping{at: time.Unix(1e9, 0)}
	k.book.start(func(route uint8, then func()) {
		k.counters.forget(route)
		then()
	})
	return k
}

// tell counts requests with an answer of a status.
func (k *bookkeeping) tell(n int, method, path string, status int) {
	for range n {
		r := &http.Request{Method: method, URL: &url.URL{Path: path}}
		k.counters.add(k.book.of(r, status, k.at), status >= 500)
	}
}

func (k *bookkeeping) counts() map[string]telemetry.RouteCounts {
	return k.counters.snapshot(k.book.names())
}

func (k *bookkeeping) sum() (sum int64) {
	for _, n := range k.counts() {
		sum += n.Requests
	}
	return sum
}

func TestRoutesBecomeKnown(t *testing.T) {
	t.Parallel()
	k := newBook()
	k.tell(knownAfter, "GET", "/", 200)
	for i := range knownAfter {
		k.tell(1, "GET", fmt.Sprintf("/users/%d/orders", i), 200)
	}
	k.tell(knownAfter, "POST", "/login", 302)
	k.tell(3, "GET", "/", 200)
	k.tell(2, "GET", "/users/4711/orders/", 500)
	k.tell(1, "GET", "//users/0b2f6a52-77ce-4d3c-bd8f-0a4c0b5f1a11/orders", 404)
	k.tell(4, "POST", "/login", 200)
	k.tell(5, "GET", "/login", 404)
	k.tell(6, "BREW", "/", 200)
	want := map[string]telemetry.RouteCounts{
		"GET /":                  {Requests: 3},
		"GET /users/{id}/orders": {Requests: 3, Errors: 2},
		"POST /login":            {Requests: 4},
		"other":                  {Requests: 3*knownAfter + 5 + 6},
	}
	if diff := cmp.Diff(want, k.counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

func TestWhatVaries(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"1", "4711", "2024-01-31", "0b2f6a52-77ce-4d3c-bd8f-0a4c0b5f1a11", "3f2a9c1e", "deadbee1", "order-12345", "ann@example.com", "@ann",
		"V1StGXR8_Z5jdHi6B-myT", "dQw4w9WgXcQ", "app.3f2a9c.js", "index-BxK3d9aZ.js", "main.8e1f2b3c.css", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"507f1f77bcf86cd799439011", "überall", "a b", "Products(1)", "{id}", strings.Repeat("x", 65),
	} {
		if !telemetry.Varies(id) {
			t.Errorf("%q is taken for a word", id)
		}
	}
	for _, word := range []string{
		"v1", "users", "me", "oauth2", "sha256", "log4j2", "getUserAccountPreferences", "s3-eu-west-1", "shop.Cart", "index.html", "base64",
		"robots.txt", "order-items", "..", "-", "a1b2c3", "facade", "oauth2-v1-callback", "customer_account_settings",
	} {
		if telemetry.Varies(word) {
			t.Errorf("%q is taken for an identifier", word)
		}
	}
}

// TestManyValuesAreOneRoute: names that nothing lexical gives away become {id} once there are many of them, and words that are known stay.
func TestManyValuesAreOneRoute(t *testing.T) {
	t.Parallel()
	k := newBook()
	k.tell(2*knownAfter, "GET", "/blog/latest", 200)
	r := rand.New(rand.NewPCG(1, 2))
	slug := func() string { return "/blog/" + letters(r) }
	for range 200 {
		k.tell(1, "GET", slug(), 200)
		k.tell(1, "GET", slug()+"/comments", 200)
	}
	before := k.counts()
	k.tell(10, "GET", slug(), 200)
	k.tell(20, "GET", slug()+"/comments", 200)
	k.tell(30, "GET", "/blog/latest", 200)
	got := map[string]int64{}
	for name, n := range k.counts() {
		if n = n.Since(before[name]); n.Requests > 0 {
			got[name] = n.Requests
		}
	}
	want := map[string]int64{"GET /blog/{id}": 10, "GET /blog/{id}/comments": 20, "GET /blog/latest": 30}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if len(k.counts()) != 4 {
		t.Errorf("routes %v, want three and other", k.counts())
	}
}

func letters(r *rand.Rand) string {
	word := make([]byte, 12)
	for i := range word {
		word[i] = byte('a' + r.IntN(26))
	}
	return string(word)
}

// TestRubbishChangesNothing: whatever strangers ask for, with whatever answer, known routes are counted as before and memory stays bounded.
func TestRubbishChangesNothing(t *testing.T) {
	t.Parallel()
	known := []string{"/", "/users/1", "/users/1/orders", "/search", "/cart/items"}
	for name, status := range map[string]int{"not found": 404, "refused": 403, "found by an application that knows everything": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newBook()
			for _, path := range known {
				k.tell(knownAfter, "GET", path, 200)
			}
			before, grown := k.counts(), k.book.grown
			r := rand.New(rand.NewPCG(3, 4))
			for range 50_000 {
				path := ""
				for range 1 + r.IntN(2*routeDepth) {
					path += "/" + letters(r)[:1+r.IntN(12)]
				}
				k.tell(1+r.IntN(2), []string{"GET", "POST", "PUT"}[r.IntN(3)], path, status)
			}
			if k.book.grown > mostSprouts+routeDepth || k.book.named > mostRoutes {
				t.Errorf("%d places and %d routes were learned", k.book.grown, k.book.named)
			}
			if status != 200 && k.book.grown != grown {
				t.Errorf("%d places were learned of answers with status %d", k.book.grown-grown, status)
			}
			for _, path := range known {
				k.tell(7, "GET", path, 200)
			}
			after := k.counts()
			for name, was := range before {
				if d := after[name].Since(was).Requests; name != otherName && d != 7 {
					t.Errorf("%d requests of %s were counted, want 7", d, name)
				}
			}
		})
	}
}

// TestIdleRoutesGiveWay: a route that nobody has asked for for a day gives its number to one that is new.
func TestIdleRoutesGiveWay(t *testing.T) {
	t.Parallel()
	k := newBook()
	path := func(i int) string { return fmt.Sprintf("/%c%c/%c", 'g'+i/10%5, 'g'+i%10, 'g'+i/50) }
	for i := range mostRoutes {
		k.tell(knownAfter+1, "GET", path(i), 200)
	}
	k.tell(knownAfter+1, "GET", "/new", 200)
	if counts := k.counts(); len(counts) != mostRoutes+1 || counts["GET /new"].Requests != 0 {
		t.Fatalf("%d names, among them GET /new %v: want all numbers taken", len(counts), counts["GET /new"])
	}
	k.at = k.at.Add((idleHours + 1) * time.Hour)
	for i := range mostRoutes {
		if i != 57 {
			k.tell(1, "GET", path(i), 200)
		}
	}
	k.tell(4, "GET", "/new", 200)
	counts := k.counts()
	if got := counts["GET /new"].Requests; got != 3 {
		t.Errorf("%d requests of the new route were counted, want the 3 after it became known", got)
	}
	if _, there := counts["GET "+path(57)]; there {
		t.Error("the idle route kept its number")
	}
	k.tell(1, "GET", path(57), 200)
	if counts = k.counts(); len(counts) != mostRoutes+1 {
		t.Errorf("%d names, want %d", len(counts), mostRoutes+1)
	}
}

// TestEveryRequestHasOneRoute: whatever is asked for and answered, the sum over routes is the number of requests, and names are in order.
func TestEveryRequestHasOneRoute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := newBook()
		segment := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "users", "7", "{id}", "x y"}), rapid.StringMatching(`[a-z]{1,2}`), rapid.String())
		var all int64
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			path := rapid.SampledFrom([]string{"/", "", "*"}).Draw(t, "start") + strings.Join(rapid.SliceOfN(segment, 0, routeDepth+2).Draw(t, "segments"), "/")
			n := rapid.IntRange(1, knownAfter+1).Draw(t, "requests")
			method := rapid.SampledFrom([]string{"GET", "POST", "OPTIONS", "FOO", ""}).Draw(t, "method")
			k.tell(n, method, path, rapid.SampledFrom([]int{0, 101, 200, 302, 404, 500}).Draw(t, "status"))
			all += int64(n)
		}
		if got := k.sum(); got != all {
			t.Fatalf("%d requests are counted by route, want %d: %v", got, all, k.counts())
		}
		for name := range k.counts() {
			if name != otherName && (!strings.Contains(name, " /") || strings.ContainsAny(name[strings.IndexByte(name, '/'):], "@ ?#")) {
				t.Fatalf("route is named %q", name)
			}
		}
	})
}

// TestProxyCountsRoutes: through a whole proxy, from many clients at once, each request is counted under one route, once.
func TestProxyCountsRoutes(t *testing.T) {
	r := run(t, Config{})
	for _, id := range []string{"a", "b"} {
		r.admit(serveApp(t, id, "v1", func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.HasSuffix(req.URL.Path, "/broken"):
				w.WriteHeader(http.StatusInternalServerError)
			case strings.HasPrefix(req.URL.Path, "/wp-"):
				w.WriteHeader(http.StatusNotFound)
			}
		}).Backend)
	}
	for range knownAfter {
		r.get("/items/1")
		r.get("/items/1/broken")
		r.get("/wp-login.php")
	}
	r.get("/items/1/broken")
	before := r.snapshot()
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 50 {
				r.get(fmt.Sprintf("/items/%d", 100*c+i))
				r.get(fmt.Sprintf("/wp-%d.php", i))
			}
		})
	}
	clients.Wait()
	got := map[string]int64{}
	for i, b := range r.snapshot().Backends {
		sum := int64(0)
		for name, n := range b.Routes {
			sum += n.Requests
			got[name] += n.Since(before.Backends[i].Routes[name]).Requests
		}
		if sum != b.Counters.Requests {
			t.Errorf("backend %s has %d requests, and %d by route", b.ID, b.Counters.Requests, sum)
		}
		if one, err := r.client.Backend(t.Context(), web, b.ID); err != nil || cmp.Diff(b.Routes, one.Routes) != "" {
			t.Errorf("backend %s by itself has routes %v (%v), want %v", b.ID, one.Routes, err, b.Routes)
		}
	}
	if diff := cmp.Diff(map[string]int64{"GET /items/{id}": 400, "other": 400}, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// BenchmarkRoutes tells what telling a request's route costs.
func BenchmarkRoutes(b *testing.B) {
	for _, path := range []string{"/", "/api/v1/users/4711/orders", "/blog/some-slug", "/wp-login.php"} {
		b.Run(path, func(b *testing.B) {
			k := newBook()
			r := rand.New(rand.NewPCG(5, 6))
			for range 200 {
				k.tell(1, "GET", "/blog/"+letters(r), 200)
			}
			k.tell(knownAfter, "GET", "/", 200)
			k.tell(knownAfter, "GET", "/api/v1/users/1/orders", 200)
			k.tell(knownAfter, "GET", "/api/v1/users/1", 200)
			status := 200
			if strings.HasPrefix(path, "/wp") {
				status = 404
			}
			req := &http.Request{Method: "GET", URL: &url.URL{Path: path}}
			b.ReportAllocs()
			for b.Loop() {
				k.counters.add(k.book.of(req, status, k.at), false)
			}
		})
	}
}
