package app_test

import (
	"database/sql"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	_ "modernc.org/sqlite" // to doctor a journal

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/app"
	"github.com/segue-deploy/segue/internal/operator"
)

func TestE2ESecondControllerRefuses(t *testing.T) {
	r := newRig(t, 1, "v1")
	r.must(0, "status")
	code, out := r.segue("serve")
	if code != 12 || !strings.Contains(out, "another controller") {
		t.Errorf("second controller: exit code %d, want 12 and a word about the other one\n%s", code, out)
	}
}

func TestE2EBadInputIsRefusedBeforeAnythingIsTouched(t *testing.T) {
	r := newRig(t, 2, "v1")
	for _, each := range []struct {
		name    string
		release string
		before  func()
		code    int
		words   []string
	}{
		{name: "a release that does not exist", release: "v9", code: 2, words: []string{"v9"}},
		{
			name: "broken YAML and unknown keys, all at once", release: "v1", code: 2,
			before: func() { r.edit("drain: {within: 3s, spread: 1s}", "drian: {within: 6}") },
			words:  []string{"segue.yaml:", "drian", "did you mean", "drain"},
		},
		{
			name: "a port in use", release: "v1", code: 1,
			before: func() {
				r.edit("drian: {within: 6}", "drain: {within: 3s, spread: 1s}")
				listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", r.address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = listener.Close() })
			},
			words: []string{r.address, "in use"},
		},
		{
			name: "a program that is missing", release: "v2", code: 2,
			before: func() {
				if err := os.MkdirAll(filepath.Join(r.dir, "releases", "v2"), 0o755); err != nil {
					t.Fatal(err)
				}
				r.edit(r.address, freeAddress(t))
			},
			words: []string{"v2"},
		},
	} {
		if each.before != nil {
			each.before()
		}
		code, out := r.segue("deploy", each.release, "--yes")
		if code != each.code {
			t.Errorf("%s: exit code %d, want %d\n%s", each.name, code, each.code, out)
		}
		for _, word := range each.words {
			if !strings.Contains(out, word) {
				t.Errorf("%s: no %q in\n%s", each.name, word, out)
			}
		}
	}
}

func TestE2EChangedReleaseIsRefused(t *testing.T) {
	r := newRig(t, 1, "v1")
	r.must(0, "deploy", "v1", "--yes")
	r.write(filepath.Join("releases", "v1", "more.txt"), "new")
	out := r.must(12, "deploy", "v1", "--yes")
	if !strings.Contains(out, "immutable") {
		t.Errorf("no word about releases being immutable:\n%s", out)
	}
}

func TestE2EThirdReleaseIsRefusedReplacedOrQueued(t *testing.T) {
	r := newRig(t, 3, "v1", "v2", "v3", "v4")
	r.edit("bake: 3s", "bake: 1h")
	r.must(0, "deploy", "v1", "--yes")
	r.must(0, "deploy", "v2", "--yes", "--detach")
	client := r.client()
	r.until(client, "observed v2", func(now operator.Rollout) bool { return now.Phase == segue.PhaseObserving })
	if out := r.must(12, "deploy", "v3", "--yes"); !strings.Contains(out, "third release") {
		t.Errorf("no word about a third release:\n%s", out)
	}
	r.must(0, "deploy", "v3", "--yes", "--detach", "--replace")
	r.until(client, "observed v3", func(now operator.Rollout) bool {
		return now.Candidate == "v3" && now.Phase == segue.PhaseObserving
	})
	r.must(0, "deploy", "v4", "--yes", "--detach", "--queue")
	r.must(0, "promote", "--all")
	r.until(client, "observed v4", func(now operator.Rollout) bool {
		return now.Candidate == "v4" && now.Stable == "v3" && now.Phase == segue.PhaseObserving
	})
	r.must(0, "abort", "--why", "enough seen")
	end := r.until(client, "ended", func(now operator.Rollout) bool { return now.Phase.Over() })
	if end.Phase != segue.PhaseRolledBack || len(end.Fleet.On("v3")) != 3 {
		t.Errorf("end: %s", end.Sentence)
	}
}

func TestE2EServerThatNeverDrainsIsCutAtTheDeadline(t *testing.T) {
	r := newRig(t, 2, "v1 STREAM_TIME=10m", "v2")
	r.edit("within: 3s", "within: 2s")
	r.edit("STREAM_TIME: 5s", "X: y")
	r.must(0, "deploy", "v1", "--yes")
	config := r.mixed(50, 0)
	config.Uploads, config.WebSockets, config.Streams = 0, 0, 4
	stop := r.traffic(config)
	r.must(0, "deploy", "v2", "--yes")
	stop()
	if got := r.receipt(); got.Outcome != segue.PhaseSucceeded {
		t.Errorf("outcome %s", got.Outcome)
	}
}

func TestE2EKilledProxyComesBackAsItWas(t *testing.T) {
	r := newRig(t, 2, "v1")
	r.must(0, "deploy", "v1", "--yes")
	lock := filepath.Join(string(r.state), "proxy", "proxy.lock")
	text, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	client := r.client()
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range status.Services[0].Fleet.Slots {
		if slot.Rotation != segue.RotationIn {
			t.Errorf("%s is %s", slot.Server.Name, slot.Rotation)
		}
	}
	config := r.mixed(100, 20)
	config.Uploads, config.Streams, config.WebSockets = 0, 0, 0
	stop := r.traffic(config)
	r.must(0, "deploy", "v1", "--yes") // nothing to do, but it looks at everything
	lossless(t, stop())
}

func TestE2EJournalThatCannotBeReadIsNamed(t *testing.T) {
	r := newRig(t, 1, "v1")
	r.must(0, "status")
	if err := app.Teardown(t.Context(), r.state, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(string(r.state), "journal.db")
	db, err := sql.Open("sqlite", "file:"+journal+"?_pragma=busy_timeout(10000)") // the controller may be closing it still
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 9999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out := r.segue("status"); code == 0 || !strings.Contains(out, "newer") {
		t.Errorf("journal of a newer version: exit code %d\n%s", code, out)
	}
	if err := os.WriteFile(journal, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := r.segue("status"); code == 0 || !strings.Contains(out, "journal.db") {
		t.Errorf("damaged journal: exit code %d\n%s", code, out)
	}
}
