package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a proxy that runs for one test, with one service "web".
type running struct {
	t       *testing.T
	dir     string
	client  *Client
	options Options
	cancel  context.CancelFunc
	over    chan error
}

const web = "web"

// run starts a proxy with a service on a free port. It is stopped when the test ends, and must stop without an error.
func run(t *testing.T, config Config, change ...func(*Options)) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), options: Options{Grace: 50 * time.Millisecond, Limit: 2 * time.Second}}
	r.options.StateDir = r.dir
	for _, f := range change {
		f(&r.options)
	}
	r.client = NewClient(SocketPath(r.dir))
	r.start()
	t.Cleanup(func() {
		r.stop()
		r.client.Close()
	})
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	r.must(r.client.Configure(t.Context(), web, config))
	return r
}

func (r *running) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.over = cancel, make(chan error, 1)
	ready := make(chan struct{})
	o := r.options
	o.Ready = func() { close(ready) }
	if testing.Verbose() && o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{r.t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	go func() { r.over <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-r.over:
		r.t.Fatalf("Run: %v", err)
	}
}

// stop ends the proxy as SIGTERM does.
func (r *running) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.over; err != nil {
		r.t.Errorf("Run: %v", err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (r *running) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// admit adds a backend and puts it in rotation.
func (r *running) admit(b Backend) {
	r.t.Helper()
	r.must(r.client.Add(r.t.Context(), web, b))
	r.must(r.client.Admit(r.t.Context(), web, b.ID, 0))
}

func (r *running) drain(id segue.InstanceID) {
	r.t.Helper()
	r.must(r.client.Drain(r.t.Context(), web, id))
}

func (r *running) snapshot() Snapshot {
	r.t.Helper()
	s, err := r.client.Snapshot(r.t.Context(), web)
	r.must(err)
	return s
}

// status gives one backend's.
func (r *running) status(id segue.InstanceID) BackendStatus {
	r.t.Helper()
	for _, b := range r.snapshot().Backends {
		if b.ID == id {
			return b
		}
	}
	r.t.Fatalf("snapshot lacks backend %s", id)
	return BackendStatus{}
}

func (r *running) url(path string) string { return "http://" + r.snapshot().Address + path }

// get sends a request as a new client and reads its answer.
func (r *running) get(path string, headers ...string) answer {
	r.t.Helper()
	return r.send(http.MethodGet, path, "", headers...)
}

// answer is a whole answer.
type answer struct {
	*http.Response
	text string
	err  error
}

func (r *running) send(method, path, body string, headers ...string) answer {
	r.t.Helper()
	return sendTo(r.t, r.url(path), method, body, headers...)
}

// sendTo sends one request on a connection of its own. headers are names and values in turn.
func sendTo(t *testing.T, url, method, body string, headers ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text), err}
}

// app is a backend that answers with its name unless told otherwise.
type app struct {
	Backend
	server *httptest.Server
	conns  atomic.Int32
	mu     sync.Mutex
	seen   []*http.Request
}

// serveApp starts an app for one test.
func serveApp(t *testing.T, id, release string, handler http.HandlerFunc) *app {
	t.Helper()
	a := &app{}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r.Clone(context.WithoutCancel(r.Context())))
		a.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		_, _ = io.WriteString(w, id)
	}))
	a.server.Config.Protocols = &http.Protocols{}
	a.server.Config.Protocols.SetHTTP1(true)
	a.server.Config.Protocols.SetUnencryptedHTTP2(true)
	inner := a.server.Config.ConnState
	a.server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			a.conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			a.conns.Add(-1)
		case http.StateActive, http.StateIdle:
		}
		if inner != nil {
			inner(conn, state)
		}
	}
	a.server.Start()
	t.Cleanup(a.server.Close)
	a.Backend = Backend{
		ID: segue.InstanceID(id), Server: segue.ServerName("server-" + id), Release: segue.ReleaseName(release),
		Address: a.server.Listener.Addr().String(),
	}
	return a
}

func (a *app) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// raw is a client's connection for tests that write HTTP by hand.
type raw struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

func (r *running) dial() *raw {
	r.t.Helper()
	return dialRaw(r.t, r.snapshot().Address)
}

func dialRaw(t *testing.T, address string) *raw {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{conn, bufio.NewReader(conn), t}
}

// Read reads by way of the buffer.
func (r *raw) Read(p []byte) (int, error) { return r.Reader.Read(p) }

func (r *raw) write(text string) {
	r.t.Helper()
	if _, err := io.WriteString(r.Conn, text); err != nil {
		r.t.Fatal(err)
	}
}

// answer reads one answer to a request of the method.
func (r *raw) answer(method string) answer {
	r.t.Helper()
	res, err := http.ReadResponse(r.Reader, &http.Request{Method: method})
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res, string(text), err}
}

// closedByPeer waits for the end of the connection, and says what came before it.
func (r *raw) closedByPeer() string {
	r.t.Helper()
	rest, err := io.ReadAll(r.Reader)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		r.t.Fatalf("connection was not closed: %v", err)
	}
	return string(rest)
}

// eventually waits for a condition that something outside brings about.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// want fails the test unless an answer has the status and text.
func (a answer) want(t *testing.T, status int, text string) answer {
	t.Helper()
	if a.err != nil {
		t.Fatalf("answer: %v", a.err)
	}
	if a.StatusCode != status || a.text != text {
		t.Fatalf("answer is %d %q, want %d %q", a.StatusCode, a.text, status, text)
	}
	return a
}

func name(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// writeCertificate makes a self-signed certificate for a name, in files of a folder.
func writeCertificate(t *testing.T, dir, host string) TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, plan, plan, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := TLS{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{
		files.Certificate: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// syncFlag is a switch that handlers read.
type syncFlag struct{ v atomic.Bool }

func (f *syncFlag) set(on bool) { f.v.Store(on) }
func (f *syncFlag) get() bool   { return f.v.Load() }

// sumOf gives the checksum of a state file's body.
func sumOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}
