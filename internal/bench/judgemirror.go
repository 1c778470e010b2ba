package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/responses"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/proxy"
)

// mirrorCandidate is the backend that gets copies alone.
const mirrorCandidate = nouns.InstanceID("b-candidate.v2.1")

// leisureRate is requests per second at which nothing is short.
const leisureRate = 1000

// mirrorBench is a proxy before two stable backends and a candidate.
type mirrorBench struct {
	proxy    *Contestant
	client   *proxy.Client
	backends []*Contestant
}

// measureMirror tells what copying requests costs users, at the proxy's limit, where it hurts most: interleaved rounds, medians. Answers are compared
// as the controller does, on the other CPU.
func measureMirror(ctx context.Context, t *Table, programs Programs, full bool) error {
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	m := &mirrorBench{}
	defer m.close()
	if err := m.start(ctx, dir, programs); err != nil {
		return err
	}
	rounds, duration := 3, 1500*time.Millisecond
	if full {
		rounds, duration = 5, 6*time.Second
	}
	shares := []float64{0, 0.1, 1}
	accounts := map[float64]*account{0: {}, 0.1: {}, 1: {}}
	told, leisure := map[float64]int64{}, map[float64][]float64{}
	closedLoop(ctx, m.proxy.Address, "/1024", 16, duration/2) // warm up
	if _, err := m.leisure(ctx, 0, duration/2); err != nil {
		return err
	}
	for range rounds {
		for _, share := range shares {
			copied, err := m.round(ctx, share, duration, accounts[share])
			if err != nil {
				return fmt.Errorf("mirror a share of %g: %w", share, err)
			}
			told[share] += copied
			p99, err := m.leisure(ctx, share, duration)
			if err != nil {
				return fmt.Errorf("mirror a share of %g at leisure: %w", share, err)
			}
			leisure[share] = append(leisure[share], p99)
		}
	}
	off := accounts[0]
	for _, share := range shares {
		a, label := accounts[share], fmt.Sprintf("judges.mirror.%g%%.", 100*share)
		t.Add(label+"rate", median(a.rate), "req/s", fmt.Sprintf("one CPU for the proxy, 16 connections, 1 KiB; %d requests compared", told[share]))
		t.Add(label+"p99", median(a.p99), "ms", "")
		t.Add(label+"cpu", median(a.cpu), "CPU s/100k req", "of the proxy")
		t.Add(label+"leisure.p99", median(leisure[share]), "ms", fmt.Sprintf("at %d req/s", leisureRate))
		if share > 0 {
			t.Ratio(label+"leisure.p99.ratio", median(leisure[share]), median(leisure[0]), "off")
			t.Ratio(label+"rate.ratio", median(a.rate), median(off.rate), "off")
			t.Ratio(label+"p99.ratio", median(a.p99), median(off.p99), "off")
			t.Ratio(label+"cpu.ratio", median(a.cpu), median(off.cpu), "off")
		}
	}
	return nil
}

func (m *mirrorBench) start(ctx context.Context, dir string, programs Programs) error {
	var targets []string
	for range 3 {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		backend, err := launch(ctx, "backend", address, otherCPU, programs.Peer, "backend", address)
		if err != nil {
			return err
		}
		m.backends, targets = append(m.backends, backend), append(targets, address)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	state := filepath.Join(dir, "state", "proxy")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	if err := storeService(ctx, state, address, targets[:2]...); err != nil {
		return err
	}
	if m.proxy, err = launch(ctx, "segue", address, proxyCPU, programs.Segue, "proxy", "--state", filepath.Dir(state)); err != nil {
		return err
	}
	m.client = proxy.NewClient(proxy.SocketPath(state))
	return m.client.Add(ctx, benchService, proxy.Backend{ID: mirrorCandidate, Server: "b-candidate", Release: "v2", Address: targets[2]})
}

func (m *mirrorBench) close() {
	if m.client != nil {
		m.client.Close()
	}
	if m.proxy != nil {
		m.proxy.stop()
	}
	for _, b := range m.backends {
		b.stop()
	}
}

// during does something while a share of the requests is copied, and says how many were compared.
func (m *mirrorBench) during(ctx context.Context, share float64, do func() error) (compared int64, err error) {
	mirroring, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan error, 1)
	tally := responses.NewTally()
	if share > 0 {
		mirror := proxy.Mirror{Candidate: mirrorCandidate, Stable: []nouns.InstanceID{backendID(0), backendID(1)}, Share: share}
		go func() {
			over <- m.client.Mirror(mirroring, benchService, mirror, func(r proxy.MirrorRecord) {
				compared++
				tally.Add(responses.Triple{
					Method: r.Method, Path: r.Path, Primary: mirrored(r.Primary), Candidate: mirrored(r.Candidate),
					Secondaries: []responses.Answer{mirrored(r.Secondary)}, Raced: r.Raced,
				})
			})
		}()
	} else {
		over <- nil
	}
	done := do()
	stop()
	return compared, errors.Join(done, <-over)
}

// round sends as many requests as the proxy can take.
func (m *mirrorBench) round(ctx context.Context, share float64, duration time.Duration, a *account) (compared int64, err error) {
	return m.during(ctx, share, func() error {
		before := m.proxy.cpu()
		shot := closedLoop(ctx, m.proxy.Address, "/1024", 16, duration)
		spent := m.proxy.cpu() - before
		if shot.Requests == 0 {
			return errors.New("no request was answered")
		}
		a.cpu = append(a.cpu, spent.Seconds()*100_000/float64(shot.Requests))
		a.rate = append(a.rate, float64(shot.Requests)/shot.Elapsed.Seconds())
		a.p99 = append(a.p99, ms(shot.Latency.Quantile(0.99)))
		return nil
	})
}

// leisure sends as many requests as the machine has time for, and gives the p99 in ms.
func (m *mirrorBench) leisure(ctx context.Context, share float64, duration time.Duration) (p99 float64, err error) {
	_, err = m.during(ctx, share, func() error {
		generator, err := load.New(load.Config{Target: "http://" + m.proxy.Address, Gets: leisureRate, GetPaths: []string{"/1024"}, Connections: 16})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, duration)
		defer cancel()
		p99 = generator.Run(ctx).Kinds[load.KindGet].P99MS
		return nil
	})
	return p99, err
}

func mirrored(a proxy.MirrorAnswer) responses.Answer {
	return responses.Answer{Status: a.Status, Header: a.Header, Body: a.Body, Truncated: a.Truncated, Took: a.Took, Failure: a.Failure, At: a.At}
}
