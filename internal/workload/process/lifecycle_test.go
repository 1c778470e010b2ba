package process_test

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/segue-deploy/segue"
)

func TestInstanceServesItsReleaseUntilStopped(t *testing.T) {
	r := newRig(t)
	instance := r.ready("v1", r.web(""))
	if got := r.get(instance.Address, "/release"); got != "v1\n" {
		t.Errorf("it serves %q", got)
	}
	if got := r.get(instance.Address, "/pid"); got != strconv.Itoa(instance.PID) {
		t.Errorf("its process is %s, not %d", got, instance.PID)
	}
	for name, want := range map[string]string{
		"ADDRESS": instance.Address, "SEGUE_RELEASE": "v1", "SEGUE_SERVER": "web-1", "SEGUE_SERVICE": "web", "SEGUE_INSTANCE": "web-1.v1.1",
	} {
		if got := r.get(instance.Address, "/env", "name", name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if err := r.driver.Probe(r.ctx, instance.ID); err != nil {
		t.Error(err)
	}
	if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(instance.PID, 0); err == nil {
		t.Error("its process is still there")
	}
	if _, err := os.Stat(filepath.Join(r.state, "instances", string(instance.ID))); err == nil {
		t.Error("its folder is still there")
	}
	wantKind(t, r.driver.Probe(r.ctx, instance.ID), segue.KindNotFound)
	r.line(r.lines(instance.ID, -1, false), "web: TERM")
}
