package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/balancertest"
	"github.com/segue-deploy/segue/internal/controller"
	"github.com/segue-deploy/segue/internal/journal/memory"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

// TestStepsAskForOneBackendOnly: what a controller asks its balancer at every step must not be about the whole fleet, or a rollout would cost the square
// of its size.
func TestStepsAskForOneBackendOnly(t *testing.T) {
	calls := func(servers int) map[string]int {
		counted := map[string]int{}
		synctest.Test(t, func(t *testing.T) {
			w := &counting{
				fleet: workloadtest.NewFake(), balancer: balancertest.NewFaulty(balancertest.NewFake(time.Now)), journal: memory.New(time.Now),
			}
			w.roll(t, "v1", servers)
			before := len(w.balancer.Calls())
			w.roll(t, "v2", servers)
			for _, call := range w.balancer.Calls()[before:] {
				counted[call.Method]++
			}
		})
		return counted
	}
	few, many := calls(4), calls(40)
	if few["Snapshot"] == 0 || many["Snapshot"] > few["Snapshot"] {
		t.Errorf("%d snapshots for 4 servers, %d for 40: want no more", few["Snapshot"], many["Snapshot"])
	}
	if few["Find"] < 2*4 || many["Find"] < 2*40 {
		t.Errorf("one backend was asked for %d times with 4 servers and %d times with 40: want one look before each stop and after each admit", few["Find"], many["Find"])
	}
}

// counting is a fleet whose balancer counts what it is asked.
type counting struct {
	fleet    *workloadtest.Fake
	balancer *balancertest.Faulty
	journal  *memory.Journal
	configs  controller.MemoryConfigs
}

// roll deploys a release by a controller that ends with it.
func (w *counting) roll(t *testing.T, release segue.ReleaseName, servers int) {
	t.Helper()
	c := controller.New(controller.Options{
		Journal: w.journal, Drivers: w, Configs: &w.configs, Look: time.Hour, Reconcile: time.Hour,
		Configure: func(*spec.Project, spec.Service, segue.ReleaseName) (controller.Config, error) {
			return controller.Config{Workload: "fake", WorkloadBlock: json.RawMessage(`{}`), Balancer: "fake", BalancerBlock: json.RawMessage(`{}`)}, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-c.Ready()
	reply, err := c.Deploy(ctx, operator.DeployRequest{
		Targets: []operator.Target{{Release: release}}, By: "ana",
		Project: operator.Project{File: "segue.yaml", Dir: "/srv/shop", Text: fmt.Sprintf(`project: shop
services:
  web:
    workload: {driver: process, servers: %d, command: ["./releases/{release}/shop"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
    strategy: {bake: 0s}
`, servers)},
	})
	if err != nil || len(reply.Rollouts) != 1 {
		t.Fatalf("deploy %s: %v, %+v", release, err, reply)
	}
	for entry, err := range c.Watch(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if entry.Event.Kind == segue.EventReceipt && entry.Event.Rollout == reply.Rollouts[0].ID {
			return
		}
	}
}

func (w *counting) Workload(string) (workload.Driver, error) { return w.fleet, nil }

func (w *counting) WorkloadConfig(string, json.RawMessage) (workload.Config, error) {
	return workloadtest.Config("x"), nil
}

func (w *counting) Balancer(segue.ServiceName, string, json.RawMessage) (balancer.Driver, error) {
	return w.balancer, nil
}

// Database has none to offer.
func (w *counting) Database(context.Context, string, json.RawMessage) (migration.Driver, error) {
	return nil, segue.Errorf(segue.KindUnsupported, "no database here")
}
