package process_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/process"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

func TestInstanceServesItsReleaseUntilStopped(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
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
	r.line(r.lines(instance.ID, false), "web: TERM")
}

func TestStopTakesTheWholeGroup(t *testing.T) {
	r := newRig(t)
	config := r.web("")
	config.Stop.Grace = 100 * time.Millisecond
	instance := r.ready(config)
	pid, err := strconv.Atoi(r.get(instance.Address, "/child"))
	if err != nil {
		t.Fatal(err)
	}
	// The child takes no notice of TERM and would outlive its parent.
	if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	if stat, err := shim.ReadStat(pid); err == nil && !stat.Gone() {
		t.Errorf("child %d of the command is left", pid)
	}
}

func TestWorkerIsQuietedFirst(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct{ mode, want string }{
		{"quiet", "worker: got user defined signal 1"},
		{"", "worker: got user defined signal 1 worker: got terminated"},
	} {
		config := r.worker(test.mode)
		config.Stop.Quiet, config.Stop.QuietWait = "USR1", 100*time.Millisecond
		if test.mode == "quiet" {
			config.Stop.QuietWait = time.Hour // it ends by itself
		}
		instance := r.start("v-"+test.mode+"x", config)
		if instance.Address != "" {
			t.Errorf("a worker has address %s", instance.Address)
		}
		r.line(r.lines(instance.ID, true), "worker: works in "+string(instance.ID))
		if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
			t.Fatal(err)
		}
		var got []string
		for lines := r.lines(instance.ID, false); lines.Scan(); {
			if strings.Contains(lines.Text(), "got") {
				got = append(got, lines.Text())
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q: it got %q, want %q", test.mode, got, test.want)
		}
	}
}

func TestWorkerWithoutCheckIsReadyAfterASecond(t *testing.T) {
	r := newRig(t)
	begun := time.Now()
	instance := r.ready(r.worker(""))
	if took := time.Since(begun); took < time.Second {
		t.Errorf("it was ready after %v", took)
	}
	if err := r.driver.Probe(r.ctx, instance.ID); err != nil {
		t.Error(err)
	}
}

func TestReadinessByConnectionAndCommand(t *testing.T) {
	r := newRig(t)
	config := r.web("never-ready")
	config.Ready = process.Ready{TCP: true}
	r.ready(config)

	mark := filepath.Join(r.project, "ready-v2")
	config = r.worker("")
	config.Ready = process.Ready{Command: []string{"test", "-e", "ready-{release}"}}
	instance := r.start("v2", config)
	wantKind(t, r.driver.Probe(r.ctx, instance.ID), segue.KindUnhealthy)
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.driver.AwaitReady(r.ctx, instance.ID); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfReadinessTellWhy(t *testing.T) {
	r := newRig(t)
	crashing := r.start("v1", r.web("crash"))
	err := r.driver.AwaitReady(r.ctx, crashing.ID)
	wantKind(t, err, segue.KindUnhealthy)
	for _, want := range []string{"web-1", "4 times", "exit code 3", "web: fatal: the configuration is wrong"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not tell %q", err, want)
		}
	}
	late := r.start("v2", r.web("never-ready"))
	for r.ctx.Err() == nil && !strings.Contains(r.driver.Probe(r.ctx, late.ID).Error(), "503") {
		continue // until it listens
	}
	ctx, cancel := context.WithTimeout(r.ctx, 200*time.Millisecond)
	defer cancel()
	err = r.driver.AwaitReady(ctx, late.ID)
	wantKind(t, err, segue.KindTimeout)
	for _, want := range []string{"web-1", "503", "warming up", "web: release v2 boots"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not tell %q", err, want)
		}
	}
}

func TestProgramThatCannotRun(t *testing.T) {
	r := newRig(t)
	r.artifact("v1")
	plain := filepath.Join(r.project, "plain.txt")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(r.project, "wrong")
	if err := os.WriteFile(wrong, []byte("\x7fELF, but no more of it"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		program string
		kind    segue.Kind
	}{
		{"./missing", segue.KindNotFound},
		{"no-such-program-on-the-path", segue.KindNotFound},
		{"./plain.txt", segue.KindInvalid},
		{"./releases", segue.KindInvalid},
		{"./wrong", segue.KindInvalid},
	} {
		config := r.web("")
		config.Command[0] = test.program
		release := r.stage("v1", config)
		_, err := r.driver.Start(r.ctx, launchOf(release, config, segue.RolloutID(i+1)))
		wantKind(t, err, test.kind)
		if !strings.Contains(err.Error(), filepath.Base(test.program)) || !strings.Contains(err.Error(), "web-1") {
			t.Errorf("error %q does not name program and server", err)
		}
	}
	if found, err := r.driver.List(r.ctx); err != nil || len(found) > 0 {
		t.Errorf("List = %v, %v; want nothing", found, err)
	}
}

func TestPortTakenBySomebodyElse(t *testing.T) {
	r := newRig(t)
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.driver, err = process.New(process.Options{StateDir: r.state, Self: []string{self, "late-shim"}})
	if err != nil {
		t.Fatal(err)
	}
	instance := r.ready(r.web(""))
	taken, err := os.ReadFile(filepath.Join(r.state, "taken"))
	if err != nil || strings.TrimSpace(string(taken)) == instance.Address {
		t.Errorf("it got %s, and %q was taken; %v", instance.Address, taken, err)
	}
}

func TestSecretsAreInOneFileOnly(t *testing.T) {
	r := newRig(t)
	config := r.web("")
	config.Env["DATABASE_URL"] = "postgres://shop:geheim@db/shop"
	instance := r.ready(config)
	if got := r.get(instance.Address, "/env", "name", "DATABASE_URL"); !strings.Contains(got, "geheim") {
		t.Errorf("the instance does not have it: %q", got)
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.shimOf(instance.ID)), "cmdline"))
	if err != nil || strings.Contains(string(line), "geheim") {
		t.Errorf("the shim's command line: %q, %v", line, err)
	}
	err = filepath.WalkDir(r.state, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), "geheim") {
			return err
		}
		info, err := entry.Info()
		if err == nil && (entry.Name() != "instance.json" || info.Mode().Perm() != 0o600) {
			t.Errorf("%s has it, with mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if socket, err := os.Stat(filepath.Join(r.state, "instances", string(instance.ID), "shim.sock")); err != nil || socket.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", socket, err)
	}
}
