// Package process is the workload driver for local processes: each instance is a command under a shim, which is a process of its own (see
// package shim) and outlives the controller.
//
// All that the driver knows is in the state folder, so that a new driver on it finds everything again:
//
//	releases/SERVICE/RELEASE-DIGEST/    staged artifacts: copies, made as a whole or not at all
//	instances/ID/                       one folder per instance: instance.json (with secrets, mode 0600), the shim's files
//	logs/SERVICE/ID/                    output; kept after the instance's end until its release is retired
//	stopped/ID.json                     which instances were stopped, so that a start that comes late does not bring them back
//
// A shim that was killed is noticed by the broken connection, and replaced at once by one that finds the running command.
// The package runs on Linux only.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/statefile"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// Options are what a driver needs.
type Options struct {
	// StateDir is the state folder; it is made when it is not there. One driver at a time works on it.
	StateDir string
	// Self is the program that runs a shim, and its leading arguments: ["/usr/bin/segue", "shim"]. The instance's folder is added.
	Self []string
	// Logger takes the driver's log; nil means none.
	Logger *slog.Logger
}

// Driver implements workload.Driver.
type Driver struct {
	state string
	self  []string
	log   *slog.Logger
	ports *ports
	locks keyed

	mu          sync.Mutex
	closed      bool
	cancels     map[*context.CancelFunc]struct{} // of everything in the background
	tracked     map[segue.InstanceID]*tracked
	stopping    map[segue.InstanceID]*stopping
	leaving     map[int]uint64 // shims that have carried out their stop order: process to start in ticks since boot
	subscribers map[*subscriber]struct{}
	background  sync.WaitGroup
}

var _ workload.Driver = (*Driver)(nil)

// New makes a driver on a state folder. It starts nothing.
func New(options Options) (*Driver, error) {
	if len(options.Self) == 0 || !filepath.IsAbs(options.Self[0]) {
		return nil, segue.Errorf(segue.KindInvalid, "process driver: the program that runs shims needs an absolute path")
	}
	state, err := filepath.Abs(options.StateDir)
	if err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	// Links resolved, so that a shim's command line tells for sure whose it is.
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	if state, err = filepath.EvalSymlinks(state); err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	for _, name := range []string{"releases", "instances", "logs", "stopped"} {
		if err := os.MkdirAll(filepath.Join(state, name), 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d := &Driver{
		state: state, self: options.Self, log: logger, ports: newPorts(),
		cancels:     map[*context.CancelFunc]struct{}{},
		tracked:     map[segue.InstanceID]*tracked{},
		stopping:    map[segue.InstanceID]*stopping{},
		leaving:     map[int]uint64{},
		subscribers: map[*subscriber]struct{}{},
	}
	if err := d.tidy(); err != nil {
		return nil, err
	}
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if spec, err := d.spec(id); err == nil {
			d.ports.keep(spec.Address)
		}
	}
	return d, nil
}

// tidy removes folders of releases that an earlier driver was filling or emptying when it was killed.
func (d *Driver) tidy() error {
	left, err := filepath.Glob(filepath.Join(d.state, "releases", "*", tempPrefix+"*"))
	if err != nil {
		return fmt.Errorf("tidy releases: %w", err)
	}
	for _, folder := range left {
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("tidy releases: %w", err)
		}
	}
	return nil
}

// Capabilities implements workload.Driver.
func (d *Driver) Capabilities() workload.Capabilities { return workload.Capabilities{Surge: true} }

// Close implements workload.Driver. Stops that are under way go on in the shims; their folders are tidied up by the next driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	d.closed = true
	for cancel := range d.cancels {
		(*cancel)()
	}
	d.mu.Unlock()
	d.background.Wait()
	return nil
}

// run runs work in the background until it is done or the driver is closed; its context keeps ctx's values only. False when the
// driver is closed already. The caller holds d.mu.
func (d *Driver) run(ctx context.Context, work func(context.Context)) bool {
	if d.closed {
		return false
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.cancels[&cancel] = struct{}{}
	d.background.Go(func() {
		defer func() {
			cancel()
			d.mu.Lock()
			delete(d.cancels, &cancel)
			d.mu.Unlock()
		}()
		work(ctx)
	})
	return true
}

func errClosed() error { return segue.Errorf(segue.KindCanceled, "process driver is closed") }

// dir is an instance's folder.
func (d *Driver) dir(id segue.InstanceID) string {
	return filepath.Join(d.state, "instances", string(id))
}

// logDir is the folder of an instance's output.
func (d *Driver) logDir(service segue.ServiceName, id segue.InstanceID) string {
	return filepath.Join(d.state, "logs", string(service), string(id))
}

// folders lists the instances that have a folder.
func (d *Driver) folders() ([]segue.InstanceID, error) {
	entries, err := os.ReadDir(filepath.Join(d.state, "instances"))
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	var ids []segue.InstanceID
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			ids = append(ids, segue.InstanceID(entry.Name()))
		}
	}
	return ids, nil
}

// spec reads what an instance was started with. KindNotFound when there is no such instance.
func (d *Driver) spec(id segue.InstanceID) (shim.Spec, error) {
	var spec shim.Spec
	if err := checkID(id); err != nil {
		return spec, err
	}
	err := statefile.Read(filepath.Join(d.dir(id), shim.SpecFile), &spec)
	if segue.KindOf(err) == segue.KindNotFound {
		return spec, segue.Errorf(segue.KindNotFound, "there is no instance %s", id)
	}
	return spec, err
}

// checkID refuses what is no plain file name.
func checkID(id segue.InstanceID) error {
	name := string(id)
	if name == "" || len(name) > 200 || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return segue.Errorf(segue.KindInvalid, "%q is no instance's name", name)
	}
	return nil
}

// exists says whether there is something at the path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// keyed is a lock per key.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	mu    sync.Mutex
	users int
}

// lock waits for the key's lock.
func (k *keyed) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyedLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
