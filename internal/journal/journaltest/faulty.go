package journaltest

import (
	"context"
	"iter"
	"sync"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/journal"
)

// Failure is the way in which an append fails.
type Failure int

const (
	// Pass is no failure.
	Pass Failure = iota
	// Refuse writes nothing, says so with KindConflict, and the journal goes on.
	Refuse
	// BreakBefore writes nothing and gives KindUnavailable: a full disk. The journal then refuses everything until Repair.
	BreakBefore
	// BreakAfter writes everything and gives KindUnavailable all the same: the disk broke before it could confirm. The journal then refuses
	// everything until Repair. Whoever appended cannot tell it from BreakBefore without reading.
	BreakAfter
)

// Faulty is a journal whose appends fail as planned. It works in a synctest bubble.
type Faulty struct {
	inner journal.Journal

	mu      sync.Mutex
	appends int
	plan    map[int]Failure
	broken  bool
}

var (
	_ journal.Journal   = (*Faulty)(nil)
	_ journal.ByRollout = (*Faulty)(nil)
)

// NewFaulty puts a fault injector before a journal.
func NewFaulty(inner journal.Journal) *Faulty {
	return &Faulty{inner: inner, plan: map[int]Failure{}}
}

// Fail makes the n-th append from now on fail in such a way; 1 is the next one.
func (f *Faulty) Fail(n int, failure Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan[f.appends+n] = failure
}

// Repair is what opening the journal again would do after it broke.
func (f *Faulty) Repair() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = false
}

// Appends counts the appends so far, those that failed too.
func (f *Faulty) Appends() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appends
}

// Append implements journal.Journal.
func (f *Faulty) Append(ctx context.Context, events ...segue.Event) ([]segue.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return nil, unavailable()
	}
	f.appends++
	switch f.plan[f.appends] {
	case Pass:
	case Refuse:
		return nil, segue.Errorf(segue.KindConflict, "append to journal: injected, nothing was written")
	case BreakBefore:
		f.broken = true
		return nil, unavailable()
	case BreakAfter:
		f.broken = true
		if _, err := f.inner.Append(ctx, events...); err != nil {
			return nil, err
		}
		return nil, unavailable()
	}
	return f.inner.Append(ctx, events...)
}

func unavailable() error {
	return segue.Errorf(segue.KindUnavailable, "append to journal: injected, no space left on device")
}

// guard refuses to read while the journal is broken.
func (f *Faulty) guard(read iter.Seq2[segue.Entry, error]) iter.Seq2[segue.Entry, error] {
	return func(yield func(segue.Entry, error) bool) {
		if f.isBroken() {
			yield(segue.Entry{}, unavailable())
			return
		}
		read(yield)
	}
}

func (f *Faulty) isBroken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// Entries implements journal.Journal.
func (f *Faulty) Entries(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return f.guard(f.inner.Entries(ctx, from))
}

// EntriesOf implements journal.ByRollout.
func (f *Faulty) EntriesOf(ctx context.Context, rollout segue.RolloutID) iter.Seq2[segue.Entry, error] {
	return f.guard(journal.EntriesOf(ctx, f.inner, rollout))
}

// Watch implements journal.Journal. A watch that is under way when the journal breaks goes on.
func (f *Faulty) Watch(ctx context.Context, from int64) iter.Seq2[segue.Entry, error] {
	return f.guard(f.inner.Watch(ctx, from))
}

// Last implements journal.Journal.
func (f *Faulty) Last(ctx context.Context) (int64, error) {
	if f.isBroken() {
		return 0, unavailable()
	}
	return f.inner.Last(ctx)
}

// Close implements journal.Journal.
func (f *Faulty) Close() error { return f.inner.Close() }
