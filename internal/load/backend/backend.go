// Package backend is a server for tests to send traffic to: plain answers, orders that are recorded in a ledger, uploads
// that are counted, streams and WebSockets. Its program, in cmd, is a release for end-to-end tests; a file beside the
// program lets one release misbehave. Package load is the other end.
//
// Paths: GET / answers BODY_BYTES of text (?bytes=N for another size); POST /orders checks the body against its checksum
// and appends the id in the X-Load-Id header to the ledger, before it works on it and answers; POST /upload answers
// {"bytes": N}; GET /stream takes STREAM_TIME and ends with "end"; GET /ws echoes messages; GET /readyz and /livez. Every
// answer has X-Server and X-Release, and sends X-Load-Id back.
package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// ErrCrash is what Run returns when the configured time to crash has come.
var ErrCrash = errors.New("crash as configured")

// Backend is one test server.
type Backend struct {
	config  Config
	log     *slog.Logger
	ledger  *ledgerFile
	ready   atomic.Bool
	leaving atomic.Bool // answers with Connection: close
	crashed atomic.Bool // ends without a word
	worked  atomic.Int64
	filler  []byte

	sockets sync.WaitGroup
	stop    chan struct{} // closed when WebSockets are to end
}

// New opens the ledger. Run, or Close, ends what New began.
func New(config Config, log *slog.Logger) (*Backend, error) {
	config.Grace = cmp.Or(config.Grace, 30*time.Second)
	config.Stream = cmp.Or(config.Stream, 5*time.Second)
	config.BodyBytes = cmp.Or(config.BodyBytes, 1024)
	ledger, err := openLedger(config.Ledger, config.Server, config.Release)
	if err != nil {
		return nil, err
	}
	b := &Backend{config: config, log: log, ledger: ledger, stop: make(chan struct{})}
	b.filler = makeFiller(max(config.BodyBytes, 64<<10))
	b.ready.Store(!config.Unready && config.Boot == 0)
	return b, nil
}

// Close ends the ledger; for those who use Handler without Run.
func (b *Backend) Close() error {
	close(b.stop)
	b.sockets.Wait()
	return b.ledger.close()
}

// Run serves on a listener until ctx ends, then stops gracefully: not ready, LINGER, no new connections, requests in
// flight to their end or for GRACE, WebSockets closed with 1001. A crash ends it with ErrCrash.
func (b *Backend) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: b.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: b.config.IdleTimeout,
		ErrorLog: slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	b.log.InfoContext(ctx, "backend listens", slog.String("address", listener.Addr().String()))
	ready, crash := after(b.config.Boot), after(b.config.CrashAfter)
	if b.config.CrashAfter == 0 {
		crash = nil
	}
	for {
		select {
		case <-ready:
			ready = nil
			b.ready.Store(!b.config.Unready)
		case <-crash:
			b.log.ErrorContext(ctx, "backend crashes")
			b.crashed.Store(true)
			return errors.Join(ErrCrash, server.Close(), unlessClosed(<-served), b.Close())
		case err := <-served:
			return errors.Join(fmt.Errorf("serve: %w", err), b.Close())
		case <-ctx.Done():
			err := b.shutdown(context.WithoutCancel(ctx), server)
			return errors.Join(err, unlessClosed(<-served), b.Close())
		}
	}
}

// unlessClosed drops the error that says no more than that a server was closed.
func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// after returns a channel that delivers once after d.
func after(d time.Duration) <-chan time.Time { return time.NewTimer(d).C }

// shutdown ends the serving.
func (b *Backend) shutdown(ctx context.Context, server *http.Server) error {
	b.ready.Store(false)
	b.leaving.Store(true)
	b.log.InfoContext(ctx, "backend stops")
	if b.config.Linger > 0 {
		<-after(b.config.Linger)
	}
	ctx, cancel := context.WithTimeout(ctx, b.config.Grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("finish requests in flight: %w", err), server.Close())
	}
	return nil
}
