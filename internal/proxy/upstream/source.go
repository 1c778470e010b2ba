package upstream

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// source is a request's body as it is read for a backend. It counts, tells a client's failure from a backend's, and can be stopped
// while a Read waits for a slow client: otherwise an early answer, or a backend's death, would have to wait for that client.
type source struct {
	body io.Reader
	w    http.ResponseWriter
	size int64
	// left says whether the client has gone. Cutting a Read short makes net/http cancel the request's context, as if the client
	// had gone then, so the answer is taken before.
	left func() bool
	gone bool
	// onEOF, when set, is called once the body has been read to its end, in the reading goroutine.
	onEOF func()

	mu      sync.Mutex
	turn    sync.Cond
	reading bool
	stopped bool
	touched bool
	cut     bool
	whole   bool
	n       int64
	err     error
}

// newSource returns the body of req, or nil where it has none; every method but Read takes a nil source.
func newSource(w http.ResponseWriter, req *http.Request) *source {
	if req.Body == nil || req.Body == http.NoBody || req.ContentLength == 0 {
		return nil
	}
	s := &source{w: w, size: req.ContentLength, body: req.Body, left: func() bool { return clientLeft(req) }}
	s.turn.L = &s.mu
	return s
}

// length is the body's length in bytes, or -1.
func (s *source) length() int64 {
	if s == nil {
		return 0
	}
	return s.size
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return 0, errStopped
	}
	s.reading, s.touched = true, true
	s.mu.Unlock()

	n, err := s.body.Read(p)
	if err == io.EOF && s.onEOF != nil {
		s.onEOF()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	s.n += int64(n)
	switch {
	case err == io.EOF:
		s.whole = s.size < 0 || s.n >= s.size
		if !s.whole && !s.stopped {
			s.err = io.ErrUnexpectedEOF
			err = s.err
		}
	case err != nil && !s.stopped:
		s.err = err
	case s.n == s.size:
		s.whole = true
	}
	s.turn.Broadcast()
	return n, err
}

// stop ends reading, now and later. A Read that waits for the client is cut by a deadline in the past; afterwards the client has a
// short time to be done, so that it reads its answer before the connection goes.
func (s *source) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if !s.reading || s.cut {
		return
	}
	s.cut, s.gone = true, s.left()
	control := http.NewResponseController(s.w)
	if err := control.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return // w cannot be interrupted: the reader ends when the client does
	}
	for s.reading {
		s.turn.Wait()
	}
	_ = control.SetReadDeadline(time.Now().Add(lingerRead))
}

// ended says that the whole body was read.
func (s *source) ended() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

// begun says that bytes of the body were read, or that one waits for them.
func (s *source) begun() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touched
}

// failed says that the client broke off its body.
func (s *source) failed() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// settle stops s and enters what became of the body into r. A failure of the client's body is the client's, whatever followed
// from it.
func (s *source) settle(r *Result, proto int) (failure error) {
	if s == nil {
		return nil
	}
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.BodyTouched = s.touched
	r.ClientGone = r.ClientGone || s.err != nil
	if s.cut && !r.Committed && proto == 1 {
		s.w.Header().Set("Connection", "close") // half a body stands before the client's next request
	}
	return s.err
}

// linger bounds how long the server waits, after a whole answer, for the rest of a body that nobody wants any more. It waits at all so
// that the client reads its answer before its connection goes.
func (s *source) linger() {
	if !s.ended() {
		_ = http.NewResponseController(s.w).SetReadDeadline(time.Now().Add(lingerRead))
	}
}

// clientLeft says whether the client of req has gone, from what s knows, and whether a Read was cut, so that the request's context says
// nothing any more.
func (s *source) clientLeft(req *http.Request) (left, cut bool) {
	if s == nil {
		return clientLeft(req), false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		return s.gone, true
	}
	return clientLeft(req), false
}

// share prepares w for an answer that begins before the body has ended: both use the client's connection at the same time, and
// where the rest of the body stands between this answer and the client's next request, there will be no next one.
func (s *source) share(proto int) {
	if s.ended() {
		return
	}
	_ = http.NewResponseController(s.w).EnableFullDuplex()
	if proto == 1 {
		s.w.Header().Set("Connection", "close")
	}
}

// read is the count of body bytes read so far.
func (s *source) read() int64 {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}
