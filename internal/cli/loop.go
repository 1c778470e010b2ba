package cli

import (
	"context"
	"os"
	"time"

	"github.com/segue-deploy/segue"
)

// loop is one run of following: events, looks, frames and Ctrl-C, one at a time.
type loop struct {
	*follower
	feed       *feed
	ticks      <-chan time.Time
	interrupts <-chan os.Signal
	// due is true when it is time for a look; soon fires when it is, after an event that came too early for one.
	due  bool
	soon <-chan time.Time
}

// run follows until there is nothing left to follow, or somebody leaves.
func (f *follower) run(ctx context.Context) (ending, error) {
	interrupts, release := f.d.Interrupts()
	defer release()
	every := lookEvery
	if f.screen != nil {
		every = drawEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	l := &loop{follower: f, feed: f.watch(ctx), ticks: ticker.C, interrupts: interrupts, due: true}
	defer func() { l.feed.stop() }()
	for {
		end, over, err := l.turn(ctx)
		if err != nil {
			end, over, err = l.renewed(ctx, err)
		}
		if over || err != nil {
			return end, err
		}
	}
}

// turn looks if it is time to, and takes the next thing that happens.
func (l *loop) turn(ctx context.Context) (end ending, over bool, err error) {
	if l.due {
		l.due, l.soon = false, nil
		if err := l.look(ctx); err != nil {
			return endLeft, false, err
		}
	}
	l.draw(false)
	if end, over := l.ended(); over {
		l.drain(l.feed)
		return end, true, nil
	}
	select {
	case entry, ok := <-l.feed.entries:
		if !ok {
			return endLeft, false, l.feed.err
		}
		l.tell(entry)
		if early := l.apart() - l.age(); early <= 0 {
			l.due = true
		} else if l.soon == nil {
			l.soon = time.After(early)
		}
	case <-l.soon:
		l.due = true
	case <-l.ticks:
		l.tick++
		l.due = l.age() >= max(lookEvery, l.apart()) || l.narrator.stale && l.age() >= l.apart()
	case <-l.interrupts:
		l.due = true
		left, err := l.interrupted(ctx, l.interrupts)
		return endLeft, left, err
	case <-ctx.Done():
		return endLeft, true, nil
	}
	return endLeft, false, nil
}

// apart is how long after one look the next may begin.
func (l *loop) apart() time.Duration { return max(lookAfter, lookShare*l.lookTook) }

// age is how old the last look is.
func (l *loop) age() time.Duration { return l.d.Now().Sub(l.looked) }

// renewed goes on with another controller, after a call has shown that the last one is gone.
func (l *loop) renewed(ctx context.Context, cause error) (end ending, over bool, err error) {
	l.feed.stop()
	left, err := l.reconnect(ctx, cause, l.interrupts)
	if !left && err == nil {
		l.feed, l.due = l.watch(ctx), true
	}
	return endLeft, left, err
}

// feed is the stream of events; err says why it ended, once entries is closed.
type feed struct {
	entries chan segue.Entry
	err     error
	stop    func()
}

// watch begins to read events, from the last one that was seen on.
func (f *follower) watch(ctx context.Context) *feed {
	ctx, cancel := context.WithCancel(ctx)
	events := &feed{entries: make(chan segue.Entry)}
	done := make(chan struct{})
	controller, from := f.controller, f.from
	go func() {
		defer close(done)
		defer close(events.entries)
		events.err = segue.Errorf(segue.KindUnavailable, "the stream of events ended")
		for entry, err := range controller.Watch(ctx, from) {
			if err != nil {
				events.err = err
				return
			}
			select {
			case events.entries <- entry:
			case <-ctx.Done():
				return
			}
		}
	}()
	events.stop = func() {
		cancel()
		<-done
	}
	return events
}

// drain tells what had been written when the end was seen: the stream may be a little behind. A live view shows the end anyway.
func (f *follower) drain(events *feed) {
	if f.screen != nil {
		return
	}
	last := int64(0)
	for _, r := range f.rollouts {
		last = max(last, r.Index)
	}
	timeout := time.NewTimer(drainWithin)
	defer timeout.Stop()
	for f.from <= last {
		select {
		case entry, ok := <-events.entries:
			if !ok {
				return
			}
			f.tell(entry)
		case <-timeout.C:
			return
		}
	}
}
