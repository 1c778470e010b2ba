// Package app is the wiring: it turns configuration into a running whole (controller, proxy, shim, command line), and is what end-to-end tests start.
package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
)

// State is a state directory: everything that Segue keeps, for this user alone.
type State string

// Paths within a state directory.
func (s State) journal() string   { return filepath.Join(string(s), "journal.db") }
func (s State) configs() string   { return filepath.Join(string(s), "configs") }
func (s State) proxy() string     { return filepath.Join(string(s), "proxy") }
func (s State) evidence() string  { return filepath.Join(string(s), "evidence") }
func (s State) past() string      { return filepath.Join(string(s), "past") }
func (s State) lock() string      { return filepath.Join(string(s), "controller.lock") }
func (s State) serveLog() string  { return filepath.Join(string(s), "controller.log") }
func (s State) proxyLog() string  { return filepath.Join(string(s), "proxy.log") }
func (s State) proxySock() string { return filepath.Join(string(s), "proxy", "proxy.sock") }

// Socket is where the controller answers.
func (s State) Socket() string { return filepath.Join(string(s), "segue.sock") }

// OpenState makes the directory if need be and gives its absolute path.
func OpenState(path string) (State, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find state directory: %w", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return "", segue.Errorf(segue.KindInvalid, "make state directory: %w", err).
			WithHint("choose another one with --state or SEGUE_STATE")
	}
	return State(absolute), nil
}

// hold takes the controller's lock. It is the kernel's: it dies with its holder, however that dies; one that was killed can take a moment to be gone, for which
// there is a patience.
func (s State) hold(patience time.Duration) (release func(), err error) {
	file, err := os.OpenFile(s.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	began := time.Now()
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for errors.Is(err, unix.EWOULDBLOCK) && time.Since(began) < patience {
		time.Sleep(20 * time.Millisecond)
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		holder, _ := os.ReadFile(s.lock())
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, segue.Errorf(segue.KindConflict, "another controller (process %s) holds %s", orUnknown(holder), s).
				WithHint("only one may decide; one that a command has started ends by itself when idle, and segue serve --stop ends any")
		}
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(fmt.Sprint(os.Getpid())), 0)
	}
	return func() { _ = file.Close() }, nil
}

func orUnknown(holder []byte) string {
	if len(holder) == 0 {
		return "unknown"
	}
	return string(holder)
}
