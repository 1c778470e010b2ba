package balancertest

import (
	"context"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
)

// Call is one call of a driver's method, as faults see it.
type Call struct {
	// Method is its name, such as "Drain".
	Method string
	// ID is the backend it is about; "" for others.
	ID segue.InstanceID
	// N counts the calls of all methods from 1, OfMethod those of this one.
	N, OfMethod int
}

// Fault says what becomes of a call. The zero value lets it go through.
type Fault struct {
	// Err is returned instead of the answer.
	Err error
	// Done carries the call out all the same: only its answer is lost.
	Done bool
	// Delay, when set, is called before anything else; its error is returned.
	Delay func(ctx context.Context) error
}

// Rule decides about a call. It is called by one goroutine at a time.
type Rule func(Call) Fault

// FailNth fails the n-th call of all, from 1.
func FailNth(n int, err error) Rule {
	return func(c Call) Fault {
		if c.N == n {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// FailMethod fails every call of a method.
func FailMethod(method string, err error) Rule {
	return func(c Call) Fault {
		if c.Method == method {
			return Fault{Err: err}
		}
		return Fault{}
	}
}

// LoseAnswer carries out the n-th call of a method, and loses its answer: KindUnavailable.
func LoseAnswer(method string, n int) Rule {
	return func(c Call) Fault {
		if c.Method == method && c.OfMethod == n {
			return Fault{Done: true, Err: segue.Errorf(segue.KindUnavailable, "answer of %s was lost", method)}
		}
		return Fault{}
	}
}

// Delay lets a function pass time before every call of a method; "" means all methods.
func Delay(method string, wait func(ctx context.Context) error) Rule {
	return func(c Call) Fault {
		if method == "" || c.Method == method {
			return Fault{Delay: wait}
		}
		return Fault{}
	}
}

// Faulty is a driver whose calls go wrong by rules. The first rule that has something to say about a call decides.
type Faulty struct {
	inner balancer.Driver
	mu    sync.Mutex
	rules []Rule
	calls []Call
	count map[string]int
}

var (
	_ balancer.Driver = (*Faulty)(nil)
	_ balancer.Finder = (*Faulty)(nil)
)

// NewFaulty wraps a driver.
func NewFaulty(inner balancer.Driver, rules ...Rule) *Faulty {
	return &Faulty{inner: inner, rules: rules, count: map[string]int{}}
}

// SetRules replaces the rules.
func (f *Faulty) SetRules(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
}

// Calls gives the calls so far.
func (f *Faulty) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

func (f *Faulty) decide(method string, id segue.InstanceID) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count[method]++
	call := Call{Method: method, ID: id, N: len(f.calls) + 1, OfMethod: f.count[method]}
	f.calls = append(f.calls, call)
	for _, rule := range f.rules {
		if fault := rule(call); fault.Err != nil || fault.Delay != nil {
			return fault
		}
	}
	return Fault{}
}

func (f *Faulty) do(ctx context.Context, method string, id segue.InstanceID, call func() error) error {
	fault := f.decide(method, id)
	if fault.Delay != nil {
		if err := fault.Delay(ctx); err != nil {
			return err
		}
	}
	if fault.Err != nil && !fault.Done {
		return fault.Err
	}
	err := call()
	if fault.Err != nil {
		return fault.Err
	}
	return err
}

// Capabilities implements balancer.Driver; it never fails.
func (f *Faulty) Capabilities() balancer.Capabilities { return f.inner.Capabilities() }

// Configure implements balancer.Driver.
func (f *Faulty) Configure(ctx context.Context) error {
	return f.do(ctx, "Configure", "", func() error { return f.inner.Configure(ctx) })
}

// Add implements balancer.Driver.
func (f *Faulty) Add(ctx context.Context, b balancer.Backend) error {
	return f.do(ctx, "Add", b.ID, func() error { return f.inner.Add(ctx, b) })
}

// Admit implements balancer.Driver.
func (f *Faulty) Admit(ctx context.Context, id segue.InstanceID, slowStart time.Duration) error {
	return f.do(ctx, "Admit", id, func() error { return f.inner.Admit(ctx, id, slowStart) })
}

// Drain implements balancer.Driver.
func (f *Faulty) Drain(ctx context.Context, id segue.InstanceID) error {
	return f.do(ctx, "Drain", id, func() error { return f.inner.Drain(ctx, id) })
}

// InFlight implements balancer.Driver.
func (f *Faulty) InFlight(ctx context.Context, id segue.InstanceID) (n balancer.InFlight, err error) {
	return ask(ctx, f, "InFlight", id, func() (balancer.InFlight, error) { return f.inner.InFlight(ctx, id) })
}

// CloseLong implements balancer.Driver.
func (f *Faulty) CloseLong(ctx context.Context, id segue.InstanceID, spread time.Duration) (int, error) {
	return ask(ctx, f, "CloseLong", id, func() (int, error) { return f.inner.CloseLong(ctx, id, spread) })
}

// Settle implements balancer.Driver.
func (f *Faulty) Settle(ctx context.Context, id segue.InstanceID) error {
	return f.do(ctx, "Settle", id, func() error { return f.inner.Settle(ctx, id) })
}

// Remove implements balancer.Driver.
func (f *Faulty) Remove(ctx context.Context, id segue.InstanceID) error {
	return f.do(ctx, "Remove", id, func() error { return f.inner.Remove(ctx, id) })
}

// Weigh implements balancer.Driver.
func (f *Faulty) Weigh(ctx context.Context, shares map[segue.ReleaseName]float64) error {
	return f.do(ctx, "Weigh", "", func() error { return f.inner.Weigh(ctx, shares) })
}

// Hold implements balancer.Driver.
func (f *Faulty) Hold(ctx context.Context, most time.Duration) error {
	return f.do(ctx, "Hold", "", func() error { return f.inner.Hold(ctx, most) })
}

// Unhold implements balancer.Driver.
func (f *Faulty) Unhold(ctx context.Context) error {
	return f.do(ctx, "Unhold", "", func() error { return f.inner.Unhold(ctx) })
}

// Maintenance implements balancer.Driver.
func (f *Faulty) Maintenance(ctx context.Context, on bool, retryAfter time.Duration) error {
	return f.do(ctx, "Maintenance", "", func() error { return f.inner.Maintenance(ctx, on, retryAfter) })
}

// Snapshot implements balancer.Driver.
func (f *Faulty) Snapshot(ctx context.Context) (balancer.Snapshot, error) {
	return ask(ctx, f, "Snapshot", "", func() (balancer.Snapshot, error) { return f.inner.Snapshot(ctx) })
}

// Find implements balancer.Finder, whether the wrapped driver does or not.
func (f *Faulty) Find(ctx context.Context, id segue.InstanceID) (balancer.BackendStatus, error) {
	return ask(ctx, f, "Find", id, func() (balancer.BackendStatus, error) { return balancer.Find(ctx, f.inner, id) })
}

// Close implements balancer.Driver; it never fails by a rule.
func (f *Faulty) Close() error { return f.inner.Close() }

// ask is do for methods with an answer, which is lost with an error.
func ask[T any](ctx context.Context, f *Faulty, method string, id segue.InstanceID, call func() (T, error)) (answer T, err error) {
	err = f.do(ctx, method, id, func() error {
		answer, err = call()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return answer, nil
}
