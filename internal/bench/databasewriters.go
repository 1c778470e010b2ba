package bench

import (
	"context"
	"errors"
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
	orders   int
	done     chan struct{}
	all      sync.WaitGroup

	mu    sync.Mutex
	late  []time.Duration
	fault error
}

// felt is what writers felt.
type felt struct {
	writes            int
	p50, p99, longest float64
}

func startWriters(ctx context.Context, d *database, orders int) *writers {
	w := &writers{database: d, orders: orders, done: make(chan struct{})}
	for i := range writerCount {
		w.all.Go(func() { w.write(ctx, i) })
	}
	return w
}

// write goes on until stop, and does what was due until then.
func (w *writers) write(ctx context.Context, writer int) {
	var late []time.Duration
	due := time.Now()
	var fault error
	for n := writer; fault == nil; n += writerCount {
		select {
		case <-w.done:
			if time.Since(due) < writerPause {
				w.take(late, fault)
				return
			}
		default:
		}
		if wait := time.Until(due); wait > 0 {
			if fault = pause(ctx, wait); fault != nil {
				break
			}
		}
		fault = w.one(ctx, n)
		late = append(late, time.Since(due))
		due = due.Add(writerPause)
	}
	w.take(late, fault)
}

func (w *writers) take(late []time.Duration, fault error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late, w.fault = append(w.late, late...), errors.Join(w.fault, fault)
}

// one writes the n-th row.
func (w *writers) one(ctx context.Context, n int) error {
	if n/writerCount%4 == 0 {
		_, err := w.database.app.ExecContext(ctx, w.database.ask("INSERT INTO orders (id, name, amount, customer, note) VALUES ($1, 'New Order', 1, 1, 'n')"), w.orders+1+n)
		return err
	}
	const stride = 7919 // a prime: the rows lie all over the table
	_, err := w.database.app.ExecContext(ctx, w.database.ask("UPDATE orders SET touched = touched + 1 WHERE id = $1"), 1+n*stride%w.orders)
	return err
}

// stop ends the writers once what was due is written.
func (w *writers) stop() error {
	close(w.done)
	w.all.Wait()
	slices.Sort(w.late)
	return w.fault
}

func (w *writers) summary() felt {
	at := func(share float64) float64 {
		if len(w.late) == 0 {
			return 0
		}
		return float64(w.late[int(share*float64(len(w.late)-1))].Microseconds()) / 1000
	}
	return felt{writes: len(w.late), p50: at(0.5), p99: at(0.99), longest: at(1)}
}
