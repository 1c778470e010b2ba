package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/cli"
)

// terminal is somebody who sits before a command that runs, in a world that goes on by a virtual clock.
type terminal struct {
	t          *testing.T
	world      *world
	out        *output
	keys       *io.PipeWriter
	interrupts chan os.Signal
	cancel     context.CancelFunc
	code       chan int
	project    string
	noTerminal bool
}

// output is a buffer that may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

const shop = `project: shop
services:
  web:
    workload:
      driver: process
      servers: 3
      artifact: ./releases/{release}
      command: ["{artifact}/shop", --listen, "{address}"]
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
    strategy: {kind: rolling, batches: [1, 100%], bake: 10s}
`

// sit runs a test in a bubble with a virtual clock, in a world that has v1 already.
func sit(t *testing.T, body func(*terminal)) {
	t.Helper()
	sitBefore(t, shop, body)
}

// sitBefore is sit with a project of one's own.
func sitBefore(t *testing.T, yaml string, body func(*terminal)) {
	t.Helper()
	project := filepath.Join(t.TempDir(), "segue.yaml")
	if err := os.WriteFile(project, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		term := &terminal{t: t, world: newWorld(true), project: project}
		var world sync.WaitGroup
		world.Go(func() { term.world.run(ctx) })
		term.start("deploy", "v1", "--yes")
		term.ends(0)
		body(term)
		cancel()
		world.Wait()
	})
}

// start begins a command.
func (term *terminal) start(args ...string) {
	term.t.Helper()
	in, keys := io.Pipe()
	ctx, cancel := context.WithCancel(term.t.Context())
	term.out, term.keys, term.cancel = &output{}, keys, cancel
	term.interrupts, term.code = make(chan os.Signal, 2), make(chan int, 1)
	connect := func(ctx context.Context, _ string) (api.Controller, func(), error) {
		_, err := term.world.Status(ctx)
		return term.world, func() {}, err
	}
	out, interrupts := term.out, term.interrupts
	d := cli.Dependencies{
		Stdio: cli.Stdio{In: in, Out: out, Err: out}, Connect: connect, Running: connect,
		Getenv:     func(name string) string { return map[string]string{"USER": "ana", "NO_COLOR": "1"}[name] },
		IsTerminal: func(any) bool { return !term.noTerminal }, TerminalSize: func(any) (int, int) { return 80, 40 },
		Interrupts: func() (<-chan os.Signal, func()) { return interrupts, func() {} },
	}
	go func() { term.code <- cli.Run(ctx, append(args, "-f", term.project), d) }()
}

// types writes a line.
func (term *terminal) types(line string) {
	synctest.Wait()
	if _, err := io.WriteString(term.keys, line+"\n"); err != nil {
		term.t.Fatal(err)
	}
	synctest.Wait()
}

// presses is Ctrl-C.
func (term *terminal) presses() {
	synctest.Wait()
	term.interrupts <- os.Interrupt
	synctest.Wait()
}

// ends waits for the command's end and checks its exit code.
func (term *terminal) ends(want int) {
	term.t.Helper()
	got := <-term.code
	term.cancel()
	_ = term.keys.Close()
	synctest.Wait()
	if got != want {
		term.t.Fatalf("exit code %d, want %d; output:\n%s", got, want, term.screen())
	}
}

// shows waits, bounded in virtual time by the test's own end, until the screen has a text.
func (term *terminal) shows(text string) {
	term.t.Helper()
	for range 6000 {
		synctest.Wait()
		if strings.Contains(term.screen(), text) {
			return
		}
		term.tick()
	}
	term.t.Fatalf("never showed %q:\n%s", text, term.screen())
}

func (term *terminal) open() *api.Rollout {
	status, err := term.world.Status(term.t.Context())
	if err != nil {
		term.t.Fatal(err)
	}
	return status.Services[0].Rollout
}

func (term *terminal) phase() segue.Phase {
	if r := term.open(); r != nil {
		return r.Phase
	}
	return ""
}

// screen is what the terminal shows in the end: rewriting is carried out.
func (term *terminal) screen() string { return screenOf(term.out.String()) }

func screenOf(text string) string {
	var lines []string
	row := 0
	up := regexp.MustCompile(`^\x1b\[(\d+)A`)
	mode := regexp.MustCompile(`^\x1b\[\?\d+[hl]`)
	put := func(s string) {
		for len(lines) <= row {
			lines = append(lines, "")
		}
		lines[row] += s
	}
	for text != "" {
		switch {
		case up.MatchString(text):
			n, _ := strconv.Atoi(up.FindStringSubmatch(text)[1])
			row = max(0, row-n)
			// Whatever is drawn there begins at the left, and erases the rest.
			if row < len(lines) {
				lines[row] = ""
			}
			text = text[len(up.FindString(text)):]
		case strings.HasPrefix(text, "\x1b[K"):
			text = text[3:]
		case strings.HasPrefix(text, "\x1b[J"):
			lines = lines[:min(row, len(lines))]
			text = text[3:]
		case mode.MatchString(text):
			text = text[len(mode.FindString(text)):]
		case text[0] == '\n':
			put("")
			row++
			if row < len(lines) {
				lines[row] = ""
			}
			text = text[1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			end := strings.IndexAny(text, "\x1b\r\n")
			if end == 0 {
				// A sequence that nobody expects: it shows.
				end = 1
			}
			if end < 0 {
				end = len(text)
			}
			put(text[:end])
			text = text[end:]
		}
	}
	return strings.Join(lines, "\n")
}
