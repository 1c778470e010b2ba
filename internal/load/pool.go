package load

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errNoPlace says that a request waited for a place among MaxConnections until its time was up.
var errNoPlace = errors.New("no connection became free in time")

// pool holds the keep-alive links that requests go round: first in, first out, so that each rests between two uses as a
// browser's does. It opens its base number first, then more only while all are busy.
type pool struct {
	address string
	base    int
	timeout time.Duration
	places  chan struct{} // one token per request in flight

	mu         sync.Mutex
	idle       []*link
	open       int
	dialed     int64
	idleCloses int64
}

// newPool makes a pool that keeps base links and lets most requests be in flight.
func newPool(address string, base, most int, timeout time.Duration) *pool {
	return &pool{address: address, base: base, timeout: timeout, places: make(chan struct{}, most)}
}

// take returns a link that the peer has not closed, as far as can be seen. Every link taken is given back by put.
func (p *pool) take(ctx context.Context, until time.Time) (*link, error) {
	select {
	case p.places <- struct{}{}:
	default:
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case p.places <- struct{}{}:
		case <-timer.C:
			return nil, errNoPlace
		}
	}
	for {
		l := p.nextIdle()
		if l == nil {
			break
		}
		if !l.gone() {
			return l, nil
		}
		l.close()
		p.mu.Lock()
		p.open--
		p.idleCloses++
		p.mu.Unlock()
	}
	l, err := dial(ctx, p.address, min(p.timeout, time.Until(until)))
	if err != nil {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		<-p.places
		return nil, err
	}
	return l, nil
}

// nextIdle returns the link that has rested longest, or nil where a new one is to be dialed; then it is counted already.
func (p *pool) nextIdle() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open < p.base || len(p.idle) == 0 {
		p.open++
		p.dialed++
		return nil
	}
	l := p.idle[0]
	p.idle[0] = nil
	p.idle = p.idle[1:]
	return l
}

// put gives a link back. One that may not carry another request is closed.
func (p *pool) put(l *link, reusable bool) {
	p.mu.Lock()
	keep := reusable && len(p.idle) < p.base
	if keep {
		p.idle = append(p.idle, l)
	} else {
		p.open--
	}
	p.mu.Unlock()
	if !keep {
		l.close()
	}
	<-p.places
}

// counts returns how many links were dialed and how many the peer closed while they rested.
func (p *pool) counts() (dialed, idleCloses int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dialed, p.idleCloses
}

// close ends every idle link.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.idle {
		l.close()
	}
	p.open -= len(p.idle)
	p.idle = nil
}
