package shim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
)

// keeper is the one goroutine that starts, restarts and ends the command. All others only read its board and give the stop order.
type keeper struct {
	dir    string
	spec   Spec
	output *output
	log    *slog.Logger
	board  *board

	orderOnce sync.Once
	ordered   chan struct{} // closed by the stop order

	record record // owned by keep
}

func newKeeper(dir string, spec Spec, out *output, logger *slog.Logger) *keeper {
	self, err := ReadStat(os.Getpid())
	if err != nil {
		logger.Error("own process cannot be read", "error", err)
	}
	return &keeper{
		dir: dir, spec: spec, output: out, log: logger, ordered: make(chan struct{}),
		board: newBoard(State{
			Cursor: Cursor{Epoch: rand.Text()}, Keeper: os.Getpid(), KeeperStart: self.Start, Phase: segue.InstanceStarting, Since: time.Now(),
		}),
	}
}

// order gives the stop order; again is once.
func (k *keeper) order() { k.orderOnce.Do(func() { close(k.ordered) }) }

// keep holds the instance until it has been stopped.
func (k *keeper) keep(ctx context.Context) {
	c := k.begin(ctx)
	for c != nil {
		watching, cancel := context.WithCancel(ctx)
		var watch sync.WaitGroup
		watch.Go(func() {
			if err := c.watch(watching); err != nil && watching.Err() == nil {
				k.log.ErrorContext(ctx, "command cannot be watched", "error", err)
			}
		})
		c = k.attend(ctx, c)
		cancel()
		watch.Wait()
	}
	<-k.ordered // a command that could not be started is reported until somebody has taken note
	k.output.drain()
	k.board.post(func(s *State) { s.Phase, s.PID, s.DroppedBytes = segue.InstanceExited, 0, k.output.droppedBytes() })
}

// attend waits for the command's end, or ends it when told to. It gives the command that runs then, nil after a stop order.
func (k *keeper) attend(ctx context.Context, c *child) *child {
	well := time.NewTimer(k.well() - time.Since(c.startedAt))
	defer well.Stop()
	for {
		select {
		case <-k.ordered:
			k.end(ctx, c)
			return nil
		case <-well.C:
			k.record.Crashes = 0
			k.save(ctx)
			k.board.post(func(s *State) { s.Crashes = 0 })
			continue
		case <-c.ended:
		}
		select {
		case <-k.ordered: // both at once: an end that was wanted is no crash
			k.end(ctx, c)
			return nil
		default:
			return k.restart(ctx, k.reap(ctx, c))
		}
	}
}

// begin gets hold of the command: the one that an earlier shim left, or a new one. nil when it could not be started, or was told to stop.
func (k *keeper) begin(ctx context.Context) *child {
	r, found, err := readRecord(k.dir)
	if err != nil {
		k.log.ErrorContext(ctx, "record cannot be read", "error", err)
	}
	k.record = r
	if !found {
		return k.first(ctx)
	}
	if r.Stopping {
		k.order()
	}
	k.board.post(func(s *State) { s.Restarts, s.Crashes, s.LastExit = r.Restarts, r.Crashes, r.LastExit })
	if c, ok := adopt(k.dir, r); ok {
		k.log.InfoContext(ctx, "command adopted", "pid", c.pid)
		k.running(ctx, c)
		return c
	}
	// It ended while nobody held it. What it left behind must not keep its address.
	exit := Exit{At: time.Now(), Code: -1, Problem: "ended while its shim was away"}
	if r.PID > 0 && r.Boot == bootID() {
		if err := (group{id: r.PID, session: r.Session}).kill(ctx); err != nil {
			k.log.ErrorContext(ctx, "rest of the command cannot be ended", "error", err)
		}
	}
	if r.PID == 0 && r.LastExit != nil {
		exit = *r.LastExit // it was in back-off
	}
	return k.restart(ctx, exit)
}

// first starts the command for the first time. What cannot be started at all is refused and not tried again.
func (k *keeper) first(ctx context.Context) *child {
	if portTaken(k.spec.Address) {
		k.refuse(ctx, &Refusal{Kind: segue.KindConflict, PortTaken: true, Message: "another process listens on " + k.spec.Address})
		return nil
	}
	c, err := k.launch(ctx)
	if err != nil {
		k.refuse(ctx, refusalOf(k.spec, err))
		return nil
	}
	return c
}

func (k *keeper) refuse(ctx context.Context, refusal *Refusal) {
	k.log.WarnContext(ctx, "command refused", "reason", refusal.Message)
	k.board.post(func(s *State) { s.Phase, s.Refusal = segue.InstanceExited, refusal })
}

// launch starts the command and notes it, before and after, so that the next shim finds it whenever this one is killed.
func (k *keeper) launch(ctx context.Context) (*child, error) {
	k.record.Boot, k.record.PID, k.record.Start = bootID(), 0, 0
	k.save(ctx)
	c, err := launch(k.spec, filepath.Join(k.dir, spoolFile))
	if err != nil {
		return nil, err
	}
	k.running(ctx, c)
	return c, nil
}

// running notes and posts a command that runs.
func (k *keeper) running(ctx context.Context, c *child) {
	r := &k.record
	r.PID, r.Start, r.StartedAt, r.Session, r.Boot = c.pid, c.start, c.startedAt, c.group.session, bootID()
	k.save(ctx)
	k.board.post(func(s *State) { s.Phase, s.PID, s.StartedAt = segue.InstanceRunning, c.pid, c.startedAt })
}

// save leaves a record for the next shim. Without room on the disk the command is kept all the same: the next shim then finds it by
// its environment.
func (k *keeper) save(ctx context.Context) {
	if err := statefile.WriteVolatile(filepath.Join(k.dir, recordFile), k.record); err != nil {
		k.log.ErrorContext(ctx, "record cannot be written", "error", err)
	}
}

// reap says how the command ended, once nothing is left of it.
func (k *keeper) reap(ctx context.Context, c *child) Exit {
	exit, err := c.reap(ctx)
	if err != nil {
		k.log.ErrorContext(ctx, "rest of the command cannot be ended", "error", err)
	}
	return exit
}

// well is how long a command runs before its next crash counts as a first one again.
func (k *keeper) well() time.Duration { return max(10*time.Second, k.spec.BackOffMax) }

// restart waits out the back-off after a crash and starts the command again, as often as needed. nil when told to stop meanwhile.
func (k *keeper) restart(ctx context.Context, exit Exit) *child {
	for {
		last := exit // readers of the board keep it
		k.record.PID, k.record.Start = 0, 0
		k.record.Crashes++
		k.record.LastExit = &last
		k.save(ctx)
		// Whoever reads of the crash finds its last lines in the log.
		k.output.drain()
		k.output.reset()
		wait := BackOff(k.spec.BackOffMin, k.spec.BackOffMax, k.record.Crashes)
		k.log.WarnContext(ctx, "command ended by itself", "exit", exit.String(), "crashes", k.record.Crashes, "retry_in", wait)
		k.board.post(func(s *State) {
			s.Phase, s.PID, s.LastExit, s.Crashes = segue.InstanceBackOff, 0, &last, k.record.Crashes
			s.DroppedBytes = k.output.droppedBytes()
		})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-k.ordered:
			timer.Stop()
			return nil
		}
		k.record.Restarts++
		k.board.post(func(s *State) { s.Restarts = k.record.Restarts })
		if portTaken(k.spec.Address) {
			exit = Exit{At: time.Now(), Code: -1, Problem: "not started: another process listens on its address " + k.spec.Address}
			continue
		}
		c, err := k.launch(ctx)
		if err == nil {
			return c
		}
		exit = Exit{At: time.Now(), Code: -1, Problem: err.Error()}
	}
}

// BackOff is the wait after so many crashes in a row: low, doubled with each crash after the first, at most high.
func BackOff(low, high time.Duration, crashes int) time.Duration {
	wait := low
	for range min(crashes-1, 62) {
		wait = min(2*wait, high)
	}
	return min(wait, high)
}

// end carries out the stop order: the quiet signal, TERM, KILL; it returns when no process of the group is left.
func (k *keeper) end(ctx context.Context, c *child) {
	k.record.Stopping = true
	k.save(ctx)
	k.board.post(func(s *State) { s.Phase = segue.InstanceStopping })
	if err := k.endSoftly(ctx, c); err != nil {
		k.log.WarnContext(ctx, "command did not end by itself", "reason", err.Error())
	}
	// KILL cannot be refused, so that this ends; a process that hangs in the kernel is waited for.
	if err := c.signal(unix.SIGKILL); err != nil {
		k.log.ErrorContext(ctx, "command cannot be ended", "error", err)
	}
	<-c.ended
	exit, err := c.reap(ctx)
	if err != nil {
		k.log.ErrorContext(ctx, "rest of the command cannot be ended", "error", err)
	}
	k.record.PID, k.record.LastExit = 0, &exit
	k.save(ctx)
	k.board.post(func(s *State) { s.LastExit = &exit })
}

// endSoftly asks the command to end and gives an error when it does not within its time.
func (k *keeper) endSoftly(ctx context.Context, c *child) error {
	if k.spec.Quiet != "" {
		number, err := ParseSignal(k.spec.Quiet)
		if err != nil {
			return err
		}
		// To the command alone: what quiet means to its own children is its own affair.
		if err := signalProcess(Stat{PID: c.pid, Start: c.start}, number); err != nil {
			return err
		}
		timer := time.NewTimer(k.spec.QuietWait)
		defer timer.Stop()
		select {
		case <-c.ended:
		case <-timer.C:
			k.log.InfoContext(ctx, "command still works after the quiet signal", "waited", k.spec.QuietWait)
		}
	}
	number, err := ParseSignal(k.spec.Term)
	if err != nil {
		return err
	}
	if err := c.signal(number); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, k.spec.Grace, fmt.Errorf("it was still there %v after %s", k.spec.Grace, k.spec.Term))
	defer cancel()
	select {
	case <-c.ended:
	case <-bounded.Done():
		return context.Cause(bounded)
	}
	if _, err := c.wait(); err != nil {
		return err
	}
	return c.group.awaitGone(bounded)
}

// portTaken says whether somebody listens on the address: the command could not, or worse, somebody else would answer in its name.
func portTaken(address string) bool {
	if address == "" {
		return false
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // binds at once or not at all
	if err != nil {
		return errors.Is(err, unix.EADDRINUSE)
	}
	_ = listener.Close()
	return false
}
