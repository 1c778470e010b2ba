package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// How often and how long readiness is checked.
const (
	// firstPoll is the wait after the first try, lastPoll the longest one. Between them it is a pollShare-th of the time that the boot has taken
	// so far: that is the most that is lost at its end, be it a quick one or a slow one.
	firstPoll = 2 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
	pollShare = 40
	// firstCommandPoll and commandPollShare are those for commands, which cost a process each.
	firstCommandPoll = 50 * time.Millisecond
	commandPollShare = 8
	// tryWait bounds one try.
	tryWait = 5 * time.Second
	// steady is how long a worker without a check has to run.
	steady = time.Second
	// tellLines is how much of the log an error tells.
	tellLines = 10
)

// AwaitReady implements workload.Driver. Without a deadline, Ready.Within is the deadline.
func (d *Driver) AwaitReady(ctx context.Context, id segue.InstanceID) error {
	t, err := d.track(ctx, id)
	if err != nil {
		return fmt.Errorf("await readiness: %w", err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.own.Ready.Within)
		defer cancel()
	}
	begun := time.Now()
	booting, pid, last := begun, 0, error(nil)
	for {
		v, changed := t.read()
		if err := t.hopeless(ctx, v); err != nil {
			return err
		}
		if v.PID != pid {
			booting, pid = time.Now(), v.PID // it was started again
		}
		if v.Phase == segue.InstanceRunning {
			err := t.check(ctx, v.State)
			if err == nil {
				return nil
			}
			if last == nil || ctx.Err() == nil {
				last = err // a try that the deadline cut short says less than the one before it
			}
		}
		timer := time.NewTimer(t.own.Ready.pause(time.Since(booting)))
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return t.late(ctx, time.Since(begun), last)
		}
	}
}

// pause is the wait before the next try of a boot that has taken so long by now.
func (r Ready) pause(taken time.Duration) time.Duration {
	if len(r.Command) > 0 {
		return min(max(taken/commandPollShare, firstCommandPoll), lastPoll)
	}
	return min(max(taken/pollShare, firstPoll), lastPoll)
}

// hopeless gives the error of an instance that will not get ready any more.
func (t *tracked) hopeless(ctx context.Context, v view) error {
	spec := t.spec
	switch {
	case v.gone:
		return segue.Errorf(segue.KindNotFound, "there is no instance %s", spec.ID)
	case v.known && v.Phase == segue.InstanceStopping, v.ending:
		return segue.Errorf(segue.KindUnhealthy, "instance %s on server %s is being stopped", spec.ID, spec.Server)
	case v.known && v.Phase == segue.InstanceExited:
		return segue.Errorf(segue.KindUnhealthy, "instance %s on server %s has ended", spec.ID, spec.Server)
	case v.Crashes > t.own.Limit && v.LastExit != nil:
		return t.tell(ctx, segue.Errorf(segue.KindUnhealthy, "instance %s on server %s ended by itself %d times in a row, last with %s",
			spec.ID, spec.Server, v.Crashes, v.LastExit))
	default:
		return nil
	}
}

// late is the error of an instance that was not ready in time.
func (t *tracked) late(ctx context.Context, waited time.Duration, last error) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return segue.Errorf(segue.KindCanceled, "await readiness of instance %s: %w", t.spec.ID, context.Cause(ctx))
	}
	reason := "it does not run"
	if last != nil {
		reason = last.Error()
	}
	return t.tell(ctx, segue.Errorf(segue.KindTimeout, "instance %s on server %s was not ready within %v: %s",
		t.spec.ID, t.spec.Server, waited.Round(time.Millisecond), reason))
}

// tell adds the end of the log to an error.
func (t *tracked) tell(ctx context.Context, err *segue.Error) error {
	lines := shim.LastLines(context.WithoutCancel(ctx), t.spec.LogDir, tellLines)
	if lines == "" {
		return err.WithHint("it has written nothing to its log")
	}
	err.Message += "; its log ends with:\n" + lines
	return err.WithHint("the whole log: segue logs %s", t.spec.Server)
}

// Probe implements workload.Driver.
func (d *Driver) Probe(ctx context.Context, id segue.InstanceID) error {
	t, err := d.track(ctx, id)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	v, err := d.await(ctx, t)
	if err != nil {
		return fmt.Errorf("probe instance %s: %w", id, err)
	}
	if v.Phase != segue.InstanceRunning {
		return segue.Errorf(segue.KindUnhealthy, "instance %s on server %s is not running but %s", id, t.spec.Server, v.Phase)
	}
	if err := t.check(ctx, v.State); err != nil {
		return segue.Errorf(segue.KindUnhealthy, "instance %s on server %s: %w", id, t.spec.Server, err)
	}
	return nil
}

// check does one check.
func (t *tracked) check(ctx context.Context, state shim.State) error {
	ready := t.own.Ready
	switch {
	case ready.HTTP != "":
		ctx, cancel := context.WithTimeout(ctx, tryWait)
		defer cancel()
		return checkHTTP(ctx, "http://"+t.spec.Address+ready.HTTP)
	case len(ready.Command) > 0:
		ctx, cancel := context.WithTimeout(ctx, tryWait)
		defer cancel()
		return checkCommand(ctx, ready.Command, t.spec)
	case t.spec.Address != "":
		ctx, cancel := context.WithTimeout(ctx, tryWait)
		defer cancel()
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", t.spec.Address)
		if err != nil {
			return fmt.Errorf("it accepts no connection: %w", err)
		}
		return conn.Close()
	default:
		if ran := time.Since(state.StartedAt); ran < steady {
			return fmt.Errorf("it has run for %v only", ran.Round(time.Millisecond))
		}
		return nil
	}
}

// checkHTTP wants an answer of 200 to 399 and does not follow where it leads.
func checkHTTP(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("check readiness: %w", err)
	}
	request.Header.Set("User-Agent", "segue-readiness")
	client := http.Client{
		// A connection of its own for each try: a kept one would make the instance's last moments look alive.
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("check readiness: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 200 && response.StatusCode < 400 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 200))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return fmt.Errorf("its readiness check answers %s", response.Status)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("its readiness check answers %s: %s", response.Status, line)
}

// checkCommand wants exit code 0.
func checkCommand(ctx context.Context, argv []string, spec shim.Spec) error {
	var output limited
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir, command.Env = spec.Dir, spec.Env
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGKILL) }
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(output.text.String()), "\n")
		return fmt.Errorf("its readiness command fails: %w: %s", err, lines[len(lines)-1])
	}
	return nil
}

// limited keeps the first few KiB of what is written to it.
type limited struct{ text bytes.Buffer }

func (l *limited) Write(text []byte) (int, error) {
	const limit = 4 << 10
	l.text.Write(text[:min(len(text), max(0, limit-l.text.Len()))])
	return len(text), nil
}
