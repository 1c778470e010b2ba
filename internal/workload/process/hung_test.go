package process_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/workload/shim"
)

// TestHungShimIsReplacedByAStop: a shim that is there and answers nothing must not hold up a stop for ever.
func TestHungShimIsReplacedByAStop(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
	hung := r.shimOf(instance.ID)
	if err := syscall.Kill(hung, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(hung, syscall.SIGKILL) })
	ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
	defer cancel()
	if err := r.driver.Stop(ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{hung, instance.PID} {
		if err := shim.AwaitExit(ctx, pid, 0); err != nil {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}
