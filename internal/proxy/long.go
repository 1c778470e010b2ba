package proxy

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// longs are a backend's long connections. The zero value is ready.
type longs struct {
	mu   sync.Mutex
	open map[*long]struct{}
}

// long is one: a tunnel, an event stream, or an answer that takes long.
type long struct {
	// from is when it begins to count as long.
	from time.Time
	// end closes it properly and returns when that is done or a short time has passed. It is called at most once.
	end func()
	// ended is true once end was called. Guarded by longs.mu.
	ended bool
}

func (l *longs) add(c *long) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[*long]struct{}{}
	}
	l.open[c] = struct{}{}
}

// remove forgets a connection that is over.
func (l *longs) remove(c *long) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

func (l *longs) count(now time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !c.from.After(now) {
			n++
		}
	}
	return n
}

// take marks the connections that are long now and were not ended yet, and gives them.
func (l *longs) take(now time.Time) []*long {
	l.mu.Lock()
	defer l.mu.Unlock()
	var taken []*long
	for c := range l.open {
		if !c.ended && !c.from.After(now) {
			c.ended = true
			taken = append(taken, c)
		}
	}
	return taken
}

// giveBack takes the mark off a connection that was not ended after all.
func (l *longs) giveBack(c *long) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.ended = false
}

// Waits of close for connections that were ended, by it or by another caller, and are not over yet.
const (
	overCheck = 10 * time.Millisecond
	overWait  = 5 * time.Second
)

// close ends the long connections one by one, spread over a time with jitter, and returns how many it ended, once all are over. Ended by
// ctx, it leaves the rest open.
func (l *longs) close(ctx context.Context, spread time.Duration) (closed int, err error) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		n, err := l.endAll(ctx, spread, &work)
		closed += n
		if err != nil {
			return closed, err
		}
		work.Wait()
		spread = min(spread, time.Second) // for those that became long meanwhile
		over, err := l.awaitOver(ctx)
		if over || err != nil {
			return closed, err
		}
	}
}

// endAll ends those that nobody has ended.
func (l *longs) endAll(ctx context.Context, spread time.Duration, work *sync.WaitGroup) (n int, err error) {
	taken := l.take(time.Now())
	if len(taken) == 0 {
		return 0, nil
	}
	begun, gap := time.Now(), spread/time.Duration(len(taken))
	for i, c := range taken {
		if err := pause(ctx, time.Until(begun.Add(within(i, gap)))); err != nil {
			for _, rest := range taken[i:] {
				l.giveBack(rest)
			}
			return i, err
		}
		work.Go(c.end)
	}
	return len(taken), nil
}

// awaitOver waits until no long connection is open, or for a time. It returns false early when there is one to end.
func (l *longs) awaitOver(ctx context.Context) (over bool, err error) {
	for until := time.Now().Add(overWait); time.Now().Before(until); {
		open, untouched := l.left(time.Now())
		if open == 0 {
			return true, nil
		}
		if untouched > 0 {
			return false, nil
		}
		if err := pause(ctx, overCheck); err != nil {
			return true, err
		}
	}
	return true, nil
}

// left counts the long connections that are open, and those of them that nobody has ended.
func (l *longs) left(now time.Time) (open, untouched int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if c.from.After(now) {
			continue
		}
		open++
		if !c.ended {
			untouched++
		}
	}
	return open, untouched
}

// within gives a moment at random in the i-th of equal slots.
func within(i int, gap time.Duration) time.Duration {
	if gap <= 0 {
		return 0
	}
	return time.Duration(i)*gap + time.Duration(rand.Int64N(int64(gap))) //nolint:gosec // spread, not secrecy
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
