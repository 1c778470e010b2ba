package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// tracked is an instance that the driver knows: one goroutine waits for its shim's next state and posts it here.
type tracked struct {
	spec   shim.Spec
	own    own
	dir    string
	client *shim.Client

	reviving sync.Mutex // one revival at a time

	mu      sync.Mutex
	state   shim.State
	known   bool // state is set
	gone    bool // it was stopped, or its folder is gone
	ending  bool // it is being stopped: that brings the shim back itself, if need be
	fault   error
	changed chan struct{} // closed and replaced by every change
}

// read gives the present state and a channel that is closed by the next change.
func (t *tracked) read() (view, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return view{State: t.state, known: t.known, gone: t.gone, ending: t.ending, fault: t.fault}, t.changed
}

// view is a tracked instance at one moment.
type view struct {
	shim.State
	known, gone, ending bool
	fault               error // why there is no newer state
}

func (t *tracked) post(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	close(t.changed)
	t.changed = make(chan struct{})
}

// instance says it in the contract's words.
func (t *tracked) instance() segue.Instance {
	v, _ := t.read()
	return instanceOf(t.spec, v.State)
}

func instanceOf(spec shim.Spec, state shim.State) segue.Instance {
	i := segue.Instance{
		ID: spec.ID, Service: spec.Service, Server: spec.Server, Release: spec.Release, Address: spec.Address,
		State: state.Phase, PID: state.PID, Restarts: state.Restarts, StartedAt: state.StartedAt,
	}
	if i.State == "" {
		i.State = segue.InstanceStarting
	}
	if state.LastExit != nil {
		i.ExitCode, i.Error = state.LastExit.Code, state.LastExit.String()
	}
	if state.Refusal != nil {
		i.Error = state.Refusal.Message
	}
	return i
}

// track gives the instance, and begins to follow it when it is not known yet. KindNotFound for a stranger.
func (d *Driver) track(ctx context.Context, id segue.InstanceID) (*tracked, error) {
	d.mu.Lock()
	t := d.tracked[id]
	d.mu.Unlock()
	if t != nil {
		return t, nil
	}
	spec, err := d.spec(id)
	if err != nil {
		return nil, err
	}
	return d.follow(ctx, spec)
}

// follow begins to follow an instance.
func (d *Driver) follow(ctx context.Context, spec shim.Spec) (*tracked, error) {
	t := &tracked{spec: spec, dir: d.dir(spec.ID), client: shim.NewClient(d.dir(spec.ID)), changed: make(chan struct{})}
	if err := json.Unmarshal(spec.Driver, &t.own); err != nil {
		return nil, segue.Errorf(segue.KindCorrupt, "read configuration of instance %s: %w", spec.ID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.tracked[spec.ID]; known != nil {
		return known, nil
	}
	if !d.run(ctx, func(ctx context.Context) { d.attend(ctx, t) }) {
		return nil, errClosed()
	}
	d.tracked[spec.ID] = t
	return t, nil
}

// attend waits for one state after the other until the instance is over, and brings its shim back when that is gone.
func (d *Driver) attend(ctx context.Context, t *tracked) {
	for ctx.Err() == nil {
		v, changed := t.read()
		state, err := t.client.Next(ctx, v.Cursor)
		if err == nil {
			d.learn(t, state)
			continue
		}
		// The shim is gone. That is as it should be when the instance is over.
		switch now, _ := t.read(); {
		case ctx.Err() != nil, now.gone, now.known && now.Phase == segue.InstanceExited:
			return
		case now.ending:
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if state, err = d.revive(ctx, t); err == nil {
			d.learn(t, state)
			continue
		}
		if ctx.Err() != nil || d.vanished(t) {
			return
		}
		d.despair(ctx, t, err)
	}
}

// despair notes that a shim cannot be brought back, and waits until it is time for the next attempt.
func (d *Driver) despair(ctx context.Context, t *tracked, err error) {
	d.log.ErrorContext(ctx, "shim cannot be brought back", "instance", t.spec.ID, "error", err)
	t.post(func() { t.fault = err })
	select {
	case <-time.After(reviveEvery):
	case <-ctx.Done():
	}
}

// reviveEvery is the wait between attempts to bring a shim back.
const reviveEvery = 2 * time.Second

// learn takes a state in and passes it on to whoever watches.
func (d *Driver) learn(t *tracked, state shim.State) {
	t.post(func() {
		// Two may ask the shim at once; the older answer may come later.
		if state.Cursor.Epoch != t.state.Cursor.Epoch || state.Cursor.Version > t.state.Cursor.Version {
			t.state, t.known = state, true
		}
		t.fault = nil
	})
	d.publish(t.instance())
}

// vanished ends the following of an instance whose folder somebody removed.
func (d *Driver) vanished(t *tracked) bool {
	if exists(t.dir) {
		return false
	}
	d.drop(t)
	return true
}

// drop forgets an instance that is over, and tells whoever watches.
func (d *Driver) drop(t *tracked) {
	d.mu.Lock()
	known := d.tracked[t.spec.ID] == t
	if known {
		delete(d.tracked, t.spec.ID)
	}
	d.mu.Unlock()
	t.post(func() { t.gone, t.state.Phase, t.state.PID = true, segue.InstanceExited, 0 })
	if known {
		d.ports.release(t.spec.Address)
		d.publish(t.instance())
	}
}

// revive gives the instance's state, from its shim or from a new one in its place.
func (d *Driver) revive(ctx context.Context, t *tracked) (shim.State, error) {
	t.reviving.Lock()
	defer t.reviving.Unlock()
	if state, err := t.client.State(ctx); err == nil {
		return state, nil
	}
	if !exists(t.dir) {
		return shim.State{}, segue.Errorf(segue.KindNotFound, "there is no instance %s", t.spec.ID)
	}
	d.log.WarnContext(ctx, "shim is gone, another one takes over", "instance", t.spec.ID)
	return d.raise(ctx, t.dir, t.client)
}

// shimWait bounds the wait for a shim's first answer; one that is there and does not answer for shimSilence is replaced.
const (
	shimWait    = 20 * time.Second
	shimSilence = 3 * time.Second
)

// raise starts a shim and waits for its first state after starting. It does no harm where there is one already: the second ends by itself,
// and the first one answers.
func (d *Driver) raise(ctx context.Context, dir string, client *shim.Client) (shim.State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, shimWait, segue.Errorf(segue.KindUnavailable, "it does not answer within %v", shimWait))
	defer cancel()
	ended, err := d.spawn(ctx, dir)
	if err != nil {
		return shim.State{}, err
	}
	begun, respawn := time.Now(), 10*time.Millisecond
	// Nothing tells when a socket begins to listen. The wait grows slowly, so that little is lost of the few ms that it takes.
	for wait := 300 * time.Microsecond; ; wait = min(wait*5/4, 50*time.Millisecond) {
		if state, err := client.First(ctx); err == nil {
			return state, nil
		}
		select {
		case <-time.After(wait):
			continue
		case <-ended:
			// The one before it was on its last breath and held the lock, or it could not begin at all.
		case <-ctx.Done():
		}
		silent := time.Since(begun)
		if silent > 2*shimSilence {
			return shim.State{}, segue.Errorf(segue.KindUnavailable, "start shim in %s: it ends at once; its last words: %s", dir, lastWords(dir))
		}
		if silent > shimSilence {
			// One holds the instance and does not answer: it hangs, or its socket was removed. Its command goes on without it.
			d.killSilent(ctx, dir)
		}
		select {
		case <-time.After(respawn):
			respawn = min(2*respawn, 500*time.Millisecond)
		case <-ctx.Done():
			return shim.State{}, segue.Errorf(segue.KindUnavailable, "start shim in %s: %w; its last words: %s", dir, context.Cause(ctx), lastWords(dir))
		}
		if ended, err = d.spawn(ctx, dir); err != nil {
			return shim.State{}, err
		}
	}
}

// killSilent ends the shims of an instance by force, and nothing else of it.
func (d *Driver) killSilent(ctx context.Context, dir string) {
	all, err := shim.Processes()
	if err != nil {
		d.log.WarnContext(ctx, "processes cannot be listed", "error", err)
		return
	}
	for _, stat := range all {
		if id, ok := d.shimOf(stat.PID); !ok || d.dir(id) != dir {
			continue
		}
		d.log.WarnContext(ctx, "shim does not answer and is replaced", "instance", filepath.Base(dir), "pid", stat.PID)
		if err := shim.Kill(ctx, stat); err != nil {
			d.log.WarnContext(ctx, "shim cannot be ended", "pid", stat.PID, "error", err)
		}
	}
}

func shimLog(dir string) string { return filepath.Join(dir, "shim.log") }

// lastWords gives the last line that shims of an instance wrote about themselves.
func lastWords(dir string) string {
	text, err := os.ReadFile(shimLog(dir))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// spawn starts a shim's process, in a session of its own and with nothing of this process but standard error, which is a file.
// Its command line has the folder's path only: secrets are in the folder.
// The channel is closed when that process has ended.
func (d *Driver) spawn(ctx context.Context, dir string) (<-chan struct{}, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer null.Close() //nolint:errcheck // nothing was written
	words, err := os.OpenFile(shimLog(dir), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer words.Close()             //nolint:errcheck // the shim has its own descriptor
	env := []string{"GOMAXPROCS=1"} // it waits nearly all of the time
	for name, value := range inherited() {
		env = append(env, name+"="+value)
	}
	argv := append(append([]string{}, d.self...), dir)
	process, err := os.StartProcess(argv[0], argv, &os.ProcAttr{
		Dir: "/", Env: env, Files: []*os.File{null, null, words}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, segue.Errorf(segue.KindUnavailable, "start shim: %w", err)
	}
	ended := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	reaping := d.run(ctx, func(ctx context.Context) {
		// Waited for by its descriptor, so that closing the driver ends the wait; the shim then belongs to init.
		if shim.AwaitExit(ctx, process.Pid, 0) == nil {
			_, _ = process.Wait()
			close(ended)
			return
		}
		_ = process.Release()
	})
	if !reaping {
		_ = process.Release()
	}
	return ended, nil
}
