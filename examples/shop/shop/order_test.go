package shop

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

func TestBuyingWithForms(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	// A cart needs no login, and is kept through it.
	b.want(http.StatusSeeOther, http.MethodPost, r.target+"/cart", url.Values{"product": {"night-ferry"}, "quantity": {"2"}})
	b.want(http.StatusSeeOther, http.MethodPost, r.target+"/cart", url.Values{"product": {"low-sun"}})
	got := b.want(http.StatusSeeOther, http.MethodPost, r.target+"/orders", url.Values{"idempotency_key": {"k"}})
	if got.Header.Get("Location") != "/login?next=/cart" {
		t.Errorf("without a login: to %q", got.Header.Get("Location"))
	}
	b.want(http.StatusSeeOther, http.MethodPost, r.target+"/register", url.Values{"name": {"anna"}, "password": {"anna-password"}})
	b.want(http.StatusSeeOther, http.MethodPost, r.target+"/cart/update", url.Values{"product": {"low-sun"}, "quantity": {"0"}})
	page := b.want(http.StatusOK, http.MethodGet, r.target+"/cart", nil)
	if !page.has("Night Ferry") || page.has("Low Sun") || !page.has("€ 53.80") {
		t.Errorf("cart page:\n%s", page.body)
	}
	key := regexp.MustCompile(`name="idempotency_key" value="([^"]+)"`).FindSubmatch(page.body)
	if key == nil {
		t.Fatal("the cart's form has no idempotency key")
	}
	form := url.Values{"idempotency_key": {string(key[1])}}
	first := b.want(http.StatusSeeOther, http.MethodPost, r.target+"/orders", form).Header.Get("Location")
	if again := b.want(http.StatusSeeOther, http.MethodPost, r.target+"/orders", form).Header.Get("Location"); again != first {
		t.Errorf("sent twice, the form leads to %s and to %s", first, again)
	}
	if got := b.want(http.StatusOK, http.MethodGet, r.target+first, nil); !got.has("Night Ferry") {
		t.Errorf("order page:\n%s", got.body)
	}
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/orders", nil); !got.has("Order 1<") || got.has("Order 2<") {
		t.Errorf("orders page:\n%s", got.body)
	}
	b.want(http.StatusConflict, http.MethodPost, r.target+"/orders", url.Values{"idempotency_key": {"another"}})
	other := newBrowser(t)
	other.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", credentials("bert"))
	other.want(http.StatusNotFound, http.MethodGet, r.target+first, nil)
}

func TestCartFaults(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	for _, test := range []struct {
		method string
		body   map[string]any
		status int
	}{
		{http.MethodPost, map[string]any{"product": "nothing"}, http.StatusNotFound},
		{http.MethodPost, map[string]any{"product": "low-sun", "quantity": 0}, http.StatusUnprocessableEntity},
		{http.MethodPost, map[string]any{"product": "low-sun", "quantity": 100}, http.StatusUnprocessableEntity},
		{http.MethodPut, map[string]any{"product": "low-sun", "quantity": -1}, http.StatusUnprocessableEntity},
	} {
		if got := b.do(test.method, r.target+"/api/cart", test.body); got.StatusCode != test.status || len(got.Cookies()) != 0 {
			t.Errorf("%v: status %d, want %d, cookies %v", test.body, got.StatusCode, test.status, got.Cookies())
		}
	}
	for range 2 {
		b.want(http.StatusOK, http.MethodPost, r.target+"/api/cart", map[string]any{"product": "low-sun", "quantity": 60})
	}
	var inside Cart
	b.want(http.StatusOK, http.MethodGet, r.target+"/api/cart", nil).decodeInto(t, &inside)
	if len(inside.Items) != 1 || inside.Items[0].Quantity != maxQuantity || inside.TotalCents != maxQuantity*2590 {
		t.Errorf("cart %+v", inside)
	}
	if got := b.want(http.StatusOK, http.MethodDelete, r.target+"/api/cart", nil); !got.has(`"items":[]`) {
		t.Errorf("emptied cart %s", got.body)
	}
}

func TestTheSameKeyIsTheSameOrder(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "shop.db")
	servers := []*running{start(t, testConfig("v1", database)), start(t, testConfig("v2", database)), start(t, testConfig("v1", database))}
	b := newBrowser(t)
	b.want(http.StatusCreated, http.MethodPost, servers[0].target+"/api/register", credentials("anna"))
	b.want(http.StatusOK, http.MethodPost, servers[1].target+"/api/cart", map[string]any{"product": "low-sun", "quantity": 3})
	b.want(http.StatusBadRequest, http.MethodPost, servers[0].target+"/api/orders", nil)

	const senders = 30
	bodies := make([]string, senders)
	firsts := make([]bool, senders)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			got := b.do(http.MethodPost, servers[i%len(servers)].target+"/api/orders", nil, "Idempotency-Key", "the-key")
			bodies[i] = fmt.Sprint(got.StatusCode, string(got.body))
			firsts[i] = got.Header.Get("Idempotent-Replayed") == ""
		})
	}
	sending.Wait()
	first := 0
	for i := range senders {
		if bodies[i] != bodies[0] {
			t.Errorf("answers differ:\n%s\n%s", bodies[0], bodies[i])
		}
		if firsts[i] {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d answers say that they are the first", first)
	}
	var listed struct{ Orders []Order }
	b.want(http.StatusOK, http.MethodGet, servers[2].target+"/api/orders?key=the-key", nil).decodeInto(t, &listed)
	if len(listed.Orders) != 1 || listed.Orders[0].TotalCents != 3*2590 {
		t.Errorf("orders %+v", listed.Orders)
	}
	b.want(http.StatusOK, http.MethodGet, servers[2].target+"/api/orders?key=other", nil).decodeInto(t, &listed)
	if len(listed.Orders) != 0 {
		t.Errorf("orders of another key: %+v", listed.Orders)
	}
	waitFor(t, func() bool {
		p, _ := servers[2].shop.open.Load().watcher.catalogue().find("low-sun")
		return p.Stock == 107
	})
}

func TestADeliveryComesWhenTheStockIsTooLow(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", credentials("anna"))
	b.want(http.StatusOK, http.MethodPost, r.target+"/api/cart", map[string]any{"product": "the-long-intermission", "quantity": 50})
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/orders", nil, "Idempotency-Key", "k")
	waitFor(t, func() bool {
		p, _ := r.shop.open.Load().watcher.catalogue().find("the-long-intermission")
		return p.Stock == 40+restock-50
	})
}
