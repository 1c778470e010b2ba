package shim

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
)

// held runs a shim within the test's process on a command of the shell.
func held(t *testing.T, script string, change func(*Spec)) (client *Client, dir string, over <-chan error) {
	t.Helper()
	dir = t.TempDir()
	spec := Spec{
		ID: "web-1.v1.1", Service: "web", Server: "web-1", Release: "v1",
		Command: []string{"/bin/sh", "-c", script}, Dir: dir, Env: []string{"PATH=/usr/bin:/bin", InstanceDirVariable + "=" + dir},
		LogDir: filepath.Join(dir, "logs"), LogBytes: 1 << 20, LogFiles: 2,
		Term: "TERM", Grace: 200 * time.Millisecond, BackOffMin: time.Millisecond, BackOffMax: 8 * time.Millisecond,
	}
	if change != nil {
		change(&spec)
	}
	if err := statefile.Write(filepath.Join(dir, SpecFile), spec); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- Run(ctx, dir) }()
	cancel() // a shim does not end by its context
	client = NewClient(dir)
	for {
		if _, err := client.First(t.Context()); err == nil {
			return client, dir, ended
		}
		select {
		case <-time.After(time.Millisecond): // as the driver does: nothing tells when a socket begins to listen
		case err := <-ended:
			t.Fatal(err)
		}
	}
}

// awaitState waits for a state that is as wanted.
func awaitState(t *testing.T, client *Client, want func(State) bool) State {
	t.Helper()
	state, err := client.State(t.Context())
	for err == nil && !want(state) {
		state, err = client.Next(t.Context(), state.Cursor)
	}
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func stop(t *testing.T, client *Client, over <-chan error) State {
	t.Helper()
	state, err := client.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	return state
}

func TestShimHoldsOneCommand(t *testing.T) {
	client, dir, over := held(t, "echo begun; exec sleep 1000", nil)
	state := awaitState(t, client, func(s State) bool { return s.Phase == segue.InstanceRunning })
	if state.PID == 0 || state.Keeper != os.Getpid() || state.LastExit != nil {
		t.Errorf("state %+v", state)
	}
	if err := Run(t.Context(), dir); segue.KindOf(err) != segue.KindConflict {
		t.Errorf("a second shim ends with %v, want a conflict", err)
	}
	last := stop(t, client, over)
	if last.Phase != segue.InstanceExited || last.PID != 0 || last.LastExit == nil || last.LastExit.Signal != "TERM" {
		t.Errorf("last state %+v", last)
	}
	if _, err := client.State(t.Context()); segue.KindOf(err) != segue.KindUnavailable {
		t.Errorf("afterwards: %v, want unavailable", err)
	}
	if _, err := os.Stat(filepath.Join(dir, socketFile)); err == nil {
		t.Error("the socket is left")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "logs", LogName)); err != nil || string(text) != "begun\n" {
		t.Errorf("the log has %q, %v", text, err)
	}
}

func TestCrashesAreCountedAndWaitedOut(t *testing.T) {
	client, dir, over := held(t, "echo crash; exit 3", nil)
	state := awaitState(t, client, func(s State) bool { return s.Crashes >= 5 && s.Phase == segue.InstanceBackOff })
	if state.Restarts != state.Crashes-1 || state.LastExit.Code != 3 || state.LastExit.String() != "exit code 3" {
		t.Errorf("state %+v, last exit %+v", state, state.LastExit)
	}
	// Whoever hears of a crash finds its words in the log already.
	text, err := os.ReadFile(filepath.Join(dir, "logs", LogName))
	if lines := strings.Count(string(text), "crash\n"); err != nil || lines < 5 {
		t.Errorf("the log has %d lines, %v", lines, err)
	}
	stop(t, client, over)
}

func TestBackOffDoublesUpToItsBound(t *testing.T) {
	for crashes, want := range []time.Duration{1: 100, 2: 200, 3: 400, 4: 800, 5: 1000, 6: 1000, 1000: 1000} {
		if want > 0 {
			if got := BackOff(100, 1000, crashes); got != want {
				t.Errorf("after %d crashes %d, want %d", crashes, got, want)
			}
		}
	}
}

func TestGroupIsKilledAfterTheGrace(t *testing.T) {
	client, _, over := held(t, "trap '' TERM; sleep 1000 & echo $! > child; while :; do sleep 0.05; done", nil)
	state := awaitState(t, client, func(s State) bool { return s.Phase == segue.InstanceRunning })
	begun := time.Now()
	last := stop(t, client, over)
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("it took %v, less than the grace", took)
	}
	if last.LastExit.Signal != "KILL" {
		t.Errorf("it ended with %v", last.LastExit)
	}
	if left, err := (group{id: state.PID, session: session()}).members(); err != nil || len(left) > 0 {
		t.Errorf("%v is left in the group, %v", left, err)
	}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

func TestRefusals(t *testing.T) {
	listener := listen(t, "127.0.0.1:0")
	for name, test := range map[string]struct {
		change func(*Spec)
		kind   segue.Kind
		taken  bool
	}{
		"port":    {func(s *Spec) { s.Address = listener.Addr().String() }, segue.KindConflict, true},
		"program": {func(s *Spec) { s.Command = []string{"/no/such/program"} }, segue.KindNotFound, false},
		"folder":  {func(s *Spec) { s.Dir = "/no/such/folder" }, segue.KindNotFound, false},
		"no exec": {func(s *Spec) { s.Command = []string{"/etc/hostname"} }, segue.KindInvalid, false},
	} {
		client, _, over := held(t, "", test.change)
		state := awaitState(t, client, func(s State) bool { return s.Phase == segue.InstanceExited })
		if state.Refusal == nil || state.Refusal.Kind != test.kind || state.Refusal.PortTaken != test.taken {
			t.Errorf("%s: refusal %+v", name, state.Refusal)
		}
		stop(t, client, over)
	}
}

func TestPortTakenAfterACrash(t *testing.T) {
	probe := listen(t, "127.0.0.1:0")
	address := probe.Addr().String()
	probe.Close()
	client, dir, over := held(t, "test -e taken || exec sleep 1000", func(s *Spec) { s.Address = address })
	state := awaitState(t, client, func(s State) bool { return s.Phase == segue.InstanceRunning })
	taker := listen(t, address)
	if err := os.WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Kill(t.Context(), Stat{PID: state.PID, Start: statOf(t, state.PID).Start}); err != nil {
		t.Fatal(err)
	}
	awaitState(t, client, func(s State) bool {
		return s.LastExit != nil && strings.Contains(s.LastExit.Problem, "another process listens on its address "+address)
	})
	if err := os.Remove(filepath.Join(dir, "taken")); err != nil {
		t.Fatal(err)
	}
	taker.Close()
	awaitState(t, client, func(s State) bool { return s.Phase == segue.InstanceRunning && s.PID != state.PID })
	stop(t, client, over)
}

func statOf(t *testing.T, pid int) Stat {
	t.Helper()
	stat, err := ReadStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	return stat
}

func TestStatOfAnyName(t *testing.T) {
	line := "42 (a) b (c) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 100 200 18446744073709551615"
	want := Stat{PID: 42, State: 'S', Parent: 1, Group: 40, Session: 39, Start: 98765}
	if got, err := parseStat(42, []byte(line)); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 1 2", strings.Replace(line, "98765", "x", 1)} {
		if _, err := parseStat(42, []byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	self := statOf(t, os.Getpid())
	if self.Parent != os.Getppid() || self.Gone() {
		t.Errorf("own stat %+v, parent %d", self, os.Getppid())
	}
}

func TestAwaitExitOfAStranger(t *testing.T) {
	self := statOf(t, os.Getpid())
	if err := AwaitExit(t.Context(), self.PID, self.Start+1); err != nil {
		t.Errorf("another process has the number: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := AwaitExit(ctx, self.PID, self.Start); err == nil {
		t.Error("this process has ended, it says")
	}
}

func TestParseSignal(t *testing.T) {
	for name, want := range map[string]string{"TERM": "TERM", "sigusr1": "USR1", " SIGTSTP ": "TSTP", "int": "INT"} {
		if got, err := ParseSignal(name); err != nil || SignalName(got) != want {
			t.Errorf("%q is %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "SIG", "9", "TERMINATE"} {
		if got, err := ParseSignal(name); segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%q is %s, %v", strconv.Quote(name), SignalName(got), err)
		}
	}
}
