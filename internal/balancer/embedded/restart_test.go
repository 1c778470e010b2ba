package embedded_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/balancer/embedded"
	"github.com/segue-deploy/segue/internal/load"
	"github.com/segue-deploy/segue/internal/load/backend"
	"github.com/segue-deploy/segue/internal/testenv"
)

// Two backends are restarted in turn under load: taken out of rotation first, by TERM without a word, and by kill -9. Clients never retry.

const (
	restarts = 4
	// inFlight is how many requests can be under way at one time.
	inFlight = 50
)

func TestDrainedRestartLosesNothing(t *testing.T) {
	f := newFleet(t, embedded.Health{})
	report := f.underLoad(func(i int) {
		s := f.servers[i%2]
		f.drain(s)
		s.stop(syscall.SIGTERM)
		s.start()
		f.must(f.driver.Admit(t.Context(), s.ID, 0))
	})
	f.wantNoFailures(report)
	f.wantEachOnce(report)
}

func TestUnannouncedGracefulRestartLosesNothing(t *testing.T) {
	// The backend says by its readiness that it goes, and goes on answering for a while: the least that a graceful restart is.
	f := newFleet(t, embedded.Health{Path: "/readyz", Interval: embedded.Duration(50 * time.Millisecond), Fall: 1}, "LINGER=1m")
	report := f.underLoad(func(i int) {
		s := f.servers[i%2]
		f.must(s.cmd.Process.Signal(syscall.SIGTERM))
		f.await(s, false)
		f.settle()
		s.stop(syscall.SIGKILL) // it has lingered for long enough
		s.start()
		f.await(s, true)
	})
	f.wantNoFailures(report)
	f.wantEachOnce(report)
}

// A Go server that is told to shut down drops a request that it reads at that very moment (golang/go#75591). A GET goes to another backend; a POST
// cannot, because nobody outside can know that it was not carried out.
func TestAbruptGracefulRestartLosesNoGetsAndAtMostPostsThatWereDropped(t *testing.T) {
	f := newFleet(t, embedded.Health{})
	report := f.underLoad(func(i int) {
		s := f.servers[i%2]
		s.stop(syscall.SIGTERM)
		s.start()
		f.await(s, true)
		f.settle()
	})
	if gets := report.Kinds[load.KindGet]; gets.Failed != 0 {
		t.Errorf("%d of %d GETs failed: %v", gets.Failed, gets.Requests, gets.Causes)
	}
	f.wantEachOnce(report)
	if report.Failed > restarts*inFlight || report.Orders.Unacknowledged != 0 {
		t.Errorf("%d POSTs failed, and %d of them were carried out; want a few, and none of these", report.Failed, report.Orders.Unacknowledged)
	}
}

func TestKilledBackendLosesNoGetsAndDuplicatesNoPosts(t *testing.T) {
	f := newFleet(t, embedded.Health{})
	report := f.underLoad(func(i int) {
		s := f.servers[i%2]
		s.stop(syscall.SIGKILL)
		wait(t, 300*time.Millisecond)
		s.start()
		f.await(s, true)
		f.settle() // a GET is sent a second time, and no third
	})
	if gets := report.Kinds[load.KindGet]; gets.Failed != 0 {
		snap, err := f.driver.Snapshot(t.Context())
		t.Errorf("%d of %d GETs failed: %v; by the proxy: %+v, %v", gets.Failed, gets.Requests, gets.Causes, snap.Failures, err)
	}
	f.wantEachOnce(report)
	// What may fail is what was being worked on: at most the requests in flight at each kill.
	if posts := report.Kinds[load.KindPost]; posts.Failed > restarts*inFlight {
		t.Errorf("%d of %d POSTs failed, more than can have been in flight: %v", posts.Failed, posts.Requests, posts.Causes)
	}
}

func TestKilledProxyComesBackWithTheSameRotation(t *testing.T) {
	f := newFleet(t, embedded.Health{})
	f.drain(f.servers[0])
	before, err := f.driver.Address(t.Context())
	f.must(err)
	f.process.kill()
	snap, err := f.driver.Snapshot(t.Context()) // starts it again
	f.must(err)
	after, err := f.driver.Address(t.Context())
	f.must(err)
	if before != after {
		t.Errorf("address was %s and is %s", before, after)
	}
	if got := snap.Backends[0].Rotation; got != segue.RotationDraining {
		t.Errorf("drained backend is %q after the proxy came back", got)
	}
	answer, err := http.Get("http://" + after + "/") //nolint:noctx // a test's only request
	f.must(err)
	_ = answer.Body.Close()
	if got := answer.Header.Get("X-Server"); got != "web-2" {
		t.Errorf("request went to %q, want web-2", got)
	}
	http.DefaultClient.CloseIdleConnections()
}

// fleet is a proxy process with two backend processes.
type fleet struct {
	t       *testing.T
	process *process
	driver  *embedded.Driver
	ledger  string
	// settle waits until what is in flight has ended.
	settle  func()
	servers [2]*server
}

func newFleet(t *testing.T, health embedded.Health, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, process: newProcess(t), ledger: filepath.Join(t.TempDir(), "ledger")}
	f.driver = f.process.driver(embedded.Options{Health: health})
	f.must(f.driver.Configure(t.Context()))
	program := testenv.Build(t, "./internal/load/backend/cmd")
	for i := range f.servers {
		s := &server{t: t, program: program, env: append([]string{"LEDGER=" + f.ledger}, env...)}
		s.Backend = balancer.Backend{
			ID: segue.InstanceID(fmt.Sprintf("web-%d.v1.1", i+1)), Server: segue.ServerName(fmt.Sprintf("web-%d", i+1)),
			Release: "v1", Address: freeAddress(t),
		}
		s.start()
		t.Cleanup(func() { s.stop(syscall.SIGKILL) })
		f.servers[i] = s
		f.must(f.driver.Add(t.Context(), s.Backend))
		f.must(f.driver.Admit(t.Context(), s.ID, 0))
	}
	return f
}

func (f *fleet) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// drain takes a server out: out of rotation, nothing in flight, no idle connection.
func (f *fleet) drain(s *server) {
	f.t.Helper()
	f.must(f.driver.Drain(f.t.Context(), s.ID))
	until(f.t, "nothing is in flight on "+string(s.ID), func() bool {
		n, err := f.driver.InFlight(f.t.Context(), s.ID)
		f.must(err)
		return n.Requests == 0 && n.Long == 0
	})
	f.must(f.driver.Settle(f.t.Context(), s.ID))
}

// await waits until the proxy takes a server for healthy, or no longer does.
func (f *fleet) await(s *server, healthy bool) {
	f.t.Helper()
	until(f.t, fmt.Sprintf("%s is healthy: %t", s.ID, healthy), func() bool {
		snap, err := f.driver.Snapshot(f.t.Context())
		f.must(err)
		for _, b := range snap.Backends {
			if b.ID == s.ID {
				return b.Healthy == healthy
			}
		}
		return false
	})
}

// underLoad sends GETs and POSTs while a step is taken several times.
func (f *fleet) underLoad(step func(i int)) *load.Report {
	f.t.Helper()
	address, err := f.driver.Address(f.t.Context())
	f.must(err)
	generator, err := load.New(load.Config{
		Target: "http://" + address, Gets: 300, Posts: 300, PostBytes: 1024, Connections: 32, ClosedAt: inFlight, Timeout: 20 * time.Second,
	})
	f.must(err)
	f.settle = generator.Settle
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	reports := make(chan *load.Report, 1)
	go func() { reports <- generator.Run(ctx) }()
	wait(f.t, 300*time.Millisecond)
	for i := range restarts {
		step(i)
		wait(f.t, 300*time.Millisecond)
	}
	cancel()
	report := <-reports
	ledger, err := backend.ReadLedger(f.ledger)
	f.must(err)
	report.Reconcile(ledger.Applied)
	f.t.Logf("\n%s", report)
	return report
}

func (f *fleet) wantNoFailures(r *load.Report) {
	f.t.Helper()
	if r.Failed != 0 || r.Requests < 500 {
		f.t.Errorf("%d of %d requests failed: %v; first: %+v", r.Failed, r.Requests, r.Causes, r.Failures[:min(3, len(r.Failures))])
	}
}

func (f *fleet) wantEachOnce(r *load.Report) {
	f.t.Helper()
	if len(r.Orders.Lost) != 0 || len(r.Orders.Twice) != 0 {
		f.t.Errorf("POSTs lost: %v, applied twice: %v", r.Orders.Lost, r.Orders.Twice)
	}
}

// server is a backend process that can be restarted on its address.
type server struct {
	balancer.Backend
	t       *testing.T
	program string
	env     []string
	cmd     *exec.Cmd
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, "--listen", s.Address) //nolint:noctx // ended by stop
	s.cmd.Env = append(os.Environ(), "SERVER="+string(s.Server), "RELEASE=v1", "SERVICE_TIME=5ms")
	s.cmd.Env = append(s.cmd.Env, s.env...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	until(s.t, string(s.Server)+" is ready", func() bool {
		conn, err := net.DialTimeout("tcp", s.Address, time.Second) //nolint:noctx // short
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func (s *server) stop(signal os.Signal) {
	s.t.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	_ = s.cmd.Wait()
	s.cmd = nil
}

// freeAddress gives a loopback address that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// wait lets real load run for a time.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// until waits for a condition that another process brings about.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}
