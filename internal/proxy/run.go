package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/proxy/listen"
	"github.com/segue-deploy/segue/internal/proxy/upstream"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Options shape Run. The zero value of a field means its default.
type Options struct {
	// StateDir is the folder of the state file and the lock; it is made if it does not exist. Required.
	StateDir string
	// Socket is the path of the admin socket. Default StateDir/proxy.sock.
	Socket string
	// Logger hears what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// Ready, when set, is called once, when everything that is stored is served and the admin socket answers.
	Ready func()
	// Grace is how long clients are asked to leave, answer by answer, before the rest is closed. Default 10 s.
	Grace time.Duration
	// Spread is what long connections are closed over meanwhile. Default: Grace.
	Spread time.Duration
	// Limit is what requests in flight may still take after the grace time. Default 30 s.
	Limit time.Duration
	// NewUpstream carries requests to a backend. Default upstream.New.
	NewUpstream func(upstream.Options) upstream.Upstream
	// Getenv reads LISTEN_FDS and its like. Default os.Getenv.
	Getenv func(string) string
}

// Defaults of Options.
const (
	defaultGrace = 10 * time.Second
	defaultLimit = 30 * time.Second
)

// SocketPath gives where the admin socket of a proxy with this state folder is, unless it was told otherwise.
func SocketPath(stateDir string) string { return filepath.Join(stateDir, "proxy.sock") }

func (o Options) withDefaults() Options {
	or(&o.Socket, SocketPath(o.StateDir))
	or(&o.Grace, defaultGrace)
	or(&o.Spread, o.Grace)
	or(&o.Limit, defaultLimit)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NewUpstream == nil {
		o.NewUpstream = upstream.New
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return o
}

// Run serves what is stored in Options.StateDir, and takes changes over the admin socket, until ctx ends; then it sends its clients away
// politely and returns nil. Nothing that it started is left when it returns. Errors: KindConflict when another proxy has the
// state folder or a port is taken, KindCorrupt when the state file cannot be read; it refuses to start then.
func Run(ctx context.Context, options Options) error {
	o := options.withDefaults()
	if o.StateDir == "" {
		return segue.Errorf(segue.KindInvalid, "run proxy: no state folder given")
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("make state folder of the proxy: %w", err)
	}
	unlock, err := lock(filepath.Join(o.StateDir, "proxy.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	inherited, err := listen.Inherit(o.Getenv)
	if err != nil {
		return err
	}
	defer inherited.Close()
	p, err := open(ctx, o.StateDir, o, inherited)
	if err != nil {
		return err
	}
	listener, err := unixsock.Listen(o.Socket) //nolint:contextcheck // it only looks whether somebody answers there
	if err != nil {
		p.close(ctx, timing{})
		return err
	}
	return p.serveAdmin(ctx, listener, o)
}

// serveAdmin serves the admin socket until ctx ends, then closes everything, the admin socket last: whoever waits for a drain can
// still ask.
func (p *Proxy) serveAdmin(ctx context.Context, listener net.Listener, o Options) error {
	server := newAdminServer(p.admin(), o.Logger)
	over := make(chan error, 1)
	go func() { over <- server.Serve(listener) }() // awaited below
	if o.Ready != nil {
		o.Ready()
	}
	o.Logger.InfoContext(ctx, "proxy ready", "socket", o.Socket, "services", len(p.list()), "epoch", p.epoch)
	var failure error
	select {
	case <-ctx.Done():
		o.Logger.InfoContext(ctx, "proxy stops", "grace", o.Grace)
	case err := <-over:
		failure = fmt.Errorf("serve admin socket %s: %w", o.Socket, err)
		over <- err
	}
	p.stopping.Store(true)
	leave := context.WithoutCancel(ctx)
	p.close(leave, p.timing)
	bounded, cancel := context.WithTimeout(leave, cmp.Or(min(o.Limit, time.Second), time.Second))
	defer cancel()
	_ = server.Shutdown(bounded)
	_ = server.Close()
	if err := <-over; failure == nil && !errors.Is(err, http.ErrServerClosed) {
		failure = fmt.Errorf("serve admin socket %s: %w", o.Socket, err)
	}
	return failure
}

// lock takes a lock that dies with its holder, so that two proxies never serve from the same state.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of the proxy: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, segue.Errorf(segue.KindConflict, "another proxy runs on the state folder %s", filepath.Dir(path)).
				WithHint("it answers on its admin socket there; stop it first, or use another state folder")
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The holder's number is for people, and for whoever has to stop it; the lock alone counts.
	if err := file.Truncate(0); err == nil {
		_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return func() { _ = file.Close() }, nil
}
