package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/process"
)

// driver opens the rig's process driver beside the controller's: to look, and to see what the controller makes of it.
func driver(t *testing.T, r *rig) *process.Driver {
	t.Helper()
	opened, err := process.New(process.Options{StateDir: string(r.state), Self: []string{r.program, "shim"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// instancePID finds the process of an instance.
func instancePID(t *testing.T, r *rig, id segue.InstanceID) int {
	t.Helper()
	instances, err := driver(t, r).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range instances {
		if instance.ID == id && instance.PID > 0 {
			return instance.PID
		}
	}
	t.Fatalf("no process of %s in %+v", id, instances)
	return 0
}

// awaitRestart waits until an instance runs in another process and is ready.
func awaitRestart(t *testing.T, r *rig, id segue.InstanceID, old int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	opened := driver(t, r)
	changes, err := opened.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for instance := range changes {
		if instance.ID == id && instance.State == segue.InstanceRunning && instance.PID != old {
			if err := opened.AwaitReady(ctx, id); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s did not come back", id)
}
