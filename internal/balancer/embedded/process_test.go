package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/segue-deploy/segue/internal/balancer/embedded"
	"github.com/segue-deploy/segue/internal/proxy"
)

// childFolder names the variable that makes this test program a proxy process on a state folder.
const childFolder = "SEGUE_TEST_PROXY"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		os.Exit(child(folder)) //nolint:forbidigo // a process of its own
	}
	goleak.VerifyTestMain(m)
}

// child is `segue proxy` in small.
func child(folder string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := proxy.Run(ctx, proxy.Options{
		StateDir: folder, Grace: 50 * time.Millisecond, Limit: time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Ready:  func() { fmt.Println("ready") },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a proxy process of its own, which can be killed.
type process struct {
	t      *testing.T
	folder string
	cmd    *exec.Cmd
	over   chan error
	starts int
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, folder: t.TempDir()}
	t.Cleanup(func() {
		if p.cmd != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
			if err := <-p.over; err != nil {
				t.Errorf("proxy process: %v", err)
			}
		}
	})
	return p
}

// start is what a driver is given to start a proxy with.
func (p *process) start(context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(program) //nolint:noctx // it outlives the call
	p.cmd.Env = append(os.Environ(), childFolder+"="+p.folder)
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.starts++
	p.over = make(chan error, 1)
	line, _ := bufio.NewReader(out).ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.over <- p.cmd.Wait()
	}()
	if line != "ready\n" {
		text, _ := os.ReadFile(log.Name())
		return errors.New("proxy did not get ready: " + string(text))
	}
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.over
	p.cmd = nil
}

// driver makes a driver for the service "web" of this process.
func (p *process) driver(o embedded.Options) *embedded.Driver {
	p.t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	d, err := embedded.New(embedded.Config{Service: "web", Options: o, Socket: proxy.SocketPath(p.folder), Start: p.start})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = d.Close() })
	return d
}
