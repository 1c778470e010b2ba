package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// peerRole marks the process that is backend and client of a benchmark, so that the benchmark's own process is the proxy alone and
// its CPU time and allocations are the proxy's.
const peerRole = "UPSTREAM_TEST_PEER"

// peer is that process as the benchmark sees it.
type peer struct {
	backend string
	in      io.WriteCloser
	out     *bufio.Reader
}

func startPeer(b *testing.B) *peer {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	if pin := os.Getenv("UPSTREAM_BENCH_PEER_CPU"); pin != "" {
		// With the benchmark itself under `taskset -c 1`, this gives the proxy a CPU of its own.
		cmd = exec.CommandContext(b.Context(), "taskset", "-c", pin, os.Args[0])
	}
	cmd.Env = append(os.Environ(), peerRole+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	p := &peer{in: in, out: bufio.NewReader(out)}
	p.backend = p.line(b)
	return p
}

func (p *peer) line(b *testing.B) string {
	b.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return line[:len(line)-1]
}

// load has the peer send n requests to a proxy, over 32 connections, and waits for the answers.
func (p *peer) load(b *testing.B, address string, n, up, down int) {
	b.Helper()
	_, _ = fmt.Fprintln(p.in, address, n, up, down)
	if line := p.line(b); line != "done" {
		b.Fatal(line)
	}
}

// runPeer is the peer's main function.
func runPeer(in io.Reader, out io.Writer) {
	var config net.ListenConfig
	ln, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serveRaw(c)
		}
	}()
	_, _ = fmt.Fprintln(out, ln.Addr())
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var address string
		var n, up, down int
		if _, err := fmt.Sscan(lines.Text(), &address, &n, &up, &down); err != nil {
			panic(err)
		}
		if err := fire(address, n, up, down); err != nil {
			_, _ = fmt.Fprintln(out, err)
			continue
		}
		_, _ = fmt.Fprintln(out, "done")
	}
}

// serveRaw answers GET /N with N bytes, at next to no cost.
func serveRaw(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReaderSize(c, 64<<10)
	answers := map[string][]byte{}
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		answer, ok := answers[req.URL.Path]
		if !ok {
			n, _ := strconv.Atoi(req.URL.Path[1:])
			answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"+
				"Cache-Control: no-store\r\nSet-Cookie: session=0123456789abcdef; Path=/\r\nContent-Length: %d\r\n\r\n%s", n, bytes.Repeat([]byte("b"), n))
			answers[req.URL.Path] = answer
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// fire sends n requests over 32 connections.
func fire(address string, n, up, down int) error {
	var left atomic.Int64
	left.Store(int64(n))
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if err := fireOne(address, &left, up, down); err != nil {
				failed.Store(&err)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func fireOne(address string, left *atomic.Int64, up, down int) error {
	var dialer net.Dialer
	c, err := dialer.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	head := "Host: shop.example\r\nUser-Agent: peer\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n"
	request := fmt.Appendf(nil, "GET /%d HTTP/1.1\r\n%s\r\n", down, head)
	if up > 0 {
		request = fmt.Appendf(nil, "POST /%d HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", down, head, up, bytes.Repeat([]byte("b"), up))
	}
	in := bufio.NewReaderSize(c, 64<<10)
	for left.Add(-1) >= 0 {
		if _, err := c.Write(request); err != nil {
			return err
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		got, err := io.Copy(io.Discard, answer.Body)
		if err != nil || answer.StatusCode != 200 || got != int64(down) {
			return fmt.Errorf("answer %d of %d bytes: %w", answer.StatusCode, got, err)
		}
	}
	return nil
}
