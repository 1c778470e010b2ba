package controller_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/telemetry"
	"github.com/segue-deploy/segue/internal/workload"
)

// watchedWorld is a world whose servers answer and write, before judges of evidence. Its past is kept in a file, unless that is "".
func watchedWorld(t *testing.T, file string) *world {
	t.Helper()
	w := newWorld(t)
	w.stop()
	w.judges = func(segue.Service, segue.ReleaseName) []judge.Judge {
		return []judge.Judge{logs.New(logs.Config{}), metrics.New(metrics.Config{})}
	}
	w.lookout = func(_ segue.Service, driver workload.Driver) *lookout.Lookout {
		return lookout.New(lookout.Options{
			File: file, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Logs: func(ctx context.Context, id segue.InstanceID, tail int) (io.ReadCloser, error) {
				return driver.Logs(ctx, id, tail, true)
			},
		})
	}
	w.start()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go w.work(ctx)
	return w
}

// work has every backend in rotation answer twenty requests a second and write a line every ten. One answer in a hundred fails, with "bad-errors"
// three; "bad-line" writes an error three times a minute that nobody knew.
func (w *world) work(ctx context.Context) {
	random := rand.New(rand.NewPCG(1, 2))
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for second := 0; ; second++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		snapshot, err := w.balancer.Snapshot(ctx)
		if err != nil {
			return
		}
		for _, backend := range snapshot.Backends {
			if backend.Rotation != segue.RotationIn {
				continue
			}
			share := 0.01
			if backend.Release == "bad-errors" {
				share = 0.03
			}
			var histogram telemetry.Histogram
			failed := int64(0)
			for range 20 {
				histogram.Observe(time.Duration(20+random.IntN(20)) * time.Millisecond)
				if random.Float64() < share {
					failed++
				}
			}
			latency := histogram.Distribution()
			w.balancer.Count(backend.ID, func(c *balancer.Counters) {
				c.Requests += 20
				c.Classes[5] += failed
				c.Classes[2] += 20 - failed
				c.Latency = c.Latency.Add(latency)
			})
			if second%10 == 0 {
				w.fleet.Say(backend.ID, fmt.Sprintf("level=info msg=\"sold %d carts\"", random.IntN(100)))
			}
			if backend.Release == "bad-line" && second%20 == 0 {
				w.fleet.Say(backend.ID, "level=error msg=\"the bank did not answer\"")
			}
		}
	}
}

// baked is the project with an observation of half an hour.
func baked() operator.Project {
	p := project(3)
	p.Text = strings.Replace(p.Text, "bake: 60s", "bake: 30m", 1)
	return p
}

// kill ends the controller as kill -9 would: what it writes at its end is not there.
func (w *world) kill(file string) {
	w.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stop()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// over lets virtual time pass until a rollout has ended or waits for a person.
func (w *world) over(id segue.RolloutID) operator.Rollout {
	w.t.Helper()
	for range 400 {
		<-time.After(10 * time.Second)
		synctest.Wait()
		now, err := w.Rollout(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if now.Phase.Over() || now.Phase == segue.PhaseHeld {
			return now
		}
	}
	w.t.Fatalf("rollout %s never ended", id)
	return operator.Rollout{}
}

// TestAControllerThatJustStartedHasAPast kills the controller of a fleet that was watched for 25 minutes. The next one rolls out at once, and its judges
// fail what is bad. Without what the first one kept they could only hold it.
func TestAControllerThatJustStartedHasAPast(t *testing.T) {
	for _, each := range []struct {
		release segue.ReleaseName
		lost    bool // the file is not there any more
		want    segue.Phase
	}{
		{release: "bad-errors", want: segue.PhaseRolledBack},
		{release: "bad-line", want: segue.PhaseRolledBack},
		{release: "v2", want: segue.PhaseSucceeded},
		{release: "bad-errors", lost: true, want: segue.PhaseHeld},
	} {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "past", "web.jsonl.gz")
			w := watchedWorld(t, file)
			w.awaitPhase(w.deployOf(baked(), "v1"), segue.PhaseSucceeded)
			<-time.After(25 * time.Minute)
			w.kill(file)
			if each.lost {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
			<-time.After(2 * time.Minute)
			w.start()
			now := w.over(w.deployOf(baked(), each.release))
			if now.Phase != each.want {
				t.Errorf("%s ended %s, want %s: %s", each.release, now.Phase, each.want, now.Sentence)
			}
			w.stop()
		})
	}
}
