package strategy_test

import (
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/strategy"
)

// option changes a request.
type option func(*strategy.Request)

// forward is a request from v1 to v2 on a fleet that runs v1.
func forward(servers, minReady int, options ...option) strategy.Request {
	request := strategy.Request{
		Rollout: 7, Plan: 1, Goal: segue.GoalForward,
		Stable:    segue.Release{Service: "web", Name: "v1", Digest: "sha256:1", Config: "sha256:c"},
		Candidate: segue.Release{Service: "web", Name: "v2", Digest: "sha256:2", Config: "sha256:c"},
		Service: segue.Service{
			Name: "web", MinReady: minReady, Balanced: true, RollbackWindow: 24 * time.Hour,
			Strategy: segue.Strategy{Kind: segue.Rolling, Bake: 10 * minute, MaxUnavailable: 1, OnFailure: segue.FailRollback},
			Timing:   segue.Timing{Ready: 30 * time.Second, Drain: minute, Grace: 30 * time.Second},
		},
		Fleet: segue.Fleet{Service: "web", Index: 41},
	}
	for i := range servers {
		server := segue.Server{Name: segue.ServerName(fmt.Sprintf("web-%d", i+1))}
		request.Service.Servers = append(request.Service.Servers, server)
		slot := segue.Slot{Server: server, Rotation: segue.RotationIn, Ready: true}
		on("v1")(&slot)
		request.Fleet.Slots = append(request.Fleet.Slots, slot)
	}
	for _, option := range options {
		option(&request)
	}
	return request
}

func back(servers, minReady int, options ...option) strategy.Request {
	request := forward(servers, minReady, options...)
	request.Goal, request.Plan = segue.GoalBack, 2
	return request
}

func join(servers, minReady int, options ...option) strategy.Request {
	request := forward(servers, minReady, options...)
	request.Goal, request.Plan = segue.GoalJoin, 2
	return request
}

func staged(batches []segue.Batch) option {
	return func(r *strategy.Request) { r.Service.Strategy.Batches = batches }
}

func atATime(n int) option {
	return func(r *strategy.Request) { r.Service.Strategy.MaxUnavailable = n }
}

func bake(d time.Duration) option {
	return func(r *strategy.Request) { r.Service.Strategy.Bake = d }
}

func scope(servers ...segue.ServerName) option {
	return func(r *strategy.Request) { r.Servers = servers }
}

func bakeEach(r *strategy.Request)  { r.Service.Strategy.BakeEach = true }
func approve(r *strategy.Request)   { r.Service.Strategy.Approve = true }
func workers(r *strategy.Request)   { r.Service.Balanced = false }
func breaking(r *strategy.Request)  { r.Candidate.Breaking = true }
func allAtOnce(r *strategy.Request) { r.Service.Strategy.Kind = segue.AllAtOnce }

func surge(r *strategy.Request) {
	r.Service.CanSurge, r.Service.Strategy.Surge = true, true
}

func parallel(r *strategy.Request) {
	surge(r)
	r.Service.Strategy.Kind = segue.Parallel
	r.Service.Judging.Mirror = &segue.Mirror{Share: 0.1, For: minute}
}

// seen says how many observations this rollout has had, in the plans before this one.
func seen(observations int) option {
	return func(r *strategy.Request) { r.Observed, r.Plan = observations, 2 }
}

// mirroring leaves a mirror on that an earlier plan switched on.
func mirroring(r *strategy.Request) {
	server := r.Service.Servers[0]
	r.Mirroring = segue.Step{
		ID: 3, Kind: segue.StepMirror, Group: string(server.Name), Partition: server.Partition, Server: server.Name,
		Instance: segue.NewInstanceID(server.Name, "v2", 1, 1), Release: "v2", On: true,
	}
}

// partitioned deals the servers out to partitions, in equal shares and in order.
func partitioned(names ...segue.PartitionName) option {
	return func(r *strategy.Request) {
		n := len(r.Service.Servers)
		for i := range r.Service.Servers {
			r.Service.Servers[i].Partition = names[i*len(names)/n]
			r.Fleet.Slots[i].Server = r.Service.Servers[i]
		}
	}
}

// slot changes one slot of the fleet.
func slot(i int, changes ...func(*segue.Slot)) option {
	return func(r *strategy.Request) {
		for _, change := range changes {
			change(&r.Fleet.Slots[i])
		}
	}
}

func empty(i int) option {
	return slot(i, func(s *segue.Slot) { *s = segue.Slot{Server: s.Server, Rotation: segue.RotationOut} })
}

func instance(server segue.ServerName, release segue.ReleaseName) segue.Instance {
	return segue.Instance{ID: segue.NewInstanceID(server, release, 1, 1), Service: "web", Server: server, Release: release, State: segue.InstanceRunning}
}

func on(release segue.ReleaseName) func(*segue.Slot) {
	return func(s *segue.Slot) { s.Instance = instance(s.Server.Name, release) }
}

func beside(release segue.ReleaseName, rotation segue.Rotation) func(*segue.Slot) {
	return func(s *segue.Slot) {
		s.Beside = &segue.Occupant{Instance: instance(s.Server.Name, release), Rotation: rotation, Ready: rotation == segue.RotationIn}
	}
}

func drained(s *segue.Slot) { s.Rotation = segue.RotationDraining }
func down(s *segue.Slot)    { s.Ready, s.Instance.State = false, segue.InstanceBackOff }

func stray(id segue.InstanceID) func(*segue.Slot) {
	return func(s *segue.Slot) {
		s.Strays = append(s.Strays, segue.Instance{ID: id, Service: "web", Server: s.Server.Name, Release: "v0", State: segue.InstanceRunning})
	}
}
