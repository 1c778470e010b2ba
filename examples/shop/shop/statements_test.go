package shop

import (
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the lists of statements anew")

// TestStatements keeps the lists of what each release sends: it does everything that a visitor can do, and listens.
func TestStatements(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"v1", "v2"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			heard := map[string]bool{}
			config := testConfig(release, filepath.Join(t.TempDir(), "shop.db"))
			config.Heard = func(statement string) {
				mu.Lock()
				defer mu.Unlock()
				if !strings.Contains(statement, "shop_migrations") {
					heard[strings.Join(strings.Fields(statement), " ")] = true
				}
			}
			everything(t, start(t, config))
			mu.Lock()
			defer mu.Unlock()
			var sqlite, postgres strings.Builder
			for _, statement := range slices.Sorted(maps.Keys(heard)) {
				sqlite.WriteString(statement + ";\n")
				postgres.WriteString(inPostgres(statement) + ";\n")
			}
			keep(t, release+".sqlite.sql", sqlite.String())
			keep(t, release+".postgres.sql", postgres.String())
		})
	}
}

// inPostgres says a statement of the other dialect.
func inPostgres(statement string) string {
	statement = regexp.MustCompile(`\?(\d)`).ReplaceAllString(statement, "$$$1")
	return strings.ReplaceAll(statement, "FROM users WHERE name = $1", "FROM users WHERE lower(name) = lower($1)")
}

func keep(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("statements", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

// everything does what a visitor can do, once.
func everything(t *testing.T, r *running) {
	t.Helper()
	b := newBrowser(t)
	type body = map[string]any
	b.want(http.StatusOK, http.MethodPost, r.target+"/api/cart", body{"product": "night-ferry", "quantity": 1})
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", body{"name": "marit", "password": "a-password"})
	b.want(http.StatusNoContent, http.MethodPost, r.target+"/api/logout", nil)
	b.want(http.StatusOK, http.MethodPost, r.target+"/api/login", body{"name": "marit", "password": "a-password"})
	b.want(http.StatusOK, http.MethodGet, r.target+"/api/customer", nil)
	b.want(http.StatusOK, http.MethodPut, r.target+"/api/customer", body{"name": "Marit Solheim"})
	b.want(http.StatusOK, http.MethodPut, r.target+"/api/cart", body{"product": "night-ferry", "quantity": 2})
	b.want(http.StatusOK, http.MethodPut, r.target+"/api/cart", body{"product": "night-ferry", "quantity": 0})
	b.want(http.StatusOK, http.MethodDelete, r.target+"/api/cart", nil)
	b.want(http.StatusOK, http.MethodPost, r.target+"/api/cart", body{"product": "blue-tram", "quantity": 1})
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/orders", nil, "Idempotency-Key", "one")
	b.want(http.StatusOK, http.MethodGet, r.target+"/api/orders", nil)
	b.want(http.StatusOK, http.MethodGet, r.target+"/api/orders?key=one", nil)
	b.want(http.StatusOK, http.MethodGet, r.target+"/orders/1", nil)
	if r.shop.features.wishlist {
		b.want(http.StatusOK, http.MethodPost, r.target+"/api/wishlist", body{"product": "blue-tram"})
		b.want(http.StatusOK, http.MethodGet, r.target+"/api/wishlist", nil)
		b.want(http.StatusOK, http.MethodDelete, r.target+"/api/wishlist", body{"product": "blue-tram"})
		b.want(http.StatusNoContent, http.MethodPost, r.target+"/api/products/blue-tram/rating", body{"stars": 5})
	}
}
