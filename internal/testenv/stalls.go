package testenv

import (
	"sync"
	"testing"
	"time"
)

// Stalls watches how late the machine wakes who has nothing to wait for. What it answers is to be added to a bound of the wall clock: whatever came
// that much later was not kept waiting by the product. The watch ends when it is asked, or with the test.
func Stalls(tb testing.TB) func() time.Duration {
	tb.Helper()
	stop, done := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		const every = 5 * time.Millisecond
		worst, last := time.Duration(0), time.Now()
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				done <- max(worst, time.Since(last)-every)
				return
			case <-ticker.C:
				now := time.Now()
				worst, last = max(worst, now.Sub(last)-every), now
			}
		}
	}()
	end := sync.OnceValue(func() time.Duration {
		close(stop)
		return <-done
	})
	tb.Cleanup(func() { end() })
	return end
}
