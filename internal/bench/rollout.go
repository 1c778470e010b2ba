package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/receipt"
)

// The rollout that is measured.
const (
	rolloutServers = 20
	rolloutBoot    = 200 * time.Millisecond
	rolloutRate    = 50 // GETs per second meanwhile
)

// Rollout measures how long the real program takes to roll servers one at a time, without a bake and under a light load, beside what it cannot do
// without: the same program started and ended by hand as often, and the requests that a drain has to wait for.
func Rollout(ctx context.Context, t *Table, programs Programs, rounds int) (err error) {
	s, err := newSite(ctx, programs, rolloutServers, map[string]string{"BOOT_TIME": rolloutBoot.String()}, "v1", "v2")
	if err != nil {
		return err
	}
	defer func() {
		if closing := s.close(ctx); err == nil {
			err = closing
		}
	}()
	if _, _, err := s.deploy(ctx, "v1"); err != nil {
		return err
	}
	stopLoad, err := lightLoad(ctx, s.address)
	if err != nil {
		return err
	}
	var rolls []roll
	for round := range rounds {
		// By hand before and after each, so that both stand in the same weather.
		by, err := s.byHand(ctx)
		if err != nil {
			return err
		}
		r := roll{boot: by.boot, end: by.end}
		if r.wall, r.receipt, err = s.deploy(ctx, []string{"v2", "v1"}[round%2]); err != nil {
			return err
		}
		if r.receipt.Outcome != segue.PhaseSucceeded {
			return fmt.Errorf("rollout %d ended %s: %s", round+1, r.receipt.Outcome, r.receipt.Sentence)
		}
		t.Say("rollout %d: %.2f s (from outside %.2f s); by hand: boot %.1f ms, end %.1f ms; ratio %.3f", round+1,
			r.receipt.Duration.Duration().Seconds(), r.wall.Seconds(), millis(r.boot), millis(r.end), r.ratio())
		rolls = append(rolls, r)
	}
	tellRollouts(t, rolls, stopLoad())
	return nil
}

// lightLoad sends GETs until the function it gives is called.
func lightLoad(ctx context.Context, address string) (stop func() *load.Report, err error) {
	generator, err := load.New(load.Config{Target: "http://" + address, Gets: rolloutRate, Connections: 8})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(ctx) }()
	return func() *load.Report {
		cancel()
		return <-done
	}, nil
}

// roll is one rollout that was measured.
type roll struct {
	boot, end time.Duration // of one server, by hand
	wall      time.Duration
	receipt   receipt.Receipt
}

// unavoidable is what servers take one after the other by hand, and what the drains waited for.
func (r roll) unavoidable() time.Duration {
	sum := rolloutServers * (r.boot + r.end)
	for _, step := range r.receipt.Steps {
		if step.Kind == segue.StepDrain {
			sum += step.Unavoidable.Duration()
		}
	}
	return sum
}

func (r roll) ratio() float64 {
	return r.receipt.Duration.Duration().Seconds() / r.unavoidable().Seconds()
}

// perServer is how long the steps of a kind took on average, in milliseconds.
func (r roll) perServer(kind segue.StepKind) float64 {
	sum := time.Duration(0)
	for _, step := range r.receipt.Steps {
		if step.Kind == kind {
			sum += step.Duration.Duration()
		}
	}
	return millis(sum) / rolloutServers
}

func tellRollouts(t *Table, rolls []roll, traffic *load.Report) {
	middle := func(of func(roll) float64) float64 {
		values := make([]float64, 0, len(rolls))
		for _, r := range rolls {
			values = append(values, of(r))
		}
		return median(values)
	}
	byHand := fmt.Sprintf("%d x boot and end by hand, and the drains", rolloutServers)
	t.Add("rollout.boot", middle(func(r roll) float64 { return millis(r.boot) }), "ms", "one server by hand: start to ready")
	t.Add("rollout.end", middle(func(r roll) float64 { return millis(r.end) }), "ms", "one server by hand: TERM to gone")
	t.Add("rollout.unavoidable", middle(func(r roll) float64 { return r.unavoidable().Seconds() }), "s", byHand)
	t.Add("rollout.duration", middle(func(r roll) float64 { return r.receipt.Duration.Duration().Seconds() }), "s", "by the receipt")
	t.Add("rollout.wall", middle(func(r roll) float64 { return r.wall.Seconds() }), "s", "`segue deploy`, start to exit")
	t.Add("rollout.ratio", middle(roll.ratio), "ratio", byHand)
	t.Add("rollout.wall.ratio", middle(func(r roll) float64 { return r.wall.Seconds() / r.unavoidable().Seconds() }), "ratio", byHand)
	t.Add("rollout.receipt.ratio", middle(func(r roll) float64 {
		if r.receipt.Time.Ratio == nil {
			return 0
		}
		return *r.receipt.Time.Ratio
	}), "ratio", "what the receipt calls unavoidable")
	for _, kind := range []segue.StepKind{segue.StepDrain, segue.StepStop, segue.StepStart, segue.StepAwaitReady, segue.StepAdmit} {
		t.Add("rollout.step."+string(kind), middle(func(r roll) float64 { return r.perServer(kind) }), "ms/server", "")
	}
	t.Add("rollout.failed", float64(traffic.Failed), "requests", fmt.Sprintf("%d sent", traffic.Requests))
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// hand is what one server takes without Segue.
type hand struct{ boot, end time.Duration }

// byHand starts and ends a release's program a few times, and gives the medians.
func (s *site) byHand(ctx context.Context) (hand, error) {
	const times = 5
	boots, ends := make([]float64, 0, times), make([]float64, 0, times)
	for range times {
		once, err := s.onceByHand(ctx)
		if err != nil {
			return hand{}, fmt.Errorf("start by hand: %w", err)
		}
		boots, ends = append(boots, float64(once.boot)), append(ends, float64(once.end))
	}
	return hand{boot: time.Duration(median(boots)), end: time.Duration(median(ends))}, nil
}

func (s *site) onceByHand(ctx context.Context) (once hand, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return once, err
	}
	command := exec.CommandContext(ctx, filepath.Join(s.dir, "releases", "v1", "backend"), "--listen", address)
	began := time.Now()
	if err := command.Start(); err != nil {
		return once, err
	}
	if err := awaitReady(ctx, "http://"+address+"/readyz"); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return once, err
	}
	once.boot = time.Since(began)
	began = time.Now()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		return once, err
	}
	err = command.Wait()
	once.end = time.Since(began)
	return once, err
}

// awaitReady asks every millisecond.
func awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
	}}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(request); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", url, context.Cause(ctx))
		}
	}
}
