package listen

import (
	"bytes"
	"strconv"
	"sync/atomic"
)

// framing follows the HTTP/1 requests on a connection and notices one that has both Content-Length and Transfer-Encoding. net/http
// lets Transfer-Encoding win and drops the other before a handler can see it; another proxy in front may have chosen otherwise, and
// then the two disagree about where the next request begins. RFC 9112, section 6.3, allows to refuse it, and the proxy does.
//
// It looks only at headers and chunk sizes; bodies are skipped by their length, so that a body may hold anything. What it cannot follow
// makes it suspicious of every later chunked request on the connection, never trusting.
type framing struct {
	// both is set when a request had both, or when framing lost track; it stays set. The request's handler reads it
	// after net/http has parsed the same bytes.
	both atomic.Bool

	state framingState
	// line holds the beginning of a line that came in pieces; lineLen counts what of it is kept.
	line    [64]byte
	lineLen int
	cut     bool // more of the line came than fits
	started bool // the request line was seen
	chunked bool
	length  int64 // -1: no Content-Length
	skip    int64 // body or chunk bytes to pass over
}

type framingState uint8

const (
	inHeader framingState = iota
	inBody
	inChunkSize
	inChunk
	inTrailer
	lost
)

// observe takes the next bytes that the client sent.
func (f *framing) observe(b []byte) {
	for len(b) > 0 && f.state != lost {
		if f.state == inBody || f.state == inChunk {
			n := min(f.skip, int64(len(b)))
			f.skip -= n
			b = b[n:]
			if f.skip == 0 {
				f.bodyOver()
			}
			continue
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			f.keep(b)
			return
		}
		line := b[:end]
		if f.lineLen > 0 {
			f.keep(line)
			line = f.line[:f.lineLen]
		}
		if n := len(line); n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		f.lineOver(line)
		f.lineLen, f.cut = 0, false
		b = b[end+1:]
	}
}

// keep stores the beginning of a line whose end has not come.
func (f *framing) keep(part []byte) {
	n := copy(f.line[f.lineLen:], part)
	f.lineLen += n
	f.cut = f.cut || n < len(part)
}

func (f *framing) bodyOver() {
	if f.state == inChunk {
		f.state = inChunkSize
		return
	}
	f.nextRequest()
}

func (f *framing) nextRequest() {
	f.state, f.started, f.chunked, f.length = inHeader, false, false, -1
}

func (f *framing) lineOver(line []byte) {
	switch f.state {
	case inHeader:
		f.headerLine(line)
	case inChunkSize:
		f.chunkSize(line)
	case inTrailer:
		if len(line) == 0 {
			f.nextRequest()
		}
	case inBody, inChunk, lost:
	}
}

func (f *framing) headerLine(line []byte) {
	switch {
	case !f.started:
		if bytes.HasPrefix(line, []byte("PRI ")) { // HTTP/2 with prior knowledge: frames from here on
			f.state = lost
			return
		}
		f.started = len(line) > 0
	case len(line) == 0:
		f.headerOver()
	case line[0]|0x20 == 't' && isField(line, "transfer-encoding"):
		f.chunked = true
	case line[0]|0x20 == 'c' && isField(line, "content-length"):
		text := bytes.Trim(line[len("content-length:"):], " \t")
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || n < 0 || f.cut {
			f.lose() // net/http answers 400 by itself where the value is none
			return
		}
		f.length = n
	}
}

func (f *framing) headerOver() {
	switch {
	case f.chunked:
		if f.length >= 0 {
			f.both.Store(true)
		}
		f.state = inChunkSize
	case f.length > 0:
		f.state, f.skip = inBody, f.length
	default:
		f.nextRequest()
	}
}

func (f *framing) chunkSize(line []byte) {
	text, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseInt(string(bytes.Trim(text, " \t")), 16, 64)
	switch {
	case err != nil || n < 0:
		f.lose()
	case n == 0:
		f.state = inTrailer
	default:
		f.state, f.skip = inChunk, n+2
	}
}

func (f *framing) lose() {
	f.state = lost
	f.both.Store(true)
}

// isField says whether a header line has the name, given in lower case.
func isField(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name))
}
