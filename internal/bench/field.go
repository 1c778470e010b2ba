package bench

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy"
)

// fieldSegue puts the embedded balancer before the field.
func fieldSegue(ctx context.Context, f *field) (*Contestant, rotation, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, nil, err
	}
	state := filepath.Join(f.dir, "state", "proxy")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, nil, err
	}
	backends := make([]string, 0, len(f.servers))
	for _, s := range f.servers {
		backends = append(backends, s.address)
	}
	if err := storeService(ctx, state, address, backends...); err != nil {
		return nil, nil, err
	}
	c, err := launch(ctx, "segue", address, proxyCPU, f.programs.Segue, "proxy", "--state", filepath.Dir(state))
	if err != nil {
		return nil, nil, err
	}
	return c, proxyRotation{client: proxy.NewClient(proxy.SocketPath(state))}, nil
}

// proxyRotation drains and admits over the admin socket, as the driver does.
type proxyRotation struct{ client *proxy.Client }

func (r proxyRotation) drain(ctx context.Context, server int) error {
	id := backendID(server)
	if err := r.client.Drain(ctx, benchService, id); err != nil {
		return err
	}
	for {
		left, err := r.client.InFlight(ctx, benchService, id)
		if err != nil {
			return err
		}
		if left.Requests+left.Long == 0 {
			return r.client.Settle(ctx, benchService, id)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func (r proxyRotation) admit(ctx context.Context, server int) error {
	return r.client.Admit(ctx, benchService, backendID(server), 0)
}

// benchService is the service that the bench's proxies serve.
const benchService = "bench"

func backendID(server int) nouns.InstanceID {
	return nouns.InstanceID(fmt.Sprintf("b-%d.v1.1", server+1))
}

// fieldHAProxy puts HAProxy before the field: checks twice a second, redispatch, retries on connection failures.
func fieldHAProxy(ctx context.Context, f *field) (*Contestant, rotation, error) {
	program := installed("haproxy")
	if program == "" {
		return nil, nil, nil
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, nil, err
	}
	socket := filepath.Join(f.dir, "haproxy.sock")
	config := filepath.Join(f.dir, "haproxy.cfg")
	text := fmt.Sprintf(`global
  nbthread 1
  stats socket %s level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option redispatch
frontend f
  bind %s
  default_backend b
backend b
  default-server check inter 500ms fall 2
  server s1 %s
  server s2 %s
`, socket, address, f.servers[0].address, f.servers[1].address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	c, err := launch(ctx, "haproxy", address, proxyCPU, program, "-db", "-f", config)
	if err != nil {
		return nil, nil, err
	}
	return c, haproxyRotation{socket: socket}, nil
}

// haproxyRotation drains and admits over the stats socket.
type haproxyRotation struct{ socket string }

func (r haproxyRotation) drain(ctx context.Context, server int) error {
	if _, err := ask(ctx, r.socket, fmt.Sprintf("set server b/s%d state drain", server+1)); err != nil {
		return err
	}
	for {
		busy, err := r.busy(ctx, server)
		if err != nil {
			return err
		}
		if !busy {
			_, err := ask(ctx, r.socket, fmt.Sprintf("set server b/s%d state maint", server+1))
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// busy reads the fifth column, scur, of the server's row.
func (r haproxyRotation) busy(ctx context.Context, server int) (bool, error) {
	text, err := ask(ctx, r.socket, "show stat b 4 -1")
	if err != nil {
		return false, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "# "))).ReadAll()
	if err != nil {
		return false, fmt.Errorf("read statistics of haproxy: %w", err)
	}
	for _, row := range rows {
		if len(row) > 4 && row[1] == fmt.Sprintf("s%d", server+1) {
			return row[4] != "0", nil
		}
	}
	return false, fmt.Errorf("haproxy lists no server s%d", server+1)
}

func (r haproxyRotation) admit(ctx context.Context, server int) error {
	_, err := ask(ctx, r.socket, fmt.Sprintf("set server b/s%d state ready", server+1))
	return err
}

// fieldNginx puts nginx before the field, with max_fails=0: with its default it takes both servers out after two restarts. It cannot be told to drain
// without a reload, so there is no rotation.
func fieldNginx(ctx context.Context, f *field) (*Contestant, rotation, error) {
	program := installed("nginx")
	if program == "" {
		return nil, nil, nil
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, nil, err
	}
	upstream := fmt.Sprintf("server %s max_fails=0; server %s max_fails=0;", f.servers[0].address, f.servers[1].address)
	config, err := nginxConfig(f.dir, address, upstream)
	if err != nil {
		return nil, nil, err
	}
	c, err := launch(ctx, "nginx", address, proxyCPU, program, "-c", config, "-p", f.dir)
	return c, nil, err
}
