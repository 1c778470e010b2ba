package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// health is what checks found about a backend. Guarded by service.mu.
type health struct {
	up bool
	// ejected is true while failed requests keep it out; it is probed at next, with a pause that doubles.
	ejected bool
	pause   time.Duration
	next    time.Time
	// row counts active checks with the same result: positive ones succeeded, negative ones failed.
	row int
	// back is when it last came back.
	back time.Time
}

// Pauses between the probes of an ejected backend. One that stays well for forgiven begins with the first again.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	forgiven   = 30 * time.Second
)

// probers bounds the checks at one time.
const probers = 16

// suspect counts a failed request against a backend, and ejects it after some in a row. It is off the hot path.
func (s *service) suspect(b *backend) {
	limit := s.table.Load().config.Health.Failures
	if limit <= 0 || b.failed.Add(1) < int32(limit) { //nolint:gosec // a small number
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.health.ejected || b.rotation != segue.RotationIn {
		return
	}
	now := time.Now()
	h := &b.health
	h.pause = min(h.pause*2, lastPause)
	if h.pause == 0 || now.Sub(h.back) > forgiven {
		h.pause = firstPause
	}
	h.up, h.ejected, h.next = false, true, now.Add(h.pause)
	s.log.Warn("backend taken out after failed requests", "backend", b.ID, "address", b.Address, "probe_in", h.pause)
	s.publish()
	s.wake()
}

// wake makes the watch look for what is due.
func (s *service) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// watch checks backends until ctx ends: those that are ejected until they can be connected to again, and all of them by active checks
// where these are on.
func (s *service) watch(ctx context.Context) {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.woken:
		case <-timer.C:
		}
		due, path, limit := s.due(time.Now())
		s.probeAll(ctx, client, due, path, limit)
		timer.Reset(s.untilDue(time.Now()))
	}
}

// due gives the backends that are to be checked now.
func (s *service) due(now time.Time) (due []*backend, path string, limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backends {
		if s.wanted(b) && !b.health.next.After(now) {
			due = append(due, b)
		}
	}
	return due, s.config.Health.Path, s.config.Health.Timeout
}

// wanted says whether a backend is checked at all.
func (s *service) wanted(b *backend) bool {
	return b.rotation != segue.RotationDraining && (b.health.ejected || s.config.Health.Interval > 0)
}

// idleCheck is how long the watch sleeps at most.
const idleCheck = time.Minute

func (s *service) untilDue(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := idleCheck
	for _, b := range s.backends {
		if s.wanted(b) {
			wait = min(wait, b.health.next.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

func (s *service) probeAll(ctx context.Context, client *http.Client, due []*backend, path string, limit time.Duration) {
	var work sync.WaitGroup
	places := make(chan struct{}, probers)
	for _, b := range due {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			bounded, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			err := probe(bounded, client, b.Address, path)
			if ctx.Err() == nil {
				s.judge(b, err)
			}
		})
	}
	work.Wait()
}

// probe asks a backend whether it is well.
func probe(ctx context.Context, client *http.Client, address, path string) error {
	if path == "" {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "segue-proxy health check")
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10)
	_ = answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return segue.Errorf(segue.KindUnhealthy, "GET %s on %s: %s", path, address, answer.Status)
	}
	return nil
}

// judge enters the result of a check.
func (s *service) judge(b *backend, failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, now := &b.health, time.Now()
	was := h.up
	if failure != nil {
		h.row = min(h.row, 0) - 1
	} else {
		h.row = max(h.row, 0) + 1
	}
	switch {
	case h.ejected && failure != nil:
		h.pause = min(h.pause*2, lastPause)
		h.next = now.Add(h.pause)
		return
	case h.ejected:
		h.ejected, h.up, h.back = false, true, now
		b.failed.Store(0)
	case h.row <= -s.config.Health.Fall:
		h.up = false
	case h.row >= s.config.Health.Rise:
		h.up = true
	}
	h.next = now.Add(s.config.Health.Interval)
	if h.up == was {
		return
	}
	if h.up {
		b.startSlowly(now, now)
		s.log.Info("backend is back", "backend", b.ID, "address", b.Address)
	} else {
		s.log.Warn("backend taken out after failed checks", "backend", b.ID, "address", b.Address, "error", failure)
	}
	s.publish()
}
