package journal

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// Feed wakes the watchers of a journal within this process. Drivers embed the mechanism and keep the entries: a watcher that is
// woken reads what it missed from the store, however slow it was. The zero value is ready.
type Feed struct {
	mu      sync.Mutex
	changed chan struct{}
	closed  bool
}

// Announce wakes every watcher: there are new entries.
func (f *Feed) Announce() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil && !f.closed {
		close(f.changed)
		f.changed = nil
	}
}

// Close ends every watch, now and later.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	close(f.changed)
}

// wait gives the channel that is closed by the next Announce or Close, and whether Close has been.
func (f *Feed) wait() (<-chan struct{}, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed, f.closed
}

// Watch builds Journal.Watch out of Journal.Entries: what is there from index `from` on, then, at each announcement, what is new. It ends
// without an error when ctx is done, with KindCanceled when the feed is closed, and with the error of entries otherwise.
func (f *Feed) Watch(ctx context.Context, from int64, entries func(context.Context, int64) iter.Seq2[segue.Entry, error]) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		next := max(from, 1)
		for {
			// Taken before the entries are read: what comes in meanwhile closes it.
			changed, closed := f.wait()
			if closed {
				yield(segue.Entry{}, Closed())
				return
			}
			for entry, err := range entries(ctx, next) {
				if ctx.Err() != nil {
					return
				}
				if !yield(entry, err) || err != nil {
					return
				}
				next = entry.Index + 1
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

// Closed is the error of a journal that was closed: KindCanceled.
func Closed() error { return segue.Errorf(segue.KindCanceled, "the journal is closed") }

// Clamp gives the time that a new entry gets: now, without its monotonic reading, in UTC; and never before the entry that precedes it,
// even where the clock was set back.
func Clamp(last, now time.Time) time.Time {
	now = time.Unix(0, now.UnixNano()).UTC()
	if now.Before(last) {
		return last
	}
	return now
}
