package controller

import (
	"context"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/rollout"
)

// observeFleet says what a service's fleet really is: what the journal tells, checked against what the drivers see. Servers are those of
// settings, in their order; servers that have left but still run something come last.
func (c *Controller) observeFleet(ctx context.Context, s *service, settings segue.Service, told segue.Fleet) (segue.Fleet, error) {
	instances, err := s.workload.List(ctx)
	if err != nil {
		return segue.Fleet{}, fmt.Errorf("list instances of %s: %w", s.name, err)
	}
	seen := sightings{instances: map[segue.InstanceID]segue.Instance{}, strays: map[segue.ServerName][]segue.Instance{}}
	for _, instance := range instances {
		if instance.Service == s.name && instance.State.Alive() {
			seen.instances[instance.ID] = instance
		}
	}
	if s.balancer != nil {
		snapshot, err := s.balancer.Snapshot(ctx)
		if err != nil {
			return segue.Fleet{}, fmt.Errorf("ask balancer of %s: %w", s.name, err)
		}
		seen.backends = map[segue.InstanceID]balancer.BackendStatus{}
		for _, backend := range snapshot.Backends {
			seen.backends[backend.ID] = backend
		}
	}
	return seen.fleet(settings, told), nil
}

// sightings is what drivers report of one service.
type sightings struct {
	instances map[segue.InstanceID]segue.Instance
	strays    map[segue.ServerName][]segue.Instance
	// backends is nil without a balancer.
	backends map[segue.InstanceID]balancer.BackendStatus
}

func (s *sightings) fleet(settings segue.Service, told segue.Fleet) segue.Fleet {
	fleet := segue.Fleet{
		Service: settings.Name, Index: told.Index, Slots: make([]segue.Slot, 0, len(settings.Servers)),
		Maintenance: told.Maintenance, Holding: told.Holding,
	}
	before := make(map[segue.ServerName]segue.Slot, len(told.Slots))
	inCharge := make(map[segue.InstanceID]bool, len(told.Slots))
	for _, slot := range told.Slots {
		before[slot.Server.Name] = slot
		inCharge[slot.Instance.ID] = true
		if slot.Beside != nil {
			inCharge[slot.Beside.Instance.ID] = true
		}
	}
	for id, instance := range s.instances {
		if !inCharge[id] {
			s.strays[instance.Server] = append(s.strays[instance.Server], instance)
		}
	}
	wanted := make(map[segue.ServerName]bool, len(settings.Servers))
	for _, server := range settings.Servers {
		wanted[server.Name] = true
		slot := before[server.Name]
		slot.Server = server
		fleet.Slots = append(fleet.Slots, s.check(slot))
	}
	for _, slot := range told.Slots {
		if !wanted[slot.Server.Name] && (slot.Instance.ID != "" || len(s.strays[slot.Server.Name]) > 0) {
			fleet.Slots = append(fleet.Slots, s.check(slot))
		}
	}
	return fleet
}

// check corrects a slot by what was seen of it.
func (s *sightings) check(slot segue.Slot) segue.Slot {
	slot.Strays = s.strays[slot.Server.Name]
	segue.SortInstances(slot.Strays)
	slot.Instance, slot.Rotation, slot.Ready = s.checkOne(slot.Instance, slot.Ready)
	if slot.Beside != nil {
		beside := *slot.Beside
		beside.Instance, beside.Rotation, beside.Ready = s.checkOne(beside.Instance, beside.Ready)
		slot.Beside = &beside
		if beside.Instance.ID == "" {
			slot.Beside = nil
		}
	}
	return slot
}

// checkOne corrects one instance: what no driver sees is not there.
func (s *sightings) checkOne(told segue.Instance, ready bool) (segue.Instance, segue.Rotation, bool) {
	instance, ok := s.instances[told.ID]
	if told.ID == "" || !ok {
		return segue.Instance{}, segue.RotationOut, false
	}
	ready = ready && instance.State == segue.InstanceRunning
	if s.backends == nil {
		return instance, segue.RotationOut, ready
	}
	backend, ok := s.backends[told.ID]
	if !ok {
		return instance, segue.RotationOut, ready
	}
	return instance, backend.Rotation, ready && backend.Healthy
}

// view is a copy of what the ledger says about a service, for use outside the loop.
type view struct {
	rollout.ServiceLedger

	next segue.RolloutID
	last int64
}

// viewOf copies a service's part of the ledger. A service that the journal does not know is empty.
func (c *Controller) viewOf(ctx context.Context, name segue.ServiceName) (view, error) {
	var v view
	err := c.look(ctx, func(ledger *rollout.Ledger, last int64) {
		v.next, v.last = ledger.Next(), last
		if known, ok := ledger.Services[name]; ok {
			v.ServiceLedger = known.Clone()
		}
	})
	return v, err
}
