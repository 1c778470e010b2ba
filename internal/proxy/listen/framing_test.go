package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fresh gives a framing at the beginning of a connection.
func fresh() *framing {
	f := &framing{}
	f.nextRequest()
	return f
}

// TestFramingFollowsRequests: however a stream of requests is cut in pieces, a request with both lengths is noticed exactly where it is
// the first of its kind, and bodies that look like it are not.
func TestFramingFollowsRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		var ends []int // of each request's header
		bad := -1
		for i := range rapid.IntRange(1, 6).Draw(t, "requests") {
			head, rest, both := drawRequest(t)
			stream.WriteString(head)
			ends = append(ends, stream.Len())
			stream.WriteString(rest)
			if both {
				bad = i
				break // what follows is anybody's guess
			}
		}
		f := fresh()
		text := stream.Bytes()
		for at := 0; at < len(text); {
			n := min(rapid.IntRange(1, 100).Draw(t, "piece"), len(text)-at)
			f.observe(text[at : at+n])
			at += n
			if want := bad >= 0 && at >= ends[bad]; f.both.Load() != want {
				t.Fatalf("after %d bytes of %q: both is %v, want %v", at, text, f.both.Load(), want)
			}
		}
	})
}

func drawRequest(t *rapid.T) (head, rest string, both bool) {
	body := rapid.SampledFrom([]string{
		"", "x", "a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("y\n", 300),
	}).Draw(t, "body")
	filler := strings.Repeat("F: "+strings.Repeat("z", 90)+"\r\n", rapid.IntRange(0, 3).Draw(t, "filler"))
	length := rapid.SampledFrom([]string{"Content-Length", "content-length", "CONTENT-LENGTH"}).Draw(t, "length")
	encoding := rapid.SampledFrom([]string{"Transfer-Encoding", "transfer-encoding"}).Draw(t, "encoding")
	start := "POST / HTTP/1.1\r\nHost: x\r\n" + filler
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0, 1, 2, 3:
		return start + fmt.Sprintf("%s: %d\r\n\r\n", length, len(body)), body, false
	case 4, 5, 6:
		rest = "0\r\n\r\n"
		if body != "" {
			rest = fmt.Sprintf("%x;ext=1\r\n%s\r\n0\r\nTrailer: 1\r\n\r\n", len(body), body)
		}
		return start + encoding + ": chunked\r\n\r\n", rest, false
	case 7, 8:
		return "GET / HTTP/1.1\r\nHost: x\r\n" + filler + "\r\n", "", false
	default:
		lines := []string{encoding + ": chunked\r\n", length + ": 5\r\n"}
		if rapid.Bool().Draw(t, "order") {
			lines[0], lines[1] = lines[1], lines[0]
		}
		return start + lines[0] + filler + lines[1] + "\r\n", "0\r\n\r\n", true
	}
}

// FuzzFraming: whatever comes, where net/http sees a chunked request and its header had a Content-Length, framing has noticed it.
func FuzzFraming(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 3)
	f.Add("GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\nHost: x\nContent-Length:4\nTransfer-Encoding:chunked\n\n0\r\n\r\n", 7)
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 1)
	f.Fuzz(func(t *testing.T, stream string, piece int) {
		watch := fresh()
		for at, n := 0, max(1, piece%200); at < len(stream); at += n {
			watch.observe([]byte(stream[at:min(at+n, len(stream))]))
		}
		in := bufio.NewReader(strings.NewReader(stream))
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if len(req.TransferEncoding) > 0 && hadLength(stream) && !watch.both.Load() && onlyRequest(stream) {
				t.Fatalf("net/http read a chunked request with a length, unnoticed: %q", stream)
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
		}
	})
}

// hadLength says whether the first header of a stream names a Content-Length.
func hadLength(stream string) bool {
	for i, line := range strings.Split(stream, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if i > 0 && line == "" {
			return false
		}
		name, _, ok := strings.Cut(line, ":")
		if i > 0 && ok && strings.EqualFold(name, "content-length") {
			return true
		}
	}
	return false
}

// onlyRequest says whether a stream begins with its only request line.
func onlyRequest(stream string) bool { return strings.Count(stream, "HTTP/1") == 1 }

func BenchmarkFraming(b *testing.B) {
	request := []byte("GET /some/path?with=query HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef\r\nReferer: https://www.example.org/\r\n\r\n")
	f := fresh()
	b.ReportAllocs()
	for b.Loop() {
		f.observe(request)
	}
}
