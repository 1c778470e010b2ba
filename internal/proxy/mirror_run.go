package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue"
)

// Causes for which copies end early; nothing is told of those.
var (
	errMirrorOver = errors.New("mirror is over")
	errDrained    = errors.New("backend is being drained")
)

// mirroring is a Mirror at work. Requests are followed by taps; a fixed number of workers copies them. Whatever is under way holds one of
// the slots, from when the request is picked until its record is told, so that memory is bounded and a full house drops at the door.
type mirroring struct {
	config  Mirror // with defaults
	service *service
	counts  *mirrorCounts
	stable  map[segue.InstanceID]bool
	writes  *writes

	slots chan struct{}
	jobs  chan *echo
	told  chan *MirrorRecord
	turn  atomic.Uint32
	stop  context.CancelCauseFunc
}

// mirrorCounts are a service's MirrorCounts.
type mirrorCounts struct{ picked, told, dropped, skipped atomic.Int64 }

func (c *mirrorCounts) snapshot() *MirrorCounts {
	if c.picked.Load() == 0 {
		return nil
	}
	return &MirrorCounts{Picked: c.picked.Load(), Told: c.told.Load(), Dropped: c.dropped.Load(), Skipped: c.skipped.Load()}
}

// mirror copies requests of the service until ctx ends, the service does or another mirror takes over; tell gets what comes of it, one at
// a time, and ends it by an error. lost is how many were dropped since the call before; without a record, it is called once a second.
func (s *service) mirror(ctx context.Context, config Mirror, tell func(record *MirrorRecord, lost int64) error) error {
	config = config.withDefaults()
	size := config.Concurrency * (1 + mirrorQueue)
	m := &mirroring{
		config: config, service: s, counts: &s.mirrorCounts, stable: map[segue.InstanceID]bool{}, writes: newWrites(),
		slots: make(chan struct{}, size), jobs: make(chan *echo, size), told: make(chan *MirrorRecord, size),
	}
	for _, id := range config.Stable {
		m.stable[id] = true
	}
	ctx, m.stop = context.WithCancelCause(ctx)
	var work sync.WaitGroup
	for range config.Concurrency {
		work.Go(func() { m.work(ctx) })
	}
	if former := s.mirroring.Swap(m); former != nil {
		former.stop(segue.Errorf(segue.KindConflict, "another mirror of service %s takes over", s.name))
	}
	s.log.InfoContext(ctx, "mirroring", "candidate", config.Candidate, "share", config.Share)
	err := m.tell(ctx, tell)
	s.mirroring.CompareAndSwap(m, nil)
	m.stop(errMirrorOver)
	work.Wait()
	return err
}

// tell hands records out until the end, and gives its cause.
func (m *mirroring) tell(ctx context.Context, tell func(*MirrorRecord, int64) error) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	before := m.counts.dropped.Load()
	lost := func() int64 {
		now := m.counts.dropped.Load()
		n := now - before
		before = now
		return n
	}
	for {
		var err error
		select {
		case record := <-m.told:
			m.counts.told.Add(1)
			err = tell(record, lost())
			<-m.slots
		case <-ticker.C:
			err = tell(nil, lost())
		case <-m.service.closed:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// skip frees a place without a record.
func (m *mirroring) skip() {
	m.counts.skipped.Add(1)
	<-m.slots
}

func (m *mirroring) work(ctx context.Context) {
	for {
		select {
		case e := <-m.jobs:
			if time.Since(e.answer.At.Add(e.answer.Took)) > mirrorStale {
				m.counts.dropped.Add(1)
				<-m.slots
			} else if record := m.repeat(ctx, e); record != nil {
				m.told <- record // there is room for every slot
			} else {
				m.skip()
			}
		case <-ctx.Done():
			return
		}
	}
}

// repeat sends a request to the candidate and a second stable backend at the same time. nil when one of them takes none now.
func (m *mirroring) repeat(ctx context.Context, e *echo) *MirrorRecord {
	candidate, second := m.service.mirrorTargets(&m.config, e.primary, int(m.turn.Add(1)))
	if candidate == nil || second == nil {
		return nil
	}
	record := &MirrorRecord{
		Method: e.method, Path: clip(e.url.Path), Stable: e.primary.ID, Second: second.ID, Primary: e.answer,
	}
	if id := e.header["X-Request-Id"]; len(id) > 0 {
		record.RequestID = id[0]
	}
	var whole [2]bool
	both := [2]func(){
		func() { record.Candidate, whole[0] = m.send(ctx, e, candidate, mirrorCandidate) },
		func() { record.Secondary, whole[1] = m.send(ctx, e, second, mirrorSecondary) },
	}
	first := rand.IntN(2) //nolint:gosec // that neither is always a little ahead
	var work sync.WaitGroup
	work.Go(both[first])
	both[1-first]()
	work.Wait()
	if !whole[0] || !whole[1] {
		return nil
	}
	record.Raced = m.writes.raced(e.url.Path, e.answer.At)
	return record
}

// mirrorTargets picks where a request is copied to, besides the backend that answered it.
func (s *service) mirrorTargets(config *Mirror, primary *backend, turn int) (candidate, second *backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make(map[segue.InstanceID]*backend, len(s.backends))
	for _, b := range s.backends {
		known[b.ID] = b
	}
	for i := range config.Stable {
		b := known[config.Stable[(turn+i)%len(config.Stable)]]
		if b != nil && b != primary && b.rotation == segue.RotationIn && b.health.up {
			return known[config.Candidate], b
		}
	}
	return nil, nil
}

// send copies a request to one backend. false when that was ended from here, so that it says nothing of the backend.
func (m *mirroring) send(ctx context.Context, e *echo, b *backend, kind string) (answer MirrorAnswer, ok bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	leave, ok := b.echoes.enter(cancel)
	if !ok {
		return MirrorAnswer{}, false
	}
	defer leave(b)
	bounded, done := context.WithTimeout(ctx, m.config.Timeout)
	defer done()
	answer.At = time.Now()
	r := e.request(bounded, kind)
	rec := &recorder{header: http.Header{}, most: m.config.MaxBody}
	res := b.up.Load().Serve(rec, r)
	if res.MayRetry(r) && bounded.Err() == nil { // most of all: the backend had closed an idle connection
		rec = &recorder{header: http.Header{}, most: m.config.MaxBody}
		res = b.up.Load().Serve(rec, e.request(bounded, kind))
	}
	b.mirrored.Add(1)
	answer.Took = time.Since(answer.At)
	switch {
	case ctx.Err() != nil:
		return MirrorAnswer{}, false
	case res.Err == nil || rec.size > longestMirrored:
		answer.Status, answer.Header, answer.Body, answer.Truncated = rec.status, rec.header, rec.body, rec.size > int64(len(rec.body))
	case bounded.Err() != nil:
		answer.Failure = causeTimeout
	default:
		answer.Failure, _ = causeOf(res)
	}
	return answer, true
}

func (e *echo) request(ctx context.Context, kind string) *http.Request {
	header := maps.Clone(e.header)
	header[mirrorHeader] = []string{kind}
	r := &http.Request{
		Method: e.method, URL: e.url, Host: e.host, Header: header, RemoteAddr: e.remote,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if len(e.body) > 0 {
		r.ContentLength = int64(len(e.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(e.body)), nil }
		r.Body, _ = r.GetBody()
	}
	return r.WithContext(ctx)
}

// recorder takes an answer for nobody: its beginning is kept, the rest is read and let go.
type recorder struct {
	header http.Header
	status int
	body   []byte
	size   int64
	most   int
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if status >= 200 {
		r.status = status
	}
}

// Write implements http.ResponseWriter. It ends an answer that goes on and on.
func (r *recorder) Write(p []byte) (int, error) {
	r.size += int64(len(p))
	if room := r.most - len(r.body); room > 0 {
		r.body = append(r.body, p[:min(room, len(p))]...)
	}
	if r.size > longestMirrored {
		return 0, errMirrorOver
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (r *recorder) Flush() {}

// SetReadDeadline and EnableFullDuplex are for http.ResponseController; the request's body is in memory.
func (r *recorder) SetReadDeadline(time.Time) error { return nil }

// EnableFullDuplex implements what http.ResponseController asks for.
func (r *recorder) EnableFullDuplex() error { return nil }

// echoes are the copies that a backend has in flight. They are not its work: a drain ends them at once.
type echoes struct {
	mu   sync.Mutex
	shut bool
	open map[*context.CancelCauseFunc]struct{}
	over chan struct{} // closed when the last of those that a drain ended is gone; nil when nobody waits
}

// enter counts a copy in; leave counts it out. false while the backend is drained.
func (e *echoes) enter(cancel context.CancelCauseFunc) (leave func(*backend), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shut {
		return nil, false
	}
	if e.open == nil {
		e.open = map[*context.CancelCauseFunc]struct{}{}
	}
	key := &cancel
	e.open[key] = struct{}{}
	return func(b *backend) {
		e.mu.Lock()
		shut := e.shut
		e.mu.Unlock()
		if shut {
			b.settle() // a connection may have become idle after it was drained
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.open, key)
		if len(e.open) == 0 && e.over != nil {
			close(e.over)
			e.over = nil
		}
	}, true
}

// admit lets copies in, or ends those in flight and lets none in.
func (e *echoes) admit(in bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shut = !in
	if in || len(e.open) == 0 {
		return
	}
	if e.over == nil {
		e.over = make(chan struct{})
	}
	for cancel := range e.open {
		(*cancel)(errDrained)
	}
}

// settled waits until those that a drain ended are gone.
func (e *echoes) settled(ctx context.Context) {
	e.mu.Lock()
	over := e.over
	e.mu.Unlock()
	if over == nil {
		return
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}
