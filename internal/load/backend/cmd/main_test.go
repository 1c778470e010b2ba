package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/load/backend"
)

// TestMain runs the program itself where the test started it as one.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_BACKEND") == "1" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// process is one running backend.
type process struct {
	command *exec.Cmd
	target  string
}

// start runs a backend and waits until it listens.
func start(t *testing.T, environment ...string) *process {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), "RUN_BACKEND=1", "PORT=0", "ADDRESS=")
	command.Env = append(command.Env, environment...)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	text, err := lines.ReadBytes('\n')
	if err != nil {
		t.Fatalf("read first log line: %v", err)
	}
	var line struct{ Address, Release, Server string }
	if err := json.Unmarshal(text, &line); err != nil || line.Address == "" {
		t.Fatalf("first log line %s: %v", text, err)
	}
	go io.Copy(io.Discard, lines)
	return &process{command: command, target: "http://" + line.Address}
}

// exit waits for the end and returns the exit code, -1 after a signal that was not caught.
func (p *process) exit() int {
	var ended *exec.ExitError
	if err := p.command.Wait(); errors.As(err, &ended) {
		return ended.ExitCode()
	}
	return 0
}

// order posts one order and returns the answer's status and headers.
func (p *process) order(t *testing.T, id string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.target+"/orders", strings.NewReader(id))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Load-Id", id)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response
}

func TestProcessesShareALedgerAndSurviveAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	one := start(t, "LEDGER="+path, "SEGUE_RELEASE=v1", "SEGUE_SERVER=web-1")
	two := start(t, "LEDGER="+path, "SEGUE_RELEASE=v2", "SEGUE_SERVER=web-2")
	if got := one.order(t, "a"); got.StatusCode != http.StatusCreated || got.Header.Get("X-Release") != "v1" {
		t.Errorf("answer %v", got)
	}
	if err := one.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := one.exit(); got != -1 {
		t.Errorf("exit code %d after a kill", got)
	}
	two.order(t, "a")
	two.order(t, "b")
	if err := two.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := two.exit(); got != 0 {
		t.Errorf("exit code %d after SIGTERM", got)
	}
	ledger, err := backend.ReadLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if ledger.Applied["a"] != 2 || ledger.Applied["b"] != 1 {
		t.Errorf("applied %v", ledger.Applied)
	}
}

func TestACrashHasItsExitCode(t *testing.T) {
	t.Parallel()
	if got := start(t, "CRASH_AFTER=50ms").exit(); got != 3 {
		t.Errorf("exit code %d, want 3", got)
	}
}
