package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Contestant is a program that is measured: it and its children.
type Contestant struct {
	Name    string
	Address string
	command *exec.Cmd
}

// installed gives the path of a program, "" when it is not there.
func installed(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// launch starts a program pinned to a CPU, where `taskset` is there, and waits until it listens.
func launch(ctx context.Context, name, address string, cpu int, args ...string) (*Contestant, error) {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		args = append([]string{taskset, "-c", strconv.Itoa(cpu)}, args...)
	}
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &Contestant{Name: name, Address: address, command: command}
	if err := awaitPort(ctx, address); err != nil {
		c.stop()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

func (c *Contestant) stop() {
	_ = syscall.Kill(-c.command.Process.Pid, syscall.SIGKILL)
	_ = c.command.Wait()
}

// cpu is the CPU time of the program and its children so far.
func (c *Contestant) cpu() time.Duration {
	total := time.Duration(0)
	for _, pid := range family(c.command.Process.Pid) {
		total += cpuOf(pid)
	}
	return total
}

// family lists a process group's processes.
func family(group int) []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		fields := statFields(path)
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// statFields are those of /proc/PID/stat after the command's name: state, parent, group, ...
func statFields(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

// cpuOf is user and system time of one process; the kernel counts in hundredths of a second.
func cpuOf(pid int) time.Duration {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func awaitPort(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", address, err)
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
