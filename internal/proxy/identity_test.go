package proxy

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
)

func TestTrapForwardedHeaders(t *testing.T) {
	fakes := []string{
		"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil", "X-Forwarded-Prefix", "/evil",
		"Forwarded", "for=203.0.113.9", "X-Real-Ip", "203.0.113.9", "X-Request-Id", "mine",
	}
	t.Run("are not believed from anybody", func(t *testing.T) {
		r := run(t, Config{})
		a := serveApp(t, "a", "v1", nil)
		r.admit(a.Backend)
		r.get("/", fakes...)
		h := a.requests()[0].Header
		for name, want := range map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": r.snapshot().Address,
			"X-Forwarded-Prefix": "", "Forwarded": "", "X-Real-Ip": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if id := h.Get("X-Request-Id"); len(id) != 32 {
			t.Errorf("X-Request-Id is %q, want 32 digits of our own", id)
		}
	})
	t.Run("are believed from trusted proxies", func(t *testing.T) {
		r := run(t, Config{TrustedProxies: []string{"127.0.0.0/8"}})
		a := serveApp(t, "a", "v1", nil)
		r.admit(a.Backend)
		r.get("/", fakes...)
		h := a.requests()[0].Header
		for name, want := range map[string]string{
			"X-Forwarded-For": "203.0.113.9, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil",
			"X-Forwarded-Prefix": "/evil", "X-Request-Id": "mine",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

func TestTrapProxyProtocol(t *testing.T) {
	r := run(t, Config{ProxyProtocol: true, TrustedProxies: []string{"127.0.0.1"}})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	c := r.dial()
	c.write("PROXY TCP4 203.0.113.7 127.0.0.1 50000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.answer("GET").want(t, 200, "a")
	if got := a.requests()[0].Header.Get("X-Forwarded-For"); got != "203.0.113.7" {
		t.Errorf("X-Forwarded-For is %q, want the address in the PROXY header", got)
	}
	t.Run("is demanded", func(t *testing.T) {
		c := r.dial()
		c.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if text := c.closedByPeer(); strings.Contains(text, "200") {
			t.Errorf("a connection without a header was served: %q", text)
		}
	})
	t.Run("is not taken from strangers", func(t *testing.T) {
		r := run(t, Config{ProxyProtocol: true, TrustedProxies: []string{"192.0.2.1"}})
		r.admit(serveApp(t, "b", "v1", nil).Backend)
		c := r.dial()
		c.write("PROXY TCP4 203.0.113.7 127.0.0.1 50000 80\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if text := c.closedByPeer(); text != "" {
			t.Errorf("a stranger got %q", text)
		}
	})
	t.Run("smuggling is seen behind it", func(t *testing.T) {
		c := r.dial()
		c.write("PROXY TCP4 203.0.113.7 127.0.0.1 50000 80\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		if got := c.answer("POST"); got.err != nil || got.StatusCode != 400 {
			t.Errorf("answer %+v, want 400", got)
		}
	})
}

func TestParsePrefixes(t *testing.T) {
	got, err := parsePrefixes([]string{"10.1.2.3/8", "192.0.2.1", "2001:db8::1", "::ffff:198.51.100.1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128", "198.51.100.1/32"}
	var texts []string
	for _, p := range got {
		texts = append(texts, p.String())
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := parsePrefixes([]string{"10.0.0.0/33"}); err == nil {
		t.Error("10.0.0.0/33 was taken")
	}
	for address, host := range map[string]string{"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "pipe": "pipe"} {
		if got := hostOf(address); got != host {
			t.Errorf("hostOf(%q) = %q, want %q", address, got, host)
		}
	}
	if !isTrusted([]netip.Prefix{netip.MustParsePrefix("::1/128")}, "::1") {
		t.Error("::1 is not within ::1/128")
	}
}

// user is a browser with a cookie jar.
type user struct {
	r      *running
	cookie string
}

func (u *user) get() string {
	u.r.t.Helper()
	var headers []string
	if u.cookie != "" {
		headers = []string{"Cookie", "other=1; " + u.cookie + "; last=2"}
	}
	got := u.r.get("/", headers...)
	for _, c := range got.Cookies() {
		u.cookie = c.Name + "=" + c.Value
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			u.r.t.Errorf("cookie %v: want HttpOnly, Lax, /", c)
		}
	}
	return got.text
}

func TestStickyUsersStayAndMoveOnce(t *testing.T) {
	r := run(t, Config{Sticky: StickyConfig{On: true}})
	for i := range 4 {
		r.admit(serveApp(t, name("a", i), "v1", nil).Backend)
	}
	users := make([]*user, 40)
	homes := map[*user]string{}
	for i := range users {
		u := &user{r: r}
		users[i] = u
		homes[u] = u.get()
		for range 3 {
			if got := u.get(); got != homes[u] {
				t.Fatalf("a user of %s was sent to %s", homes[u], got)
			}
		}
	}
	r.drain("a-0")
	displaced := 0
	for _, u := range users {
		was := homes[u]
		homes[u] = u.get()
		if was == "a-0" {
			displaced++
		} else if homes[u] != was {
			t.Errorf("a user of %s was moved though it was not drained", was)
		}
		if got := u.get(); got == "a-0" || got != homes[u] {
			t.Errorf("a displaced user went from %s to %s", homes[u], got)
		}
	}
	snap := r.snapshot()
	if snap.Moves != int64(displaced) || snap.Users != 40 {
		t.Errorf("%d moves and %d users, want %d and 40", snap.Moves, snap.Users, displaced)
	}
	t.Run("a cookie that is forged chooses nothing", func(t *testing.T) {
		u := &user{r: r, cookie: defaultCookie + "=server-a-1"}
		u.get()
		if u.cookie == defaultCookie+"=server-a-1" {
			t.Error("a forged cookie was kept")
		}
	})
	t.Run("a server that comes back has its users again", func(t *testing.T) {
		b := serveApp(t, "a-0-next", "v2", nil).Backend
		b.Server = "server-a-0"
		before := r.snapshot().Moves
		u := &user{r: r, cookie: defaultCookie + "=" + stickyTokenOf(r, "server-a-0")}
		r.admit(b)
		if got := u.get(); got != "a-0-next" || r.snapshot().Moves != before {
			t.Errorf("the user of server-a-0 went to %s with %d moves", got, r.snapshot().Moves-before)
		}
	})
}

// stickyTokenOf gives the token of a server by the stored key.
func stickyTokenOf(r *running, server string) string {
	r.t.Helper()
	state, err := readState(r.dir + "/proxy.json")
	r.must(err)
	return stickyToken(state.Services[web].Key, web, segue.ServerName(server))
}

func TestStickyTokensTellNothing(t *testing.T) {
	key := []byte("key")
	one := stickyToken(key, "web", "web-1")
	if one == stickyToken(key, "web", "web-2") || one == stickyToken([]byte("other"), "web", "web-1") || one == stickyToken(key, "api", "web-1") {
		t.Error("tokens of different servers, keys or services are the same")
	}
	if strings.Contains(one, "web") || len(one) != 22 {
		t.Errorf("token %q", one)
	}
}

func TestCookieValue(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "c=1": "1", "b=2; c=1": "1", "xc=3; c=1; d=4": "1", "c=": "", "cc=5": "", "c": "", "b=c=9; c=1": "1", "b=2;c=7": "7",
	} {
		if got := cookieValue([]string{line}, "c"); got != want {
			t.Errorf("cookieValue(%q) = %q, want %q", line, got, want)
		}
	}
}
