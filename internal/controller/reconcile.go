package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/workload"
)

// afterEvent does what follows from an entry beside the machine's commands. It runs in the loop, before they are dispatched.
func (c *Controller) afterEvent(ctx context.Context, entry segue.Entry) {
	event := entry.Event
	if event.Kind == segue.EventDatabase {
		c.syncPreparations(ctx)
		return
	}
	if event.Service == "" {
		return
	}
	c.noteBusy()
	c.syncMonitors(ctx, event.Service, event.Kind == segue.EventOpened)
	if m, ok := c.monitors[event.Rollout]; ok && event.Kind == segue.EventStepDone {
		select {
		case m.stepped <- struct{}{}:
		default:
		}
	}
	if event.Kind == segue.EventServiceConfigured {
		c.watchService(ctx, event.Service)
		c.syncLookout(ctx, event.Service)
	}
}

// resume goes on with what the journal says is open.
func (c *Controller) resume(ctx context.Context, pending []rollout.Command) {
	for name := range c.ledger.Services {
		c.watchService(ctx, name)
		c.syncLookout(ctx, name)
		c.syncMonitors(ctx, name, false)
	}
	c.noteBusy()
	c.syncPreparations(ctx)
	for _, command := range pending {
		c.dispatch(ctx, command)
	}
}

// watchService makes sure that the changes of a service's instances are listened to.
func (c *Controller) watchService(ctx context.Context, name segue.ServiceName) {
	s, err := c.service(name, c.ledger.Services[name].Config)
	if err != nil {
		c.log.ErrorContext(ctx, "open drivers", "service", name, "error", err)
		return
	}
	if c.watched[s.workload] {
		return
	}
	c.watched[s.workload] = true
	driver := s.workload
	c.running.Go(func() { c.watchDriver(ctx, driver) })
}

// watchDriver turns what a driver reports into events, until ctx is done.
func (c *Controller) watchDriver(ctx context.Context, driver workload.Driver) {
	for ctx.Err() == nil {
		changes, err := driver.Watch(ctx)
		if err != nil {
			c.log.WarnContext(ctx, "watch instances", "error", err)
			if wait(ctx, c.options.Reconcile) != nil {
				return
			}
			continue
		}
		for instance := range changes {
			c.noticed(ctx, driver, instance)
		}
	}
}

// noticed compares a reported state with what the ledger says, and writes down a change for the worse. The way back up is followed by probing.
func (c *Controller) noticed(ctx context.Context, driver workload.Driver, instance segue.Instance) {
	down := false
	err := c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		known, ok := ledger.Services[instance.Service]
		if !ok {
			return nil, nil
		}
		slot, ok := known.Slot(instance.Server)
		if !ok || slot.Instance.ID != instance.ID || !slot.Ready || known.Working(instance.ID) {
			return nil, nil
		}
		if instance.State == segue.InstanceRunning && instance.Restarts <= slot.Instance.Restarts {
			return nil, nil
		}
		down = true
		return []segue.Event{downEvent(known, instance)}, nil
	})
	if err == nil && down {
		c.running.Go(func() { c.awaitBack(ctx, driver, instance) })
	}
}

func downEvent(known *rollout.ServiceLedger, instance segue.Instance) segue.Event {
	event := segue.Event{
		Kind: segue.EventInstanceDown, Service: instance.Service, Server: instance.Server, Instance: instance.ID, Restarts: instance.Restarts,
		Failure: &segue.Failure{
			Kind:    segue.KindUnhealthy,
			Message: fmt.Sprintf("%s on %s went down: %s", instance.Release, instance.Server, nonEmpty(instance.Error, string(instance.State))),
			Hint:    fmt.Sprintf("see what it said with `segue logs %s`", instance.Server),
		},
	}
	if known.Open != nil {
		event.Rollout = known.Open.ID
	}
	return event
}

// awaitBack follows an instance that its keeper starts again, and says when it is ready.
func (c *Controller) awaitBack(ctx context.Context, driver workload.Driver, instance segue.Instance) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if wait(ctx, pause) != nil {
			return
		}
		err := driver.Probe(ctx, instance.ID)
		if segue.KindOf(err) == segue.KindNotFound {
			return
		}
		if err == nil {
			break
		}
	}
	c.reportUp(ctx, driver, instance)
}

// reportUp writes down that an instance is ready again, where the journal has it that it is not.
func (c *Controller) reportUp(ctx context.Context, driver workload.Driver, instance segue.Instance) {
	instance = c.asListed(ctx, driver, instance)
	_ = c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		known, ok := ledger.Services[instance.Service]
		if !ok {
			return nil, nil
		}
		slot, ok := known.Slot(instance.Server)
		if !ok || slot.Instance.ID != instance.ID || slot.Ready {
			return nil, nil
		}
		event := segue.Event{
			Kind: segue.EventInstanceUp, Service: instance.Service, Server: instance.Server, Instance: instance.ID, Restarts: instance.Restarts,
			Outcome: &segue.Outcome{Address: instance.Address},
		}
		if known.Open != nil {
			event.Rollout = known.Open.ID
		}
		return []segue.Event{event}, nil
	})
}

// asListed gives an instance as its driver lists it now: how often it was started again, so that the same restart is not taken for another one
// later, and where it serves.
func (c *Controller) asListed(ctx context.Context, driver workload.Driver, instance segue.Instance) segue.Instance {
	instances, err := driver.List(ctx)
	if err != nil {
		return instance
	}
	for _, seen := range instances {
		if seen.ID == instance.ID {
			return seen
		}
	}
	return instance
}

// reconcileLoop compares what runs with what should, at the start and then every so often.
func (c *Controller) reconcileLoop(ctx context.Context) {
	for {
		c.reconcileAll(ctx)
		if wait(ctx, c.options.Reconcile) != nil {
			return
		}
	}
}

// settled is a slot that no step is working on, as the ledger has it.
type settled struct {
	slot    segue.Slot
	release segue.Release
}

func settledSlots(known *rollout.ServiceLedger) []settled {
	var slots []settled
	busy := known.Busy()
	for _, slot := range known.Fleet.Slots {
		if slot.Instance.ID != "" && !busy[slot.Server.Name] {
			slots = append(slots, settled{slot: slot, release: known.Releases[slot.Instance.Release]})
		}
	}
	return slots
}

func (c *Controller) reconcileAll(ctx context.Context) {
	services := map[segue.ServiceName]*service{}
	should := map[segue.ServiceName][]settled{}
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for name, known := range ledger.Services {
			if s, err := c.service(name, known.Config); err == nil {
				services[name], should[name] = s, settledSlots(known)
			}
		}
	})
	if err != nil {
		return
	}
	for name, s := range services {
		if err := c.reconcile(ctx, s, should[name]); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "reconcile", "service", name, "error", err)
		}
		if err := c.retire(ctx, s); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "retire releases", "service", name, "error", err)
		}
	}
}

// reconcile brings back what should run and does not (after a reboot of the machine), puts back in rotation what the balancer forgot, and reports strays.
func (c *Controller) reconcile(ctx context.Context, s *service, should []settled) error {
	instances, err := s.workload.List(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	running := map[segue.InstanceID]segue.Instance{}
	for _, instance := range instances {
		if instance.Service == s.name && instance.State.Alive() {
			running[instance.ID] = instance
		}
	}
	backends := map[segue.InstanceID]balancer.BackendStatus{}
	if s.balancer != nil {
		snapshot, err := s.lookAtBalancer(ctx)
		if err != nil {
			return err
		}
		for _, backend := range snapshot.Backends {
			backends[backend.ID] = backend
		}
	}
	for _, each := range should {
		instance, ok := running[each.slot.Instance.ID]
		if !ok {
			if instance, err = c.revive(ctx, s, each); err != nil {
				c.log.WarnContext(ctx, "bring instance back", "server", each.slot.Server.Name, "error", err)
				continue
			}
		}
		c.follow(ctx, s, each.slot, instance)
		if err := c.restoreRotation(ctx, s, each.slot, instance, backends); err != nil {
			c.log.WarnContext(ctx, "restore rotation", "server", each.slot.Server.Name, "error", err)
		}
	}
	return c.reportStrays(ctx, s, running)
}

// follow makes up for what a controller that was away did not hear: an instance that went down meanwhile, or is ready again.
func (c *Controller) follow(ctx context.Context, s *service, slot segue.Slot, instance segue.Instance) {
	running := instance.State == segue.InstanceRunning
	switch {
	case slot.Ready && (!running || instance.Restarts > slot.Instance.Restarts):
		c.noticed(ctx, s.workload, instance)
	case !slot.Ready && running && s.workload.Probe(ctx, instance.ID) == nil:
		c.reportUp(ctx, s.workload, instance)
	}
}

// lookAtBalancer asks the balancer, and brings it back where it has gone or forgotten the service.
func (s *service) lookAtBalancer(ctx context.Context) (balancer.Snapshot, error) {
	snapshot, err := s.balancer.Snapshot(ctx)
	if err == nil {
		return snapshot, nil
	}
	if err := s.balancer.Configure(ctx); err != nil {
		return snapshot, fmt.Errorf("configure balancer: %w", err)
	}
	if snapshot, err = s.balancer.Snapshot(ctx); err != nil {
		return snapshot, fmt.Errorf("ask balancer: %w", err)
	}
	return snapshot, nil
}

// revive starts what is gone on the release it had.
func (c *Controller) revive(ctx context.Context, s *service, each settled) (segue.Instance, error) {
	config, err := c.workloadConfig(each.release.Config)
	if err != nil {
		return segue.Instance{}, err
	}
	c.log.InfoContext(ctx, "bring instance back", "server", each.slot.Server.Name, "instance", each.slot.Instance.ID)
	launch := workload.Launch{
		ID: each.slot.Instance.ID, Service: s.name, Server: each.slot.Server.Name, Release: each.release, Config: config,
	}
	instance, err := s.workload.Start(ctx, launch)
	if err != nil {
		return segue.Instance{}, err
	}
	c.running.Go(func() { c.awaitBack(ctx, s.workload, instance) })
	return instance, nil
}

// restoreRotation makes the balancer agree with the journal about a slot that should be in rotation.
func (c *Controller) restoreRotation(ctx context.Context, s *service, slot segue.Slot, instance segue.Instance, backends map[segue.InstanceID]balancer.BackendStatus) error {
	if s.balancer == nil || slot.Rotation != segue.RotationIn || !slot.Ready {
		return nil
	}
	if backend, ok := backends[slot.Instance.ID]; ok && backend.Rotation == segue.RotationIn && backend.Address == instance.Address {
		return nil
	}
	release, ok := c.claim(ctx, s.name, slot)
	if !ok {
		return nil
	}
	defer release()
	c.log.InfoContext(ctx, "put backend back", "server", slot.Server.Name, "instance", slot.Instance.ID)
	slot.Instance.Address = instance.Address
	_, err := c.admit(ctx, job{step: segue.Step{
		Kind: segue.StepAdmit, Server: slot.Server.Name, Instance: slot.Instance.ID, Release: slot.Instance.Release,
	}, name: s.name, service: s, slot: slot})
	return err
}

// reportStrays writes down, once each, what runs and nobody's journal knows. The next plan stops it. What was listed may have been stopped by a
// step meanwhile: only what is there at a second look is a stray.
func (c *Controller) reportStrays(ctx context.Context, s *service, running map[segue.InstanceID]segue.Instance) error {
	var strange bool
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		if known, ok := ledger.Services[s.name]; ok {
			instances := known.Instances()
			for id := range running {
				strange = strange || !instances[id]
			}
		}
	})
	if err != nil || !strange {
		return err
	}
	again, err := s.workload.List(ctx)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	return c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		known, ok := ledger.Services[s.name]
		if !ok {
			return nil, nil
		}
		var events []segue.Event
		instances := known.Instances()
		for _, instance := range again {
			if _, both := running[instance.ID]; !both || !instance.State.Alive() || instances[instance.ID] {
				continue
			}
			event := segue.Event{Kind: segue.EventStray, Service: s.name, Server: instance.Server, Instance: instance.ID}
			if known.Open != nil {
				event.Rollout = known.Open.ID
			}
			events = append(events, event)
		}
		return events, nil
	})
}
