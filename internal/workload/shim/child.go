package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
)

// child is the running command: started by this shim, or by one before it.
type child struct {
	pid       int
	start     uint64
	startedAt time.Time
	group     group
	// process is nil for an adopted one, as only its parent can wait for a process, and once it has been waited for.
	process *os.Process
	exit    *Exit // set by wait
	// ended is closed when the group's leader has ended.
	ended chan struct{}
}

// launch starts the command with its output appended to the spool.
func launch(spec Spec, spool string) (*child, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close() //nolint:errcheck // only read
	output, err := os.OpenFile(spool, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer output.Close() //nolint:errcheck // the command has its own descriptor
	process, err := os.StartProcess(spec.Command[0], spec.Command, &os.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: []*os.File{null, output, output},
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Command[0], err)
	}
	c := &child{
		pid: process.Pid, startedAt: time.Now(), process: process, ended: make(chan struct{}),
		group: group{id: process.Pid, session: session()},
	}
	// Until it is waited for, a process that has ended has its stat, too.
	if stat, err := ReadStat(c.pid); err == nil {
		c.start = stat.Start
	}
	return c, nil
}

func session() int {
	sid, err := unix.Getsid(0)
	if err != nil {
		return 0
	}
	return sid
}

// watch closes ended once the leader has ended. It returns when it has, or when ctx is done.
func (c *child) watch(ctx context.Context) error {
	if err := AwaitExit(ctx, c.pid, c.start); err != nil {
		return err
	}
	close(c.ended)
	return nil
}

// wait says how the leader ended; it has ended already. From then on its number may mean another process.
func (c *child) wait() (Exit, error) {
	if c.process == nil {
		if c.exit == nil {
			c.exit = &Exit{At: time.Now(), Code: -1, Problem: "ended in a way that nobody saw: its shim was replaced while it ran"}
		}
		return *c.exit, nil
	}
	state, err := c.process.Wait()
	c.process = nil
	if err != nil {
		c.exit = &Exit{At: time.Now(), Code: -1, Problem: "ended in a way that could not be read"}
		return *c.exit, fmt.Errorf("wait for process %d: %w", c.pid, err)
	}
	c.exit = &Exit{At: time.Now(), Code: state.ExitCode()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		c.exit.Signal = SignalName(status.Signal())
	}
	return *c.exit, nil
}

// signal sends to the whole group.
func (c *child) signal(number unix.Signal) error { return c.group.signal(number, c.process != nil) }

// reap ends what is left of the group by force and says how the leader ended. It has ended already.
func (c *child) reap(ctx context.Context) (Exit, error) {
	// First the group, then the leader: as long as nobody has waited for it, its number cannot mean another group.
	fault := c.signal(unix.SIGKILL)
	exit, err := c.wait()
	return exit, errors.Join(fault, err, c.group.kill(ctx))
}

// record is what a shim leaves for the next one, in case it is killed. It need not outlast a power cut, as the command does not either.
type record struct {
	Boot string `json:"boot"`
	// PID and Start name the command's process; both are 0 from before it is started until its number is known.
	PID       int       `json:"pid,omitempty"`
	Start     uint64    `json:"start,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Session   int       `json:"session,omitempty"`
	// Stopping is true once a stop order was accepted.
	Stopping bool  `json:"stopping,omitempty"`
	Restarts int   `json:"restarts"`
	Crashes  int   `json:"crashes"`
	LastExit *Exit `json:"last_exit,omitempty"`
}

// adopt finds the command that an earlier shim started, if it still runs.
func adopt(dir string, r record) (*child, bool) {
	if r.Boot != bootID() {
		return nil, false
	}
	stat, err := ReadStat(r.PID)
	found := r.PID > 0 && err == nil && !stat.Gone() && stat.Start == r.Start
	if !found {
		// The shim was killed in the middle of starting it, or the disk was too full to note it.
		stat, found = findByFolder(dir)
	}
	if !found {
		return nil, false
	}
	c := &child{pid: stat.PID, start: stat.Start, startedAt: r.StartedAt, ended: make(chan struct{}), group: group{id: stat.Group, session: stat.Session}}
	if c.startedAt.IsZero() {
		c.startedAt = time.Now()
	}
	return c, true
}

// readRecord gives ok false when there is none: this is the instance's first shim.
func readRecord(dir string) (r record, ok bool, err error) {
	err = statefile.Read(filepath.Join(dir, recordFile), &r)
	if segue.KindOf(err) == segue.KindNotFound {
		return r, false, nil
	}
	if segue.KindOf(err) == segue.KindCorrupt {
		// It was not fsynced, so that a power cut may leave anything. The command may run all the same: look for it.
		return record{Boot: bootID()}, true, nil
	}
	return r, err == nil, err
}

// refusalOf sorts the error of a first start.
func refusalOf(spec Spec, err error) *Refusal {
	refusal := &Refusal{Kind: segue.KindFault, Message: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		refusal.Kind = segue.KindNotFound
		refusal.Message = fmt.Sprintf("%s on server %s: no such program, or its interpreter or the folder %s is missing", spec.Command[0], spec.Server, spec.Dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.E2BIG):
		refusal.Kind = segue.KindInvalid
		refusal.Message = fmt.Sprintf("%s on server %s cannot be run: %v", spec.Command[0], spec.Server, err)
	}
	return refusal
}
