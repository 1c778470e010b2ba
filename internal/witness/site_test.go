package witness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/segue-deploy/segue"
)

// site is a small shop with a login, orders that can be read back, and faults to switch on.
type site struct {
	mu       sync.Mutex
	release  string
	server   string
	sessions map[string]string
	next     int
	// orders counts, by key, how often an order was placed.
	orders   map[string]int
	attempts int
	sockets  []*websocket.Conn

	// The faults. They hold from when they are set.
	double, lose, fail, drop, truncate, nameless bool
	down                                         bool
}

func newSite() *site {
	return &site{release: "v1", server: "web-1", sessions: map[string]string{}, orders: map[string]int{}}
}

// set changes the site under its lock.
func (s *site) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// deploy puts another release in front of users.
func (s *site) deploy(release, server string) {
	s.set(func() { s.release, s.server = release, server })
}

func (s *site) user(r *http.Request) (string, bool) {
	cookie, err := r.Cookie("sid")
	if err != nil {
		return "", false
	}
	name, ok := s.sessions[cookie.Value]
	return name, ok
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.nameless {
		w.Header().Set("X-Shop-Release", s.release)
	}
	w.Header().Set("X-Shop-Server", s.server)
	_, known := s.user(r)
	switch {
	case r.URL.Path == "/login" && r.Method == http.MethodPost:
		s.next++
		sid := fmt.Sprint("s", s.next)
		s.sessions[sid] = r.FormValue("name")
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: sid, Path: "/"})
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	case r.URL.Path == "/login":
		fmt.Fprint(w, "<h1>Log in</h1>")
	case !known:
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	case r.URL.Path == "/account":
		s.account(w, r)
	case r.URL.Path == "/order" && r.Method == http.MethodPost:
		s.order(w, r)
	case r.URL.Path == "/orders":
		json.NewEncoder(w).Encode(map[string]any{"count": s.orders[r.URL.Query().Get("key")]})
	case r.URL.Path == "/stock":
		s.stock(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *site) account(w http.ResponseWriter, r *http.Request) {
	name, _ := s.user(r)
	switch {
	case s.fail:
		w.WriteHeader(http.StatusInternalServerError)
	case s.drop:
		s.drop = false
		hijack(w)
	case s.truncate:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "Hello")
	default:
		fmt.Fprintf(w, `{"hello": %q, "items": [{"id": 7}]}`, name)
	}
}

func (s *site) order(w http.ResponseWriter, r *http.Request) {
	s.attempts++
	if s.drop {
		s.drop = false
		hijack(w)
		return
	}
	key := r.FormValue("key")
	switch {
	case s.lose:
	case s.double:
		s.orders[key] += 2
	default:
		s.orders[key]++
	}
	json.NewEncoder(w).Encode(map[string]any{"order": key})
}

// stock is a WebSocket. It is closed by closeSockets.
func (s *site) stock(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	s.sockets = append(s.sockets, conn)
	// The connection is hijacked: it may be used after the handler.
	ctx := conn.CloseRead(context.WithoutCancel(r.Context()))
	conn.Write(ctx, websocket.MessageText, []byte("7 left"))
}

// closeSockets ends every WebSocket: properly, or, with code 0, by breaking it.
func (s *site) closeSockets(code websocket.StatusCode) {
	s.mu.Lock()
	sockets := s.sockets
	s.sockets = nil
	s.mu.Unlock()
	for _, conn := range sockets {
		if code == 0 {
			conn.CloseNow()
		} else {
			conn.Close(code, "")
		}
	}
}

// hijack closes the connection without a word.
func hijack(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// pipes is a network in memory, for tests with virtual time.
type pipes struct {
	site   *site
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	down := false
	p.site.set(func() { down = p.site.down })
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// stage is a site and a witness in one bubble of virtual time.
type stage struct {
	*site
	*Witness
	stop func()
}

// play starts both. stop ends the witness and gives back when all is over.
func play(t *testing.T, j Journey, known ...segue.ReleaseName) *stage {
	t.Helper()
	s := newSite()
	network := &pipes{site: s, conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s}
	served := make(chan error, 1)
	go func() { served <- server.Serve(network) }()
	w, err := New(j, Options{Dial: network.dial, Known: func() []segue.ReleaseName { return known }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			s.closeSockets(0)
			server.Close()
			if err := <-served; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return &stage{site: s, Witness: w, stop: stop}
}

// journey is what most tests do: log in, look at the account, place an order that is read back.
func journey(sessions int, rate Rate) Journey {
	return Journey{
		Sessions: sessions, Rate: rate, Base: "http://shop.test", ReleaseHeader: "X-Shop-Release", ServerHeader: "X-Shop-Server",
		Timeout: 5 * time.Second, SessionCheck: SessionCheck{Login: "/login", Cookie: "sid"},
		Steps: []Step{
			{
				Name: "login", Path: "/login", Once: true, Form: map[string]string{"name": "user-{run}-{session}"},
				Expect: Expect{JSON: map[string]any{"hello": "user-{run}-{session}"}},
			},
			{
				Name: "account", Path: "/account", Expect: Expect{Text: "user-{run}", JSON: map[string]any{"items.0.id": 7}},
				Capture: map[string]Extract{"item": {JSON: "items.0.id"}},
			},
			{
				Name: "order", Path: "/order", Form: map[string]string{"key": "{uuid}", "item": "{item}"},
				Headers: map[string]string{"Idempotency-Key": "{uuid}"},
				Expect:  Expect{Status: Statuses{200, 201}},
				Write:   &Write{ID: "{uuid}", Verify: Verify{Path: "/orders?key={id}", Count: &Extract{JSON: "count"}}},
			},
		},
	}
}

// overTCP serves a handler for real.
func overTCP(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
