package load_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-deploy/segue/internal/load"
)

// trackingListener can cut every connection that it accepted.
type trackingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

// Accept implements net.Listener.
func (l *trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

// cut closes all connections at once.
func (l *trackingListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// script serves one connection after another with a function until the test ends, and counts the requests that began.
func script(t *testing.T, serve func(conn *net.TCPConn, request *http.Request)) (target string, requests *atomic.Int64) {
	t.Helper()
	listener := listen(t)
	requests = &atomic.Int64{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				request, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				requests.Add(1)
				serve(conn.(*net.TCPConn), request)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return "http://" + listener.Addr().String(), requests
}

// answer returns a script that reads the request's body, writes text and closes.
func answer(text string) func(*net.TCPConn, *http.Request) {
	return func(conn *net.TCPConn, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		_, _ = io.WriteString(conn, text)
	}
}

func TestFailuresHaveTheirCauseAndStage(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name  string
		serve func(*net.TCPConn, *http.Request)
		cause load.Cause
		stage load.Stage
	}{
		{"closed without an answer", answer(""), load.CauseEOF, load.StageAwait},
		{"reset without an answer", func(conn *net.TCPConn, _ *http.Request) { _ = conn.SetLinger(0) }, load.CauseReset, load.StageAwait},
		{"cut in the header", answer(ok + "X-A"), load.CauseShort, load.StageHeader},
		{"cut in the body", answer(ok + "Content-Length: 10\r\n\r\nabc"), load.CauseShort, load.StageBody},
		{"cut between chunks", answer(ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), load.CauseShort, load.StageBody},
		{"no HTTP", answer("what?\r\n\r\n"), load.CauseMalformed, load.StageHeader},
		{"status 503", answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "status_503", load.StageBody},
		{"another's answer", answer(ok + "X-Load-Id: other\r\nContent-Length: 0\r\n\r\n"), load.CauseWrong, load.StageDone},
		{"spoiled body", answer(ok + "X-Load-Crc32: 1234\r\nContent-Length: 3\r\n\r\nabc"), load.CauseWrong, load.StageBody},
		{"silence", func(conn *net.TCPConn, _ *http.Request) { _, _ = io.Copy(io.Discard, conn) }, load.CauseTimeout, load.StageAwait},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target, requests := script(t, test.serve)
			report := sendFor(t, 100*time.Millisecond, load.Config{
				Target: target, Gets: 20, Connections: 1, Timeout: 200 * time.Millisecond,
			})
			get := report.Kinds[load.KindGet]
			if get.Failed != get.Requests || get.Causes[test.cause] != get.Requests {
				t.Errorf("%d requests, causes %v, want all %s", get.Requests, get.Causes, test.cause)
			}
			if got := requests.Load(); got != get.Requests {
				t.Errorf("server saw %d requests of %d: something was sent again", got, get.Requests)
			}
			for _, failure := range report.Failures {
				if failure.Stage != test.stage {
					t.Errorf("stage %s, want %s: %s", failure.Stage, test.stage, failure.Detail)
				}
			}
		})
	}
}

func TestRefusedDialIsCountedAsSuch(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	target := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	report := sendFor(t, 200*time.Millisecond, load.Config{Target: target, Gets: 20, Posts: 20, Uploads: 1, Streams: 1, WebSockets: 1})
	if report.Failed == 0 || report.Causes[load.CauseRefused] != report.Failed {
		t.Errorf("failed %d, causes %v", report.Failed, report.Causes)
	}
	for _, kind := range []load.Kind{load.KindUpload, load.KindStream, load.KindWebSocket} {
		if n := report.Kinds[kind].Failed; n == 0 || n > 4 {
			t.Errorf("%d failed %ss in 200 ms: want a rest after each", n, kind)
		}
	}
}

func TestAnEarlyAnswerToAnUploadSaysMoreThanTheBrokenPipe(t *testing.T) {
	t.Parallel()
	target, _ := script(t, func(conn *net.TCPConn, _ *http.Request) {
		_, _ = io.WriteString(conn, "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_ = conn.CloseWrite()
	})
	report := sendFor(t, 50*time.Millisecond, load.Config{
		Target: target, Uploads: 1, UploadTime: 300 * time.Millisecond, UploadBytes: 3_000_000, Timeout: time.Second,
	})
	if report.Causes["status_503"] == 0 {
		t.Errorf("causes %v: %v", report.Causes, report.Failures)
	}
}

func TestAMiscountedUploadIsAWrongAnswer(t *testing.T) {
	t.Parallel()
	target, _ := script(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"bytes\": 1}"))
	report := sendFor(t, 30*time.Millisecond, load.Config{
		Target: target, Uploads: 1, UploadTime: 50 * time.Millisecond, UploadBytes: 1000,
	})
	if report.Causes[load.CauseWrong] == 0 || !strings.Contains(report.Failures[0].Detail, "1 of 1000") {
		t.Errorf("causes %v: %v", report.Causes, report.Failures)
	}
}

func TestAStreamThatEndsEarlyButProperlyIsWrong(t *testing.T) {
	t.Parallel()
	target, _ := script(t, answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	report := sendFor(t, 30*time.Millisecond, load.Config{Target: target, Streams: 1})
	if report.Causes[load.CauseWrong] == 0 {
		t.Errorf("causes %v: %v", report.Causes, report.Failures)
	}
}

func TestAWebSocketThatIsRefusedHasItsStatus(t *testing.T) {
	t.Parallel()
	target, _ := script(t, answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
	report := sendFor(t, 30*time.Millisecond, load.Config{Target: target, WebSockets: 1})
	if report.Causes["status_503"] == 0 || report.WebSockets.Opened != 0 {
		t.Errorf("causes %v, WebSockets %+v", report.Causes, report.WebSockets)
	}
}
