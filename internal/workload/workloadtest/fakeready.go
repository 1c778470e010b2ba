package workloadtest

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
)

// AwaitReady implements workload.Driver.
func (f *Fake) AwaitReady(ctx context.Context, id segue.InstanceID) error {
	for {
		ready, again, changed, err := f.readiness(id)
		if ready || err != nil {
			return err
		}
		var due <-chan time.Time
		if again > 0 {
			timer := time.NewTimer(again)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
			return segue.Errorf(segue.KindOf(ended(ctx)), "instance %s was not ready: %w", id, context.Cause(ctx))
		}
	}
}

// readiness says whether an instance is ready, and when to look again: after so long, 0 meaning not before it changes.
func (f *Fake) readiness(id segue.InstanceID) (ready bool, again time.Duration, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.instances[id]
	switch {
	case i == nil:
		return false, 0, nil, segue.Errorf(segue.KindNotFound, "there is no instance %s", id)
	case i.State == segue.InstanceStopping:
		return false, 0, nil, segue.Errorf(segue.KindUnhealthy, "instance %s is being stopped", id)
	case i.crashes > CrashLimit:
		return false, 0, nil, segue.Errorf(segue.KindUnhealthy, "instance %s ended by itself %d times, last with %s", id, i.crashes, i.Error)
	case i.State != segue.InstanceRunning || i.behaviour.NeverReady:
		return false, 0, i.changed, nil
	}
	if left := i.behaviour.Boot - time.Since(i.StartedAt); left > 0 {
		return false, left, i.changed, nil
	}
	return true, 0, nil, nil
}

// Probe implements workload.Driver.
func (f *Fake) Probe(_ context.Context, id segue.InstanceID) error {
	ready, _, _, err := f.readiness(id)
	if err != nil || ready {
		return err
	}
	return segue.Errorf(segue.KindUnhealthy, "instance %s is not ready", id)
}

// Crash makes an instance end by itself now; its keeper starts it again after the back-off. False when it does not run.
func (f *Fake) Crash(id segue.InstanceID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.instances[id]
	if i == nil || i.State != segue.InstanceRunning {
		return false
	}
	if i.timer != nil {
		i.timer.Stop()
	}
	f.crash(i)
	return true
}

// Lose makes an instance vanish together with its keeper, as when its server dies. It was not stopped: it may be started again.
func (f *Fake) Lose(id segue.InstanceID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.instances[id]
	if i == nil {
		return false
	}
	if i.timer != nil {
		i.timer.Stop()
	}
	f.finish(i)
	return true
}

// Sicken makes an instance that runs fail its readiness check from now on; with ill false it passes again.
func (f *Fake) Sicken(id segue.InstanceID, ill bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.instances[id]
	if i == nil {
		return false
	}
	f.post(i, func() { i.behaviour.NeverReady = ill })
	return true
}

// Plant puts an instance there that nobody started: a stray.
func (f *Fake) Plant(instance segue.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started++
	i := &fakeInstance{Instance: instance, changed: make(chan struct{}), over: make(chan struct{})}
	f.instances[instance.ID] = i
	f.logs[instance.ID] = newFakeLog()
	f.boot(i)
}

// Staged says whether a release's files are there.
func (f *Fake) Staged(release segue.Release) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.staged[stagedKey(release)]
	return ok
}
