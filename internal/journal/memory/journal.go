// Package memory keeps a journal in memory: for tests and the simulation. It is deterministic, works in a synctest bubble, and
// can be cloned as it was at any index, which is what a crash there leaves behind.
package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// Journal is a journal.Journal in memory. Entries share what their pointers lead to with every reader: they are not to be changed.
type Journal struct {
	now  func() time.Time
	feed journal.Feed

	mu      sync.RWMutex
	entries []segue.Entry
	closed  bool
}

var (
	_ journal.Journal   = (*Journal)(nil)
	_ journal.ByRollout = (*Journal)(nil)
)

// New makes an empty journal that takes its times from now; nil means time.Now.
func New(now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{now: now}
}

// Clone gives a new journal with the first n entries (all, when there are fewer), as a crash right after entry n would have left it.
// The two share nothing that changes. It works on a closed journal too.
func (j *Journal) Clone(n int64) *Journal {
	j.mu.RLock()
	defer j.mu.RUnlock()
	n = max(0, min(n, int64(len(j.entries))))
	return &Journal{now: j.now, entries: slices.Clone(j.entries[:n])}
}

// Append implements journal.Journal. It keeps copies, as a store on disk would, so that what is changed later is not changed here.
func (j *Journal) Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, segue.Errorf(segue.KindCanceled, "append to journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, journal.Closed()
	}
	if len(events) == 0 {
		return nil, nil
	}
	var last time.Time
	if n := len(j.entries); n > 0 {
		last = j.entries[n-1].At
	}
	at := journal.Clamp(last, j.now())
	added := make([]segue.Entry, 0, len(events))
	for i, event := range events {
		kept, err := copyEvent(event)
		if err != nil {
			return nil, fmt.Errorf("append %s to journal: %w", event.Kind, err)
		}
		added = append(added, segue.Entry{Index: int64(len(j.entries) + i + 1), At: at, Event: kept})
	}
	j.entries = append(j.entries, added...)
	j.feed.Announce()
	return added, nil
}

// copyEvent copies through JSON, so that what a store on disk would lose is lost here too. An event without references is a copy already.
func copyEvent(event segue.Event) (segue.Event, error) {
	if event.Opening == nil && event.Plan == nil && event.Outcome == nil && event.Failure == nil && event.Verdict == nil &&
		event.Order == nil && event.Release == nil && event.Settings == nil && event.Data == nil {
		return event, nil
	}
	text, err := json.Marshal(event)
	if err != nil {
		return segue.Event{}, segue.Errorf(segue.KindInvalid, "encode event: %w", err)
	}
	var kept segue.Event
	if err := json.Unmarshal(text, &kept); err != nil {
		return segue.Event{}, segue.Errorf(segue.KindInvalid, "decode event: %w", err)
	}
	return kept, nil
}

// Entries implements journal.Journal.
func (j *Journal) Entries(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return j.read(ctx, from, func(segue.Entry) bool { return true })
}

// EntriesOf implements journal.ByRollout.
func (j *Journal) EntriesOf(ctx context.Context, rollout segue.RolloutID) iter.Seq2[segue.Entry, error] {
	return j.read(ctx, 1, func(e segue.Entry) bool { return e.Event.Rollout == rollout })
}

// read gives those entries from index `from` on that are wanted. Stored entries never change, so no lock is held while the caller works.
func (j *Journal) read(ctx context.Context, from int64, wanted func(segue.Entry) bool) iter.Seq2[segue.Entry, error] {
	j.mu.RLock()
	entries, closed := j.entries, j.closed
	j.mu.RUnlock()
	return func(yield func(segue.Entry, error) bool) {
		if closed {
			yield(segue.Entry{}, journal.Closed())
			return
		}
		for i := max(from, 1) - 1; i < int64(len(entries)); i++ {
			if err := ctx.Err(); err != nil {
				yield(segue.Entry{}, segue.Errorf(segue.KindCanceled, "read journal: %w", err))
				return
			}
			if wanted(entries[i]) && !yield(entries[i], nil) {
				return
			}
		}
	}
}

// Last implements journal.Journal.
func (j *Journal) Last(context.Context) (int64, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return 0, journal.Closed()
	}
	return int64(len(j.entries)), nil
}

// Watch implements journal.Journal.
func (j *Journal) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return j.feed.Watch(ctx, from, j.Entries)
}

// Close implements journal.Journal; Clone still works afterwards, as if the process had ended.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.feed.Close()
	return nil
}
