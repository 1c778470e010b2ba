// Package shim holds one instance of the process driver: it starts the command, starts it again after a crash, drains its
// output into rotated files, ends it when told to, and says over a unix socket what it does. One shim is one process. It outlives
// the controller, and its command outlives it: a shim that was killed is replaced by another one on the same folder, which
// finds the running command again by process number and start time.
//
// # Where the command's output goes
//
// Not into a pipe: a pipe breaks when the shim is killed, and blocks the command when nobody drains it. Not into the log file itself
// either: then the log could only be rotated by copying and truncating, which loses what is written in between, and a full disk would
// be the command's problem. The command appends to a spool, a file in the instance's folder: writing to it never waits
// for anybody. The shim reads along, appends to the log, which is an ordinary file that is rotated by renaming at the end of a line, and
// gives what it has read back to the file system by punching it out of the spool, so that the spool takes next to no room. The offset
// is kept in a cursor file, so that the next shim goes on where this one was killed (at most the last batch is in the log twice).
// Room for the next writes is reserved ahead, so that a disk that fills up does not reach the command at once: the shim then drops output and
// counts it, and the spool's own room is used again and again. Where the file system cannot punch holes, the spool is truncated
// once it is drained and large; that alone can lose lines.
//
// # Signals
//
// A shim is alone in its session and ends by its stop order only: it takes no notice of HUP, INT and TERM, which are meant for the
// controller it was started by. The command has a process group of its own, which is what gets signalled. Linux only.
package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Run holds the instance whose folder is dir until it has been ended by a stop order. The folder has the instance's Spec. The values of
// ctx are used, its end is not: a program whose signals cancel a context must not end its shims by that. Diagnostics go to standard
// error, which whoever starts a shim points at a file. KindConflict when another shim holds the instance.
func Run(ctx context.Context, dir string) error {
	return run(context.WithoutCancel(ctx), dir, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

func run(ctx context.Context, dir string, logger *slog.Logger) error {
	signals := make(chan os.Signal, 1)
	// Caught and not ignored: what is ignored would be ignored by the command, too.
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	defer signal.Stop(signals)

	unlock, err := lock(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	defer unlock()
	var spec Spec
	if err := statefile.Read(filepath.Join(dir, SpecFile), &spec); err != nil {
		return err
	}
	out, err := openOutput(dir, spec)
	if err != nil {
		return err
	}
	k := newKeeper(dir, spec, out, logger)
	listener, err := unixsock.Listen(filepath.Join(dir, socketFile)) //nolint:contextcheck // it waits for nothing
	if err != nil {
		return errors.Join(err, out.close())
	}
	server := &http.Server{Handler: k.handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}

	var group sync.WaitGroup
	outputs, endOutputs := context.WithCancel(ctx)
	group.Go(func() { out.run(outputs) })
	group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.ErrorContext(ctx, "shim stopped serving", "error", err)
		}
	})
	k.keep(ctx)
	// Whoever waits for the last state gets it before the socket goes.
	select {
	case <-k.board.told:
	case <-time.After(lastWord):
	}
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = server.Shutdown(bounded)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down shim's server: %w", err), server.Close())
	}
	endOutputs()
	group.Wait()
	return errors.Join(err, out.close())
}

// lastWord is how long a shim whose command was stopped waits for somebody to ask how it went.
const lastWord = 500 * time.Millisecond

// Files of an instance's folder.
const (
	// SpecFile is what the driver writes before it starts a shim.
	SpecFile   = "instance.json"
	lockFile   = "lock"
	socketFile = "shim.sock"
	recordFile = "child.json"
	spoolFile  = "spool"
	cursorFile = "cursor"
)

// lock makes sure that one shim holds an instance. The lock dies with its holder; it is not passed on to the command.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, segue.Errorf(segue.KindConflict, "lock %s: another shim holds this instance", path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = file.Close() }, nil
}
