// Package balancer is the contract of whatever spreads requests over a service's instances.
//
// A driver is a folder below this one and imports only this package and the nouns (the embedded one speaks to the proxy). Every driver
// passes the conformance suite in balancertest, which also has the fake and the fault injector that the simulation uses.
package balancer

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Driver changes one service's rotation. A method that changes something returns only when the balancer has confirmed that the change is
// live: "asked" is not enough, and a health check is no proof of routing. Every method may be called at the same time, and again:
// doing a thing twice is doing it once. Errors carry a segue.Kind: KindUnavailable when the balancer does not answer (the change may or may
// not be live), KindNotFound for a backend it does not know, KindUnsupported for what it cannot do.
type Driver interface {
	// Capabilities says what the driver can do.
	Capabilities() Capabilities

	// Configure brings the service's listener and options into being, or to what they should be; backends are left alone.
	Configure(ctx context.Context) error

	// Add makes a backend known, out of rotation. One that is known with the same address stays as it is; with another address
	// it is KindConflict.
	Add(ctx context.Context, backend Backend) error

	// Admit puts a backend in rotation. With slowStart > 0 its share grows over that time where the driver can.
	Admit(ctx context.Context, id segue.InstanceID, slowStart time.Duration) error

	// Drain takes a backend out of rotation and returns when it gets no new traffic (sticky users may stay where the
	// driver keeps them; see Capabilities). It does not wait for what is in flight.
	Drain(ctx context.Context, id segue.InstanceID) error

	// InFlight counts what a backend still has to do.
	InFlight(ctx context.Context, id segue.InstanceID) (InFlight, error)

	// CloseLong closes a drained backend's long connections one by one, spread over a time with jitter (0: the driver's own), each properly. It
	// returns when all are closed, with their number. KindUnsupported where the driver cannot.
	CloseLong(ctx context.Context, id segue.InstanceID, spread time.Duration) (closed int, err error)

	// Settle closes idle connections to a drained backend, so that none is open when its instance stops.
	Settle(ctx context.Context, id segue.InstanceID) error

	// Remove forgets a backend that is out of rotation or drained. KindConflict while it is admitted. Removing a stranger is no error.
	Remove(ctx context.Context, id segue.InstanceID) error

	// Weigh gives each release its share of new, unpinned traffic, in [0,1], summing to 1; nil goes back to equal weight per backend.
	Weigh(ctx context.Context, shares map[segue.ReleaseName]float64) error

	// Hold parks new requests, at most for `most`, instead of failing them; Unhold lets them go.
	Hold(ctx context.Context, most time.Duration) error
	Unhold(ctx context.Context) error

	// Maintenance answers everything with a maintenance page, 503 and Retry-After, or stops doing so.
	Maintenance(ctx context.Context, on bool, retryAfter time.Duration) error

	// Snapshot reports the service as the balancer sees it: every backend, strangers too, and the counters.
	Snapshot(ctx context.Context) (Snapshot, error)

	// Close lets go of what the driver holds in this process; the balancer goes on.
	Close() error
}

// What a balancer measures lives on the ground floor, so that judges and receipts can read it without knowing balancers.
type (
	// Backend is an instance as a balancer sees it.
	Backend = telemetry.Backend
	// InFlight is what a backend still has to do.
	InFlight = telemetry.InFlight
	// Snapshot is a service as its balancer sees it at one moment.
	Snapshot = telemetry.Snapshot
	// BackendStatus is a backend with what it has done so far.
	BackendStatus = telemetry.BackendStatus
	// Counters count what a backend did.
	Counters = telemetry.Counters
	// FailedRequest is one request that failed.
	FailedRequest = telemetry.FailedRequest
)

// Capabilities are what a driver can do beyond the least.
type Capabilities struct {
	// KeepsSticky: sticky users stay on a draining backend until its deadline.
	KeepsSticky bool
	// CountsInFlight: InFlight is Known.
	CountsInFlight bool
	// LiveChange: changes need no reload.
	LiveChange bool
	// ReloadClosesClients: a change closes idle client connections.
	ReloadClosesClients bool
	// Holds, Weighs, Mirrors, ClosesLong: the steps of those names work.
	Holds, Weighs, Mirrors, ClosesLong bool
}
