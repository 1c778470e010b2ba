package proxy

import (
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Backend is an instance that a service's requests may go to.
type Backend struct {
	ID      segue.InstanceID  `json:"id"`
	Server  segue.ServerName  `json:"server"`
	Release segue.ReleaseName `json:"release"`
	// Address is host:port.
	Address string `json:"address"`
	// Weight scales its share among the others; 0 means 1.
	Weight float64 `json:"weight,omitempty"`
}

// InFlight is what a backend still has to do.
type InFlight struct {
	// Requests are ordinary ones, Long are tunnels, event streams and answers that take long.
	Requests int `json:"requests"`
	Long     int `json:"long"`
}

// Snapshot is a service at one moment. Counters are cumulative since the Epoch began, which is when the process started.
type Snapshot struct {
	Service string    `json:"service"`
	At      time.Time `json:"at"`
	Epoch   string    `json:"epoch"`
	// Address is where it listens, with the real port.
	Address  string          `json:"address"`
	Config   Config          `json:"config"`
	Backends []BackendStatus `json:"backends"`
	// Shares are the releases' shares, when weighed.
	Shares      map[segue.ReleaseName]float64 `json:"shares,omitempty"`
	Holding     bool                          `json:"holding,omitempty"`
	Maintenance bool                          `json:"maintenance,omitempty"`
	// Held counts requests that ever waited, HeldNow those that do, HeldLongest the longest wait that is over.
	Held        int64         `json:"held"`
	HeldNow     int64         `json:"held_now"`
	HeldLongest time.Duration `json:"held_longest"`
	// HeldAbandoned counts those whose client left while they waited.
	HeldAbandoned int64 `json:"held_abandoned,omitempty"`
	// Unrouted counts requests that failed without a backend, by cause.
	Unrouted map[string]int64 `json:"unrouted,omitempty"`
	// Failures are the latest failed requests, oldest first, at most 1,000.
	Failures []FailedRequest `json:"failures,omitempty"`
	// Moves counts how often a sticky user was sent to another server than before, Users the cookies given to newcomers.
	Moves int64 `json:"moves,omitempty"`
	Users int64 `json:"users,omitempty"`
	// Mirror counts requests that were picked to be copied; nil when none ever was.
	Mirror *MirrorCounts `json:"mirror,omitempty"`
	// Connections are open from clients, Refused were turned away by a limit.
	Connections int   `json:"connections"`
	Refused     int64 `json:"refused,omitempty"`
	// Warnings tell what needs a person: a certificate that changed and cannot be read.
	Warnings []string `json:"warnings,omitempty"`
}

// BackendStatus is a backend with what it did. Removed ones stay listed, with RotationOut and Removed set, for an hour at least unless
// more than 256 are.
type BackendStatus struct {
	Backend
	Rotation segue.Rotation `json:"rotation"`
	Removed  bool           `json:"removed,omitempty"`
	// Healthy is false while it is taken out by checks.
	Healthy  bool     `json:"healthy"`
	InFlight InFlight `json:"in_flight"`
	Counters Counters `json:"counters"`
	// Routes counts its requests by route, "GET /users/{id}", and what belongs to no known route under "other". Each request is counted
	// once, so that the sum is Counters.Requests. Routes become known by themselves, at most 200 of a service; none are listed where Removed is set.
	Routes map[string]telemetry.RouteCounts `json:"routes,omitempty"`
	// Mirrored counts copies of other backends' requests that it was sent. They are in none of the Counters.
	Mirrored int64 `json:"mirrored,omitempty"`
}

// Counters count the requests that ended on a backend. Each is counted once: Requests is the sum of Classes, Failures and ClientGone.
type Counters struct {
	Requests int64 `json:"requests"`
	// Classes counts whole answers by the first digit of their status.
	Classes [6]int64 `json:"classes"`
	// Failures counts, by cause, what could not be carried out.
	Failures map[string]int64 `json:"failures,omitempty"`
	// ClientGone counts what the client gave up, or was cut for being too slow; no failures.
	ClientGone int64 `json:"client_gone,omitempty"`
	// Retries counts requests that went on to another try after this backend failed them; they are counted where they ended.
	Retries int64 `json:"retries,omitempty"`
	// LongClosed counts long connections that were closed on purpose, properly, LongCut those that broke.
	LongClosed int64 `json:"long_closed,omitempty"`
	LongCut    int64 `json:"long_cut,omitempty"`
	// Latency of ordinary requests, to the end of the answer.
	Latency telemetry.Distribution `json:"latency"`
}

// FailedRequest is one request that failed.
type FailedRequest struct {
	At      time.Time         `json:"at"`
	Server  segue.ServerName  `json:"server,omitempty"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Cause   string            `json:"cause"`
	// Status was sent to the client; 0 when its connection was closed instead.
	Status int    `json:"status"`
	Method string `json:"method"`
	// Path is without the query, which may hold secrets.
	Path string `json:"path"`
}

// Causes of failures, in counters and metrics.
const (
	causeDial        = "dial"         // no connection could be had
	causeReset       = "reset"        // the connection broke before an answer
	causeTimeout     = "timeout"      // no answer in time
	causeBadAnswer   = "bad_answer"   // what came was no valid answer
	causeTruncated   = "truncated"    // the answer ended before its end
	causeNoBackend   = "no_backend"   // none was ready, and waiting is off
	causeHoldFull    = "hold_full"    // too many were waiting already
	causeHoldTimeout = "hold_timeout" // none became ready in time
	causeAmbiguous   = "ambiguous_length"
	causeMethod      = "method"
	causeMaintenance = "maintenance"
)
