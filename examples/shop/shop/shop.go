// Package shop is a small web shop that sells records: pages rendered on the server, sessions and orders in a SQLite file
// that several processes share, stock pushed over a WebSocket and as server-sent events, and a JSON API beside the pages.
//
// It is an example of an application that can be rolled from one release to the next under load. All releases are one
// source tree; the name baked in at the build selects the features, and for a bad release what is wrong with it.
package shop

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Shop is one server of the shop.
type Shop struct {
	config   Config
	features features
	fault    Fault
	log      *slog.Logger
	pages    map[string]*template.Template
	assets   assets

	open     atomic.Pointer[counter] // nil until the database is open and migrated
	stopping atomic.Bool             // not ready any more, answers with Connection: close
	requests atomic.Int64            // for the share of errors
	leave    chan struct{}           // closed when long connections are to end
	long     sync.WaitGroup          // WebSockets, which the HTTP server does not wait for
}

// counter is what the shop serves from once the database is open.
type counter struct {
	*store
	watcher *watcher
}

// New prepares a shop; Run opens its database.
func New(config Config, log *slog.Logger) (*Shop, error) {
	log = log.With(slog.String("release", config.Release), slog.String("server", config.Server))
	s := &Shop{
		config: config, features: featuresOf(config.Release), fault: faultOf(config.Release), log: log,
		assets: loadAssets(), leave: make(chan struct{}),
	}
	var err error
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	return s, nil
}

// Run serves on a listener until ctx ends, then stops gracefully. While the database is being opened the shop already
// listens, and says that it is not ready. A release that crashes ends it with ErrCrash.
func (s *Shop) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 2)
	go func() { ended <- wrapped("serve", server.Serve(listener)) }()
	s.log.InfoContext(ctx, "shop listens", slog.String("address", listener.Addr().String()))

	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	opening, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go func() { ended <- s.openAndWatch(opening, inner) }()
	var crash <-chan time.Time
	if s.fault == FaultCrash {
		crash = time.NewTimer(s.config.CrashAfter).C
	}

	var err error
	running := 2
	select {
	case err = <-ended:
		running--
		err = errors.Join(err, s.shutdown(context.WithoutCancel(ctx), server))
	case <-crash:
		s.log.ErrorContext(ctx, "price table corrupted", slog.String("error", "index out of range [12] with length 12"))
		err = errors.Join(ErrCrash, server.Close()) // without a word to anybody
	case <-ctx.Done():
		s.log.InfoContext(ctx, "shop stops")
		giveUp()
		err = s.shutdown(context.WithoutCancel(ctx), server)
	}
	giveUp()
	cancel()
	for range running {
		if last := <-ended; !errors.Is(last, http.ErrServerClosed) && !errors.Is(last, context.Canceled) {
			err = errors.Join(err, last)
		}
	}
	if open := s.open.Load(); open != nil {
		err = errors.Join(err, open.close())
	}
	return err
}

// openAndWatch opens the database, which opening may break off, and watches it until ctx ends.
func (s *Shop) openAndWatch(opening, ctx context.Context) error {
	start := time.Now()
	db, err := openStore(opening, s.config)
	if err != nil {
		return err
	}
	watcher, err := newWatcher(opening, db, s.features, s.log)
	if err != nil {
		return errors.Join(err, db.close())
	}
	s.open.Store(&counter{store: db, watcher: watcher})
	s.log.InfoContext(ctx, "shop opens", slog.Int64("duration_ms", time.Since(start).Milliseconds()))
	return watcher.run(ctx)
}

// shutdown ends the serving: not ready, a last while of polite answers, long connections, then the requests in flight.
func (s *Shop) shutdown(ctx context.Context, server *http.Server) error {
	s.stopping.Store(true)
	<-time.NewTimer(s.config.Linger).C
	close(s.leave)
	ctx, cancel := context.WithTimeout(ctx, s.config.Grace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("finish requests in flight: %w", err), server.Close())
	}
	s.long.Wait()
	return err
}

// ready reports whether the shop wants traffic.
func (s *Shop) ready() bool {
	return s.open.Load() != nil && !s.stopping.Load() && s.fault != FaultUnready
}
