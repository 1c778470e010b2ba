package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// List implements workload.Driver. Shims that are gone are brought back by it. A stop that an earlier driver began is taken up again.
func (d *Driver) List(ctx context.Context) ([]segue.Instance, error) {
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var found []segue.Instance
	var group sync.WaitGroup
	for _, id := range ids {
		group.Go(func() {
			if instance, ok := d.look(ctx, id); ok {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, instance)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("list instances: %w", endedEarly(ctx))
	}
	strays, err := d.homeless(ids)
	if err != nil {
		return nil, err
	}
	found = append(found, strays...)
	segue.SortInstances(found)
	return found, nil
}

// look gives one instance as it is. Not ok when it is over.
func (d *Driver) look(ctx context.Context, id segue.InstanceID) (segue.Instance, bool) {
	t, err := d.track(ctx, id)
	if err == nil {
		if exists(d.stoppedFile(id)) {
			d.resumeStop(ctx, id)
		}
		_, err = d.await(ctx, t)
	}
	switch {
	case err == nil:
		instance := t.instance()
		if !exists(d.stoppedFile(id)) {
			return instance, true
		}
		alive := instance.State.Alive()
		instance.State = segue.InstanceStopping // it was told to, even if its shim does not know yet
		return instance, alive
	case segue.KindOf(err) == segue.KindNotFound:
		return d.unreadable(id, nil)
	default:
		return d.unreadable(id, err)
	}
}

// resumeStop goes on with a stop in the background.
func (d *Driver) resumeStop(ctx context.Context, id segue.InstanceID) {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := d.Stop(gone, id); err != nil && segue.KindOf(err) != segue.KindCanceled {
		d.log.WarnContext(ctx, "stop cannot be taken up again", "instance", id, "error", err)
	}
}

// unreadable reports an instance whose folder does not say what it is, or whose shim does not answer: it is there all the same.
func (d *Driver) unreadable(id segue.InstanceID, fault error) (segue.Instance, bool) {
	instance := segue.Instance{ID: id, State: segue.InstanceExited}
	if spec, err := d.spec(id); err == nil {
		instance = instanceOf(spec, shim.State{})
	}
	if fault != nil {
		instance.Error = fault.Error()
	}
	processes, err := d.processesOf(id)
	if err == nil && len(processes) > 0 {
		instance.State, instance.PID = segue.InstanceRunning, processes[len(processes)-1].PID
	}
	return instance, len(processes) > 0 || fault != nil
}

// homeless reports shims of this state folder whose instance's folder is gone.
func (d *Driver) homeless(known []segue.InstanceID) ([]segue.Instance, error) {
	housed := map[segue.InstanceID]bool{}
	for _, id := range known {
		housed[id] = true
	}
	all, err := shim.Processes()
	if err != nil {
		return nil, err
	}
	var found []segue.Instance
	for _, stat := range all {
		id, ok := d.shimOf(stat.PID)
		if !ok || housed[id] || exists(d.dir(id)) || d.isLeaving(stat) {
			continue
		}
		found = append(found, segue.Instance{
			ID: id, State: segue.InstanceRunning, PID: stat.PID,
			Error: "its folder in the state folder is gone; stop ends it",
		})
	}
	return found, nil
}

func (d *Driver) isLeaving(stat shim.Stat) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	start, ok := d.leaving[stat.PID]
	return ok && start == stat.Start
}

// shimOf says which instance's shim a process is. It goes by the command line: the shim program's arguments, and a folder of ours.
func (d *Driver) shimOf(pid int) (segue.InstanceID, bool) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return "", false
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	if len(args) < 2 {
		return "", false
	}
	dir := args[len(args)-1]
	if filepath.Dir(dir) != filepath.Join(d.state, "instances") {
		return "", false
	}
	return segue.InstanceID(filepath.Base(dir)), true
}

// processesOf lists an instance's processes: its shims, and whatever has its folder in the environment, shims first.
func (d *Driver) processesOf(id segue.InstanceID) ([]shim.Stat, error) {
	all, err := shim.Processes()
	if err != nil {
		return nil, err
	}
	mark := []byte(shim.InstanceDirVariable + "=" + d.dir(id))
	var shims, others []shim.Stat
	for _, stat := range all {
		if found, ok := d.shimOf(stat.PID); ok && found == id {
			shims = append(shims, stat)
			continue
		}
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(stat.PID) + "/environ")
		if err != nil {
			continue // another user's, or it has ended
		}
		for entry := range bytes.SplitSeq(environ, []byte{0}) {
			if bytes.Equal(entry, mark) {
				others = append(others, stat)
				break
			}
		}
	}
	return append(shims, others...), nil
}
