package bench

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	writerCount = 4
	// writerPause is between two writes of a writer. They come by the clock: a write that had to wait for the one before is late, and counts so.
	writerPause = 5 * time.Millisecond
	// writersLead is how long the writers write before the work begins.
	writersLead = 300 * time.Millisecond
)

// writers are an application's connections that write single rows: three updates of rows spread over the table to an insert.
type writers struct {
	database *database
	done     chan struct{}
	all      sync.WaitGroup

	// release is held for writing while another release's insert takes over.
	release sync.RWMutex
	insert  string

	mu     sync.Mutex
	late   []time.Duration
	failed int
	// fault is the last one.
	fault error
}

// plainInsert is the insert of the release that runs, which knows nothing of the change.
const plainInsert = "INSERT INTO orders (id, name, amount, customer, note) VALUES ($1, 'New Order', 1, 1, 'n')"

// felt is what writers felt.
type felt struct {
	writes, failed    int
	p50, p99, longest float64
}

func startWriters(ctx context.Context, d *database) *writers {
	w := &writers{database: d, done: make(chan struct{}), insert: d.ask(plainInsert)}
	for i := range writerCount {
		w.all.Go(func() { w.write(ctx, i) })
	}
	return w
}

// write goes on until stop, and does what was due until then.
func (w *writers) write(ctx context.Context, writer int) {
	var late []time.Duration
	due := time.Now()
	failed := 0
	var fault error
	for n := writer; ctx.Err() == nil && !w.over(due); n += writerCount {
		if wait := time.Until(due); wait > 0 && pause(ctx, wait) != nil {
			break
		}
		if err := w.one(ctx, n); err != nil {
			failed++
			fault = err
		}
		late = append(late, time.Since(due))
		due = due.Add(writerPause)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late, w.failed = append(w.late, late...), w.failed+failed
	if fault != nil {
		w.fault = fault
	}
}

// over tells whether stop was called, and nothing is due from before.
func (w *writers) over(due time.Time) bool {
	select {
	case <-w.done:
		return time.Since(due) < writerPause
	default:
		return false
	}
}

// renew puts another release in the place of the one that writes: its insert from now on.
func (w *writers) renew(insert string) {
	w.release.Lock()
	defer w.release.Unlock()
	w.insert = w.database.ask(insert)
}

// one writes the n-th row.
func (w *writers) one(ctx context.Context, n int) error {
	w.release.RLock()
	defer w.release.RUnlock()
	if n/writerCount%4 == 0 {
		_, err := w.database.app.ExecContext(ctx, w.insert, int64(w.database.orders)+w.database.inserted.Add(1))
		return err
	}
	const stride = 7919 // a prime: the rows lie all over the table
	_, err := w.database.app.ExecContext(ctx, w.database.ask("UPDATE orders SET touched = touched + 1 WHERE id = $1"), 1+n*stride%w.database.orders)
	return err
}

// stop ends the writers once what was due is written.
func (w *writers) stop() {
	close(w.done)
	w.all.Wait()
	slices.Sort(w.late)
}

func (w *writers) summary() felt {
	at := func(share float64) float64 {
		if len(w.late) == 0 {
			return 0
		}
		return float64(w.late[int(share*float64(len(w.late)-1))].Microseconds()) / 1000
	}
	return felt{writes: len(w.late), failed: w.failed, p50: at(0.5), p99: at(0.99), longest: at(1)}
}
