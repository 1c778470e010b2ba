package app_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/operator"
)

// TestE2ERollThereAndBackLosesNothing is the main job: ten servers under more than 1,000 requests/s of mixed traffic go v1 to v2 to v1.
func TestE2ERollThereAndBackLosesNothing(t *testing.T) {
	r := newRig(t, 10, "v1", "v2")
	r.must(0, "plan", "v1") // before anything has ever been deployed
	r.must(0, "deploy", "v1", "--yes")
	stop := r.traffic(r.mixed(900, 120))
	for _, release := range []string{"v2", "v1"} {
		r.must(0, "deploy", release, "--yes")
		got := r.receipt()
		if got.Outcome != segue.PhaseSucceeded || got.Traffic == nil || got.Traffic.Failed != 0 {
			t.Errorf("receipt of %s: outcome %s, traffic %+v", release, got.Outcome, got.Traffic)
		}
	}
	report := stop()
	lossless(t, report)
	for code, n := range report.WebSockets.Codes {
		if code != 1012 && code != 1001 {
			t.Errorf("%d WebSockets ended with %d, want 1001 or 1012 at the drain deadline", n, code)
		}
	}
	for _, end := range report.WebSockets.Closes {
		if !end.ByClient && end.AgeSeconds < 2.9 {
			t.Errorf("a WebSocket on %s was closed %.1f s after it was opened: before the deadline", end.Server, end.AgeSeconds)
		}
	}
	if rate := float64(report.Requests) / report.ElapsedSeconds; rate < 1000 {
		t.Logf("the machine managed %.0f requests/s only", rate)
	}
}

// lossless fails unless every request was answered well and every POST was applied exactly once.
func lossless(t *testing.T, report *load.Report) {
	t.Helper()
	if report.Failed != 0 {
		t.Errorf("%d of %d requests failed: %v", report.Failed, report.Requests, report.Causes)
	}
	if len(report.Orders.Lost) > 0 || len(report.Orders.Twice) > 0 {
		t.Errorf("POSTs lost %v, applied twice %v", report.Orders.Lost, report.Orders.Twice)
	}
}

// TestE2EKilledBackendFailsOnlyWhatMayNotBeRetried kills an instance in the middle of the load: GETs are retried elsewhere, POSTs in flight on it may fail,
// and none is applied twice.
func TestE2EKilledBackendFailsOnlyWhatMayNotBeRetried(t *testing.T) {
	r := newRig(t, 4, "v1 SERVICE_TIME=5ms")
	r.must(0, "deploy", "v1", "--yes")
	config := r.mixed(600, 100)
	config.Uploads, config.Streams, config.WebSockets = 0, 0, 0
	config.ClosedAt = 16
	stop := r.traffic(config)
	client := r.client()
	for round := range 5 {
		status, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		victim := status.Services[0].Fleet.Slots[round%4].Instance
		pid := instancePID(t, r, victim.ID)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitRestart(t, r, victim.ID, pid)
		r.settle() // a GET is sent a second time, and no third
	}
	report := stop()
	if n := report.Kinds[load.KindGet].Failed; n != 0 {
		t.Errorf("%d GETs failed: %v", n, report.Kinds[load.KindGet].Causes)
	}
	if posts := report.Kinds[load.KindPost]; posts.Failed > 5*int64(config.ClosedAt) {
		t.Errorf("%d POSTs failed, more than can have been in flight: %v", posts.Failed, posts.Causes)
	}
	if len(report.Orders.Lost) > 0 || len(report.Orders.Twice) > 0 {
		t.Errorf("POSTs lost %v, applied twice %v", report.Orders.Lost, report.Orders.Twice)
	}
}

// TestE2EControllerKilledInTheMiddleGoesOn kills the controller with kill -9 during a rollout: the next command starts one that goes on to the same end.
func TestE2EControllerKilledInTheMiddleGoesOn(t *testing.T) {
	r := newRig(t, 4, "v1", "v2 BOOT_TIME=300ms")
	r.must(0, "deploy", "v1", "--yes")
	stop := r.traffic(r.mixed(200, 20))
	r.must(0, "deploy", "v2", "--yes", "--detach")
	client := r.client()
	for _, servers := range []int{1, 2} {
		r.until(client, "had servers on v2", func(now operator.Rollout) bool { return len(now.Fleet.On("v2")) >= servers })
		status, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.must(0, "status") // starts the next one
	}
	end := r.until(client, "ended", func(now operator.Rollout) bool { return now.Phase.Over() && now.Receipt })
	if end.Phase != segue.PhaseSucceeded || len(end.Fleet.On("v2")) != 4 {
		t.Errorf("end: %s", end.Sentence)
	}
	lossless(t, stop())
}

// TestE2EBadReleaseIsRolledBackByItself rolls to a release with 5 % errors: the first server alone gets it, and goes back.
func TestE2EBadReleaseIsRolledBackByItself(t *testing.T) {
	r := newRig(t, 4, "v1", "bad ERROR_SHARE=0.05")
	r.edit("bake: 3s", "bake: 60s")
	r.must(0, "deploy", "v1", "--yes")
	config := r.mixed(600, 0)
	config.Uploads, config.Streams, config.WebSockets = 0, 0, 0
	stop := r.traffic(config)
	out := r.must(11, "deploy", "bad", "--yes")
	if last := lastLine(out); !strings.Contains(last, "v1 runs on all 4 servers") {
		t.Errorf("last line %q does not say that v1 runs everywhere", last)
	}
	stop()
	got := r.receipt()
	if got.Outcome != segue.PhaseRolledBack {
		t.Errorf("outcome %s", got.Outcome)
	}
	for _, server := range got.Servers {
		for _, span := range server.Spans {
			if span.Release == "bad" && server.Name != "web-1" {
				t.Errorf("%s ran the bad release, too", server.Name)
			}
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
