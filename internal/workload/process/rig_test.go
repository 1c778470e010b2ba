package process_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/process"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// rig is a state folder, a project folder with artifacts, and a driver.
type rig struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // of one test, in which the rig lives and dies
	state   string
	project string
	driver  *process.Driver
}

// newRig makes one. At the end of the test nothing of it may run any more.
func newRig(t *testing.T) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, state: filepath.Join(t.TempDir(), "state"), project: t.TempDir()}
	r.driver = r.open()
	t.Cleanup(r.end)
	return r
}

func (r *rig) open() *process.Driver {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	d, err := process.New(process.Options{
		StateDir: r.state, Self: []string{self, "shim"},
		Logger: slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// end stops everything and looks for what was left.
func (r *rig) end() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 30*time.Second)
	defer cancel()
	if err := r.driver.Close(); err != nil {
		r.t.Error(err)
	}
	r.driver = r.open()
	instances, err := r.driver.List(ctx)
	if err != nil {
		r.t.Error(err)
	}
	for _, i := range instances {
		if err := r.driver.Stop(ctx, i.ID); err != nil {
			r.t.Error(err)
		}
	}
	if err := r.driver.Close(); err != nil {
		r.t.Error(err)
	}
	all, err := shim.Processes()
	if err != nil {
		r.t.Error(err)
	}
	for _, stat := range all {
		// A shim that has said its last word may still be on its way out.
		proc := filepath.Join("/proc", fmt.Sprint(stat.PID))
		line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		environ, _ := os.ReadFile(filepath.Join(proc, "environ"))
		if strings.Contains(string(line), r.state) && strings.Contains(string(line), "shim") {
			leaving, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := shim.AwaitExit(leaving, stat.PID, stat.Start)
			cancel()
			if err == nil {
				continue
			}
		}
		if strings.Contains(string(line), r.state) || strings.Contains(string(environ), r.state) {
			r.t.Errorf("process %d is left: %q", stat.PID, strings.ReplaceAll(string(line), "\x00", " "))
			_ = shim.Kill(ctx, stat)
		}
	}
}

// artifact writes a release's folder.
func (r *rig) artifact(release string) {
	r.t.Helper()
	dir := filepath.Join(r.project, "releases", release)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "release"), []byte(release+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// web is the configuration of a service that is ready by HTTP.
func (r *rig) web(mode string) process.Config {
	self, _ := os.Executable()
	return process.Config{
		Command: []string{self, "web", "./releases/{release}"}, Dir: r.project,
		Env:     map[string]string{"MODE": mode},
		Ready:   process.Ready{HTTP: "/readyz", Within: 20 * time.Second},
		Stop:    process.Stop{Grace: 10 * time.Second},
		Restart: process.Restart{Min: 10 * time.Millisecond, Max: 40 * time.Millisecond, Limit: 3},
	}
}

// worker is the configuration of a service without an address.
func (r *rig) worker(mode string) process.Config {
	c := r.web(mode)
	c.Command[1] = "worker"
	c.Worker, c.Ready = true, process.Ready{}
	return c
}

// stage registers and stages a release.
func (r *rig) stage(name string, config process.Config) segue.Release {
	r.t.Helper()
	r.artifact(name)
	digest, artifact, err := r.driver.Digest(r.ctx, config, segue.ReleaseName(name))
	if err != nil {
		r.t.Fatal(err)
	}
	release := segue.Release{Service: "web", Name: segue.ReleaseName(name), Digest: digest, Artifact: artifact, Config: config.Digest()}
	if err := r.driver.Stage(r.ctx, config, release); err != nil {
		r.t.Fatal(err)
	}
	return release
}

func launchOf(release segue.Release, config process.Config, rollout segue.RolloutID) workload.Launch {
	server := segue.ServerName("web-1")
	return workload.Launch{
		ID: segue.NewInstanceID(server, release.Name, rollout, 1), Service: "web", Server: server, Release: release, Config: config,
	}
}

// start stages a release and starts an instance of it on web-1.
func (r *rig) start(name string, config process.Config) segue.Instance {
	r.t.Helper()
	instance, err := r.driver.Start(r.ctx, launchOf(r.stage(name, config), config, 1))
	if err != nil {
		r.t.Fatal(err)
	}
	return instance
}

// ready starts an instance of v1 and waits until it is ready.
func (r *rig) ready(config process.Config) segue.Instance {
	r.t.Helper()
	instance := r.start("v1", config)
	if err := r.driver.AwaitReady(r.ctx, instance.ID); err != nil {
		r.t.Fatal(err)
	}
	return instance
}

// get asks an instance.
func (r *rig) get(address, path string, query ...string) string {
	r.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+address+path+"?"+values.Encode(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		if path == "/exit" {
			return ""
		}
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// until reads from Watch until an instance is as wanted.
func until(t *testing.T, states <-chan segue.Instance, id segue.InstanceID, want func(segue.Instance) bool) segue.Instance {
	t.Helper()
	for instance := range states {
		if instance.ID == id && want(instance) {
			return instance
		}
	}
	t.Fatal("watch ended before the instance was as wanted")
	return segue.Instance{}
}

// lines reads an instance's log line by line.
func (r *rig) lines(id segue.InstanceID, follow bool) *bufio.Scanner {
	r.t.Helper()
	log, err := r.driver.Logs(r.ctx, id, -1, follow)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { log.Close() })
	return bufio.NewScanner(log)
}

// line waits for a line that contains text.
func (r *rig) line(scanner *bufio.Scanner, text string) {
	r.t.Helper()
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), text) {
			return
		}
	}
	r.t.Fatalf("the log ends without %q: %v", text, scanner.Err())
}

func wantKind(t *testing.T, err error, want segue.Kind) {
	t.Helper()
	if err == nil || segue.KindOf(err) != want {
		t.Fatalf("error %v of kind %v; want kind %v", err, segue.KindOf(err), want)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
