package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/load/backend"
)

// The load of the failure table: half GETs, half POSTs of 1 KiB, over 32 keep-alive connections, 5 ms of work each.
const (
	failureRate        = 1000 // of each kind, per second
	failureConnections = 32
	failureWork        = "5ms"
	failureGap         = 700 * time.Millisecond
)

// scenario is a way in which a backend is restarted.
type scenario string

const (
	// drained tells the balancer first, waits for what is in flight, and puts it back when it is ready.
	drained scenario = "drained"
	// terminated sends TERM and starts it again, without a word to the balancer.
	terminated scenario = "sigterm"
	// killed is kill -9, and a start one second later.
	killed scenario = "kill9"
)

// rotation tells a balancer to take a backend out, and to put it back. nil where the balancer cannot be told without a reload.
type rotation interface {
	drain(ctx context.Context, server int) error
	admit(ctx context.Context, server int) error
}

// Failures restarts backends under load behind the embedded balancer, and behind HAProxy and nginx where they are installed, and counts what clients
// lost and what was done twice.
func Failures(ctx context.Context, t *Table, programs Programs, restarts int) error {
	for _, c := range []struct {
		name  string
		start func(context.Context, *field) (*Contestant, rotation, error)
	}{{"segue", fieldSegue}, {"haproxy", fieldHAProxy}, {"nginx", fieldNginx}} {
		for _, s := range []scenario{drained, terminated, killed} {
			cell := failureCell{name: c.name, scenario: s, restarts: restarts, start: c.start}
			if err := cell.measure(ctx, t, programs); err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, s, err)
			}
		}
	}
	return nil
}

// failureCell is one row of the table.
type failureCell struct {
	name     string
	scenario scenario
	restarts int
	start    func(context.Context, *field) (*Contestant, rotation, error)
}

func (c failureCell) measure(ctx context.Context, t *Table, programs Programs) error {
	f, err := newField(ctx, programs)
	if err != nil {
		return err
	}
	defer f.close()
	balancer, turn, err := c.start(ctx, f)
	if err != nil || balancer == nil {
		return err
	}
	defer balancer.stop()
	if c.scenario == drained && turn == nil {
		return nil
	}
	report, err := f.underLoad(ctx, balancer.Address, func() error {
		for i := range c.restarts {
			if err := f.restart(ctx, c.scenario, i%len(f.servers), turn); err != nil {
				return err
			}
			if err := pause(ctx, failureGap); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	gets, posts := report.Kinds[load.KindGet], report.Kinds[load.KindPost]
	t.Say("%-8s %-8s %d restarts, %6d requests: failed GET %d, failed POST %d, POSTs twice %d, lost %d, longest %.0f ms", c.name, c.scenario, c.restarts,
		report.Requests, gets.Failed, posts.Failed, len(report.Orders.Twice), len(report.Orders.Lost), max(gets.MaxMS, posts.MaxMS))
	label := fmt.Sprintf("failures.%s.%s.", c.scenario, c.name)
	versus := fmt.Sprintf("%d restarts, %d requests", c.restarts, report.Requests)
	t.Add(label+"get", float64(gets.Failed), "failed GETs", versus)
	t.Add(label+"post", float64(posts.Failed), "failed POSTs", versus)
	t.Add(label+"twice", float64(len(report.Orders.Twice)), "POSTs done twice", versus)
	return nil
}

// field is two backends with a ledger, and a folder for whoever balances them.
type field struct {
	dir      string
	programs Programs
	servers  []*server
}

// server is a backend that keeps its address.
type server struct {
	address string
	command *exec.Cmd
}

func newField(ctx context.Context, programs Programs) (*field, error) {
	dir, err := os.MkdirTemp("", "segue-bench-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	f := &field{dir: dir, programs: programs}
	for range 2 {
		address, err := freeAddress(ctx)
		if err != nil {
			return nil, err
		}
		f.servers = append(f.servers, &server{address: address})
		if err := f.start(ctx, len(f.servers)-1); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *field) ledger() string { return filepath.Join(f.dir, "ledger.txt") }

func (f *field) close() {
	for _, s := range f.servers {
		if s.command != nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
	}
	_ = os.RemoveAll(f.dir)
}

// start brings a server up and waits until it is ready.
func (f *field) start(ctx context.Context, i int) error {
	s := f.servers[i]
	s.command = exec.CommandContext(ctx, f.programs.Backend, "--listen", s.address)
	s.command.Env = append(os.Environ(), "SERVICE_TIME="+failureWork, "LEDGER="+f.ledger(), fmt.Sprintf("SERVER=s%d", i+1), "RELEASE=v1")
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return fmt.Errorf("start backend: %w", err)
	}
	return awaitReady(ctx, "http://"+s.address+"/readyz")
}

// restart ends a server the scenario's way and brings it back.
func (f *field) restart(ctx context.Context, s scenario, i int, turn rotation) error {
	if s == drained {
		if err := turn.drain(ctx, i); err != nil {
			return err
		}
	}
	signal := syscall.SIGTERM
	if s == killed {
		signal = syscall.SIGKILL
	}
	if err := f.servers[i].command.Process.Signal(signal); err != nil {
		return fmt.Errorf("signal backend: %w", err)
	}
	_ = f.servers[i].command.Wait()
	if s == killed {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := f.start(ctx, i); err != nil {
		return err
	}
	if s == drained {
		return turn.admit(ctx, i)
	}
	return nil
}

// underLoad sends the load while work goes on, and accounts for it.
func (f *field) underLoad(ctx context.Context, address string, work func() error) (*load.Report, error) {
	generator, err := load.New(load.Config{
		Target: "http://" + address, Gets: failureRate, Posts: failureRate, PostBytes: 1024,
		Connections: failureConnections, Timeout: 5 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan *load.Report, 1)
	go func() { done <- generator.Run(sending) }()
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	worked := work()
	cancel()
	report := <-done
	if worked != nil {
		return nil, worked
	}
	kept, err := backend.ReadLedger(f.ledger())
	if err != nil {
		return nil, err
	}
	report.Reconcile(kept.Applied)
	return report, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask sends one line to a unix socket and reads the answer.
func ask(ctx context.Context, socket, line string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(text), err
}
