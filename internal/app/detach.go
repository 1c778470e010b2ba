package app

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// detach starts a program of ours that outlives this process: a session of its own, no terminal, no inherited files, output to a log. Secrets never are
// arguments. It gives the process, which the caller may watch for an early end.
func detach(log string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()                      //nolint:errcheck // the child has its own
	command := exec.Command(self, args...) //nolint:noctx // it outlives whoever started it
	command.Stdout, command.Stderr = out, out
	command.Dir = "/"
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return command, nil
}

// tail gives the end of a log, for errors about a program that ended at once.
func tail(path string, limit int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-limit):])
}
