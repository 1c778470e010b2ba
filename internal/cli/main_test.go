package cli_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/cli"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/spec"
)

// TestMain makes the test program stand in for segue in the scripts: with a controller that a script has started, and never with one of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"segue": func() { os.Exit(segueCommand()) }}) //nolint:forbidigo // it is the main of the scripts' program
}

func segueCommand() int {
	connect := func(ctx context.Context, state string) (api.Controller, func(), error) {
		client := api.NewUnixClient(filepath.Join(state, "segue.sock"))
		if _, err := client.Status(ctx); err != nil {
			client.Close()
			return nil, nil, err
		}
		return client, client.Close, nil
	}
	return cli.Run(context.Background(), os.Args[1:], cli.Dependencies{
		Stdio:   cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr},
		Connect: connect, Running: connect, Getenv: os.Getenv, LookupEnv: os.LookupEnv,
		Now: func() time.Time { return dawn().Add(5 * time.Minute) },
		Panel: func(*spec.Project, spec.Service) (func() []judge.Judge, error) {
			return func() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }, nil
		},
		Demo: func(_ context.Context, o cli.DemoOptions) error {
			_, err := o.Out.Write([]byte("a demonstration\n"))
			return err
		},
	})
}

// TestScripts runs the scenarios in testdata/script: a real command line against a real socket.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), UpdateScripts: *cli.Update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("USER", "ana")
			// The race detector waits a second at every exit otherwise; a script has dozens.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"controller": startController, "exits": exits, "story": story},
	})
}

// startController begins a world behind the socket of the state directory .segue, or the one named.
func startController(ts *testscript.TestScript, _ bool, args []string) {
	state := ".segue"
	if len(args) > 0 {
		state = args[0]
	}
	folder := ts.MkAbs(state)
	ts.Check(os.MkdirAll(folder, 0o700))
	listener, err := api.ListenUnix(filepath.Join(folder, "segue.sock"))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- listener.Run(ctx, api.NewServer(newWorld(false), ""), slog.New(slog.DiscardHandler)) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
}

// exits runs a command that has to end with an exit code: exits CODE PROGRAM ARGUMENT...
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// story writes the last command's output without the receipts in it, which have tests of their own: story FILE.
func story(ts *testscript.TestScript, _ bool, args []string) {
	var out strings.Builder
	inReceipt := false
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		inReceipt = inReceipt && !strings.HasPrefix(line, "web: ") || strings.Contains(line, " done in ") || strings.Contains(line, "rolled back after")
		if !inReceipt {
			out.WriteString(line)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out.String()), 0o600))
}
