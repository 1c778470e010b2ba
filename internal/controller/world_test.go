package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/journal/memory"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/limits"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// world is a fleet in memory under virtual time, that outlives the controllers working on it.
type world struct {
	t        *testing.T
	fleet    *workloadtest.Fake
	balancer *balancertest.Fake
	journal  *memory.Journal
	configs  *controller.MemoryConfigs
	// databases are what the service uses, all of them on database.
	databases []controller.Database
	database  migration.Driver
	// judges and lookout are as in Options; nil judges are plain limits.
	judges  func(settings segue.Service, candidate segue.ReleaseName) []judge.Judge
	lookout func(settings segue.Service, driver workload.Driver) *lookout.Lookout

	*controller.Controller
	stop func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, fleet: workloadtest.NewFake(), balancer: balancertest.NewFake(time.Now),
		journal: memory.New(time.Now), configs: &controller.MemoryConfigs{},
	}
	w.fleet.Capable = workload.Capabilities{Surge: true}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start begins a controller on the world as it is.
func (w *world) start() {
	w.t.Helper()
	level := slog.LevelError
	if os.Getenv("SEGUE_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	judges := w.judges
	if judges == nil {
		judges = func(settings segue.Service, _ segue.ReleaseName) []judge.Judge {
			return []judge.Judge{limits.New(settings.Limits, 0)}
		}
	}
	w.Controller = controller.New(controller.Options{
		Journal: w.journal, Drivers: w, Configs: w.configs, Judges: judges, Lookout: w.lookout,
		Configure: func(*spec.Project, spec.Service, segue.ReleaseName) (controller.Config, error) {
			return controller.Config{Workload: "fake", WorkloadBlock: json.RawMessage(`"x"`), Balancer: "fake", BalancerBlock: json.RawMessage(`{}`), Databases: w.databases}, nil
		},
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: level})),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Controller.Run(ctx) }()
	<-w.Controller.Ready()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("controller ended: %v", err)
		}
		w.stop = func() {}
	}
}

func (w *world) Workload(string) (workload.Driver, error) { return w.fleet, nil }
func (w *world) WorkloadConfig(string, json.RawMessage) (workload.Config, error) {
	return workloadtest.Config("x"), nil
}

func (w *world) Balancer(segue.ServiceName, string, json.RawMessage) (balancer.Driver, error) {
	return w.balancer, nil
}

// project is a segue.yaml with so many servers.
func project(servers int) operator.Project {
	return operator.Project{File: "segue.yaml", Dir: "/srv/shop", Text: fmt.Sprintf(`project: shop
services:
  web:
    workload: {driver: process, servers: %d, command: ["./releases/{release}/shop"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080", drain: {within: 10s}}
    strategy: {batches: [1, 50%%, 100%%], bake: 60s}
`, servers)}
}

func (w *world) deploy(release segue.ReleaseName, servers int) segue.RolloutID {
	w.t.Helper()
	return w.deployOf(project(servers), release)
}

func (w *world) deployOf(project operator.Project, release segue.ReleaseName) segue.RolloutID {
	w.t.Helper()
	reply, err := w.Deploy(w.t.Context(), operator.DeployRequest{
		Project: project, Targets: []operator.Target{{Release: release}}, By: "ana",
	})
	if err != nil {
		w.t.Fatalf("deploy %s: %v", release, err)
	}
	if len(reply.Rollouts) != 1 {
		w.t.Fatalf("deploy %s opened %d rollouts: %+v", release, len(reply.Rollouts), reply.Notes)
	}
	return reply.Rollouts[0].ID
}

// await lets virtual time pass until the rollout is as wanted.
func (w *world) await(id segue.RolloutID, what string, is func(operator.Rollout) bool) operator.Rollout {
	w.t.Helper()
	var last operator.Rollout
	for range 3000 {
		var err error
		if last, err = w.Rollout(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		if is(last) {
			return last
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
	}
	w.t.Fatalf("rollout %s never %s: phase %s, %s", id, what, last.Phase, last.Sentence)
	return last
}

func (w *world) awaitPhase(id segue.RolloutID, phase segue.Phase) operator.Rollout {
	w.t.Helper()
	return w.await(id, "was "+string(phase), func(r operator.Rollout) bool { return r.Phase == phase })
}

func (w *world) order(id segue.RolloutID, order segue.Order) {
	w.t.Helper()
	order.By = "ana"
	if _, err := w.Order(w.t.Context(), operator.OrderRequest{Rollout: id, Order: order}); err != nil {
		w.t.Fatalf("%s: %v", order.Verb, err)
	}
}

func releasesOf(fleet segue.Fleet) string {
	text := ""
	for _, slot := range fleet.Slots {
		text += fmt.Sprintf("%s=%s/%s ", slot.Server.Name, slot.Instance.Release, slot.Rotation)
	}
	return text
}

// Database offers the one that the world has.
func (w *world) Database(context.Context, string, json.RawMessage) (migration.Driver, error) {
	if w.database != nil {
		return w.database, nil
	}
	return nil, segue.Errorf(segue.KindUnsupported, "no database here")
}
