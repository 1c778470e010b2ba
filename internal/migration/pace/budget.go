package pace

import "sync"

// Budget is shared by all operations of a process on one database, so that two backfills together take no more than one would. The zero value is ready.
type Budget struct {
	mu    sync.Mutex
	turns map[*Turn]struct{}
}

// Turn is one operation's part of a budget.
type Turn struct {
	budget *Budget
	share  float64
}

// Join takes part with a share of the database's time in (0,1]. The turn begins active.
func (b *Budget) Join(share float64) *Turn {
	t := &Turn{budget: b, share: min(max(share, 0.001), 1)}
	t.Resume()
	return t
}

// Share is how much of the time the turn may work right now: its own share, divided among all that are active. All of them together never take more than
// the largest share of them.
func (t *Turn) Share() float64 {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	return t.share / float64(max(len(t.budget.turns), 1))
}

// Pause leaves the turn's part to the others, while it waits for something or for good.
func (t *Turn) Pause() {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	delete(t.budget.turns, t)
}

// Resume takes the turn's part again.
func (t *Turn) Resume() {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	if t.budget.turns == nil {
		t.budget.turns = map[*Turn]struct{}{}
	}
	t.budget.turns[t] = struct{}{}
}
