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
	// RouteCounts count the requests of one route.
	RouteCounts = telemetry.RouteCounts
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

// Mirrorer is a driver that can copy users' requests, so that a candidate's answers can be compared with stable's.
type Mirrorer interface {
	// Mirror copies requests until ctx ends, and calls sink with each record, one at a time, which should not take long. Users never wait for
	// it, their answers are not changed by it, and backends' counters know nothing of it. Copies carry the header Segue-Mirror. What is
	// copied, and how much of it, is bounded by the driver: what comes beyond is dropped and counted.
	//
	// It returns nil when ctx has ended, and leaves nothing behind: mirroring stops with whoever asked for it. KindInvalid for a Mirror that
	// makes no sense, KindNotFound for a backend that is not known, KindConflict when another call takes over (there is one mirror per
	// service), KindUnavailable when the balancer goes away: call it again.
	Mirror(ctx context.Context, mirror Mirror, sink func(MirrorRecord)) error
}

// MirrorOf gives the driver as one that mirrors; KindUnsupported where it cannot.
func MirrorOf(driver Driver) (Mirrorer, error) {
	if mirrorer, ok := driver.(Mirrorer); ok {
		return mirrorer, nil
	}
	return nil, segue.Errorf(segue.KindUnsupported, "this balancer cannot copy requests").
		WithHint("the embedded balancer can; without copies answers are not compared")
}

// Mirror says which requests are copied, and where to. A zero field means the driver's default.
type Mirror struct {
	// Candidate gets copies, in rotation or before it, but not while it is drained.
	Candidate segue.InstanceID
	// Stable are at least two backends. Requests that one of them answered are copied, and another of them gets a copy too.
	Stable []segue.InstanceID
	// Share of the requests that are copied, in (0, 1].
	Share float64
	// Methods are copied on any path: GET and HEAD unless told otherwise; OPTIONS is the only other one that may be among them.
	Methods []string
	// Paths allow other methods, where carrying a request out three times is known to do no harm: "POST /search". A path stands for
	// itself and what lies below.
	Paths []string
	// MaxBody is how many bytes of each body are kept.
	MaxBody int
	// Concurrency is how many requests are copied at one time.
	Concurrency int
	// Timeout bounds a copy.
	Timeout time.Duration
}

// MirrorAnswer is what one backend answered.
type MirrorAnswer struct {
	Status    int
	Header    map[string][]string
	Body      []byte
	Truncated bool
	Took      time.Duration
	// Failure is the cause for which there is no whole answer ("timeout", "dial", "reset"), "" for none.
	Failure string
	// At is when it was asked.
	At time.Time
}

// MirrorRecord is one request with its three answers.
type MirrorRecord struct {
	Method string
	// Path is without the query, which may hold secrets.
	Path      string
	RequestID string
	Stable    segue.InstanceID
	Second    segue.InstanceID
	// Primary is what the user got, from Stable; Secondary came from Second.
	Primary   MirrorAnswer
	Candidate MirrorAnswer
	Secondary MirrorAnswer
	// Raced is true when a request that may have changed something passed under the same path at that time.
	Raced bool
	// Lost counts requests that were to be copied, and were dropped under pressure, since the record before.
	Lost int64
}
