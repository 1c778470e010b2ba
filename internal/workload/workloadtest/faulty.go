package workloadtest

import (
	"context"
	"io"
	"sync"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
)

// Fault is what goes wrong with one call; the zero value is nothing.
type Fault struct {
	// Err is what the caller gets.
	Err error
	// After carries the call out first and then loses the answer: the caller gets Err all the same.
	After bool
}

// Injector decides about each call: method is its name in workload.Driver, call its number from 1 among calls of that method.
type Injector func(method string, call int) Fault

// Nth makes the n-th call of a method fail, n from 1.
func Nth(method string, n int, fault Fault) Injector {
	return func(called string, call int) Fault {
		if called == method && call == n {
			return fault
		}
		return Fault{}
	}
}

// ErrLost is a fault for whoever wants no other: the driver's server did not answer.
func ErrLost() error {
	return segue.Errorf(segue.KindUnavailable, "injected fault: no answer")
}

// Faulty is a driver some of whose calls fail.
type Faulty struct {
	driver workload.Driver
	inject Injector

	mu    sync.Mutex
	calls map[string]int
}

var _ workload.Driver = (*Faulty)(nil)

// NewFaulty puts an injector around a driver.
func NewFaulty(driver workload.Driver, inject Injector) *Faulty {
	return &Faulty{driver: driver, inject: inject, calls: map[string]int{}}
}

// Calls says how often a method was called.
func (f *Faulty) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *Faulty) next(method string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	return f.inject(method, f.calls[method])
}

// do carries a call out, or not, or loses its answer.
func (f *Faulty) do(method string, call func() error) error {
	fault := f.next(method)
	if fault.Err == nil {
		return call()
	}
	if fault.After {
		_ = call() // whatever came of it, the caller never hears
	}
	return fault.Err
}

// Capabilities implements workload.Driver; it never fails.
func (f *Faulty) Capabilities() workload.Capabilities { return f.driver.Capabilities() }

// Digest implements workload.Driver.
func (f *Faulty) Digest(ctx context.Context, config workload.Config, release segue.ReleaseName) (digest segue.Digest, artifact string, err error) {
	err = f.do("Digest", func() (err error) {
		digest, artifact, err = f.driver.Digest(ctx, config, release)
		return err
	})
	if err != nil {
		return "", "", err
	}
	return digest, artifact, nil
}

// Stage implements workload.Driver.
func (f *Faulty) Stage(ctx context.Context, config workload.Config, release segue.Release) error {
	return f.do("Stage", func() error { return f.driver.Stage(ctx, config, release) })
}

// Retire implements workload.Driver.
func (f *Faulty) Retire(ctx context.Context, release segue.Release) error {
	return f.do("Retire", func() error { return f.driver.Retire(ctx, release) })
}

// Start implements workload.Driver.
func (f *Faulty) Start(ctx context.Context, launch workload.Launch) (instance segue.Instance, err error) {
	err = f.do("Start", func() (err error) {
		instance, err = f.driver.Start(ctx, launch)
		return err
	})
	if err != nil {
		return segue.Instance{}, err
	}
	return instance, nil
}

// AwaitReady implements workload.Driver.
func (f *Faulty) AwaitReady(ctx context.Context, id segue.InstanceID) error {
	return f.do("AwaitReady", func() error { return f.driver.AwaitReady(ctx, id) })
}

// Probe implements workload.Driver.
func (f *Faulty) Probe(ctx context.Context, id segue.InstanceID) error {
	return f.do("Probe", func() error { return f.driver.Probe(ctx, id) })
}

// Stop implements workload.Driver.
func (f *Faulty) Stop(ctx context.Context, id segue.InstanceID) error {
	return f.do("Stop", func() error { return f.driver.Stop(ctx, id) })
}

// List implements workload.Driver.
func (f *Faulty) List(ctx context.Context) (instances []segue.Instance, err error) {
	err = f.do("List", func() (err error) {
		instances, err = f.driver.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return instances, nil
}

// Logs implements workload.Driver.
func (f *Faulty) Logs(ctx context.Context, id segue.InstanceID, tail int, follow bool) (io.ReadCloser, error) {
	if fault := f.next("Logs"); fault.Err != nil {
		return nil, fault.Err
	}
	return f.driver.Logs(ctx, id, tail, follow)
}

// Watch implements workload.Driver.
func (f *Faulty) Watch(ctx context.Context) (<-chan segue.Instance, error) {
	if fault := f.next("Watch"); fault.Err != nil {
		return nil, fault.Err
	}
	return f.driver.Watch(ctx)
}

// Close implements workload.Driver; it never fails by a fault.
func (f *Faulty) Close() error { return f.driver.Close() }
