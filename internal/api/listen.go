package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Listener serves HTTP on one socket.
type Listener struct {
	listener net.Listener
	server   *http.Server
}

// ListenUnix listens on a 0600 unix socket.
func ListenUnix(path string) (*Listener, error) {
	listener, err := unixsock.Listen(path)
	if err != nil {
		return nil, err
	}
	return &Listener{listener: listener}, nil
}

// ListenTCP listens on host:port; the caller must give its server a token when the host is not a loopback one, and should always.
func ListenTCP(address string) (*Listener, error) {
	listener, err := net.Listen("tcp", address) //nolint:noctx // bound for the life of the process
	if err != nil {
		return nil, segue.Errorf(segue.KindUnavailable, "listen on %s: %w", address, err).
			WithHint("another program may use that address; choose another one with --listen")
	}
	return &Listener{listener: listener}, nil
}

// Address is where it listens.
func (l *Listener) Address() string { return l.listener.Addr().String() }

// Run serves until ctx is done, then lets calls end for up to two seconds.
func (l *Listener) Run(ctx context.Context, handler http.Handler, logger *slog.Logger) error {
	base, cancelBase := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelBase()
	l.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	failed := make(chan error, 1)
	go func() { failed <- l.server.Serve(l.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Followers of events and logs never end by themselves: their contexts are ended first.
	cancelBase()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := l.server.Shutdown(bounded); err != nil {
		_ = l.server.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
