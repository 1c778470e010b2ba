// Package workloadtest holds what every workload driver is tested with, and what stands in for one: the conformance suite that each driver passes,
// a fake in memory, and a fault injector around any driver.
package workloadtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
)

// Behaviour is what a release of the fake does. The zero value is a good release that is ready at once.
type Behaviour struct {
	// Boot is the time from each start until it is ready.
	Boot time.Duration
	// NeverReady runs and never gets ready.
	NeverReady bool
	// CrashAfter is when an instance ends by itself after a start; 0 means never. It does so CrashTimes times, 0 means always.
	CrashAfter time.Duration
	CrashTimes int
	// Refuse is the error of Start.
	Refuse error
	// StopTakes is the time from TERM until it ends; IgnoreTerm means that only KILL ends it, after the grace period.
	StopTakes  time.Duration
	IgnoreTerm bool
	// Missing means that there is no artifact.
	Missing bool
	// Digest is the artifact's; "" means one made from the names.
	Digest segue.Digest
}

// fakeWell is how long an instance runs before its next crash counts as a first one again.
const fakeWell = 30 * time.Second

// CrashLimit is how many crashes in a row the fake puts up with in AwaitReady.
const CrashLimit = 3

// Config is a configuration for the fake. Drivers under test have their own.
type Config string

// Digest implements workload.Config.
func (c Config) Digest() segue.Digest { return digestOf("config", string(c)) }

func digestOf(parts ...string) segue.Digest {
	sum := sha256.Sum256(fmt.Append(nil, parts))
	return segue.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// Fake is a workload.Driver in memory. It takes time from the time package and draws no lots: under testing/synctest the same calls give
// the same again. It stands for the servers, not for a controller's connection to them: after Close it can be used on, as by the
// next controller.
type Fake struct {
	// Capable is what Capabilities answers.
	Capable workload.Capabilities

	mu          sync.Mutex
	behaviours  map[string]Behaviour
	staged      map[string]segue.Digest
	instances   map[segue.InstanceID]*fakeInstance
	stopped     map[segue.InstanceID]string // to its release, for Retire
	logs        map[segue.InstanceID]*fakeLog
	subscribers map[*fakeWatch]struct{}
	started     int
	background  sync.WaitGroup
}

var _ workload.Driver = (*Fake)(nil)

// NewFake makes a fake on which nothing runs; every release is a good one until Behave says otherwise.
func NewFake() *Fake {
	return &Fake{
		Capable:     workload.Capabilities{Surge: true},
		behaviours:  map[string]Behaviour{},
		staged:      map[string]segue.Digest{},
		instances:   map[segue.InstanceID]*fakeInstance{},
		stopped:     map[segue.InstanceID]string{},
		logs:        map[segue.InstanceID]*fakeLog{},
		subscribers: map[*fakeWatch]struct{}{},
	}
}

// fakeInstance is one instance; all of it is guarded by the fake's lock.
type fakeInstance struct {
	segue.Instance
	behaviour Behaviour
	digest    segue.Digest
	grace     time.Duration
	crashes   int           // in a row
	ends      int           // by itself, in all
	timer     *time.Timer   // the next thing that happens by itself
	changed   chan struct{} // closed and replaced by every change
	over      chan struct{} // closed when it has ended for good
}

// Behave says what a release does, of one service or, with service "", of every one that has no behaviour of its own. Instances that
// run keep what they were started with.
func (f *Fake) Behave(service segue.ServiceName, release segue.ReleaseName, behaviour Behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaviours[key(service, release)] = behaviour
}

func key(service segue.ServiceName, release segue.ReleaseName) string {
	return string(service) + "/" + string(release)
}

func (f *Fake) behaviour(service segue.ServiceName, release segue.ReleaseName) Behaviour {
	if b, ok := f.behaviours[key(service, release)]; ok {
		return b
	}
	return f.behaviours[key("", release)]
}

// Capabilities implements workload.Driver.
func (f *Fake) Capabilities() workload.Capabilities { return f.Capable }

// Digest implements workload.Driver. The service is not known here: behaviours for all services count.
func (f *Fake) Digest(_ context.Context, _ workload.Config, release segue.ReleaseName) (segue.Digest, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.behaviour("", release)
	if b.Missing {
		return "", "", segue.Errorf(segue.KindNotFound, "artifact of release %s does not exist", release)
	}
	return digestIn(b, release), "fake:" + string(release), nil
}

func digestIn(b Behaviour, release segue.ReleaseName) segue.Digest {
	if b.Digest != "" {
		return b.Digest
	}
	return digestOf("artifact", string(release))
}

// Stage implements workload.Driver.
func (f *Fake) Stage(_ context.Context, _ workload.Config, release segue.Release) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := stagedKey(release)
	if _, ok := f.staged[name]; ok {
		return nil
	}
	b := f.behaviour("", release.Name)
	if b.Missing {
		return segue.Errorf(segue.KindNotFound, "artifact of release %s does not exist", release.Name)
	}
	if found := digestIn(b, release.Name); found != release.Digest {
		return segue.Errorf(segue.KindConflict, "artifact of release %s has changed: its digest is %s, not %s", release.Name, found.Short(), release.Digest.Short())
	}
	f.staged[name] = release.Digest
	return nil
}

func stagedKey(release segue.Release) string {
	return key(release.Service, release.Name) + "@" + string(release.Digest)
}

// Retire implements workload.Driver.
func (f *Fake) Retire(_ context.Context, release segue.Release) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, i := range f.instances {
		if i.Service == release.Service && i.Release == release.Name && i.digest == release.Digest {
			return segue.Errorf(segue.KindConflict, "retire release %s: instance %s runs it", release.Name, id)
		}
	}
	delete(f.staged, stagedKey(release))
	for id, of := range f.stopped {
		if of == stagedKey(release) {
			delete(f.stopped, id)
			delete(f.logs, id)
		}
	}
	return nil
}

// Start implements workload.Driver.
func (f *Fake) Start(_ context.Context, launch workload.Launch) (segue.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	release := launch.Release
	release.Service = launch.Service
	if _, ok := f.stopped[launch.ID]; ok {
		return segue.Instance{}, segue.Errorf(segue.KindConflict, "start instance %s: it was stopped before", launch.ID)
	}
	if i, ok := f.instances[launch.ID]; ok {
		if i.Release != release.Name || i.digest != release.Digest {
			return segue.Instance{}, segue.Errorf(segue.KindConflict, "start instance %s: it runs already, as release %s", launch.ID, i.Release)
		}
		return i.Instance, nil
	}
	if _, ok := f.staged[stagedKey(release)]; !ok {
		return segue.Instance{}, segue.Errorf(segue.KindNotFound, "start instance %s: release %s is not staged", launch.ID, release.Name)
	}
	b := f.behaviour(launch.Service, release.Name)
	if b.Refuse != nil {
		return segue.Instance{}, fmt.Errorf("start instance %s: %w", launch.ID, b.Refuse)
	}
	f.started++
	i := &fakeInstance{
		Instance: segue.Instance{
			ID: launch.ID, Service: launch.Service, Server: launch.Server, Release: release.Name,
			Address: "127.0.0.1:" + strconv.Itoa(10000+f.started%50000),
		},
		behaviour: b, digest: release.Digest, grace: launch.Grace, changed: make(chan struct{}), over: make(chan struct{}),
	}
	f.instances[launch.ID] = i
	f.logs[launch.ID] = newFakeLog()
	f.boot(i)
	return i.Instance, nil
}

// boot starts or restarts an instance.
func (f *Fake) boot(i *fakeInstance) {
	f.post(i, func() {
		i.State, i.StartedAt, i.PID = segue.InstanceRunning, time.Now(), 1000+f.started+100000*i.Restarts
	})
	f.say(i.ID, "started release "+string(i.Release))
	if i.behaviour.CrashAfter > 0 && (i.behaviour.CrashTimes == 0 || i.ends < i.behaviour.CrashTimes) {
		pid := i.PID
		i.timer = time.AfterFunc(i.behaviour.CrashAfter, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if i.State == segue.InstanceRunning && i.PID == pid {
				f.crash(i)
			}
		})
	}
}

// crash ends what runs of an instance; its keeper starts it again after the back-off.
func (f *Fake) crash(i *fakeInstance) {
	if time.Since(i.StartedAt) >= fakeWell {
		i.crashes = 0
	}
	i.crashes++
	i.ends++
	f.say(i.ID, "crashed")
	f.post(i, func() {
		i.State, i.PID, i.ExitCode, i.Error = segue.InstanceBackOff, 0, 1, "exit code 1"
	})
	wait := min(250*time.Millisecond<<min(i.crashes-1, 10), 30*time.Second)
	i.timer = time.AfterFunc(wait, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i.State == segue.InstanceBackOff {
			i.Restarts++
			f.boot(i)
		}
	})
}

// post changes an instance and tells all who wait or watch.
func (f *Fake) post(i *fakeInstance, change func()) {
	change()
	close(i.changed)
	i.changed = make(chan struct{})
	for w := range f.subscribers {
		w.put(i.Instance)
	}
}

// Stop implements workload.Driver.
func (f *Fake) Stop(ctx context.Context, id segue.InstanceID) error {
	over := f.beginStop(id)
	select {
	case <-over:
		return nil
	default:
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop instance %s: it goes on: %w", id, ended(ctx))
	}
}

// beginStop gives a channel that is closed when the instance is over.
func (f *Fake) beginStop(id segue.InstanceID) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.instances[id]
	if i == nil {
		if _, ok := f.stopped[id]; !ok {
			f.stopped[id] = ""
		}
		over := make(chan struct{})
		close(over)
		return over
	}
	if i.State == segue.InstanceStopping {
		return i.over
	}
	f.stopped[id] = stagedKey(segue.Release{Service: i.Service, Name: i.Release, Digest: i.digest})
	wait := i.behaviour.StopTakes
	if i.behaviour.IgnoreTerm || wait > i.grace {
		wait = i.grace
	}
	if i.State != segue.InstanceRunning {
		wait = 0
	}
	if i.timer != nil {
		i.timer.Stop()
	}
	if wait <= 0 {
		f.finish(i)
		return i.over
	}
	f.post(i, func() { i.State = segue.InstanceStopping })
	i.timer = time.AfterFunc(wait, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.finish(i)
	})
	return i.over
}

func (f *Fake) finish(i *fakeInstance) {
	if f.instances[i.ID] != i {
		return
	}
	delete(f.instances, i.ID)
	f.post(i, func() { i.State, i.PID = segue.InstanceExited, 0 })
	f.say(i.ID, "ended")
	close(i.over)
}

// List implements workload.Driver.
func (f *Fake) List(context.Context) ([]segue.Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]segue.Instance, 0, len(f.instances))
	for _, i := range f.instances {
		all = append(all, i.Instance)
	}
	segue.SortInstances(all)
	return all, nil
}

// Logs implements workload.Driver.
func (f *Fake) Logs(ctx context.Context, id segue.InstanceID, tail int, follow bool) (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.logs[id]
	if log == nil {
		return nil, segue.Errorf(segue.KindNotFound, "there is no instance %s", id)
	}
	return log.open(ctx, tail, follow), nil
}

// Close implements workload.Driver: it ends all watches.
func (f *Fake) Close() error {
	f.mu.Lock()
	for w := range f.subscribers {
		w.end()
	}
	f.mu.Unlock()
	f.background.Wait()
	return nil
}

// ended says why a context is done, with a kind.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return segue.Errorf(segue.KindTimeout, "%w", context.Cause(ctx))
	}
	return segue.Errorf(segue.KindCanceled, "%w", context.Cause(ctx))
}
