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

	// CloseLong closes a drained backend's long connections one by one, spread over a time with jitter, each properly. It
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

// Backend is an instance as a balancer sees it.
type Backend struct {
	ID      segue.InstanceID  `json:"id"`
	Server  segue.ServerName  `json:"server"`
	Release segue.ReleaseName `json:"release"`
	Address string            `json:"address"`
}

// InFlight is what a backend still has to do.
type InFlight struct {
	// Known is false when the balancer cannot tell: then the drain deadline decides.
	Known bool `json:"known"`
	// Requests counts ordinary requests; Long counts WebSockets, event streams and other long connections.
	Requests int `json:"requests"`
	Long     int `json:"long"`
}

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

// Snapshot is a service as its balancer sees it at one moment. Counters are cumulative since Epoch began.
type Snapshot struct {
	At time.Time `json:"at"`
	// Epoch changes whenever the counters begin anew (the balancer was started again).
	Epoch    string          `json:"epoch"`
	Backends []BackendStatus `json:"backends"`
	// Holding and Maintenance say what is switched on.
	Holding     bool `json:"holding,omitempty"`
	Maintenance bool `json:"maintenance,omitempty"`
	// Held counts requests that were ever parked, HeldNow those that are, HeldLongest the longest wait of any.
	Held        int64         `json:"held"`
	HeldNow     int64         `json:"held_now"`
	HeldLongest time.Duration `json:"held_longest"`
	// Unrouted counts failures that belong to no backend (none was ready, held too long, bad request), by cause.
	Unrouted map[string]int64 `json:"unrouted,omitempty"`
	// Failures are the latest failed requests, oldest first, bounded by the driver.
	Failures []FailedRequest `json:"failures,omitempty"`
	// Moves counts how often a sticky user was sent to another backend than before; Users how many sticky users there were.
	Moves int64 `json:"moves,omitempty"`
	Users int64 `json:"users,omitempty"`
}

// BackendStatus is a backend with what it has done so far. Backends that were removed stay listed, as RotationOut, until the
// driver forgets them, so that nothing is lost between two snapshots.
type BackendStatus struct {
	Backend
	Rotation segue.Rotation `json:"rotation"`
	// Healthy is the balancer's own view, from passive and active checks.
	Healthy  bool     `json:"healthy"`
	InFlight InFlight `json:"in_flight"`
	Counters Counters `json:"counters"`
}

// Counters count what a backend did, since its Snapshot's epoch.
type Counters struct {
	// Requests that a final answer or failure was counted for.
	Requests int64 `json:"requests"`
	// Classes counts answers by the first digit of the status: index 1 to 5.
	Classes [6]int64 `json:"classes"`
	// Failures counts by cause what the proxy could not carry out: "dial", "reset", "timeout", "truncated", ...
	Failures map[string]int64 `json:"failures,omitempty"`
	// ClientGone counts requests that the client gave up; they are no failures.
	ClientGone int64 `json:"client_gone,omitempty"`
	// Retries counts requests that were tried on another backend after this one.
	Retries int64 `json:"retries,omitempty"`
	// LongClosed counts long connections that were closed at a drain deadline, properly.
	LongClosed int64 `json:"long_closed,omitempty"`
	// LongCut counts long connections that broke: the backend died or did not answer the close.
	LongCut int64 `json:"long_cut,omitempty"`
	// Latency of ordinary requests, to the end of the answer.
	Latency telemetry.Distribution `json:"latency"`
}

// FailedRequest is one request that failed, for the receipt.
type FailedRequest struct {
	At      time.Time         `json:"at"`
	Server  segue.ServerName  `json:"server,omitempty"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Cause   string            `json:"cause"`
	Status  int               `json:"status"`
	Method  string            `json:"method"`
	// Path without its query: queries may hold secrets.
	Path string `json:"path"`
}
