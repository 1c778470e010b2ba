package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/load"
)

// TestE2EBreakingReleaseGoesAllAtOnce: a rolling plan refuses a breaking release, all-at-once carries it behind a maintenance page.
func TestE2EBreakingReleaseGoesAllAtOnce(t *testing.T) {
	r := newRig(t, 2, "v1", "v2 BOOT_TIME=500ms")
	r.must(0, "deploy", "v1", "--yes")
	r.edit("    balancer:", "    releases: {v2: {breaking: true}}\n    balancer:")
	if out := r.must(12, "deploy", "v2", "--yes"); !strings.Contains(out, "all-at-once") {
		t.Errorf("no word about all-at-once:\n%s", out)
	}
	r.edit("kind: rolling, batches: [1, 50%, 100%]", "kind: all-at-once")
	seen := make(chan http.Header, 1)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/", http.NoBody)
			if err != nil {
				continue
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				continue
			}
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusServiceUnavailable {
				select {
				case seen <- answer.Header:
				default:
				}
			}
		}
	}()
	r.must(0, "deploy", "v2", "--yes")
	close(stop)
	<-done
	http.DefaultClient.CloseIdleConnections()
	select {
	case header := <-seen:
		if header.Get("Retry-After") == "" {
			t.Errorf("maintenance page without Retry-After: %v", header)
		}
	default:
		t.Error("nobody saw the maintenance page")
	}
	if got := r.receipt(); got.Outcome != segue.PhaseSucceeded {
		t.Errorf("outcome %s", got.Outcome)
	}
}

// TestE2ESurgeNeverTakesAServerOut starts the new instance beside the old one: all servers stay in rotation.
func TestE2ESurgeNeverTakesAServerOut(t *testing.T) {
	r := newRig(t, 2, "v1", "v2")
	r.edit("bake: 3s", "bake: 1s, surge: true")
	r.must(0, "deploy", "v1", "--yes")
	config := r.mixed(200, 20)
	config.Uploads, config.Streams, config.WebSockets = 0, 0, 0
	stop := r.traffic(config)
	out := r.must(0, "plan", "v2")
	if !strings.Contains(out, "never fewer than 2 ready") {
		t.Errorf("the plan does not keep both in rotation:\n%s", out)
	}
	r.must(0, "deploy", "v2", "--yes")
	lossless(t, stop())
}

// TestE2EWorkersAndUnchangedServices: a worker without an address is rolled too; a service whose release did not change is left alone, and the plan says so.
func TestE2EWorkersAndUnchangedServices(t *testing.T) {
	r := newRig(t, 1, "v1")
	for _, release := range []string{"w1", "w2"} {
		folder := filepath.Join(r.dir, "jobs", release)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		r.write(filepath.Join("jobs", release, "work.sh"), "# "+release+"\ntrap 'exit 0' USR1 TERM\nwhile :; do sleep 0.05; done\n")
	}
	r.edit("services:\n", `services:
  worker:
    workload:
      driver: process
      servers: 2
      worker: true
      artifact: ./jobs/{release}
      command: [/bin/sh, "{artifact}/work.sh"]
      stop: {quiet: USR1, quiet_wait: 5s}
    strategy: {bake: 1s}
`)
	r.must(0, "deploy", "web=v1", "worker=w1", "--yes")
	out := r.must(0, "deploy", "web=v1", "worker=w2", "--yes")
	if !strings.Contains(out, "nothing to do") {
		t.Errorf("no word about web being left alone:\n%s", out)
	}
	status := r.must(0, "status")
	if !strings.Contains(status, "w2") || strings.Contains(status, "w1  ") {
		t.Errorf("status:\n%s", status)
	}
}

// TestE2EParallelFindsABadReleaseBeforeAnybodyDoes copies requests to the candidate before it has traffic: a good one goes on and gets it, a bad one is
// given up, and no user has seen an answer of it.
func TestE2EParallelFindsABadReleaseBeforeAnybodyDoes(t *testing.T) {
	r := newRig(t, 4, "v1", "v2", "bad ERROR_SHARE=0.5")
	r.edit("strategy: {kind: rolling, batches: [1, 50%, 100%], bake: 3s}",
		"strategy: {kind: parallel, mirror: {share: 100%, for: 6s}, batches: [1, 100%], bake: 2s}\n    judges: {warm: 1s}")
	r.must(0, "deploy", "v1", "--yes")
	stop := r.traffic(load.Config{Target: "http://" + r.address, Gets: 200, Connections: 16})
	out := r.must(0, "deploy", "v2", "--yes")
	if !strings.Contains(out, "mirror") {
		t.Errorf("nothing is told of the mirror:\n%s", out)
	}
	r.must(11, "deploy", "bad", "--yes")
	report := stop()
	lossless(t, report)
	got := r.receipt()
	found := false
	for _, verdict := range got.Verdicts {
		for _, f := range verdict.Findings {
			found = found || f.Judge == "responses" && f.Ruling == segue.RulingFail
		}
	}
	if !found {
		t.Errorf("the answers did not give it away: %+v", got.Verdicts)
	}
	if replay := r.must(0, "why", "--replay"); !strings.Contains(replay, "figure by figure") {
		t.Errorf("judged again, another verdict comes out:\n%s", replay)
	}
	if diff := r.must(0, "logs", "--diff", "--json"); !strings.HasPrefix(strings.TrimSpace(diff), "[") {
		t.Errorf("logs --diff: %s", diff)
	}
}
