package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

func TestRestartServesTheSame(t *testing.T) {
	r := run(t, Config{Sticky: StickyConfig{On: true}})
	for i, release := range []string{"v1", "v1", "v2"} {
		r.admit(serveApp(t, name("a", i), release, nil).Backend)
	}
	r.drain("a-0")
	r.must(r.client.Weigh(t.Context(), web, map[segue.ReleaseName]float64{"v1": 1, "v2": 0}))
	u := &user{r: r}
	if got := u.get(); got != "a-1" {
		t.Fatalf("user is on %s", got)
	}
	before := r.snapshot()
	r.stop()
	r.start()
	after := r.snapshot()
	if before.Address != after.Address || before.Epoch == after.Epoch {
		t.Errorf("address %s then %s, epoch %s then %s", before.Address, after.Address, before.Epoch, after.Epoch)
	}
	for i, b := range after.Backends {
		if was := before.Backends[i]; b.Backend != was.Backend || b.Rotation != was.Rotation || b.Counters.Requests != 0 {
			t.Errorf("%+v was %+v", b, was)
		}
	}
	for range 10 {
		r.get("/").want(t, 200, "a-1")
	}
	if got := u.get(); got != "a-1" || r.snapshot().Moves != 0 {
		t.Errorf("the user went to %s with %d moves", got, r.snapshot().Moves)
	}
}

func TestRestartKeepsHoldAndMaintenance(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	r.must(r.client.Hold(t.Context(), web, 50*time.Millisecond))
	r.stop()
	r.start()
	if got := r.get("/"); got.StatusCode != 503 || !r.snapshot().Holding {
		t.Errorf("answer %d, holding %v", got.StatusCode, r.snapshot().Holding)
	}
	r.must(r.client.Unhold(t.Context(), web))
	r.must(r.client.Maintenance(t.Context(), web, true, time.Second))
	r.stop()
	r.start()
	if got := r.get("/"); got.StatusCode != 503 || !r.snapshot().Maintenance || r.snapshot().Holding {
		t.Errorf("answer %d, snapshot %+v", got.StatusCode, r.snapshot())
	}
}

func TestCorruptStateIsRefused(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"cut":             func(b []byte) []byte { return b[:len(b)/2] },
		"one bit changed": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"emptied":         func([]byte) []byte { return nil },
		"of a newer version": func([]byte) []byte {
			return []byte(`{"sha256":"` + sumOf(`{"version":99}`) + `","body":{"version":99}}`)
		},
		"with an invalid service": func([]byte) []byte {
			body := `{"version":1,"services":{"web":{"config":{"listen":"nowhere"},"key":""}}}`
			return []byte(`{"sha256":"` + sumOf(body) + `","body":` + body + `}`)
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := run(t, Config{})
			r.stop()
			path := filepath.Join(r.dir, "proxy.json")
			text, err := os.ReadFile(path)
			r.must(err)
			r.must(os.WriteFile(path, damage(text), 0o600))
			err = Run(t.Context(), r.options)
			if segue.KindOf(err) != segue.KindCorrupt || !strings.Contains(err.Error(), path) {
				t.Errorf("Run: %v (%v), want corrupt, with the file's name", err, segue.KindOf(err))
			}
		})
	}
}

func TestTwoProxiesNeverRunOnOneState(t *testing.T) {
	r := run(t, Config{})
	err := Run(t.Context(), r.options)
	if segue.KindOf(err) != segue.KindConflict || segue.HintOf(err) == "" || !strings.Contains(err.Error(), r.dir) {
		t.Errorf("second Run: %v, hint %q", err, segue.HintOf(err))
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	r := run(t, Config{})
	want := func(err error) {
		t.Helper()
		if segue.KindOf(err) != segue.KindConflict || !strings.Contains(err.Error(), address) || segue.HintOf(err) == "" {
			t.Errorf("%v (%v), hint %q", err, segue.KindOf(err), segue.HintOf(err))
		}
	}
	want(r.client.Configure(t.Context(), "api", Config{Listen: address}))
	want(r.client.Configure(t.Context(), web, Config{Listen: address}))
	if services, err := r.client.Services(t.Context()); err != nil || len(services) != 1 || services[0].Config.Listen == address {
		t.Errorf("services %+v, %v, want web as it was", services, err)
	}
	own := r.snapshot().Address
	r.must(r.client.Configure(t.Context(), "api", Config{Listen: "127.0.0.1:0"}))
	if err := r.client.Configure(t.Context(), "third", Config{Listen: own}); segue.KindOf(err) != segue.KindConflict {
		t.Errorf("a service on another's port: %v", err)
	}
	r.stop()
	squatter, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", own)
	r.must(err)
	defer squatter.Close()
	r.options.Logger = discard()
	r.start() // port 0 takes another one
	if r.snapshot().Address == own {
		t.Error("two listen on one port")
	}
}

func TestReconfiguresWhileItServes(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	address := r.snapshot().Address
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := sendTo(t, "http://"+address+"/", http.MethodGet, ""); got.err != nil || got.StatusCode != 200 {
					t.Errorf("while reconfiguring: %+v, %v", got.Response, got.err)
					return
				}
			}
		})
	}
	config := Config{Listen: "127.0.0.1:0"}
	for i := range 10 {
		config.H2C = i%2 == 0 // another front on the same socket
		config.BackendH2C = false
		config.Limits.HeaderTimeout = time.Duration(i) * time.Second
		r.must(r.client.Configure(t.Context(), web, config))
	}
	close(stop)
	load.Wait()
	if got := r.snapshot(); got.Address != address || got.Config.Limits.HeaderTimeout != 9*time.Second {
		t.Errorf("address %s, config %+v", got.Address, got.Config)
	}
	t.Run("on another address", func(t *testing.T) {
		config.Listen = "localhost:0"
		r.must(r.client.Configure(t.Context(), web, config))
		r.get("/").want(t, 200, "a")
		if r.snapshot().Address == address {
			t.Error("the address is the same")
		}
		eventually(t, "the old address is closed", func() bool {
			return sendTo(t, "http://"+address+"/", http.MethodGet, "").err != nil
		})
	})
}

func TestSeveralServices(t *testing.T) {
	r := run(t, Config{})
	r.admit(serveApp(t, "a", "v1", nil).Backend)
	r.must(r.client.Configure(t.Context(), "api", Config{Listen: "127.0.0.1:0"}))
	b := serveApp(t, "b", "v7", nil).Backend
	r.must(r.client.Add(t.Context(), "api", b))
	r.must(r.client.Admit(t.Context(), "api", b.ID, 0))
	api, err := r.client.Snapshot(t.Context(), "api")
	r.must(err)
	sendTo(t, "http://"+api.Address, http.MethodGet, "").want(t, 200, "b")
	r.get("/").want(t, 200, "a")
	r.must(r.client.Forget(t.Context(), "api"))
	r.must(r.client.Forget(t.Context(), "api"))
	if got := sendTo(t, "http://"+api.Address, http.MethodGet, ""); got.err == nil {
		t.Error("a forgotten service still answers")
	}
	if _, err := r.client.Snapshot(t.Context(), "api"); segue.KindOf(err) != segue.KindNotFound {
		t.Errorf("Snapshot of a forgotten service: %v", err)
	}
}

func TestFullDiskChangesNothing(t *testing.T) {
	r := run(t, Config{})
	a := serveApp(t, "a", "v1", nil)
	r.admit(a.Backend)
	r.must(os.Chmod(r.dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(r.dir, 0o700) })
	if probe, err := os.CreateTemp(r.dir, "probe"); err == nil { // root writes anyway: take the folder away instead
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		moved := r.dir + ".moved"
		r.must(os.Rename(r.dir, moved))
		defer func() { r.must(os.Rename(moved, r.dir)) }()
	}
	err := r.client.Drain(t.Context(), web, "a") // by the connection that is open
	if segue.KindOf(err) != segue.KindUnavailable || segue.HintOf(err) == "" {
		t.Errorf("Drain that cannot be stored: %v (%v), hint %q", err, segue.KindOf(err), segue.HintOf(err))
	}
	if got := r.status("a").Rotation; got != segue.RotationIn {
		t.Errorf("rotation is %q after a change that was not stored", got)
	}
}

func TestAdminBoundsWhatItReads(t *testing.T) {
	r := run(t, Config{})
	for what, err := range map[string]error{
		"a backend without address": r.client.Add(t.Context(), web, Backend{ID: "x"}),
		"a backend without id":      r.client.Add(t.Context(), web, Backend{Address: "127.0.0.1:1"}),
		"a negative weight":         r.client.Add(t.Context(), web, Backend{ID: "x", Address: "127.0.0.1:1", Weight: -1}),
		"a service name":            r.client.Configure(t.Context(), "../x", Config{Listen: ":0"}),
		"a hold for no time":        r.client.Hold(t.Context(), web, 0),
		"a body that is too large":  r.client.Weigh(t.Context(), web, map[segue.ReleaseName]float64{segue.ReleaseName(strings.Repeat("x", 2<<20)): 1}),
	} {
		if segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%s: %v (%v)", what, err, segue.KindOf(err))
		}
	}
	info, err := os.Stat(SocketPath(r.dir))
	r.must(err)
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("admin socket has mode %o", mode)
	}
}

func TestClientWithoutProxy(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "nobody.sock"))
	defer c.Close()
	_, err := c.Health(t.Context())
	if segue.KindOf(err) != segue.KindUnavailable || segue.HintOf(err) == "" {
		t.Errorf("%v (%v)", err, segue.KindOf(err))
	}
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("the cause is lost: %#v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Health(ctx); segue.KindOf(err) != segue.KindCanceled {
		t.Errorf("%v (%v)", err, segue.KindOf(err))
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	err := Config{
		Listen: "nowhere", TLS: &TLS{}, ProxyProtocol: true, Health: HealthConfig{Path: "up", Interval: -1},
		Sticky: StickyConfig{Cookie: "a b"}, Limits: Limits{BufferBody: 2 << 20},
	}.Validate()
	for _, part := range []string{"listen", "tls", "proxy_protocol", "health.path", "health.interval", "sticky.cookie", "limits.buffer_body"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("faults lack %s:\n%v", part, err)
		}
	}
	if err := (Config{Listen: ":8080"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestFailuresAreTheLatest(t *testing.T) {
	var r ring
	for i := range keptFailures + 5 {
		r.add(FailedRequest{Status: i})
	}
	list := r.list()
	if len(list) != keptFailures || list[0].Status != 5 || list[keptFailures-1].Status != keptFailures+4 {
		t.Errorf("%d kept, from %d to %d", len(list), list[0].Status, list[len(list)-1].Status)
	}
}

func TestConfigureWithBadCertificate(t *testing.T) {
	r := run(t, Config{})
	dir := t.TempDir()
	r.must(os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("nonsense"), 0o600))
	err := r.client.Configure(t.Context(), web, Config{
		Listen: "127.0.0.1:0", TLS: &TLS{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "none.pem")},
	})
	if segue.KindOf(err) != segue.KindInvalid || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("%v (%v)", err, segue.KindOf(err))
	}
}
