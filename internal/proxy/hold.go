package proxy

import (
	"time"
)

// hold is a request's time in the queue for a backend. The zero value has not waited.
type hold struct {
	// queued is true while the request waits, since then.
	queued bool
	since  time.Time
	// timer ends all waiting of the request, counted from when it began to wait for the first time.
	timer *time.Timer
	// naps counts the times that every ready backend had been tried, for a growing pause.
	naps int
}

// Pauses of a request that no ready backend could be reached for, while nothing changes.
const (
	firstNap = 50 * time.Millisecond
	lastNap  = time.Second
)

// wait parks the request until there is another table, or for a pause when backends are there and could not be reached. It returns false once
// the request is over: waited too long, too many waiting, or its client gone.
func (x *exchange) wait(t *table) bool {
	if t.maintenance != nil { // switched on while the request waited
		x.w.Header().Del("Set-Cookie")
		x.service.turnAway(x.w, x.r, t, causeMaintenance)
		return false
	}
	if !x.park(t) {
		return false
	}
	var nap <-chan time.Time
	if t.hold == nil && len(t.ready) > 0 {
		timer := time.NewTimer(min(firstNap<<x.held.naps, lastNap))
		defer timer.Stop()
		nap = timer.C
		x.held.naps = min(x.held.naps+1, 5)
	}
	select {
	case <-t.superseded:
	case <-nap:
	case <-x.held.timer.C:
		x.overdue(causeHoldTimeout)
		return false
	case <-x.r.Context().Done():
		x.service.abandoned.Add(1)
		x.answer(page{Status: statusClientGone})
		return false
	case <-x.service.closed:
		x.overdue(causeNoBackend)
		return false
	}
	x.tried = x.slots[:0]
	return true
}

// park enters the queue, unless the request is in it.
func (x *exchange) park(t *table) bool {
	if x.held.queued {
		return true
	}
	most := t.config.Hold.MaxWait
	switch {
	case t.hold != nil:
		most = *t.hold
	case t.config.Hold.Off:
		x.overdue(causeNoBackend)
		return false
	}
	if now := x.service.heldNow.Add(1); now > int64(t.config.Hold.Queue) {
		x.service.heldNow.Add(-1)
		x.overdue(causeHoldFull)
		return false
	}
	x.held.queued, x.held.since = true, time.Now()
	if x.held.timer == nil {
		x.held.timer = time.NewTimer(most)
		x.service.held.Add(1)
	}
	return true
}

// overdue answers a request that waits no longer. If a backend failed it before, the failure is that one's.
func (x *exchange) overdue(cause string) {
	if x.last.backend != nil {
		x.fail(x.last, false)
		return
	}
	x.unroutable(cause)
}

// leave leaves the queue, if the request is in it.
func (h *hold) leave(s *service) {
	if !h.queued {
		return
	}
	h.queued = false
	s.heldNow.Add(-1)
	waited := int64(time.Since(h.since))
	for {
		longest := s.heldLongest.Load()
		if waited <= longest || s.heldLongest.CompareAndSwap(longest, waited) {
			return
		}
	}
}

// done leaves for good.
func (h *hold) done(s *service) {
	h.leave(s)
	if h.timer != nil {
		h.timer.Stop()
	}
}
