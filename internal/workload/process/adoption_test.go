package process_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// shimOf finds the shim of an instance.
func (r *rig) shimOf(id segue.InstanceID) int {
	r.t.Helper()
	state, err := shim.NewClient(filepath.Join(r.state, "instances", string(id))).State(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return state.Keeper
}

// killShim ends an instance's shim by force and waits until it is gone.
func (r *rig) killShim(id segue.InstanceID) {
	r.t.Helper()
	pid := r.shimOf(id)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	if err := shim.AwaitExit(r.ctx, pid, 0); err != nil {
		r.t.Fatal(err)
	}
}

func TestKilledShimIsReplacedWhileItsCommandRuns(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
	log := r.lines(instance.ID, true)
	before := r.shimOf(instance.ID)
	r.killShim(instance.ID)
	// The driver follows the instance and brings the shim back by itself. Its first word is the log that was written meanwhile.
	r.get(instance.Address, "/log", "text", "in between")
	r.line(log, "in between")
	if after := r.shimOf(instance.ID); after == before {
		t.Errorf("the shim is still process %d", after)
	}
	found, err := r.driver.List(r.ctx)
	if err != nil || len(found) != 1 || found[0].PID != instance.PID || found[0].Restarts != 0 || found[0].State != segue.InstanceRunning {
		t.Fatalf("List = %+v, %v; want the same process %d", found, err, instance.PID)
	}
	// The new shim notices the end of a command that is not its child, and starts it again.
	states, err := r.driver.Watch(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.get(instance.Address, "/exit", "code", "7")
	again := until(t, states, instance.ID, func(i segue.Instance) bool { return i.Restarts == 1 && i.State == segue.InstanceRunning })
	if again.Address != instance.Address || again.PID == instance.PID {
		t.Errorf("it came back as %+v", again)
	}
	if err := r.driver.AwaitReady(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
}

func TestCommandGoesOnWithoutShimAndDriver(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
	pid := r.shimOf(instance.ID)
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := shim.AwaitExit(r.ctx, pid, 0); err != nil {
		t.Fatal(err)
	}
	// More than any pipe holds: with nobody to drain it, a pipe would have broken or blocked the command.
	r.get(instance.Address, "/log", "text", strings.Repeat("x", 1000), "times", "3000")
	r.get(instance.Address, "/log", "text", "the end")
	r.driver = r.open()
	found, err := r.driver.List(r.ctx)
	if err != nil || len(found) != 1 || found[0].PID != instance.PID || found[0].Restarts != 0 {
		t.Fatalf("List = %+v, %v; want the same process %d", found, err, instance.PID)
	}
	log := r.lines(instance.ID, true)
	long := 0
	for log.Scan() && !strings.Contains(log.Text(), "the end") {
		if strings.HasPrefix(log.Text(), "xxx") {
			long++
		}
	}
	if long != 3000 {
		t.Errorf("%d of 3000 lines are in the log", long)
	}
}

func TestShimAndCommandKilledTogether(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
	child := r.get(instance.Address, "/child")
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	r.killShim(instance.ID)
	if err := syscall.Kill(instance.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.driver = r.open()
	if err := r.driver.AwaitReady(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	found, err := r.driver.List(r.ctx)
	if err != nil || len(found) != 1 || found[0].PID == instance.PID || found[0].Restarts != 1 || found[0].Address != instance.Address {
		t.Errorf("List = %+v, %v; want another process on %s", found, err, instance.Address)
	}
	pid, _ := strconv.Atoi(child)
	if stat, err := shim.ReadStat(pid); err == nil && !stat.Gone() {
		t.Error("a process of the command that died is left")
	}
}

func TestInstanceOutlivesItsController(t *testing.T) {
	r := newRig(t)
	r.artifact("v1")
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(r.ctx, self, "owner", r.state, r.project)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	words := bufio.NewScanner(out)
	if !words.Scan() || words.Text() != "owner: <nil>" {
		t.Fatalf("the owner says %q", words.Text())
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	r.driver = r.open()
	found, err := r.driver.List(r.ctx)
	if err != nil || len(found) != 1 {
		t.Fatalf("List = %v, %v", found, err)
	}
	if err := r.driver.Probe(r.ctx, found[0].ID); err != nil {
		t.Error(err)
	}
	if got := r.get(found[0].Address, "/pid"); got != strconv.Itoa(found[0].PID) {
		t.Errorf("process %s answers, not %d", got, found[0].PID)
	}
}

func TestShimTakesNoNoticeOfSignals(t *testing.T) {
	r := newRig(t)
	instance := r.ready(r.web(""))
	pid := r.shimOf(instance.ID)
	for _, number := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if err := syscall.Kill(pid, number); err != nil {
			t.Fatal(err)
		}
	}
	r.get(instance.Address, "/log", "text", "still here")
	r.line(r.lines(instance.ID, true), "still here")
	if after := r.shimOf(instance.ID); after != pid {
		t.Errorf("shim %d was replaced by %d", pid, after)
	}
	stat, err := shim.ReadStat(pid)
	if err != nil || stat.Session != pid {
		t.Errorf("the shim is in session %d, %v; want one of its own", stat.Session, err)
	}
	command, err := shim.ReadStat(instance.PID)
	if err != nil || command.Group != instance.PID {
		t.Errorf("the command is in group %d, %v; want one of its own", command.Group, err)
	}
}

func TestStopIsTakenUpAgain(t *testing.T) {
	r := newRig(t)
	config := r.web("ignore-term")
	config.Stop.Grace = 0 // filled with the default: far more than this test takes
	instance := r.ready(config)
	log := r.lines(instance.ID, true)
	stopped := make(chan error, 1)
	go func() { stopped <- r.driver.Stop(r.ctx, instance.ID) }()
	r.line(log, "web: TERM")
	// In the middle of the grace period the controller goes, and then the shim.
	if err := r.driver.Close(); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-stopped, segue.KindCanceled)
	r.killShim(instance.ID)
	r.driver = r.open()
	found, err := r.driver.List(r.ctx)
	if err != nil || len(found) != 1 || found[0].State != segue.InstanceStopping || found[0].PID != instance.PID {
		t.Fatalf("List = %+v, %v; want it stopping", found, err)
	}
	states, err := r.driver.Watch(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(instance.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, states, instance.ID, func(i segue.Instance) bool { return i.State == segue.InstanceExited })
	if err := r.driver.Stop(r.ctx, instance.ID); err != nil {
		t.Fatal(err)
	}
	if found, err := r.driver.List(r.ctx); err != nil || len(found) != 0 {
		t.Errorf("List = %+v, %v; want nothing", found, err)
	}
}
