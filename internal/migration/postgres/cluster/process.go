package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
)

const (
	// readyWithin bounds the start of a server, and stopWithin its end.
	readyWithin = 30 * time.Second
	stopWithin  = 10 * time.Second
	// askEvery is how often a starting server is asked whether it is ready: it takes about 0.1 s.
	askEvery = 10 * time.Millisecond
	// logTail is how much of the server's log an error carries.
	logTail = 2000
)

// errPortTaken is a start that failed because another program took the port.
var errPortTaken = errors.New("port is taken")

// account is the one that the server runs as: PostgreSQL refuses to run as root. nil means this process's own.
type account struct{ uid, gid uint32 }

// unprivileged gives the account to use: postgres or, where there is none, nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &account{uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, segue.Errorf(segue.KindUnavailable, "this process is root, and there is no user postgres or nobody to run the server as").
		WithHint("PostgreSQL refuses to run as root: start Segue as another user.")
}

// own gives a file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// ownAll gives a folder and all in it to the account.
func (a *account) ownAll(dir string) error {
	if a == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return a.own(path)
	})
}

// command prepares one of the server's programs, to run as the account.
func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	command.Dir = c.dir
	command.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + c.bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	command.SysProcAttr = attributes()
	if c.account != nil {
		command.SysProcAttr.Credential = &syscall.Credential{Uid: c.account.uid, Gid: c.account.gid}
	}
	return command
}

// run runs a program to its end. The error has what it said.
func (c *Cluster) run(ctx context.Context, program string, args ...string) error {
	out, err := c.command(ctx, program, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	failed := segue.Errorf(segue.KindUnavailable, "run %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	if errors.Is(err, fs.ErrPermission) && c.account != nil {
		_ = failed.WithHint("As root, the server runs as user postgres: %s and %s must be reachable for that user.", c.bin, c.dir)
	}
	return failed
}

// process is a server's first one.
type process struct {
	command *exec.Cmd
	// ended is closed when the process has; err is then what Wait said.
	ended chan struct{}
	err   error
}

// launch starts the server on its data and waits until it answers.
func (c *Cluster) launch(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	// The server outlives the context of its start: stop ends it.
	command := c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data())
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return segue.Errorf(segue.KindUnavailable, "run postgres: %w", err)
	}
	p := &process{command: command, ended: make(chan struct{})}
	c.process = p
	go func() {
		p.err = command.Wait()
		close(p.ended)
	}()
	return c.awaitReady(ctx)
}

// awaitReady asks until the server answers. It wraps errPortTaken where that is why it never will.
func (c *Cluster) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ask.C:
		case <-c.process.ended:
			said := c.log()
			if strings.Contains(said, "could not create any TCP/IP sockets") || strings.Contains(said, "is another postmaster") {
				return fmt.Errorf("%w: %s", errPortTaken, said)
			}
			return segue.Errorf(segue.KindUnavailable, "the server ended (%w) and said: %s", c.process.err, said)
		case <-ctx.Done():
			return segue.Errorf(segue.KindTimeout, "the server did not answer within %s (%w); it said: %s", readyWithin, err, c.log())
		}
	}
}

// log gives the end of the server's log.
func (c *Cluster) log() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-logTail):]))
}

// stop ends the server at once, as its data are not kept: with its sessions, and cleaning up its shared memory.
func (p *process) stop(ctx context.Context) error {
	_ = p.command.Process.Signal(syscall.SIGQUIT) // fails only when it has ended
	limit := time.NewTimer(stopWithin)
	defer limit.Stop()
	select {
	case <-p.ended:
		return nil
	case <-limit.C:
	case <-ctx.Done():
	}
	_ = p.command.Process.Kill()
	<-p.ended
	return nil
}
