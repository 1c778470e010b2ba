package shop

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// watchEvery is how often a process looks whether another one has changed the database.
	watchEvery = 200 * time.Millisecond
	// backlog is how many changes a listener may lag behind before it loses some; it gets the next ones.
	backlog = 64
)

// Change is a new stock of one product.
type Change struct {
	Slug  string `json:"slug"`
	Stock int64  `json:"stock"`
}

// watcher keeps the catalogue up to date and tells its listeners what has changed. Pages are served from its copy, so that
// browsing costs no query; a stock that is some 200 ms old does no harm, since an order looks at the real one.
type watcher struct {
	store  *store
	wanted features
	log    *slog.Logger

	current   atomic.Pointer[catalogue]
	poke      chan struct{}
	mu        sync.Mutex
	listeners map[chan []Change]struct{}
}

// newWatcher reads the catalogue for the first time.
func newWatcher(ctx context.Context, s *store, wanted features, log *slog.Logger) (*watcher, error) {
	w := &watcher{
		store: s, wanted: wanted, log: log,
		poke: make(chan struct{}, 1), listeners: map[chan []Change]struct{}{},
	}
	c, err := s.loadCatalogue(ctx, wanted)
	if err != nil {
		return nil, err
	}
	w.current.Store(c)
	return w, nil
}

// catalogue returns the assortment as last seen.
func (w *watcher) catalogue() *catalogue { return w.current.Load() }

// changed asks for a look at once, after a write of this process.
func (w *watcher) changed() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// run looks for changes until ctx ends. SQLite's data_version changes with every commit of another connection, whatever
// its process.
func (w *watcher) run(ctx context.Context) error {
	conn, err := w.store.read.Conn(ctx)
	if err != nil {
		return fmt.Errorf("watch stock: %w", err)
	}
	defer conn.Close() //nolint:errcheck // goes back to its pool
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for last := int64(-1); ; {
		// A server has no such number: it is simply asked again.
		version := last + 1
		if w.store.dialect == dialectSQLite {
			if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil && ctx.Err() == nil {
				w.log.WarnContext(ctx, "stock not watched", slog.Any("error", err))
			}
		}
		if version != last {
			last = version
			w.reload(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.poke:
		}
	}
}

// reload reads the catalogue and tells the listeners what is different.
func (w *watcher) reload(ctx context.Context) {
	fresh, err := w.store.loadCatalogue(ctx, w.wanted)
	if err != nil {
		if ctx.Err() == nil {
			w.log.WarnContext(ctx, "catalogue not read", slog.Any("error", err))
		}
		return
	}
	old := w.current.Swap(fresh)
	var changes []Change
	for _, p := range fresh.products {
		if before, known := old.find(p.Slug); !known || before.Stock != p.Stock {
			changes = append(changes, Change{Slug: p.Slug, Stock: p.Stock})
		}
	}
	if len(changes) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for listener := range w.listeners {
		select {
		case listener <- changes:
		default: // too slow: the next change brings the newest stock
		}
	}
}

// listen returns all stocks and a channel of what changes from now on; leave ends it.
func (w *watcher) listen() (all []Change, changes <-chan []Change, leave func()) {
	listener := make(chan []Change, backlog)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners[listener] = struct{}{}
	for _, p := range w.catalogue().products {
		all = append(all, Change{Slug: p.Slug, Stock: p.Stock})
	}
	return all, listener, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.listeners, listener)
	}
}
