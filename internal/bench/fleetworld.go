package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/journal/memory"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/limits"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// fleetWorld is a fleet in memory with the real controller on it.
type fleetWorld struct {
	size     int
	fleet    *workloadtest.Fake
	balancer *balancertest.Fake
	journal  *gauge

	*controller.Controller
}

// rollFleet rolls a fresh fleet from v1 to v2 and gives the CPU time of that and, where it is gauged, the peak of the heap with everything in it.
func rollFleet(ctx context.Context, size int, gauged bool) (spent time.Duration, peak int64, err error) {
	before := liveHeap()
	w := &fleetWorld{
		size: size, fleet: workloadtest.NewFake(), balancer: balancertest.NewFake(time.Now), journal: &gauge{Journal: memory.New(time.Now)},
	}
	w.Controller = controller.New(controller.Options{
		Journal: w.journal, Drivers: w, Configs: &controller.MemoryConfigs{},
		Judges: func(settings segue.Service, _ segue.ReleaseName) []judge.Judge {
			return []judge.Judge{limits.New(settings.Limits, 0)}
		},
		Configure: func(*spec.Project, spec.Service, segue.ReleaseName) (controller.Config, error) {
			return controller.Config{Workload: "fake", WorkloadBlock: json.RawMessage(`{}`), Balancer: "fake", BalancerBlock: json.RawMessage(`{}`)}, nil
		},
	})
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() {
		cancel()
		if ended := <-done; err == nil {
			err = ended
		}
		_ = w.fleet.Close()
	}()
	<-w.Ready()
	if err := w.roll(ctx, "v1"); err != nil {
		return 0, 0, err
	}
	if gauged {
		// A rollout has about six entries per server; looking thirty times is enough to find the peak and does not take for ever.
		w.journal.every = max(1, size*6/30)
	}
	began := cpuTime()
	err = w.roll(ctx, "v2")
	spent = cpuTime() - began
	return spent, max(w.journal.peak, 0) - before, err
}

// roll deploys a release and waits for its receipt.
func (w *fleetWorld) roll(ctx context.Context, release segue.ReleaseName) error {
	reply, err := w.Deploy(ctx, operator.DeployRequest{Project: w.project(), Targets: []operator.Target{{Release: release}}, By: "bench"})
	if err != nil {
		return err
	}
	if len(reply.Rollouts) != 1 {
		return fmt.Errorf("deploy %s opened %d rollouts: %v", release, len(reply.Rollouts), reply.Notes)
	}
	id := reply.Rollouts[0].ID
	for entry, err := range w.Watch(ctx, reply.Rollouts[0].Index) {
		if err != nil {
			return err
		}
		if entry.Event.Rollout == id && entry.Event.Kind == segue.EventReceipt {
			break
		}
	}
	end, err := w.Rollout(ctx, id)
	if err == nil && end.Phase != segue.PhaseSucceeded {
		err = fmt.Errorf("rollout to %s ended %s: %s", release, end.Phase, end.Sentence)
	}
	return err
}

func (w *fleetWorld) project() operator.Project {
	return operator.Project{File: "segue.yaml", Dir: "/srv/bench", Text: fmt.Sprintf(`project: bench
services:
  web:
    workload: {driver: process, servers: %d, command: ["./releases/{release}/web"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
    strategy: {batches: [1, 25%%, 100%%], bake: 0s, max_unavailable: %d}
`, w.size, max(1, w.size/100))}
}

// Workload implements controller.Drivers.
func (w *fleetWorld) Workload(string) (workload.Driver, error) { return w.fleet, nil }

// WorkloadConfig implements controller.Drivers.
func (w *fleetWorld) WorkloadConfig(string, json.RawMessage) (workload.Config, error) {
	return workloadtest.Config("x"), nil
}

// Balancer implements controller.Drivers.
func (w *fleetWorld) Balancer(segue.ServiceName, string, json.RawMessage) (balancer.Driver, error) {
	return w.balancer, nil
}

// gauge is a journal that stops every so many entries to see how much of the heap is in use.
type gauge struct {
	*memory.Journal

	mu    sync.Mutex
	every int // 0: never
	count int
	peak  int64
}

// Append implements journal.Journal.
func (g *gauge) Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error) {
	entries, err := g.Journal.Append(ctx, events...)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.every > 0 {
		if g.count += len(events); g.count >= g.every || events[0].Kind == segue.EventReceipt {
			g.count, g.peak = 0, max(g.peak, liveHeap())
		}
	}
	return entries, err
}

// Database has none to offer.
func (w *fleetWorld) Database(context.Context, string, json.RawMessage) (migration.Driver, error) {
	return nil, segue.Errorf(segue.KindUnsupported, "no database here")
}
