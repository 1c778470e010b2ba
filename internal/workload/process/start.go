package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// Start implements workload.Driver.
func (d *Driver) Start(ctx context.Context, launch workload.Launch) (segue.Instance, error) {
	instance, err := d.start(ctx, launch)
	if err != nil {
		return segue.Instance{}, fmt.Errorf("start instance %s on server %s: %w", launch.ID, launch.Server, err)
	}
	return instance, nil
}

func (d *Driver) start(ctx context.Context, launch workload.Launch) (segue.Instance, error) {
	if err := checkID(launch.ID); err != nil {
		return segue.Instance{}, err
	}
	// Asked before the lock, too: a stop that is under way holds it for long.
	if err := d.refuseStopped(launch.ID); err != nil {
		return segue.Instance{}, err
	}
	unlock := d.locks.lock("instance/" + string(launch.ID))
	defer unlock()
	if err := d.refuseStopped(launch.ID); err != nil {
		return segue.Instance{}, err
	}
	if instance, found, err := d.running(ctx, launch); found || err != nil {
		return instance, err
	}
	config, err := configOf(launch.Config)
	if err != nil {
		return segue.Instance{}, err
	}
	release := launch.Release
	release.Service = launch.Service
	// The release must not be retired before the instance's folder shows that it is needed.
	unlockRelease := d.locks.lock(string(release.Service) + "/" + string(release.Name))
	defer unlockRelease()
	path, err := d.staged(release)
	if err != nil {
		return segue.Instance{}, err
	}
	return d.launch(ctx, assembly{
		config: config, launch: launch, staged: path, dir: d.dir(launch.ID), logDir: d.logDir(launch.Service, launch.ID),
	})
}

// running finds an instance that was started before.
func (d *Driver) running(ctx context.Context, launch workload.Launch) (instance segue.Instance, found bool, err error) {
	spec, err := d.spec(launch.ID)
	if segue.KindOf(err) == segue.KindNotFound {
		return instance, false, nil
	}
	if err != nil {
		return instance, false, err
	}
	if spec.Service != launch.Service || spec.Release != launch.Release.Name || spec.Digest != launch.Release.Digest || spec.Server != launch.Server {
		return instance, false, segue.Errorf(segue.KindConflict, "it runs already, as release %s of %s on server %s", spec.Release, spec.Service, spec.Server)
	}
	t, err := d.follow(ctx, spec)
	if err != nil {
		return instance, false, err
	}
	v, err := d.await(ctx, t)
	if err != nil {
		return instance, false, err
	}
	if v.Refusal != nil {
		// An earlier start was cut short after its command had been refused: begin again.
		d.discard(ctx, t)
		return instance, false, nil
	}
	return instanceOf(spec, v.State), true, nil
}

// await waits for an instance's first state.
func (d *Driver) await(ctx context.Context, t *tracked) (view, error) {
	for {
		v, changed := t.read()
		switch {
		case v.gone:
			return v, segue.Errorf(segue.KindNotFound, "there is no instance %s", t.spec.ID)
		case v.fault != nil:
			return v, v.fault
		case v.known && v.Phase != segue.InstanceStarting:
			return v, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v, fmt.Errorf("wait for shim: %w", context.Cause(ctx))
		}
	}
}

// portTries is how often another port is taken when somebody else was faster.
const portTries = 8

// launch starts a new instance. After an error nothing is left of it.
func (d *Driver) launch(ctx context.Context, a assembly) (segue.Instance, error) {
	for try := 1; ; try++ {
		address := ""
		if !a.config.Worker {
			var err error
			if address, err = d.ports.take(); err != nil {
				return segue.Instance{}, err
			}
		}
		instance, refusal, err := d.attempt(ctx, a, address)
		if err != nil || refusal != nil {
			d.ports.release(address)
		}
		switch {
		case err != nil:
			return segue.Instance{}, err
		case refusal == nil:
			d.log.InfoContext(ctx, "instance started", "instance", instance.ID, "pid", instance.PID, "address", address)
			return instance, nil
		case !refusal.PortTaken || try == portTries:
			return segue.Instance{}, segue.Errorf(refusal.Kind, "%s", refusal.Message)
		}
		d.log.InfoContext(ctx, "port was taken by somebody else", "instance", a.launch.ID, "address", address)
	}
}

// attempt starts a new instance on an address. A refusal or an error leaves nothing.
func (d *Driver) attempt(ctx context.Context, a assembly, address string) (instance segue.Instance, refusal *shim.Refusal, err error) {
	spec, err := a.spec(address)
	if err != nil {
		return instance, nil, err
	}
	if err := d.install(spec); err != nil {
		return instance, nil, err
	}
	client := shim.NewClient(a.dir)
	state, err := d.raise(ctx, a.dir, client)
	if err != nil {
		// Whatever there is of it by now must not come to life after this answer.
		d.clear(ctx, spec, client)
		return instance, nil, err
	}
	if state.Refusal != nil {
		d.clear(ctx, spec, client)
		return instance, state.Refusal, nil
	}
	t, err := d.follow(ctx, spec)
	if err != nil {
		return instance, nil, err
	}
	d.learn(t, state)
	return instanceOf(spec, state), nil, nil
}

// install writes an instance's folder and the note that says whose logs are whose.
func (d *Driver) install(spec shim.Spec) error {
	dir := d.dir(spec.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make instance's folder: %w", err)
	}
	if err := os.MkdirAll(spec.LogDir, 0o700); err != nil {
		return fmt.Errorf("make log folder: %w", err)
	}
	note := ended{ID: spec.ID, Service: spec.Service, Release: spec.Release, Digest: spec.Digest}
	if err := statefile.WriteVolatile(filepath.Join(spec.LogDir, logNote), note); err != nil {
		return err
	}
	return statefile.Write(filepath.Join(dir, shim.SpecFile), spec)
}

// clear removes an instance that did not come to be.
func (d *Driver) clear(ctx context.Context, spec shim.Spec, client *shim.Client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shimWait)
	defer cancel()
	state, err := client.Stop(ctx)
	if err == nil {
		err = shim.AwaitExit(ctx, state.Keeper, state.KeeperStart)
	}
	if err != nil {
		err = d.killShim(ctx, spec.ID)
	}
	if err == nil {
		err = os.RemoveAll(d.dir(spec.ID))
	}
	if err != nil {
		d.log.WarnContext(ctx, "instance that did not start cannot be cleared away", "instance", spec.ID, "error", err)
	}
}

// discard forgets and removes an instance that was refused.
func (d *Driver) discard(ctx context.Context, t *tracked) {
	d.drop(t)
	d.clear(ctx, t.spec, t.client)
}

// killShim ends an instance by force, whatever state its folder is in.
func (d *Driver) killShim(ctx context.Context, id segue.InstanceID) error {
	for range 10 {
		found, err := d.processesOf(id)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, stat := range slices.Backward(found) {
			if err := shim.Kill(ctx, stat); err != nil {
				return fmt.Errorf("kill process %d of instance %s: %w", stat.PID, id, err)
			}
		}
	}
	return segue.Errorf(segue.KindFault, "processes of instance %s cannot be ended", id)
}
