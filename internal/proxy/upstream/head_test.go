package upstream

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseHead(t *testing.T) {
	for _, test := range []struct {
		name, block string
		want        head
	}{
		{
			"ordinary", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 3\r\n\r\n",
			head{status: 200, length: 3, keep: -1, typed: true, fields: []field{{"Content-Type", "text/html"}, {"Content-Length", "3"}}},
		},
		{"no reason", "HTTP/1.1 204\r\n\r\n", head{status: 204, length: -1, keep: -1}},
		{"bare LF", "HTTP/1.1 200 OK\nX-A: 1\n\n", head{status: 200, length: -1, keep: -1, fields: []field{{"X-A", "1"}}}},
		{"legacy", "HTTP/1.0 200 OK\r\n\r\n", head{status: 200, length: -1, keep: -1, legacy: true, closing: true}},
		{
			"hop-by-hop", "HTTP/1.1 200 OK\r\nX-B: 2\r\nConnection: Close, X-B\r\nKeep-Alive: max=9, timeout=7\r\nTransfer-Encoding: Chunked\r\n" +
				"Trailer: X-Sum\r\nProxy-Authenticate: Basic\r\n\r\n",
			head{
				status: 200, length: -1, keep: 7 * time.Second, closing: true, chunked: true, trailer: []string{"X-Sum"},
				connection: []string{"Close, X-B"},
			},
		},
		{
			"events", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n",
			head{status: 200, length: -1, keep: -1, typed: true, streamed: true, fields: []field{{"Content-Type", "text/event-stream;charset=utf-8"}}},
		},
	} {
		var got head
		if err := got.parse(test.block); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		got.fields, got.trailer, got.connection = orNil(got.fields), orNil(got.trailer), orNil(got.connection)
		if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(head{}, field{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func TestParseHeadRefuses(t *testing.T) {
	for _, block := range []string{
		"", "\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 2000\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nA: 1\r\n\tfolded\r\n\r\n", "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
	} {
		var h head
		if err := h.parse(block); err == nil {
			t.Errorf("%q was taken as %+v", block, h)
		}
	}
}

func TestEndOfHead(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\nA: 1\r\n\r\nbody"
	for split := range len(whole) {
		end, next := endOfHead([]byte(whole[:split]), 0)
		if end < 0 {
			end, _ = endOfHead([]byte(whole), next)
		}
		if want := len(whole) - len("body"); end != want {
			t.Errorf("read in two parts at %d: end is %d, want %d", split, end, want)
		}
	}
}

func TestChunkSize(t *testing.T) {
	for line, want := range map[string]int64{"0": 0, "1f": 31, "1F": 31, "000a": 10, "a;x=y": 10, "a ;x": 10, "fffffffffffffff": 1<<60 - 1} {
		if got, err := chunkSize([]byte(line)); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", line, got, err, want)
		}
	}
	for _, line := range []string{"", " ", ";", "g", "-1", "+1", "0x1", "1 1", " 1", "1\r", "1;\r", "ffffffffffffffff"} {
		if got, err := chunkSize([]byte(line)); err == nil {
			t.Errorf("%q was taken as %d", line, got)
		}
	}
}

// FuzzParseHead compares the parser with net/http's: what it takes, net/http must take, and understand the same way.
func FuzzParseHead(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HTTP/1.0 304 Not Modified\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", "HTTP/1.1 200\nA:b\n\n",
		"HTTP/1.1 200 OK\r\nConnection: close, x\r\nX: 1\r\nKeep-Alive: timeout=5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		end, _ := endOfHead([]byte(raw), 0)
		if end < 0 {
			return
		}
		var h head
		if h.parse(raw[:end]) != nil {
			return
		}
		theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw[:end])), nil)
		if err != nil {
			t.Fatalf("taken as %+v, but net/http says %v", h, err)
		}
		defer func() { _ = theirs.Body.Close() }()
		if theirs.StatusCode != h.status {
			t.Errorf("status is %d, net/http says %d", h.status, theirs.StatusCode)
		}
		length := theirs.ContentLength
		if !h.bodiless("GET") && length != h.length {
			t.Errorf("length is %d, net/http says %d", h.length, length)
		}
		if !h.bodiless("GET") && h.chunked != (len(theirs.TransferEncoding) > 0) {
			t.Errorf("chunked is %v, net/http says %v", h.chunked, theirs.TransferEncoding)
		}
		if !h.closing && theirs.Close && (h.chunked || h.length >= 0) {
			t.Error("the connection would be kept, net/http would close it")
		}
		for _, f := range h.fields {
			if _, ok := theirs.Header[f.name]; !ok {
				t.Errorf("net/http knows no %q", f.name)
			}
		}
	})
}

// FuzzChunkSize compares the chunk parser with strconv.
func FuzzChunkSize(f *testing.F) {
	for _, seed := range []string{"0", "1f;a=b", "FFFF", "", "0x1", "1 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := chunkSize([]byte(line))
		if err != nil {
			return
		}
		digits, _, _ := strings.Cut(line, ";")
		want, err := strconv.ParseUint(strings.Trim(digits, " \t"), 16, 63)
		if err != nil || int64(want) != got {
			t.Errorf("%q is %d, strconv says %d, %v", line, got, want, err)
		}
	})
}

// FuzzFrames cuts a stream of frames at every place: the boundaries must not depend on how it arrives.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x85abcdhello\x82\x7e\x01\x00"), 3)
	f.Add(closeFrame(1001, "bye", true), 1)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		if cut < 0 || cut > len(stream) {
			return
		}
		var whole, parts frames
		whole.skip(stream)
		parts.skip(stream[:cut])
		parts.skip(stream[cut:])
		if whole.boundary() != parts.boundary() || whole.left != parts.left || whole.closed != parts.closed {
			t.Errorf("whole %+v, in parts %+v", whole, parts)
		}
	})
}

func TestCloseFrameFits(t *testing.T) {
	frame := closeFrame(1012, strings.Repeat("ä", 100), false)
	if len(frame) > 127 || int(frame[1]) != len(frame)-2 || strings.ContainsRune(string(frame[4:]), '\uFFFD') {
		t.Errorf("frame is %q", frame)
	}
	var f frames
	f.skip(closeFrame(1001, "", true))
	if !f.closed || !f.boundary() {
		t.Errorf("frames do not see a close frame: %+v", f)
	}
}
