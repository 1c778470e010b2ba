package process_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/process"
	"github.com/segue-deploy/segue/internal/workload/workloadtest"
)

func TestDriverPassesTheSuite(t *testing.T) {
	workloadtest.Suite(t, subject, nil)
}

func subject(t *testing.T) workloadtest.Subject {
	t.Helper()
	r := newRig(t)
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	file := func(name segue.ReleaseName) string { return filepath.Join(r.project, "releases", string(name)) }
	return workloadtest.Subject{
		Open: func(t *testing.T) workload.Driver {
			t.Helper()
			r.driver = r.open()

			return r.driver
		},
		Release: func(_ *testing.T, name segue.ReleaseName, b workloadtest.Behaviour) workload.Config {
			r.artifact(string(name))
			return behaving(r, b)
		},
		Spoil: func(t *testing.T, name segue.ReleaseName) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(file(name), "release"), []byte("other\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Remove: func(t *testing.T, name segue.ReleaseName) {
			t.Helper()
			if err := os.RemoveAll(file(name)); err != nil {
				t.Fatal(err)
			}
		},
		Crash: func(t *testing.T, instance segue.Instance) {
			t.Helper()
			if err := syscall.Kill(instance.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func behaving(r *rig, b workloadtest.Behaviour) process.Config {
	mode := ""
	switch {
	case b.NeverReady:
		mode = "never-ready"
	case b.CrashAfter > 0:
		mode = "crash"
	case b.IgnoreTerm:
		mode = "ignore-term"
	}
	config := r.web(mode)
	config.Restart = process.Restart{Min: time.Millisecond, Max: 4 * time.Millisecond}
	if b.Refuse != nil {
		config.Command[0] = "./releases/{release}/no-such-program"
	}
	return config
}
