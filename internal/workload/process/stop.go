package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// ended remembers that an instance was stopped. With its release it says when it can be forgotten.
type ended struct {
	ID      segue.InstanceID  `json:"id"`
	Service segue.ServiceName `json:"service,omitempty"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Digest  segue.Digest      `json:"digest,omitempty"`
	At      time.Time         `json:"at"`
}

// logNote lies in an instance's log folder.
const logNote = "instance.json"

func (d *Driver) stoppedFile(id segue.InstanceID) string {
	return filepath.Join(d.state, "stopped", string(id)+".json")
}

func (d *Driver) refuseStopped(id segue.InstanceID) error {
	if exists(d.stoppedFile(id)) {
		return segue.Errorf(segue.KindConflict, "it was stopped before; a new copy needs a new name")
	}
	return nil
}

// stopping is one stop under way; all who want it wait for the same.
type stopping struct {
	done chan struct{} // closed when err is set
	err  error
}

// Stop implements workload.Driver.
func (d *Driver) Stop(ctx context.Context, id segue.InstanceID) error {
	if err := checkID(id); err != nil {
		return err
	}
	d.mu.Lock()
	s := d.stopping[id]
	if s == nil {
		s = &stopping{done: make(chan struct{})}
		begun := d.run(ctx, func(ctx context.Context) {
			s.err = d.stop(ctx, id)
			d.mu.Lock()
			delete(d.stopping, id)
			d.mu.Unlock()
			close(s.done)
		})
		if !begun {
			d.mu.Unlock()
			return errClosed()
		}
		d.stopping[id] = s
	}
	d.mu.Unlock()
	select {
	case <-s.done:
		if s.err != nil {
			return fmt.Errorf("stop instance %s: %w", id, s.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop instance %s: it goes on: %w", id, endedEarly(ctx))
	}
}

// endedEarly says why a context is done, with a kind.
func endedEarly(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return segue.Errorf(segue.KindTimeout, "%w", context.Cause(ctx))
	}
	return segue.Errorf(segue.KindCanceled, "%w", context.Cause(ctx))
}

// stop is remembered first, so that neither a late start nor a crash of this process undoes it.
func (d *Driver) stop(ctx context.Context, id segue.InstanceID) error {
	note := ended{ID: id, At: time.Now()}
	spec, fault := d.spec(id)
	if fault == nil {
		note.Service, note.Release, note.Digest = spec.Service, spec.Release, spec.Digest
	}
	if !exists(d.stoppedFile(id)) {
		if err := statefile.Write(d.stoppedFile(id), note); err != nil {
			return err
		}
	}
	unlock := d.locks.lock("instance/" + string(id))
	defer unlock()
	if spec, fault = d.spec(id); fault != nil {
		// Nothing there, or nothing that can be read: what runs in its name all the same is ended by force.
		if err := d.killShim(ctx, id); err != nil {
			return err
		}
		d.mu.Lock()
		t := d.tracked[id]
		d.mu.Unlock()
		if t != nil {
			d.drop(t)
		}
		return removeFolder(d.dir(id))
	}
	t, err := d.follow(ctx, spec)
	if err != nil {
		return err
	}
	t.post(func() { t.ending = true })
	if err := d.endShim(ctx, t); err != nil {
		return err
	}
	if err := removeFolder(t.dir); err != nil {
		return err
	}
	d.drop(t)
	d.log.InfoContext(ctx, "instance stopped", "instance", id)
	return nil
}

// endShim gives the stop order until there is a shim that carried it out.
func (d *Driver) endShim(ctx context.Context, t *tracked) error {
	const tries = 5
	for fault := 1; ; fault++ {
		state, err := d.orderStop(ctx, t)
		if err == nil {
			d.letGo(ctx, state)
			return nil
		}
		if ctx.Err() != nil {
			return errClosed()
		}
		if !exists(t.dir) {
			return d.killShim(ctx, t.spec.ID) // somebody else removed the folder
		}
		// The shim died meanwhile: another one goes on where it was.
		if fault == tries {
			d.log.ErrorContext(ctx, "shim cannot be brought back to stop its instance", "instance", t.spec.ID, "error", err)
			return d.killShim(ctx, t.spec.ID)
		}
	}
}

// orderStop gives the stop order once and waits for the shim's last state. Before it asks for the present one, which has a time limit: a shim
// that hangs is replaced.
func (d *Driver) orderStop(ctx context.Context, t *tracked) (shim.State, error) {
	state, err := t.client.State(ctx)
	if err != nil {
		if state, err = d.revive(ctx, t); err != nil {
			return state, err
		}
	}
	d.learn(t, state) // whoever follows the instance goes on from there
	if state, err = t.client.Stop(ctx); err != nil {
		return state, err
	}
	d.learn(t, state)
	return state, nil
}

// letGo sees a shim off that has said its last word. Nothing of the instance is left then but that process, which needs some 10 ms
// for its own end (the kernel's, who takes a file watch down); a rollout does not wait for that.
func (d *Driver) letGo(ctx context.Context, state shim.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving[state.Keeper] = state.KeeperStart
	d.run(ctx, func(ctx context.Context) {
		if err := shim.AwaitExit(ctx, state.Keeper, state.KeeperStart); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "shim does not end", "pid", state.Keeper, "error", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.leaving, state.Keeper)
	})
}

// removeFolder removes an instance's folder. A shim on its last breath may still write into it.
func removeFolder(dir string) error {
	var err error
	for range 5 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
	}
	return fmt.Errorf("remove instance's folder: %w", err)
}

// forget removes what is remembered of a release's stopped instances: their logs, and that they were stopped.
func (d *Driver) forget(ctx context.Context, release segue.Release) error {
	matches := func(path string) bool {
		var note ended
		err := statefile.Read(path, &note)
		return err == nil && note.Service == release.Service && note.Release == release.Name && note.Digest == release.Digest
	}
	notes, err := filepath.Glob(filepath.Join(d.state, "stopped", "*.json"))
	if err != nil {
		return fmt.Errorf("list stopped instances: %w", err)
	}
	logs := filepath.Join(d.state, "logs", string(release.Service))
	entries, err := os.ReadDir(logs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list logs: %w", err)
	}
	for _, entry := range entries {
		if dir := filepath.Join(logs, entry.Name()); matches(filepath.Join(dir, logNote)) {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("remove logs: %w", err)
			}
		}
	}
	for _, path := range notes {
		if !matches(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget stopped instance: %w", err)
		}
		d.log.DebugContext(ctx, "stopped instance forgotten", "instance", strings.TrimSuffix(filepath.Base(path), ".json"))
	}
	return nil
}
