package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// spliceFrom is how much of a body must be left to hand the copying to the kernel, or to take a large buffer, in bytes.
const spliceFrom = 16 << 10

// relay passes the answer whose header is in x.head to the client.
func (x *exchange) relay(w http.ResponseWriter, req *http.Request) error {
	h := &x.head
	if h.status == http.StatusSwitchingProtocols {
		return badAnswer("protocol switched unasked")
	}
	into := w.Header()
	h.install(into)
	x.src.share(req.ProtoMajor)
	w.WriteHeader(h.status)
	x.res.Committed, x.res.Status = true, h.status
	x.dirty = true
	switch {
	case h.bodiless(req.Method):
		x.whole = !h.closing
		return nil
	case h.chunked:
		x.eager = true
		return x.relayChunks(w)
	case h.length >= 0:
		x.eager = h.streamed || x.sender != nil
		if err := x.relayBytes(w, h.length); err != nil {
			return err
		}
		x.whole = !h.closing
		return nil
	default:
		x.eager = true
		return x.relayToEnd(w)
	}
}

// clientError is a failure to write to the client.
type clientError struct{ err error }

func (e *clientError) Error() string { return "write answer to client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// deliver writes what stands at the front of the buffer to the client.
func (x *exchange) deliver(w http.ResponseWriter, n int) error {
	m, err := w.Write(x.buf[x.r : x.r+n])
	x.r += n
	x.res.Received += int64(m)
	x.dirty = true
	if err != nil {
		return &clientError{err}
	}
	return nil
}

func (x *exchange) flush(w http.ResponseWriter) error {
	x.dirty = false
	if err := http.NewResponseController(w).Flush(); err != nil {
		return &clientError{err}
	}
	return nil
}

// relayBytes passes exactly left bytes on.
func (x *exchange) relayBytes(w http.ResponseWriter, left int64) error {
	for left > 0 {
		if x.r == x.n {
			if left >= spliceFrom {
				if from, ok := w.(io.ReaderFrom); ok && !x.eager {
					return x.splice(from, left)
				}
				x.enlarge()
			}
			if err := x.fill(w); err != nil {
				return err
			}
		}
		n := int(min(left, int64(x.n-x.r)))
		if err := x.deliver(w, n); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// splice passes exactly left bytes on by way of the kernel where it can.
func (x *exchange) splice(w io.ReaderFrom, left int64) error {
	x.late = true
	limited := &io.LimitedReader{R: x.link.Conn, N: left}
	n, err := w.ReadFrom(limited)
	x.res.Received += n
	x.dirty = true
	switch {
	case err == nil && limited.N == 0 && n == left:
		return nil
	case err == nil:
		return io.ErrUnexpectedEOF
	case x.link.state() != ended:
		return &clientError{err}
	default:
		return err
	}
}

// relayToEnd passes a body on that ends where the connection does.
func (x *exchange) relayToEnd(w http.ResponseWriter) error {
	for {
		if x.r < x.n {
			if err := x.deliver(w, x.n-x.r); err != nil {
				return err
			}
		}
		if err := x.fill(w); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// relayChunks passes a chunked body and its trailers on.
func (x *exchange) relayChunks(w http.ResponseWriter) error {
	for {
		line, err := x.line(w, maxChunkLine)
		if err != nil {
			return err
		}
		size, err := chunkSize(line)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if err := x.relayBytes(w, size); err != nil {
			return err
		}
		end, err := x.line(w, 2)
		if err != nil {
			return err
		}
		if len(end) > 0 {
			return badAnswer("chunk is longer than its size")
		}
	}
	if err := x.relayTrailers(w); err != nil {
		return err
	}
	x.whole = !x.head.closing
	return nil
}

// line reads a line that ends with CRLF, of at most limit bytes, and returns it without. It is valid until the next read.
func (x *exchange) line(w http.ResponseWriter, limit int) ([]byte, error) {
	seen := 0
	for {
		if n := bytes.IndexByte(x.buf[x.r+seen:x.n], '\n'); n >= 0 {
			n += seen
			if n == 0 || x.buf[x.r+n-1] != '\r' {
				return nil, badAnswer("bare LF in chunked framing")
			}
			line := x.buf[x.r : x.r+n-1]
			x.r += n + 1
			if len(line) > limit {
				return nil, badAnswer("chunk line is too long")
			}
			return line, nil
		}
		if seen = x.n - x.r; seen > limit+1 {
			return nil, badAnswer("chunk line is too long")
		}
		if err := x.fill(w); err != nil {
			return nil, err
		}
	}
}

// relayTrailers reads the trailer section and hands it to the client: announced trailers by their names, others by net/http's prefix.
func (x *exchange) relayTrailers(w http.ResponseWriter) error {
	total := 0
	announced := x.head.trailer
	flushed := false
	for {
		limit := x.link.ledger.opts.MaxHeader - total
		line, err := x.line(w, limit)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		total += len(line)
		f, err := parseField(string(line))
		if err != nil {
			return err
		}
		if !httpguts.ValidTrailerHeader(f.name) {
			continue
		}
		if !flushed {
			// A flush keeps net/http from giving a short body a Content-Length, which would leave no room for trailers.
			if err := x.flush(w); err != nil {
				return err
			}
			flushed = true
		}
		name := f.name
		if !names(announced, name) {
			name = http.TrailerPrefix + name
		}
		w.Header().Add(name, f.value)
	}
}

// names says whether a Trailer header's values name a trailer.
func names(announced []string, name string) bool {
	for _, value := range announced {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(textproto.TrimString(part), name) {
				return true
			}
		}
	}
	return false
}

// leftover says that the backend sent more than its answer.
func (x *exchange) leftover() bool { return x.r < x.n }
