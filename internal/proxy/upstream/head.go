package upstream

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// field is one header line; the name is in canonical form.
type field struct{ name, value string }

// head is the parsed header of one HTTP/1.x answer.
type head struct {
	status int
	// legacy is true for HTTP/1.0.
	legacy bool
	// fields are the header lines as they came, hop-by-hop ones excluded.
	fields []field
	// length is the Content-Length, or -1.
	length int64
	// chunked says that the body is framed by chunks.
	chunked bool
	// closing says that the backend closes the connection after this answer.
	closing bool
	// keep is the time of `Keep-Alive: timeout=N`, or -1.
	keep time.Duration
	// upgrade is the value of Upgrade.
	upgrade string
	// trailer are the announced trailer names, as the backend wrote them.
	trailer []string
	// typed says that there is a Content-Type.
	typed bool
	// streamed says that the answer is a stream of events.
	streamed bool

	connection []string
}

// reset makes h ready for another answer and keeps its memory.
func (h *head) reset() {
	clear(h.fields)
	clear(h.trailer)
	clear(h.connection)
	*h = head{fields: h.fields[:0], trailer: h.trailer[:0], connection: h.connection[:0], length: -1, keep: -1}
}

// bodiless says that no body follows, whatever the header says (RFC 9112, section 6.3).
func (h *head) bodiless(method string) bool {
	return method == http.MethodHead || h.status < 200 || h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

// endOfHead returns the index just after the empty line that ends a header in b, or -1. from is where to start looking: the
// start of a line. It also returns the start of the last, unfinished line, to go on from.
func endOfHead(b []byte, from int) (end, next int) {
	for {
		n := bytes.IndexByte(b[from:], '\n')
		if n < 0 {
			return -1, from
		}
		if n == 0 || n == 1 && b[from] == '\r' {
			return from + n + 1, from
		}
		from += n + 1
	}
}

// parse reads a whole header, its empty line included, into h. It takes what RFC 9112 allows and refuses what two readers could
// understand differently: folded lines, space before a colon, a bare CR, both framings at once, lengths that disagree.
func (h *head) parse(block string) error {
	h.reset()
	line, rest := cutLine(block)
	if err := h.parseStatus(line); err != nil {
		return err
	}
	coded := false
	for {
		line, rest = cutLine(rest)
		if line == "" {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return err
		}
		if f.name == "Transfer-Encoding" {
			if coded || !strings.EqualFold(f.value, "chunked") {
				return badAnswer("transfer encoding is not a single chunked")
			}
			coded, h.chunked = true, true
			continue
		}
		if err := h.take(f); err != nil {
			return err
		}
	}
	if h.chunked && h.length >= 0 {
		return badAnswer("both Content-Length and Transfer-Encoding")
	}
	if h.chunked && h.legacy {
		return badAnswer("Transfer-Encoding in HTTP/1.0")
	}
	h.dropListed()
	return nil
}

// parseStatus reads "HTTP/1.1 200 OK".
func (h *head) parseStatus(line string) error {
	if len(line) < len("HTTP/1.1 200") || line[:len("HTTP/1.")] != "HTTP/1." || line[8] != ' ' {
		return badAnswer("status line is not HTTP/1.x")
	}
	switch line[7] {
	case '1':
	case '0':
		h.legacy, h.closing = true, true
	default:
		return badAnswer("status line is not HTTP/1.x")
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return badAnswer("status code is not a number")
		}
		h.status = h.status*10 + int(c-'0')
	}
	if h.status < 100 || len(line) > 12 && line[12] != ' ' {
		return badAnswer("status code is not of three digits")
	}
	return nil
}

// parseField reads "Name: value".
func parseField(line string) (field, error) {
	colon := strings.IndexByte(line, ':')
	if colon <= 0 {
		return field{}, badAnswer("header line has no name")
	}
	name := line[:colon]
	if !httpguts.ValidHeaderFieldName(name) {
		return field{}, badAnswer("header name is not valid")
	}
	value := strings.Trim(line[colon+1:], " \t")
	if !httpguts.ValidHeaderFieldValue(value) {
		return field{}, badAnswer("header value is not valid")
	}
	return field{http.CanonicalHeaderKey(name), value}, nil
}

// take enters a header line: hop-by-hop ones as what they mean, the others as they are.
func (h *head) take(f field) error {
	switch f.name {
	case "Content-Length":
		return h.takeLength(f)
	case "Connection":
		h.takeConnection(f.value)
	case "Keep-Alive":
		h.takeKeepAlive(f.value)
	case "Upgrade":
		h.upgrade = f.value
	case "Trailer":
		h.trailer = append(h.trailer, f.value)
	case "Content-Type":
		h.typed = true
		h.streamed = strings.HasPrefix(f.value, "text/event-stream")
		h.fields = append(h.fields, f)
	default:
		if !hopByHop(f.name) {
			h.fields = append(h.fields, f)
		}
	}
	return nil
}

func (h *head) takeLength(f field) error {
	n, err := strconv.ParseUint(f.value, 10, 63)
	if err != nil {
		return badAnswer("Content-Length is not a number")
	}
	if h.length >= 0 {
		if h.length != int64(n) {
			return badAnswer("Content-Length values differ")
		}
		return nil
	}
	h.length = int64(n)
	h.fields = append(h.fields, f)
	return nil
}

func (h *head) takeConnection(value string) {
	h.connection = append(h.connection, value)
	switch {
	case strings.EqualFold(value, "keep-alive"):
		// HTTP/1.0 with keep-alive is left alone: its connections are not reused.
	case hasToken(h.connection, "close"):
		h.closing = true
	}
}

func (h *head) takeKeepAlive(value string) {
	for part := range strings.SplitSeq(value, ",") {
		key, number, ok := strings.Cut(part, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "timeout") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(number, ` "`), 10, 31); err == nil {
			h.keep = time.Duration(seconds) * time.Second
		}
	}
}

// dropListed removes the fields that Connection lists, wherever in the header it stood.
func (h *head) dropListed() {
	names := listed(h.connection)
	if len(names) == 0 {
		return
	}
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !slices.Contains(names, f.name) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
}

// install puts the fields into an answer's header, in one block of memory. What the caller has put there stays.
func (h *head) install(into http.Header) {
	block := make([]string, 0, len(h.fields)+1)
	for _, f := range h.fields {
		if have, ok := into[f.name]; ok {
			into[f.name] = append(have, f.value)
			continue
		}
		block = append(block, f.value)
		into[f.name] = block[len(block)-1 : len(block) : len(block)]
	}
	if h.chunked && len(h.trailer) > 0 {
		into["Trailer"] = append(into["Trailer"], h.trailer...)
	}
	untyped(into)
}

// untyped keeps net/http from guessing a Content-Type that the backend did not give.
func untyped(h http.Header) {
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil
	}
}

// cutLine splits off the first line, without its CRLF or LF.
func cutLine(s string) (line, rest string) {
	n := strings.IndexByte(s, '\n')
	if n < 0 {
		return s, ""
	}
	line, rest = s[:n], s[n+1:]
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// chunkSize reads the line before a chunk, without its CRLF: a hexadecimal number, extensions ignored.
func chunkSize(line []byte) (int64, error) {
	var n int64
	digits := 0
	for digits < len(line) {
		c := line[digits]
		var v byte
		switch {
		case '0' <= c && c <= '9':
			v = c - '0'
		case 'a' <= c && c <= 'f':
			v = c - 'a' + 10
		case 'A' <= c && c <= 'F':
			v = c - 'A' + 10
		default:
			return n, chunkTail(line[digits:], digits)
		}
		if digits++; digits > 15 {
			return 0, badAnswer("chunk size is too large")
		}
		n = n<<4 | int64(v)
	}
	return n, chunkTail(nil, digits)
}

// chunkTail checks what follows the digits of a chunk size: nothing, or an extension.
func chunkTail(tail []byte, digits int) error {
	if digits == 0 {
		return badAnswer("chunk size is not a number")
	}
	for len(tail) > 0 && (tail[0] == ' ' || tail[0] == '\t') {
		tail = tail[1:]
	}
	if len(tail) > 0 && tail[0] != ';' {
		return badAnswer("chunk size is not a number")
	}
	if bytes.IndexByte(tail, '\r') >= 0 {
		return badAnswer("bare CR in a chunk line")
	}
	return nil
}
