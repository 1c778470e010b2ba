package bench

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/strategy"
)

// FleetSizes are the fleets that are simulated; what a server costs in the others is put beside what it costs in the first and in fleetBase.
func FleetSizes(quick bool) []int {
	if quick {
		return []int{10, 100, 1000}
	}
	return []int{10, 100, 1000, 10_000}
}

// fleetBase is the size that others are compared with beside the smallest: in a fleet of ten what a rollout costs at all weighs more than
// what its servers do.
const fleetBase = 100

// fleetBusy is how much CPU time a figure is taken from at least: short runs are repeated.
const fleetBusy = time.Second

// fleetCost is what one server costs in a fleet of some size.
type fleetCost struct {
	size                 int
	planCPU, rolloutCPU  float64 // microseconds
	planHeap, rolloutMem float64 // KiB
}

// Fleets measures what a server costs in fleets of some sizes: the plan, and a whole rollout through the real controller on fakes (its journal in
// memory, so that the disk is left out). One server in a hundred is out at a time. A controller that scales has the same figure in every line.
func Fleets(ctx context.Context, t *Table, sizes []int) error {
	costs := make([]fleetCost, 0, len(sizes))
	for _, size := range sizes {
		cost := fleetCost{size: size}
		if err := cost.planning(); err != nil {
			return fmt.Errorf("plan for %d servers: %w", size, err)
		}
		if err := cost.rollingOut(ctx); err != nil {
			return fmt.Errorf("roll %d servers: %w", size, err)
		}
		t.Say("%6d servers: plan %6.2f us CPU, %6.2f KiB; rollout %7.1f us CPU, %6.1f KiB peak heap, each per server",
			size, cost.planCPU, cost.planHeap, cost.rolloutCPU, cost.rolloutMem)
		costs = append(costs, cost)
	}
	tellFleets(t, costs)
	return nil
}

func tellFleets(t *Table, costs []fleetCost) {
	figures := []struct {
		name, unit string
		of         func(fleetCost) float64
	}{
		{"plan.cpu", "us/server", func(c fleetCost) float64 { return c.planCPU }},
		{"plan.heap", "KiB/server", func(c fleetCost) float64 { return c.planHeap }},
		{"rollout.cpu", "us/server", func(c fleetCost) float64 { return c.rolloutCPU }},
		{"rollout.heap", "KiB/server", func(c fleetCost) float64 { return c.rolloutMem }},
	}
	for _, figure := range figures {
		for _, cost := range costs {
			name := fmt.Sprintf("fleet.%d.%s", cost.size, figure.name)
			t.Add(name, figure.of(cost), figure.unit, "")
			for _, base := range costs {
				if base.size < cost.size && (base.size == costs[0].size || base.size == fleetBase) {
					t.Ratio(name+".ratio", figure.of(cost), figure.of(base), fmt.Sprintf("%d servers", base.size))
				}
			}
		}
	}
}

// planning measures the pure part: service, fleet and release to plan. The heap is what the plan itself takes.
func (c *fleetCost) planning() error {
	request := planRequest(c.size)
	var spent time.Duration
	plans := 0
	for spent < fleetBusy/4 {
		began := cpuTime()
		if _, err := strategy.Plan(request); err != nil {
			return err
		}
		spent += cpuTime() - began
		plans++
	}
	c.planCPU = perServer(spent, plans*c.size)

	// So many plans that one page more or less does not count.
	kept := make([]segue.Plan, max(1, 1000/c.size))
	before := liveHeap()
	for i := range kept {
		kept[i], _ = strategy.Plan(request)
	}
	c.planHeap = float64(liveHeap()-before) / 1024 / float64(len(kept)*c.size)
	runtime.KeepAlive(kept)
	return nil
}

// planRequest is a rolling rollout of a fleet that runs v1.
func planRequest(size int) strategy.Request {
	service := segue.Service{
		Name: "web", Balanced: true, MinReady: size - max(1, size/100),
		Strategy: segue.Strategy{
			Kind: segue.Rolling, MaxUnavailable: max(1, size/100), Batches: []segue.Batch{{Servers: 1}, {Percent: 25}, {Percent: 100}}, Bake: time.Minute,
		},
		Timing: segue.Timing{Ready: time.Minute, Drain: time.Minute, Grace: time.Minute},
	}
	fleet := segue.Fleet{Service: "web", Slots: make([]segue.Slot, size)}
	for i := range size {
		server := segue.Server{Name: segue.ServerName(fmt.Sprintf("web-%d", i+1))}
		service.Servers = append(service.Servers, server)
		fleet.Slots[i] = segue.Slot{
			Server: server, Rotation: segue.RotationIn, Ready: true,
			Instance: segue.Instance{
				ID: segue.NewInstanceID(server.Name, "v1", 1, 1), Service: "web", Server: server.Name, Release: "v1",
				Address: "127.0.0.1:1", State: segue.InstanceRunning,
			},
		}
	}
	return strategy.Request{
		Rollout: 2, Plan: 1, Service: service, Fleet: fleet, Goal: segue.GoalForward,
		Stable: segue.Release{Service: "web", Name: "v1", Digest: "sha256:1"}, Candidate: segue.Release{Service: "web", Name: "v2", Digest: "sha256:2"},
	}
}

// rollingOut measures whole rollouts: CPU time in one or more runs that nothing disturbs, the heap in one that stops to count.
func (c *fleetCost) rollingOut(ctx context.Context) error {
	var spent time.Duration
	rollouts := 0
	for spent < fleetBusy {
		once, _, err := rollFleet(ctx, c.size, false)
		if err != nil {
			return err
		}
		spent += once
		rollouts++
	}
	c.rolloutCPU = perServer(spent, rollouts*c.size)
	_, peak, err := rollFleet(ctx, c.size, true)
	c.rolloutMem = float64(peak) / 1024 / float64(c.size)
	return err
}

func perServer(spent time.Duration, servers int) float64 {
	return float64(spent.Nanoseconds()) / 1000 / float64(servers)
}

// cpuTime is what this process has used, system time included.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// liveHeap is what is in use, in bytes, garbage not counted.
func liveHeap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc) //nolint:gosec // far below 2^63
}
