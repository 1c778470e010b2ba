package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/examples/shop/build/releases"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is one server of the shop, as a process of its own.
type process struct {
	release string
	target  string
	command *exec.Cmd
	log     bytes.Buffer
}

// start runs a release on a free port and waits until it is ready.
func start(t *testing.T, folder, release, server, database string) *process {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	p := &process{release: release, target: "http://" + address}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), releases.Program(folder, release), "--listen", address)
	p.command.Env = append(os.Environ(), "DATABASE_URL=file:"+database, "SEGUE_SERVER="+server, "SHOP_HASH_ROUNDS=1")
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.target+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s does not get ready", server)
		}
	}
}

// stop ends the process politely and returns its log.
func (p *process) stop(t *testing.T) string {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := p.command.Wait(); err != nil {
		t.Errorf("end of %s: %v", p.release, err)
	}
	return p.log.String()
}

// customer is somebody with cookies.
type customer struct{ client http.Client }

// newCustomer makes a customer whose connections end with the test.
func newCustomer(t *testing.T) *customer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &customer{http.Client{Jar: jar, Transport: transport}}
}

// send sends JSON to a server and decodes its answer.
func (c *customer) send(ctx context.Context, method string, to *process, path, body, key string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, to.target+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Idempotency-Key", key)
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode > 299 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if got := response.Header.Get("X-Shop-Release"); got != to.release {
		return fmt.Errorf("%s %s: release %q answers in place of %q", method, path, got, to.release)
	}
	return json.Unmarshal(text, into)
}

// buyAround registers on one server, then goes round all of them with every step and orders.
func buyAround(ctx context.Context, c *customer, name string, servers []*process, rounds int) error {
	var any map[string]any
	register := fmt.Sprintf(`{"name": %q, "password": "a-password"}`, name)
	if err := c.send(ctx, http.MethodPost, servers[0], "/api/register", register, "", &any); err != nil {
		return err
	}
	at := func(n int) *process { return servers[n%len(servers)] }
	for n := range rounds {
		var me struct {
			LoggedIn bool `json:"logged_in"`
		}
		if err := c.send(ctx, http.MethodGet, at(n), "/api/me", "", "", &me); err != nil {
			return err
		}
		if !me.LoggedIn {
			return fmt.Errorf("logged out on release %s", at(n).release)
		}
		if err := c.send(ctx, http.MethodPost, at(n+1), "/api/cart", `{"product": "low-sun"}`, "", &any); err != nil {
			return err
		}
		var first, again struct{ ID int }
		key := fmt.Sprint("order-", n)
		if err := c.send(ctx, http.MethodPost, at(n+2), "/api/orders", "", key, &first); err != nil {
			return err
		}
		if err := c.send(ctx, http.MethodPost, at(n+3), "/api/orders", "", key, &again); err != nil {
			return err
		}
		if first != again {
			return fmt.Errorf("one key, two orders: %d and %d", first.ID, again.ID)
		}
	}
	return nil
}

func TestTwoReleasesShareOneDatabase(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds two releases")
	}
	folder := t.TempDir()
	if err := releases.Build(t.Context(), folder, "v1", "v2"); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(t.TempDir(), "shop.db")
	var servers []*process
	for i, release := range []string{"v1", "v2", "v1", "v2"} {
		servers = append(servers, start(t, folder, release, fmt.Sprint("web-", i+1), database))
	}
	const customers, rounds = 12, 20
	var shopping sync.WaitGroup
	for i := range customers {
		c := newCustomer(t)
		shopping.Go(func() {
			if err := buyAround(t.Context(), c, fmt.Sprint("customer-", i), servers, rounds); err != nil {
				t.Errorf("customer %d: %v", i, err)
			}
		})
	}
	shopping.Wait()
	var listed struct {
		Products []struct {
			Slug  string
			Stock int
		}
	}
	if err := newCustomer(t).send(t.Context(), http.MethodGet, start(t, folder, "v1", "web-5", database), "/api/products", "", "", &listed); err != nil {
		t.Fatal(err)
	}
	for _, p := range listed.Products {
		// 110 at first, 240 sold one by one, one delivery of 500 at 0.
		if p.Slug == "low-sun" && p.Stock != 110-customers*rounds+500 {
			t.Errorf("stock %d after %d orders", p.Stock, customers*rounds)
		}
	}
	for _, p := range servers {
		if log := p.stop(t); strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, `"release":"`+p.release+`"`) {
			t.Errorf("log of %s:\n%s", p.release, log)
		}
	}
}

func TestReleaseNamesAreChecked(t *testing.T) {
	t.Parallel()
	if err := releases.Build(t.Context(), t.TempDir(), "../v1"); err == nil {
		t.Error("no error")
	}
}
