package shop

import (
	"net/http"
	"path/filepath"
	"testing"
)

func TestCustomersHaveTheSameNameInEveryRelease(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"v1", "v2", "v3"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			config := testConfig(release, filepath.Join(t.TempDir(), "shop.db"))
			config.Customers = 20
			r := start(t, config)
			b := newBrowser(t)
			b.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", map[string]any{"name": "solheim", "password": "a-password"})
			if got := b.want(http.StatusOK, http.MethodGet, r.target+"/api/customer", nil); !got.has(`solheim"`) {
				t.Errorf("a new customer is called %s", got.body)
			}
			b.want(http.StatusOK, http.MethodPut, r.target+"/api/customer", map[string]any{"name": "Marit von Solheim"})
			if got := b.want(http.StatusOK, http.MethodGet, r.target+"/api/customer", nil); !got.has(`"Marit von Solheim"`) {
				t.Errorf("a customer who was renamed is called %s", got.body)
			}
			b.want(http.StatusUnprocessableEntity, http.MethodPut, r.target+"/api/customer", map[string]any{"name": "Marit"})
		})
	}
}
