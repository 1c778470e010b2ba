package upstream

import (
	"context"
	"sync"
	"time"
)

// pool keeps the idle HTTP/1.1 connections to one backend. The newest is used first, so that under a falling load the
// others grow old and go. No goroutine waits on an idle connection: one is looked at just before it is used, and one timer
// sweeps those that are too old.
type pool struct {
	ledger *ledger

	mu     sync.Mutex
	idle   []*link
	sweep  *time.Timer
	closed bool
}

func newPool(l *ledger) *pool { return &pool{ledger: l} }

// get returns a connection with busy counted: an idle one that is surely open, or a new one.
func (p *pool) get(ctx context.Context, now time.Time) (l *link, reused bool, err error) {
	for l := p.pop(); l != nil; l = p.pop() {
		if now.Sub(l.idleSince) < time.Duration(l.keep.Load()) && l.state() == quiet {
			return l, true, nil
		}
		l.busy.Add(-1)
		_ = l.Close()
	}
	l, err = p.fresh(ctx)
	return l, false, err
}

// fresh returns a new connection with busy counted.
func (p *pool) fresh(ctx context.Context) (*link, error) {
	l, err := p.ledger.dial(ctx)
	if err != nil {
		return nil, err
	}
	l.busy.Add(1)
	return l, nil
}

func (p *pool) pop() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	l := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	l.busy.Add(1)
	return l
}

// put takes a connection back after a complete exchange that ended at now.
func (p *pool) put(l *link, now time.Time) {
	l.idleSince = now
	l.busy.Add(-1)
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.ledger.opts.MaxIdle || l.keep.Load() <= 0 {
		p.mu.Unlock()
		_ = l.Close()
		return
	}
	p.idle = append(p.idle, l)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(p.ledger.opts.IdleTimeout/2, p.expire)
	}
	p.mu.Unlock()
}

// drop closes a connection that was taken with get and is not fit for another exchange.
func (p *pool) drop(l *link) {
	l.busy.Add(-1)
	_ = l.Close()
}

// expire closes the connections that have idled too long, and comes again while some are left.
func (p *pool) expire() {
	now := time.Now()
	p.mu.Lock()
	kept := p.idle[:0]
	var old []*link
	for _, l := range p.idle {
		if now.Sub(l.idleSince) >= time.Duration(l.keep.Load()) {
			old = append(old, l)
		} else {
			kept = append(kept, l)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	if len(kept) > 0 && !p.closed {
		p.sweep.Reset(p.ledger.opts.IdleTimeout / 2)
	} else {
		p.sweep = nil
	}
	p.mu.Unlock()
	for _, l := range old {
		_ = l.Close()
	}
}

// closeIdle closes every idle connection.
func (p *pool) closeIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, l := range idle {
		_ = l.Close()
	}
}

// close closes every idle connection and keeps none from now on.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	p.closeIdle()
}
