package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy"
)

// Programs are the programs that the proxy bench needs.
type Programs struct {
	Segue, Peer, Backend string
}

// CPUs that the proxy and everything else are pinned to.
const (
	proxyCPU = 1
	otherCPU = 0
)

// Proxy measures the embedded balancer beside a bare ReverseProxy, HAProxy and nginx: interleaved rounds, medians.
func Proxy(ctx context.Context, t *Table, programs Programs, rounds int, duration time.Duration) error {
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	backendAddress, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	backend, err := launch(ctx, "backend", backendAddress, otherCPU, programs.Peer, "backend", backendAddress)
	if err != nil {
		return err
	}
	defer backend.stop()
	contestants, err := launchProxies(ctx, t, dir, programs, backendAddress)
	for _, c := range contestants {
		defer c.stop()
	}
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 10, 64 << 10} {
		trial{size: size, rounds: rounds, duration: duration}.measure(ctx, t, contestants)
	}
	return nil
}

// launchProxies starts all that is installed.
func launchProxies(ctx context.Context, t *Table, dir string, programs Programs, backend string) ([]*Contestant, error) {
	var contestants []*Contestant
	for _, start := range []func(context.Context, *Table, string, Programs, string) (*Contestant, error){
		startSegue, startReverseProxy, startHAProxy, startNginx,
	} {
		c, err := start(ctx, t, dir, programs, backend)
		if err != nil {
			return contestants, err
		}
		if c != nil {
			contestants = append(contestants, c)
		}
	}
	return contestants, nil
}

func startSegue(ctx context.Context, _ *Table, dir string, programs Programs, backend string) (*Contestant, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, "state", "proxy")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	// The service is stored first by a proxy within this process, so that the measured one is ready when it listens.
	if err := storeService(ctx, state, address, backend); err != nil {
		return nil, err
	}
	return launch(ctx, "segue", address, proxyCPU, programs.Segue, "proxy", "--state", filepath.Dir(state))
}

// storeService writes a service with its backends in rotation, by way of a proxy that runs for a moment.
func storeService(ctx context.Context, state, address string, backends ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	over := make(chan error, 1)
	go func() {
		over <- proxy.Run(ctx, proxy.Options{StateDir: state, Ready: func() { close(ready) }, Grace: time.Millisecond, Limit: time.Second})
	}()
	select {
	case <-ready:
	case err := <-over:
		return err
	}
	client := proxy.NewClient(proxy.SocketPath(state))
	defer client.Close()
	if err := client.Configure(ctx, benchService, proxy.Config{Listen: address}); err != nil {
		return err
	}
	for i, target := range backends {
		b := proxy.Backend{ID: backendID(i), Server: nouns.ServerName(fmt.Sprintf("b-%d", i+1)), Release: "v1", Address: target}
		if err := client.Add(ctx, benchService, b); err != nil {
			return err
		}
		if err := client.Admit(ctx, benchService, b.ID, 0); err != nil {
			return err
		}
	}
	cancel()
	return <-over
}

func startReverseProxy(ctx context.Context, _ *Table, _ string, programs Programs, backend string) (*Contestant, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	return launch(ctx, "reverseproxy", address, proxyCPU, programs.Peer, "reverseproxy", address, backend)
}

func startHAProxy(ctx context.Context, t *Table, dir string, _ Programs, backend string) (*Contestant, error) {
	program := installed("haproxy")
	if program == "" {
		t.Say("haproxy is not installed: left out")
		return nil, nil
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf(`global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
  option forwardfor
frontend f
  bind %s
  default_backend b
backend b
  server s1 %s
`, address, backend)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return launch(ctx, "haproxy", address, proxyCPU, program, "-db", "-f", config)
}

func startNginx(ctx context.Context, t *Table, dir string, _ Programs, backend string) (*Contestant, error) {
	program := installed("nginx")
	if program == "" {
		t.Say("nginx is not installed: left out")
		return nil, nil
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config, err := nginxConfig(dir, address, "server "+backend+";")
	if err != nil {
		return nil, err
	}
	return launch(ctx, "nginx", address, proxyCPU, program, "-c", config, "-p", dir)
}

// nginxConfig writes a configuration of one worker that proxies to an upstream, and gives its path.
func nginxConfig(dir, address, upstream string) (string, error) {
	path := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/temp; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_requests 100000000;
  upstream b { %[3]s keepalive 256; keepalive_requests 100000000; }
  server {
    listen %[2]s;
    location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr; }
  }
}
`, dir, address, upstream)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write configuration of nginx: %w", err)
	}
	return path, nil
}

// account is what one contestant came to over the rounds.
type account struct {
	cpu, rate, p99 []float64
}

// trial is one size of answers, measured in rounds.
type trial struct {
	size, rounds int
	duration     time.Duration
}

// measure lets all contestants take turns and puts the medians in.
func (r trial) measure(ctx context.Context, t *Table, contestants []*Contestant) {
	const connections = 64
	path := fmt.Sprintf("/%d", r.size)
	accounts := map[string]*account{}
	for _, c := range contestants {
		accounts[c.Name] = &account{}
		closedLoop(ctx, c.Address, path, connections, r.duration/4) // warm up
	}
	for round := range r.rounds {
		for _, c := range contestants {
			before := c.cpu()
			shot := closedLoop(ctx, c.Address, path, connections, r.duration)
			spent := c.cpu() - before
			if shot.Requests == 0 {
				continue
			}
			a := accounts[c.Name]
			a.cpu = append(a.cpu, spent.Seconds()*100_000/float64(shot.Requests))
			a.rate = append(a.rate, float64(shot.Requests)/shot.Elapsed.Seconds())
			a.p99 = append(a.p99, float64(shot.Latency.Quantile(0.99).Microseconds())/1000)
			t.Say("%d B, round %d, %-12s %8.2f CPU s/100k %9.0f req/s  failed %d", r.size, round+1, c.Name, a.cpu[len(a.cpu)-1], a.rate[len(a.rate)-1], shot.Failed)
		}
	}
	label := fmt.Sprintf("proxy.%dKiB", r.size>>10)
	for _, c := range contestants {
		a := accounts[c.Name]
		t.Add(label+".cpu."+c.Name, median(a.cpu), "CPU s/100k req", "")
		t.Add(label+".rate."+c.Name, median(a.rate), "req/s", "one CPU for the proxy, 64 connections")
		t.Add(label+".p99."+c.Name, median(a.p99), "ms", "")
	}
	for _, c := range contestants[1:] {
		t.Ratio(label+".cpu.ratio", median(accounts["segue"].cpu), median(accounts[c.Name].cpu), c.Name)
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
