package migrationtest

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Fault is what goes wrong with one call; the zero value is nothing.
type Fault struct {
	// Err is what the caller gets.
	Err error
	// After carries the call out first and then loses the answer: the caller gets Err all the same.
	After bool
}

// Injector decides about each call: method is its name in migration.Driver or, with "Lease." before it, in migration.Lease ("Lease.Run"); call is its
// number from 1 among calls of that method.
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

// ErrLost is a fault for whoever wants no other: the database did not answer.
func ErrLost() error {
	return segue.Errorf(segue.KindUnavailable, "injected fault: no answer from the database")
}

// Faulty is a driver some of whose calls fail, and those of its leases.
type Faulty struct {
	driver migration.Driver
	inject Injector

	mu    sync.Mutex
	calls map[string]int
}

var _ migration.Driver = (*Faulty)(nil)

// NewFaulty puts an injector around a driver.
func NewFaulty(driver migration.Driver, inject Injector) *Faulty {
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
	_, err := ask(f, method, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// ask is do for methods with an answer, which is lost with an error.
func ask[T any](f *Faulty, method string, call func() (T, error)) (T, error) {
	fault := f.next(method)
	if fault.Err == nil {
		return call()
	}
	if fault.After {
		_, _ = call() // whatever came of it, the caller never hears
	}
	var none T
	return none, fault.Err
}

// Inspect implements migration.Driver.
func (f *Faulty) Inspect(ctx context.Context) (migration.Server, error) {
	return ask(f, "Inspect", func() (migration.Server, error) { return f.driver.Inspect(ctx) })
}

// Plan implements migration.Driver.
func (f *Faulty) Plan(ctx context.Context, request migration.PlanRequest) (migration.Plan, error) {
	return ask(f, "Plan", func() (migration.Plan, error) { return f.driver.Plan(ctx, request) })
}

// Lease implements migration.Driver. A lease whose answer is lost is given back at once, as a connection that breaks does.
func (f *Faulty) Lease(ctx context.Context, holder string) (migration.Lease, error) {
	fault := f.next("Lease")
	if fault.Err != nil && !fault.After {
		return nil, fault.Err
	}
	lease, err := f.driver.Lease(ctx, holder)
	if err != nil {
		return nil, err
	}
	if fault.Err != nil {
		_ = lease.Release(context.WithoutCancel(ctx)) // the caller never hears of it
		return nil, fault.Err
	}
	return &faultyLease{faulty: f, lease: lease}, nil
}

// State implements migration.Driver.
func (f *Faulty) State(ctx context.Context) (migration.State, error) {
	return ask(f, "State", func() (migration.State, error) { return f.driver.State(ctx) })
}

// Check implements migration.Driver.
func (f *Faulty) Check(ctx context.Context, request migration.CheckRequest) (migration.Matrix, error) {
	return ask(f, "Check", func() (migration.Matrix, error) { return f.driver.Check(ctx, request) })
}

// Gate implements migration.Driver.
func (f *Faulty) Gate(ctx context.Context, request migration.GateRequest) (migration.Gate, error) {
	return ask(f, "Gate", func() (migration.Gate, error) { return f.driver.Gate(ctx, request) })
}

// Statements implements migration.Driver.
func (f *Faulty) Statements(ctx context.Context, since time.Time) (migration.Statements, error) {
	return ask(f, "Statements", func() (migration.Statements, error) { return f.driver.Statements(ctx, since) })
}

// Sample implements migration.Driver.
func (f *Faulty) Sample(ctx context.Context, table, column string, n int) ([]json.RawMessage, error) {
	return ask(f, "Sample", func() ([]json.RawMessage, error) { return f.driver.Sample(ctx, table, column, n) })
}

// Credentials implements migration.Driver.
func (f *Faulty) Credentials(ctx context.Context, release segue.ReleaseName) (migration.Credentials, error) {
	return ask(f, "Credentials", func() (migration.Credentials, error) { return f.driver.Credentials(ctx, release) })
}

// Retire implements migration.Driver.
func (f *Faulty) Retire(ctx context.Context, release segue.ReleaseName) error {
	return f.do("Retire", func() error { return f.driver.Retire(ctx, release) })
}

// Close implements migration.Driver; it never fails by a fault.
func (f *Faulty) Close() error { return f.driver.Close() }

// faultyLease is a lease of a faulty driver.
type faultyLease struct {
	faulty *Faulty
	lease  migration.Lease
}

// Record implements migration.Lease.
func (l *faultyLease) Record(ctx context.Context, release segue.ReleaseName, plan migration.Plan) error {
	return l.faulty.do("Lease.Record", func() error { return l.lease.Record(ctx, release, plan) })
}

// Run implements migration.Lease.
func (l *faultyLease) Run(ctx context.Context, id migration.ChangeID, options migration.RunOptions, watch func(migration.Progress)) (migration.Report, error) {
	return ask(l.faulty, "Lease.Run", func() (migration.Report, error) { return l.lease.Run(ctx, id, options, watch) })
}

// Cancel implements migration.Lease.
func (l *faultyLease) Cancel(ctx context.Context, id migration.ChangeID) error {
	return l.faulty.do("Lease.Cancel", func() error { return l.lease.Cancel(ctx, id) })
}

// BrownOut implements migration.Lease.
func (l *faultyLease) BrownOut(ctx context.Context, id migration.ChangeID) error {
	return l.faulty.do("Lease.BrownOut", func() error { return l.lease.BrownOut(ctx, id) })
}

// Restore implements migration.Lease.
func (l *faultyLease) Restore(ctx context.Context, id migration.ChangeID) error {
	return l.faulty.do("Lease.Restore", func() error { return l.lease.Restore(ctx, id) })
}

// Forgive implements migration.Lease.
func (l *faultyLease) Forgive(ctx context.Context, id migration.ChangeID, by, why string) error {
	return l.faulty.do("Lease.Forgive", func() error { return l.lease.Forgive(ctx, id, by, why) })
}

// Lost implements migration.Lease.
func (l *faultyLease) Lost() <-chan struct{} { return l.lease.Lost() }

// Release implements migration.Lease.
func (l *faultyLease) Release(ctx context.Context) error {
	return l.faulty.do("Lease.Release", func() error { return l.lease.Release(ctx) })
}
