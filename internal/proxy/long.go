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

// remove forgets a connection that is over, and says whether it was ended on purpose.
func (l *longs) remove(c *long) (ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	return c.ended
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

// close ends the long connections one by one, spread over a time with jitter, and returns their number once all are ended. Ended by ctx, it
// leaves the rest open.
func (l *longs) close(ctx context.Context, spread time.Duration) (closed int, err error) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		taken := l.take(time.Now())
		if len(taken) == 0 {
			return closed, nil
		}
		begun, gap := time.Now(), spread/time.Duration(len(taken))
		for i, c := range taken {
			if err := pause(ctx, time.Until(begun.Add(within(i, gap)))); err != nil {
				for _, rest := range taken[i:] {
					l.giveBack(rest)
				}
				return closed, err
			}
			work.Go(c.end)
			closed++
		}
		work.Wait()
		spread = min(spread, time.Second) // for those that became long meanwhile
	}
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
