package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

func TestStraysAreListedAndCanBeStopped(t *testing.T) {
	for name, spoil := range map[string]func(r *rig, dir string) error{
		"its folder is gone": func(_ *rig, dir string) error { return os.RemoveAll(dir) },
		"its file is corrupted": func(_ *rig, dir string) error {
			return os.WriteFile(filepath.Join(dir, shim.SpecFile), []byte("{"), 0o600)
		},
		"its socket is gone": func(_ *rig, dir string) error { return os.Remove(filepath.Join(dir, "shim.sock")) },
		"its file and shim are gone": func(r *rig, dir string) error {
			r.killShim("web-1.v1.1")
			return os.Remove(filepath.Join(dir, shim.SpecFile))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			instance := r.ready(r.web(""))
			if err := r.driver.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoil(r, filepath.Join(r.state, "instances", string(instance.ID))); err != nil {
				t.Fatal(err)
			}
			r.driver = r.open()
			found, err := r.driver.List(r.ctx)
			if err != nil || len(found) != 1 || found[0].ID != instance.ID || !found[0].State.Alive() {
				t.Fatalf("List = %+v, %v; want the stray", found, err)
			}
			if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
				t.Fatal(err)
			}
			if stat, err := shim.ReadStat(instance.PID); err == nil && !stat.Gone() {
				t.Errorf("process %d is left", instance.PID)
			}
			if found, err := r.driver.List(r.ctx); err != nil || len(found) != 0 {
				t.Errorf("List = %+v, %v; want nothing", found, err)
			}
		})
	}
}

func TestNamesThatAreNoFileNamesAreRefused(t *testing.T) {
	r := newRig(t)
	for _, id := range []segue.InstanceID{"", "../x", ".", "a/b", "a\x00b"} {
		wantKind(t, r.driver.Stop(r.ctx, id), segue.KindInvalid)
		_, err := r.driver.Logs(r.ctx, id, 1, false)
		wantKind(t, err, segue.KindInvalid)
	}
}
