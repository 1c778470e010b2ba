package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

// BenchmarkMirror tells what copying costs users: time per request and p99, without it, with a share of 1 % and of all requests, and with a
// candidate that never answers.
func BenchmarkMirror(b *testing.B) {
	for _, bench := range []struct {
		name  string
		share float64
		hangs bool
	}{{name: "off"}, {name: "1%", share: 0.01}, {name: "10%", share: 0.1}, {name: "all", share: 1}, {name: "all/hanging", share: 1, hangs: true}} {
		b.Run(bench.name, func(b *testing.B) { benchmarkMirror(b, bench.share, bench.hangs) })
	}
}

func benchmarkMirror(b *testing.B, share float64, hangs bool) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	dir := b.TempDir()
	ready, over := make(chan struct{}), make(chan error, 2)
	go func() {
		over <- Run(ctx, Options{StateDir: dir, Grace: time.Millisecond, Limit: time.Second, Ready: func() { close(ready) }})
	}()
	<-ready
	client := NewClient(SocketPath(dir))
	defer client.Close()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(client.Configure(ctx, web, Config{Listen: "127.0.0.1:0"}))
	page := []byte(fmt.Sprintf("%4096d", 1))
	for _, id := range []segue.InstanceID{"a", "b", "candidate"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if hangs && id == "candidate" {
				<-r.Context().Done()
				return
			}
			_, _ = w.Write(page)
		}))
		defer s.Close()
		must(client.Add(ctx, web, Backend{ID: id, Server: segue.ServerName(id), Release: "v1", Address: s.Listener.Addr().String()}))
		if id != "candidate" {
			must(client.Admit(ctx, web, id, 0))
		}
	}
	snap, err := client.Snapshot(ctx, web)
	must(err)
	mirrored := make(chan error, 1)
	if share > 0 {
		m := Mirror{Candidate: "candidate", Stable: []segue.InstanceID{"a", "b"}, Share: share}
		go func() { mirrored <- client.Mirror(ctx, web, m, func(MirrorRecord) {}) }()
	} else {
		mirrored <- nil
	}
	took := bombard(b, "http://"+snap.Address+"/")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	if snap, err = client.Snapshot(ctx, web); err == nil && snap.Mirror != nil {
		b.ReportMetric(float64(snap.Mirror.Told)/float64(b.N), "told/op")
	}
	cancel()
	<-mirrored // ends with the context or with the proxy
	must(<-over)
}

// bombard sends b.N requests by eight users, and gives the times they took, sorted.
func bombard(b *testing.B, url string) []time.Duration {
	b.Helper()
	const users = 8
	transport := &http.Transport{MaxIdleConnsPerHost: users}
	defer transport.CloseIdleConnections()
	times := make([][]time.Duration, users)
	var work sync.WaitGroup
	b.ResetTimer()
	for u := range users {
		work.Go(func() {
			for range b.N/users + 1 {
				begun := time.Now()
				req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
				res, err := transport.RoundTrip(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				times[u] = append(times[u], time.Since(begun))
			}
		})
	}
	work.Wait()
	b.StopTimer()
	return slices.Sorted(slices.Values(slices.Concat(times...)))
}
