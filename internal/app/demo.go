package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/examples/shop/build/releases"
	"github.com/segue-deploy/segue/internal/cli"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/migration/postgres/cluster"
	"github.com/segue-deploy/segue/internal/receipt"
)

// DemoOptions shape a demonstration.
type DemoOptions struct {
	// JSON prints one object at the end and nothing else to Out.
	JSON bool
	// Keep leaves everything running.
	Keep bool
	// Postgres keeps the shop's data in a PostgreSQL server that is started for it.
	Postgres bool
	Out, Err io.Writer
}

// demoReleases are built: three good ones, one in which every answer is late: it fails nothing, and only looking finds it; and one in which an answer in
// fifty is an error.
var demoReleases = [...]string{"v1", "v2", "v3", "bad-slow", "bad-errors"} //nolint:gochecknoglobals // a table

// demoCustomers are in the shop's books: what the backfill works on.
const demoCustomers = 100_000

// DemoResult is what `segue demo --json` prints.
type DemoResult struct {
	Rollouts []DemoRollout `json:"rollouts"`
	// Kept says where things run, with --keep.
	Kept *DemoKept `json:"kept,omitempty"`
}

// DemoRollout is one rollout of the demonstration, as its receipt has it.
type DemoRollout struct {
	Release      segue.ReleaseName `json:"release"`
	Outcome      segue.Phase       `json:"outcome"`
	Requests     int64             `json:"requests"`
	Failed       int64             `json:"failed"`
	Sessions     int               `json:"sessions"`
	SessionsLost int               `json:"sessions_lost"`
	Duration     float64           `json:"duration_seconds"`
}

// DemoKept is what a kept demonstration left running.
type DemoKept struct {
	Address string `json:"address"`
	Folder  string `json:"folder"`
	State   string `json:"state"`
}

// demo is a demonstration under way.
type demo struct {
	options DemoOptions
	text    io.Writer // for people
	folder  string
	state   State
	address string
	// database is the shop's, as its URL, and server what runs it; nil for a file.
	database string
	server   *cluster.Cluster
}

// Demo builds the example shop, runs four servers of it behind the proxy, rolls it to a new release under load, then tries a bad release, and shows
// both receipts.
func Demo(ctx context.Context, options DemoOptions) error {
	d := &demo{options: options, text: options.Out}
	if options.JSON {
		d.text = options.Err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	result, err := d.run(ctx)
	if !options.Keep || err != nil {
		err = errors.Join(err, d.clean(ctx))
	} else {
		result.Kept = &DemoKept{Address: "http://" + d.address, Folder: d.folder, State: string(d.state)}
		d.sayKept()
	}
	if err != nil {
		return err
	}
	if options.JSON {
		out := json.NewEncoder(options.Out)
		out.SetIndent("", "  ")
		return out.Encode(result)
	}
	return nil
}

// prepare builds the releases and writes the project.
func (d *demo) prepare(ctx context.Context) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if d.folder, err = os.MkdirTemp("", "segue-demo-"); err != nil {
		return fmt.Errorf("make folder of demonstration: %w", err)
	}
	if d.state, err = OpenState(filepath.Join(d.folder, ".segue")); err != nil {
		return err
	}
	began := time.Now()
	_, _ = fmt.Fprintf(d.text, "Building the example shop: %s\n", strings.Join(demoReleases[:], ", "))
	if err := os.Chdir(root); err != nil {
		return fmt.Errorf("enter module: %w", err)
	}
	if err := releases.Build(ctx, filepath.Join(d.folder, "releases"), demoReleases[:]...); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.text, "Built in %.1f s, in %s\n", time.Since(began).Seconds(), d.folder)
	if d.address, err = freeAddress(ctx); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "examples", "shop", "segue.yaml"))
	if err != nil {
		return fmt.Errorf("read project of the shop: %w", err)
	}
	if err := d.startDatabase(ctx); err != nil {
		return err
	}
	text = d.shorten(text)
	beside := bytes.Replace(text, []byte("strategy: {kind: rolling,"), []byte("strategy: {kind: parallel, mirror: {share: 50%, for: 15s},"), 1)
	return errors.Join(os.WriteFile(d.project(false), text, 0o600), os.WriteFile(d.project(true), beside, 0o600))
}

// shorten makes the shop's project fit for a short demonstration: another address, and less patience.
func (d *demo) shorten(text []byte) []byte {
	for _, change := range [...][2]string{
		{"127.0.0.1:8080", d.address},
		{"drain: {within: 30s}", "drain: {within: 3s, spread: 1s}"},
		{"bake: 30s", "bake: 8s"},
		{"${DATABASE_URL:-file:shop.db}", d.database},
		{"${SHOP_DRIVER:-sqlite}", d.driver()},
		{"${SHOP_CUSTOMERS:-1000}", strconv.Itoa(demoCustomers)},
		{"    strategy: {kind: rolling", "    rollback_window: " + demoWindow.String() + "\n    strategy: {kind: rolling"},
		{"brown_out: 5s", "brown_out: 2s"},
		{"  rate: 50/s\n", "  rate: 60/s\n  before: 3s\n  after: 3s\n"},
		{"    contract: {", d.roles() + "    contract: {"},
	} {
		text = bytes.ReplaceAll(text, []byte(change[0]), []byte(change[1]))
	}
	return text
}

// project is the shop's file; the one with the strategy parallel lies beside it.
func (d *demo) project(parallel bool) string {
	if parallel {
		return filepath.Join(d.folder, "parallel.yaml")
	}
	return filepath.Join(d.folder, "segue.yaml")
}

// demoWindow is how long a release may come back: long enough for the next one to be refused because of it.
const demoWindow = 20 * time.Second

// demoAct is one deploy of the demonstration, and the exit code that it must end with.
type demoAct struct {
	release segue.ReleaseName
	code    int
	say     string
	// parallel compares answers to copied requests before the candidate gets any user.
	parallel bool
}

// demoActs are the deploys under load.
func demoActs() []demoAct {
	return []demoAct{
		{release: "v2", say: "v2 keeps a customer's name in two parts. The database is expanded and filled first; v1 goes on with the whole name."},
		{release: "v3", code: 12, say: "v3 drops the old column. Not while v1 may still come back:"},
		{release: "bad-slow", code: 11, say: "A bad release: every answer is late, and nothing fails."},
		{release: "bad-errors", code: 11, say: "Another one: an answer in fifty is an error. Copied requests find it before it has a single user:", parallel: true},
		{release: "v3", say: "v1 cannot come back any more. Now the old column may go, last of all:"},
	}
}

// run does the deploys, all but the first under load.
func (d *demo) run(ctx context.Context) (DemoResult, error) {
	result := DemoResult{Rollouts: []DemoRollout{}}
	if err := d.deploy(ctx, demoAct{release: "v1"}); err != nil {
		return result, err
	}
	stopLoad, err := d.startLoad(ctx)
	if err != nil {
		return result, err
	}
	defer stopLoad()
	for i, act := range demoActs() {
		if i == len(demoActs())-1 && wait(ctx, demoWindow) != nil {
			return result, ctx.Err()
		}
		_, _ = fmt.Fprintf(d.text, "\n%s\n", act.say)
		if err := d.deploy(ctx, act); err != nil {
			return result, err
		}
		if act.code == 12 {
			continue
		}
		rollout, err := d.account(ctx, act.release)
		if err != nil {
			return result, err
		}
		result.Rollouts = append(result.Rollouts, rollout)
	}
	_, _ = fmt.Fprint(d.text, "\n$ segue db status\n")
	Main(ctx, []string{"db", "status", "-f", d.project(false), "--state", string(d.state)}, cli.Stdio{In: strings.NewReader(""), Out: d.text, Err: d.text})
	return result, nil
}

// deploy runs the real command, and expects an exit code.
func (d *demo) deploy(ctx context.Context, act demoAct) error {
	release, want, file := act.release, act.code, d.project(act.parallel)
	args := []string{"deploy", string(release), "--yes", "-f", file, "--state", string(d.state)}
	shown := ""
	if act.parallel {
		shown = " -f " + filepath.Base(file)
	}
	_, _ = fmt.Fprintf(d.text, "\n$ segue deploy %s%s\n", release, shown)
	if got := Main(ctx, args, cli.Stdio{In: strings.NewReader(""), Out: d.text, Err: d.text}); got != want {
		return segue.Errorf(segue.KindFault, "segue deploy %s ended with exit code %d, expected %d", release, got, want)
	}
	return nil
}

// startLoad sends a steady load of page views beside the witness, until it is stopped.
func (d *demo) startLoad(ctx context.Context) (stop func(), err error) {
	generator, err := load.New(load.Config{
		Target: "http://" + d.address, Gets: 250, Connections: 32,
		GetPaths:     []string{"/", "/products/night-ferry", "/api/products", "/version"},
		ServerHeader: "X-Shop-Server", ReleaseHeader: "X-Shop-Release", Header: http.Header{"User-Agent": {"segue-demo"}},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	return func() {
		cancel()
		report := <-done
		_, _ = fmt.Fprintf(d.text, "\nThe load beside it, as its clients saw it: %d requests, %d failed\n", report.Requests, report.Failed)
	}, nil
}

// account reads the latest receipt.
func (d *demo) account(ctx context.Context, release segue.ReleaseName) (DemoRollout, error) {
	rollout := DemoRollout{Release: release}
	client, err := Connect(ctx, d.state)
	if err != nil {
		return rollout, err
	}
	defer client.Close()
	text, err := client.Receipt(ctx, 0)
	if err != nil {
		return rollout, err
	}
	var r receipt.Receipt
	if err := json.Unmarshal(text, &r); err != nil {
		return rollout, fmt.Errorf("read receipt: %w", err)
	}
	rollout.Outcome, rollout.Duration = r.Outcome, r.Duration.Duration().Seconds()
	if r.Traffic != nil {
		rollout.Requests, rollout.Failed = r.Traffic.Requests, r.Traffic.Failed
	}
	if r.Witness != nil {
		rollout.Sessions, rollout.SessionsLost = r.Witness.Users, r.Witness.SessionsLost
	}
	return rollout, nil
}

func (d *demo) sayKept() {
	_, _ = fmt.Fprintf(d.text, `
It goes on running:
  shop     http://%s
  status   segue status --state %s
  receipt  segue receipt --state %s
  end it   segue demo --stop %s
`, d.address, d.state, d.state, d.folder)
}

func (d *demo) clean(ctx context.Context) error {
	if err := Teardown(context.WithoutCancel(ctx), d.state, slog.New(slog.DiscardHandler)); err != nil {
		return fmt.Errorf("end demonstration in %s: %w", d.folder, err)
	}
	if d.server != nil {
		if err := d.server.Stop(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
	}
	return os.RemoveAll(d.folder)
}

// StopDemo ends a demonstration that was kept, and removes its folder.
func StopDemo(ctx context.Context, folder string) error {
	state := State(filepath.Join(folder, ".segue"))
	if _, err := os.Stat(filepath.Join(folder, "segue.yaml")); err != nil || !strings.Contains(filepath.Base(folder), "segue-demo-") {
		return segue.Errorf(segue.KindNotFound, "%s holds no demonstration", folder).WithHint("`segue demo --keep` says the folder that it leaves")
	}
	d := &demo{folder: folder, state: state}
	return d.clean(ctx)
}

// moduleRoot finds Segue's source: from the present folder upward, else from the program's own.
func moduleRoot() (string, error) {
	starts := []string{}
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if self, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(self))
	}
	for _, folder := range starts {
		for {
			text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
			if err == nil && bytes.HasPrefix(text, []byte("module github.com/segue-deploy/segue\n")) {
				return folder, nil
			}
			parent := filepath.Dir(folder)
			if parent == folder {
				break
			}
			folder = parent
		}
	}
	return "", segue.Errorf(segue.KindNotFound, "the demonstration builds the example shop, and its source is not here").
		WithHint("run it in a clone of the repository")
}

// freeAddress finds a loopback port that nobody uses at this moment.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	address := listener.Addr().String()
	return address, listener.Close()
}

// wait sleeps, unless ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
