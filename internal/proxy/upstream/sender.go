package upstream

import (
	"slices"
	"sync"
	"time"
)

// sender writes a request, body and all, in its own goroutine while the answer is read.
type sender struct {
	done chan struct{}
	mu   sync.Mutex
	over bool
	then func()
	// The fields below are the goroutine's until done is closed.
	body int64
	err  error
}

// newSender starts it. head is the request's header; it is copied.
func newSender(l *link, src *source, head []byte, buffers *exchanges) *sender {
	s := &sender{done: make(chan struct{})}
	large := buffers.buffer()
	buf := append((*large)[:0], head...) // a header longer than the buffer moves it
	go func() {
		defer close(s.done)
		defer buffers.large.Put(large)
		s.err = s.run(l, src, buf)
		if src.failed() {
			_ = l.Close() // the client is gone: nobody waits for an answer
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
		if s.then != nil && s.err == nil {
			s.then()
		}
	}()
	return s
}

// whenDone calls then as soon as the whole request is written.
func (s *sender) whenDone(then func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.then = then
	} else if s.err == nil {
		then()
	}
}

// run joins the header and the beginning of the body in the first write. head has room behind it.
func (s *sender) run(l *link, src *source, head []byte) error {
	head = slices.Grow(head, 1)
	buf, left, lead := head[:cap(head)], src.size, len(head)
	for left > 0 {
		n, err := src.Read(buf[lead:min(int64(len(buf)), int64(lead)+left)])
		if n > 0 {
			if _, werr := l.Write(buf[:lead+n]); werr != nil {
				return werr
			}
			s.body += int64(n)
			left -= int64(n)
			lead = 0
		}
		if left == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// complete says that the whole request was written.
func (s *sender) complete() bool {
	select {
	case <-s.done:
		return s.err == nil
	default:
		return false
	}
}

// completeWithin is complete, with some patience.
func (s *sender) completeWithin(patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err == nil
	case <-timer.C:
		return false
	}
}
