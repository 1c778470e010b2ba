package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

// Shot is what a closed loop of requests came to.
type Shot struct {
	Requests int64
	Failed   int64
	Elapsed  time.Duration
	Latency  telemetry.Distribution
}

// closedLoop sends GETs over so many keep-alive connections, each as soon as the one before is answered, for a time. It does as little as a client
// can, so that the figures are the proxy's.
func closedLoop(ctx context.Context, address, path string, connections int, duration time.Duration) Shot {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var latency telemetry.Histogram
	var requests, failed atomic.Int64
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", path, address)
	var clients sync.WaitGroup
	began := time.Now()
	for range connections {
		clients.Go(func() {
			for ctx.Err() == nil {
				done, err := drive(ctx, address, request, &latency)
				requests.Add(done)
				if err != nil && ctx.Err() == nil {
					failed.Add(1)
				}
			}
		})
	}
	clients.Wait()
	return Shot{Requests: requests.Load(), Failed: failed.Load(), Elapsed: time.Since(began), Latency: latency.Distribution()}
}

// drive uses one connection until ctx ends or it breaks.
func drive(ctx context.Context, address string, request []byte, latency *telemetry.Histogram) (done int64, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answers := bufio.NewReaderSize(conn, 16<<10)
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := conn.Write(request); err != nil {
			return done, err
		}
		if err := skipAnswer(answers); err != nil {
			return done, err
		}
		latency.Observe(time.Since(began))
		done++
	}
	return done, nil
}

// skipAnswer reads one answer with a Content-Length and drops it.
func skipAnswer(answers *bufio.Reader) error {
	status, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answer %q", bytes.TrimSpace(status))
	}
	length := -1
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("answer without Content-Length")
	}
	_, err = answers.Discard(length)
	return err
}
