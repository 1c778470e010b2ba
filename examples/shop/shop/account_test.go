package shop

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	form := url.Values{"name": {"anna"}, "password": {"anna-password"}, "next": {"/cart"}}
	got := b.want(http.StatusSeeOther, http.MethodPost, r.target+"/register", form)
	if got.Header.Get("Location") != "/cart" {
		t.Errorf("goes on to %q", got.Header.Get("Location"))
	}
	cookie := got.Cookies()[0]
	if cookie.Name != "shop_session" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure || len(cookie.Value) < 40 {
		t.Errorf("cookie %+v", cookie)
	}
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/", nil); !got.has("Log out anna") {
		t.Error("not logged in after registering")
	}
	b.want(http.StatusSeeOther, http.MethodPost, r.target+"/logout", url.Values{})
	if got := b.want(http.StatusOK, http.MethodGet, r.target+"/api/me", nil); !got.has(`"logged_in":false`) {
		t.Errorf("after logging out: %s", got.body)
	}
	// The old cookie is worth nothing any more.
	got = newBrowser(t).want(http.StatusOK, http.MethodGet, r.target+"/api/me", nil, "Cookie", "shop_session="+cookie.Value)
	if !got.has(`"logged_in":false`) {
		t.Errorf("with the old cookie: %s", got.body)
	}
	form.Set("next", "//evil.example")
	got = b.want(http.StatusSeeOther, http.MethodPost, r.target+"/login", form)
	if got.Header.Get("Location") != "/" {
		t.Errorf("goes on to %q", got.Header.Get("Location"))
	}
	if b.want(http.StatusOK, http.MethodGet, r.target+"/api/me", nil).has(`"logged_in":false`) {
		t.Error("not logged in after logging in")
	}
}

func TestAccountFaults(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	b := newBrowser(t)
	b.want(http.StatusCreated, http.MethodPost, r.target+"/api/register", credentials("anna"))
	tests := []struct {
		name, path string
		body       any
		status     int
	}{
		{"name taken", "/api/register", credentials("ANNA"), http.StatusConflict},
		{"odd name", "/api/register", credentials("a b"), http.StatusUnprocessableEntity},
		{"short password", "/api/register", map[string]string{"name": "bert", "password": "short"}, http.StatusUnprocessableEntity},
		{"wrong password", "/api/login", map[string]string{"name": "anna", "password": "something"}, http.StatusUnauthorized},
		{"unknown user", "/api/login", credentials("nobody"), http.StatusUnauthorized},
		{"endless password", "/api/login", map[string]string{"name": "anna", "password": strings.Repeat("x", 1000)}, http.StatusUnauthorized},
		{"no JSON", "/api/login", url.Values{"name": {"anna"}}, http.StatusBadRequest},
		{"too much", "/api/login", map[string]string{"name": strings.Repeat("x", maxBody)}, http.StatusRequestEntityTooLarge},
		{"form with a wrong password", "/login", url.Values{"name": {"anna"}, "password": {"something"}}, http.StatusUnauthorized},
	}
	for _, test := range tests {
		if got := newBrowser(t).do(http.MethodPost, r.target+test.path, test.body); got.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d: %s", test.name, got.StatusCode, test.status, got.body)
		} else if len(got.Cookies()) != 0 {
			t.Errorf("%s: sets cookies %v", test.name, got.Cookies())
		}
	}
	cross := newBrowser(t).do(http.MethodPost, r.target+"/api/login", credentials("anna"), "Sec-Fetch-Site", "cross-site")
	if cross.StatusCode != http.StatusForbidden {
		t.Errorf("a form on another site: status %d", cross.StatusCode)
	}
}

func TestBehindTLSTheCookieIsSecure(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig("v1", filepath.Join(t.TempDir(), "shop.db")))
	got := newBrowser(t).want(http.StatusCreated, http.MethodPost, r.target+"/api/register", credentials("anna"), "X-Forwarded-Proto", "https")
	if !got.Cookies()[0].Secure {
		t.Errorf("cookie %v", got.Cookies()[0])
	}
}

func TestPasswordHashes(t *testing.T) {
	t.Parallel()
	hash, err := hashPassword("secret", 3)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "pbkdf2-sha256$3$") || !checkPassword("secret", hash) || checkPassword("Secret", hash) {
		t.Errorf("hash %s does not check", hash)
	}
	again, err := hashPassword("secret", 3)
	if err != nil || again == hash {
		t.Errorf("the same hash twice: no salt")
	}
	for _, broken := range []string{"", "x", "pbkdf2-sha256$0$YQ$YQ", "pbkdf2-sha256$99999999999$YQ$YQ", "pbkdf2-sha256$1$!$YQ", "md5$1$YQ$YQ"} {
		if checkPassword("secret", broken) {
			t.Errorf("hash %q lets somebody in", broken)
		}
	}
}
