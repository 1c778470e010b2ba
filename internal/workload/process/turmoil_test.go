package process_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/process"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// TestTurmoil starts and stops many instances at once while every second shim is killed right after its start.
func TestTurmoil(t *testing.T) {
	r := newRig(t)
	config := r.worker("")
	config.Ready = process.Ready{Command: []string{"/bin/true"}}
	release := r.stage("v1", config)
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for round := range 2 {
				server := segue.ServerName(fmt.Sprintf("web-%d", n))
				launch := workload.Launch{
					ID:      segue.NewInstanceID(server, release.Name, segue.RolloutID(round+1), 1),
					Service: "web", Server: server, Release: release, Config: config,
				}
				r.turn(launch, (n+round)%2 == 0)
			}
		})
	}
	group.Wait()
	if found, err := r.driver.List(r.ctx); err != nil || len(found) > 0 {
		t.Errorf("List = %v, %v; want nothing", found, err)
	}
}

// turn is one instance's life.
func (r *rig) turn(launch workload.Launch, kill bool) {
	instance, err := r.driver.Start(r.ctx, launch)
	if err != nil {
		r.t.Error(err)
		return
	}
	state, err := shim.NewClient(filepath.Join(r.state, "instances", string(launch.ID))).State(r.ctx)
	if err == nil && kill {
		err = syscall.Kill(state.Keeper, syscall.SIGKILL)
	}
	if err != nil {
		r.t.Error(err)
	}
	if err := r.driver.AwaitReady(r.ctx, launch.ID); err != nil {
		r.t.Error(err)
	}
	if err := r.driver.Stop(r.ctx, launch.ID); err != nil {
		r.t.Error(err)
	}
	if stat, err := shim.ReadStat(instance.PID); err == nil && !stat.Gone() {
		r.t.Errorf("process %d of %s is left", instance.PID, launch.ID)
	}
}
