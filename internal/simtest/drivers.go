package simtest

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/rollout/laws"
	"github.com/segue-deploy/segue/internal/workload"
)

// workloadOf is the servers as one controller reaches them.
type workloadOf struct {
	*life
	workload.Driver
}

// Digest implements workload.Driver.
func (d *workloadOf) Digest(ctx context.Context, config workload.Config, release segue.ReleaseName) (digest segue.Digest, artifact string, err error) {
	err = d.call(ctx, "Digest", string(release), "", func() (err error) {
		digest, artifact, err = d.Driver.Digest(ctx, config, release)
		return err
	})
	return digest, artifact, err
}

// Stage implements workload.Driver.
func (d *workloadOf) Stage(ctx context.Context, config workload.Config, release segue.Release) error {
	return d.call(ctx, "Stage", string(release.Name), "", func() error { return d.Driver.Stage(ctx, config, release) })
}

// Retire implements workload.Driver.
func (d *workloadOf) Retire(ctx context.Context, release segue.Release) error {
	return d.call(ctx, "Retire", string(release.Name), "", func() error {
		err := d.Driver.Retire(ctx, release)
		if err == nil {
			d.record.removed(release.Name)
		}
		return err
	})
}

// Start implements workload.Driver.
func (d *workloadOf) Start(ctx context.Context, launch workload.Launch) (instance segue.Instance, err error) {
	err = d.call(ctx, "Start", string(launch.ID), launch.Server, func() (err error) {
		instance, err = d.Driver.Start(ctx, launch)
		if err == nil {
			d.record.started(d.pretend(instance), false)
		}
		return err
	})
	if err != nil {
		return segue.Instance{}, err
	}
	return instance, nil
}

// pretend is what the record sees of a started instance, where the options want a break.
func (w *World) pretend(instance segue.Instance) segue.Instance {
	if w.options.RetireEarly && instance.Release == "v2" {
		w.record.removed("v1")
	}
	if w.options.Lie == "Start" && instance.Release == "v2" && instance.Server == "web-2" {
		instance.Release = "v9"
	}
	return instance
}

// AwaitReady implements workload.Driver.
func (d *workloadOf) AwaitReady(ctx context.Context, id segue.InstanceID) error {
	return d.call(ctx, "AwaitReady", string(id), d.record.serverOf(id), func() error {
		err := d.Driver.AwaitReady(ctx, id)
		d.record.looked()
		return err
	})
}

// Probe implements workload.Driver.
func (d *workloadOf) Probe(ctx context.Context, id segue.InstanceID) error {
	return d.call(ctx, "Probe", string(id), d.record.serverOf(id), func() error { return d.Driver.Probe(ctx, id) })
}

// Stop implements workload.Driver.
func (d *workloadOf) Stop(ctx context.Context, id segue.InstanceID) error {
	down := d.record.knownDown(id)
	return d.call(ctx, "Stop", string(id), d.record.serverOf(id), func() error {
		d.record.stopping(id, down)
		return d.Driver.Stop(ctx, id)
	})
}

// List implements workload.Driver.
func (d *workloadOf) List(ctx context.Context) (instances []segue.Instance, err error) {
	err = d.call(ctx, "List", "", "", func() (err error) {
		instances, err = d.Driver.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return instances, nil
}

// Watch implements workload.Driver.
func (d *workloadOf) Watch(ctx context.Context) (<-chan segue.Instance, error) {
	if d.gone() {
		return nil, errKilled
	}
	return d.Driver.Watch(ctx)
}

// Close implements workload.Driver: the servers outlive the controller.
func (d *workloadOf) Close() error { return nil }

// balancerOf is the balancer as one controller reaches it.
type balancerOf struct {
	*life
	balancer.Driver
}

func (d *balancerOf) on(ctx context.Context, method string, id segue.InstanceID, do func() error) error {
	return d.call(ctx, method, string(id), d.record.serverOf(id), func() error {
		if d.options.Lie == method {
			return nil
		}
		return do()
	})
}

// Configure implements balancer.Driver.
func (d *balancerOf) Configure(ctx context.Context) error {
	return d.call(ctx, "Configure", "", "", func() error { return d.Driver.Configure(ctx) })
}

// Add implements balancer.Driver.
func (d *balancerOf) Add(ctx context.Context, backend balancer.Backend) error {
	return d.on(ctx, "Add", backend.ID, func() error { return d.Driver.Add(ctx, backend) })
}

// Admit implements balancer.Driver.
func (d *balancerOf) Admit(ctx context.Context, id segue.InstanceID, slowStart time.Duration) error {
	return d.on(ctx, "Admit", id, func() error {
		err := d.Driver.Admit(ctx, id, slowStart)
		if err == nil {
			d.record.instance(laws.Admitted, id)
		}
		return err
	})
}

// Drain implements balancer.Driver.
func (d *balancerOf) Drain(ctx context.Context, id segue.InstanceID) error {
	down := d.record.knownDown(id)
	return d.on(ctx, "Drain", id, func() error {
		d.record.leaving(id, down)
		err := d.Driver.Drain(ctx, id)
		switch {
		case err == nil:
			d.record.instance(laws.Drained, id)
			d.drained(id)
		case segue.KindOf(err) == segue.KindNotFound:
			// What the balancer does not know gets nothing from it.
			d.record.instance(laws.Drained, id)
		}
		return err
	})
}

// drained draws how long a drained instance still has requests.
func (w *World) drained(id segue.InstanceID) {
	chance := w.chance("quiet", string(id))
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.quiet[id]; !known {
		w.quiet[id] = time.Now().Add(time.Duration(chance.IntN(7000)) * time.Millisecond)
	}
}

// InFlight implements balancer.Driver.
func (d *balancerOf) InFlight(ctx context.Context, id segue.InstanceID) (left balancer.InFlight, err error) {
	err = d.call(ctx, "InFlight", string(id), d.record.serverOf(id), func() error {
		left, err = d.Driver.InFlight(ctx, id)
		if err == nil && d.options.Lie != "InFlight" && !d.isQuiet(id) {
			left = balancer.InFlight{Known: true, Requests: 3}
		}
		return err
	})
	return left, err
}

func (w *World) isQuiet(id segue.InstanceID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !time.Now().Before(w.quiet[id])
}

// CloseLong implements balancer.Driver.
func (d *balancerOf) CloseLong(ctx context.Context, id segue.InstanceID, spread time.Duration) (closed int, err error) {
	err = d.call(ctx, "CloseLong", string(id), d.record.serverOf(id), func() error {
		closed, err = d.Driver.CloseLong(ctx, id, spread)
		return err
	})
	return closed, err
}

// Settle implements balancer.Driver.
func (d *balancerOf) Settle(ctx context.Context, id segue.InstanceID) error {
	return d.on(ctx, "Settle", id, func() error { return d.Driver.Settle(ctx, id) })
}

// Remove implements balancer.Driver.
func (d *balancerOf) Remove(ctx context.Context, id segue.InstanceID) error {
	return d.on(ctx, "Remove", id, func() error { return d.Driver.Remove(ctx, id) })
}

// Maintenance implements balancer.Driver.
func (d *balancerOf) Maintenance(ctx context.Context, on bool, retryAfter time.Duration) error {
	return d.call(ctx, "Maintenance", "", "", func() error { return d.Driver.Maintenance(ctx, on, retryAfter) })
}

// Snapshot implements balancer.Driver.
func (d *balancerOf) Snapshot(ctx context.Context) (snapshot balancer.Snapshot, err error) {
	err = d.call(ctx, "Snapshot", "", "", func() error {
		snapshot, err = d.Driver.Snapshot(ctx)
		return err
	})
	if d.options.Lie == "Admit" {
		for i := range snapshot.Backends {
			snapshot.Backends[i].Rotation = segue.RotationIn
		}
	}
	if d.options.Lie == "Drain" {
		for i := range snapshot.Backends {
			snapshot.Backends[i].Rotation = segue.RotationDraining
		}
	}
	return snapshot, err
}

// Close implements balancer.Driver: the balancer outlives the controller.
func (d *balancerOf) Close() error { return nil }
