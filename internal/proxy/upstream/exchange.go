package upstream

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// bufferSize is the memory one exchange works in: the request's header and a small body on the way out, then the answer. A longer
// header grows it; a longer body passes through it.
const bufferSize = 16 << 10

// largeSize is the memory that a long body is copied through, in bytes.
const largeSize = 64 << 10

// exchange is one request and its answer on one HTTP/1.1 connection. It is reused, memory and all.
type exchange struct {
	res   Result
	start time.Time
	link  *link
	src   *source
	mark  int64   // link.sent before this exchange
	watch *func() // stops src when link closes
	head  head
	// buf is what is being written, then what was read: buf[r:n] is not consumed yet.
	buf  []byte
	r, n int
	// small and large are set while a large buffer stands in for the own one.
	small []byte
	large *[]byte
	owner *exchanges
	// dirty says that w holds bytes which were not flushed; eager that they must be, before a wait for the backend.
	dirty, eager bool
	// sender, when set, is the body on its way beside the answer.
	sender *sender
	// whole says that the answer was read to its end and nothing is wrong with the connection.
	whole bool
	// late says that the body took more reads than the header did.
	late bool
}

// exchanges hands out exchanges and large buffers.
type exchanges struct{ idle, large sync.Pool }

func (e *exchanges) get() *exchange {
	if x, ok := e.idle.Get().(*exchange); ok {
		return x
	}
	return &exchange{buf: make([]byte, 0, bufferSize), owner: e}
}

func (e *exchanges) put(x *exchange) {
	buf := x.buf
	if x.large != nil {
		e.large.Put(x.large)
		buf = x.small
	}
	if cap(buf) < bufferSize || cap(buf) > 4*bufferSize {
		buf = make([]byte, 0, bufferSize)
	}
	h := x.head
	h.reset()
	*x = exchange{buf: buf[:0], head: h, owner: e}
	e.idle.Put(x)
}

// buffer lends a large buffer, to be given back to large.
func (e *exchanges) buffer() *[]byte {
	if b, ok := e.large.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, largeSize)
	return &b
}

// enlarge puts a large buffer in the place of the own one, which must be empty.
func (x *exchange) enlarge() {
	if x.large != nil || len(x.buf) >= largeSize {
		return
	}
	x.large, x.small = x.owner.buffer(), x.buf
	x.buf, x.r, x.n = *x.large, 0, 0
}

// ended is when the answer was whole; the clock is not read again for one that came with its header.
func (x *exchange) ended() time.Time {
	if x.late {
		return time.Now()
	}
	return x.start.Add(x.res.Header)
}

// fits says that the body goes out in one write with the header, so that it is read before.
func (x *exchange) fits() bool {
	size := x.src.length()
	return size > 0 && size <= int64(cap(x.buf)-len(x.buf))
}

// readBody reads a body that fits behind the header in x.buf.
func (x *exchange) readBody() error {
	head := len(x.buf)
	x.buf = x.buf[:head+int(x.src.length())]
	_, err := io.ReadFull(x.src, x.buf[head:])
	return err
}

// send writes the request that stands in x.buf. A body that is not there goes out beside the answer, so that an early answer is
// seen.
func (x *exchange) send(body int64) error {
	if x.src != nil && body == 0 {
		x.sender = newSender(x.link, x.src, x.buf, x.owner)
		return nil
	}
	n, err := x.link.Write(x.buf)
	if err == nil {
		x.res.Sent = body
		return nil
	}
	if n > 0 {
		return nil // an early answer may be there: reading says so, or what went wrong
	}
	return err
}

// readHead reads headers until a final one (or 101) is there, and passes informational ones on.
func (x *exchange) readHead(w http.ResponseWriter, req *http.Request) error {
	if wait := x.link.ledger.opts.HeaderTimeout; wait > 0 {
		defer x.bound(wait)()
	}
	x.buf, x.r, x.n = x.buf[:cap(x.buf)], 0, 0
	for range maxInformational + 1 {
		if err := x.nextHead(); err != nil {
			return err
		}
		status := x.head.status
		if status >= 200 || status == http.StatusSwitchingProtocols {
			x.res.Header = time.Since(x.start)
			return nil
		}
		if informs(req, status) {
			fields := make(http.Header, len(x.head.fields))
			for _, f := range x.head.fields {
				fields[f.name] = append(fields[f.name], f.value)
			}
			announce(w, status, fields)
		}
	}
	return badAnswer("too many informational answers")
}

// bound bounds the wait for a header from the moment that the request is written, until the returned function is called.
func (x *exchange) bound(wait time.Duration) (unbound func()) {
	var mu sync.Mutex
	over := false
	arm := func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			_ = x.link.SetReadDeadline(time.Now().Add(wait))
		}
	}
	if x.sender == nil {
		arm()
	} else {
		x.sender.whenDone(arm)
	}
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		_ = x.link.SetReadDeadline(time.Time{})
	}
}

// nextHead reads one header into x.head.
func (x *exchange) nextHead() error {
	limit := x.link.ledger.opts.MaxHeader
	line := 0
	for {
		end, next := endOfHead(x.buf[x.r:x.n], line)
		if end > limit {
			return ErrHeaderTooLarge
		}
		if end >= 0 {
			err := x.head.parse(string(x.buf[x.r : x.r+end]))
			x.r += end
			return err
		}
		line = next
		if x.n-x.r > limit {
			return ErrHeaderTooLarge
		}
		if have := x.n - x.r; have > 0 {
			if start := "HTTP/1."; string(x.buf[x.r:x.r+min(have, len(start))]) != start[:min(have, len(start))] {
				return badAnswer("status line is not HTTP/1.x")
			}
		}
		if err := x.fill(nil); err != nil {
			return err
		}
	}
}

// fill reads more from the backend behind what is there already; there is always room afterwards for what it read. If w is not nil
// and holds bytes that the client should not have to wait for, they go out first.
func (x *exchange) fill(w http.ResponseWriter) error {
	if w != nil {
		x.late = true
		if x.dirty && x.eager {
			if err := x.flush(w); err != nil {
				return err
			}
		}
	}
	if x.r == x.n {
		x.r, x.n = 0, 0
	}
	if x.n == len(x.buf) {
		x.makeRoom()
	}
	n, err := x.link.Conn.Read(x.buf[x.n:])
	x.n += n
	if n > 0 {
		x.res.GotByte = true
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

func (x *exchange) makeRoom() {
	if x.r > 0 {
		x.n = copy(x.buf, x.buf[x.r:x.n])
		x.r = 0
		return
	}
	grown := make([]byte, 2*len(x.buf))
	copy(grown, x.buf[:x.n])
	x.buf = grown
}

// stageOf says how far the exchange had come when an error ended it.
func (x *exchange) stageOf() Stage {
	switch {
	case x.link == nil:
		return StageDial
	case x.res.Committed:
		return StageBody
	case x.res.GotByte:
		return StageHeader
	case x.link.sent.Load() == x.mark, x.sender != nil && !x.sender.complete():
		return StageWrite
	default:
		return StageAwait
	}
}

// settle ends what still runs beside the answer and enters the exact end into x.res. It returns true when the connection may serve
// another request.
func (x *exchange) settle(req *http.Request, address string, err error) (fit bool) {
	stage := StageDone
	if err != nil {
		stage = x.stageOf()
	}
	fit = err == nil && x.whole && !x.leftover()
	if x.sender != nil {
		// A backend may have answered before the goroutine that sent the last byte has said so.
		fit = fit && x.src.ended() && x.sender.completeWithin(writeWait)
		if !fit {
			_ = x.link.Close()
		}
		x.src.stop()
		<-x.sender.done
		x.res.Sent = x.sender.body
	}
	if x.link != nil {
		x.res.Wrote = x.link.sent.Load() > x.mark
	}
	failure := x.src.settle(&x.res, req.ProtoMajor)
	x.res.Stage = stage
	if err == nil {
		x.src.linger()
		return fit
	}
	if failure != nil {
		err = fmt.Errorf("read body of the client: %w", failure)
	}
	x.res.blame(req, x.src, plain(stage, err))
	x.res.Err = explain(address, stage, x.res.Err)
	return false
}

// plain replaces an end of file by what it means at a stage.
func plain(stage Stage, err error) error {
	switch {
	case err != io.EOF: //nolint:errorlint // a wrapped one has a meaning already
		return err
	case stage <= StageAwait:
		return ErrNoAnswer
	default:
		return io.ErrUnexpectedEOF
	}
}
