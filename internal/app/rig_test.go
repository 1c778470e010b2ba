package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/app"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/load/backend"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/testenv"
)

// rig is a project in a temporary folder, and the real program to work on it.
type rig struct {
	t       *testing.T
	dir     string
	program string
	address string
	state   app.State
	// settle waits until every request of the latest traffic that is in flight has ended.
	settle func()
}

// newRig writes a project of so many servers of the test backend, with releases of it by name. Everything that runs is ended with the test.
func newRig(t *testing.T, servers int, releases ...string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), program: testenv.Build(t, "./cmd/segue"), address: freeAddress(t)}
	source := testenv.Build(t, "./internal/load/backend/cmd")
	for _, release := range releases {
		name, settings, _ := strings.Cut(release, " ")
		folder := filepath.Join(r.dir, "releases", name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, source, filepath.Join(folder, "backend"))
		r.write(filepath.Join("releases", name, backend.SettingsFile), "# "+name+"\n"+strings.ReplaceAll(settings, " ", "\n")+"\n")
	}
	r.write("segue.yaml", fmt.Sprintf(`project: rig
services:
  web:
    workload:
      driver: process
      servers: %d
      artifact: ./releases/{release}
      command: ["{artifact}/backend"]
      env: {LEDGER: %s, STREAM_TIME: 5s}
      ready: {http: /readyz, within: 20s}
      stop: {grace: 10s}
    balancer: {driver: embedded, listen: %q, drain: {within: 3s, spread: 1s}}
    strategy: {kind: rolling, batches: [1, 50%%, 100%%], bake: 3s}
`, servers, r.ledger(), r.address))
	var err error
	if r.state, err = app.OpenState(filepath.Join(r.dir, ".segue")); err != nil {
		t.Fatal(err)
	}
	r.endWith(t)
	return r
}

// endWith ends everything that runs with the test.
func (r *rig) endWith(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			r.showLogs()
		}
		if err := app.Teardown(context.Background(), r.state, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("end everything: %v", err)
		}
	})
}

func (r *rig) ledger() string { return filepath.Join(r.dir, "ledger.txt") }

func (r *rig) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// edit replaces a part of segue.yaml, which must be there.
func (r *rig) edit(old, fresh string) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "segue.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		r.t.Fatalf("segue.yaml has no %q", old)
	}
	r.write("segue.yaml", strings.Replace(string(text), old, fresh, 1))
}

func (r *rig) showLogs() {
	for _, name := range []string{"controller.log", "proxy.log"} {
		text, _ := os.ReadFile(filepath.Join(string(r.state), name))
		r.t.Logf("%s:\n%s", name, text[max(0, len(text)-6000):])
	}
	outputs, _ := filepath.Glob(filepath.Join(string(r.state), "logs", "*"))
	for _, path := range outputs {
		text, _ := os.ReadFile(path)
		var errors []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(strings.ToLower(line), "error") {
				errors = append(errors, line)
			}
		}
		r.t.Logf("errors in %s:\n%s", filepath.Base(path), strings.Join(errors[max(0, len(errors)-10):], ""))
	}
}

// segue runs a command line and gives its exit code and output.
func (r *rig) segue(args ...string) (code int, out string) {
	r.t.Helper()
	command := exec.CommandContext(r.t.Context(), r.program, args...)
	command.Dir = r.dir
	var text bytes.Buffer
	command.Stdout, command.Stderr = &text, &text
	if err := command.Run(); err != nil && command.ProcessState == nil {
		r.t.Fatalf("run segue %v: %v", args, err)
	}
	return command.ProcessState.ExitCode(), text.String()
}

// must runs a command line that has to end with an exit code.
func (r *rig) must(want int, args ...string) string {
	r.t.Helper()
	code, out := r.segue(args...)
	if code != want {
		r.t.Fatalf("segue %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// client talks to the rig's controller, starting none.
func (r *rig) client() *api.Client {
	client := api.NewUnixClient(r.state.Socket())
	r.t.Cleanup(client.Close)
	return client
}

func (r *rig) receipt() receipt.Receipt {
	r.t.Helper()
	var got receipt.Receipt
	if err := json.Unmarshal([]byte(r.must(0, "receipt", "--json")), &got); err != nil {
		r.t.Fatalf("read receipt: %v", err)
	}
	return got
}

// mixed is the load of the acceptance test: keep-alive GETs, POSTs that a ledger checks, slow uploads, streams, WebSockets.
func (r *rig) mixed(gets, posts float64) load.Config {
	return load.Config{
		Target: "http://" + r.address, Gets: gets, Posts: posts, Uploads: 2, Streams: 4, WebSockets: 10, Connections: 64,
		ClosedAt: 64, Timeout: 30 * time.Second,
	}
}

// traffic sends a load until the function it gives is called, and accounts for it.
func (r *rig) traffic(config load.Config) (stop func() *load.Report) {
	r.t.Helper()
	generator, err := load.New(config)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	r.t.Cleanup(cancel)
	r.settle = generator.Settle
	return func() *load.Report {
		r.t.Helper()
		cancel()
		report := <-done
		kept, err := backend.ReadLedger(r.ledger())
		if err != nil {
			r.t.Fatal(err)
		}
		report.Reconcile(kept.Applied)
		r.t.Logf("load:\n%s", report)
		return report
	}
}

// until polls the controller until the open rollout is as wanted.
func (r *rig) until(client *api.Client, what string, is func(operator.Rollout) bool) operator.Rollout {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Minute)
	defer cancel()
	index := int64(0)
	for {
		latest, err := client.Rollout(ctx, 0)
		if err == nil && is(latest) {
			return latest
		}
		if ctx.Err() != nil {
			r.t.Fatalf("rollout never %s: %s, %v", what, latest.Sentence, err)
		}
		index = max(index, latest.Index)
		r.nextEvent(ctx, client, index+1)
	}
}

// nextEvent waits for the journal to grow, or for the controller to be back.
func (r *rig) nextEvent(ctx context.Context, client *api.Client, from int64) {
	bounded, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for range client.Watch(bounded, from) {
		return
	}
	<-bounded.Done()
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
