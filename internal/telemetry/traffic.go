package telemetry

import (
	"time"

	"github.com/segue-deploy/segue"
)

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
	// Routes counts the Requests by route, where the driver tells them apart: "GET /users/{id}", and "other" for what belongs to none. A
	// route that is listed again with less than before was forgotten meanwhile, and counts from 0.
	Routes map[string]RouteCounts `json:"routes,omitempty"`
	// Mirrored counts copies of other backends' requests that it was sent. They are in none of the Counters.
	Mirrored int64 `json:"mirrored,omitempty"`
}

// RouteCounts count the requests of one route; Errors are those that Counters.Errors counts.
type RouteCounts struct {
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors,omitempty"`
}

// Since gives what came since an earlier state of the same route. One that was forgotten meanwhile began anew.
func (c RouteCounts) Since(earlier RouteCounts) RouteCounts {
	if c.Requests < earlier.Requests {
		return c
	}
	return RouteCounts{Requests: c.Requests - earlier.Requests, Errors: max(0, c.Errors-earlier.Errors)}
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
	Latency Distribution `json:"latency"`
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

// Errors counts what a judge counts as errors: 5xx answers, and failures that the balancer could not turn into an answer of the backend.
func (c Counters) Errors() int64 {
	errors := c.Classes[5]
	for _, n := range c.Failures {
		errors += n
	}
	return errors
}

// Sub gives what came since an earlier state of the same counters; nothing goes below 0.
func (c Counters) Sub(earlier Counters) Counters {
	since := Counters{
		Requests:   max(0, c.Requests-earlier.Requests),
		ClientGone: max(0, c.ClientGone-earlier.ClientGone),
		Retries:    max(0, c.Retries-earlier.Retries),
		LongClosed: max(0, c.LongClosed-earlier.LongClosed),
		LongCut:    max(0, c.LongCut-earlier.LongCut),
		Latency:    c.Latency.Sub(earlier.Latency),
	}
	for class := range c.Classes {
		since.Classes[class] = max(0, c.Classes[class]-earlier.Classes[class])
	}
	for cause, n := range c.Failures {
		if n -= earlier.Failures[cause]; n > 0 {
			if since.Failures == nil {
				since.Failures = map[string]int64{}
			}
			since.Failures[cause] = n
		}
	}
	return since
}
