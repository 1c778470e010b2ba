package receipt

import (
	"time"

	"github.com/segue-deploy/segue"
)

// Receipt is the measured account of one rollout. Its JSON is a promise: fields are added, none is renamed or taken away.
type Receipt struct {
	// Version is that of this form, 1.
	Version int               `json:"version"`
	Rollout segue.RolloutID   `json:"rollout"`
	Service segue.ServiceName `json:"service"`
	// From is "" when the service was deployed for the first time.
	From     segue.ReleaseName  `json:"from,omitempty"`
	To       segue.ReleaseName  `json:"to"`
	Strategy segue.StrategyKind `json:"strategy"`
	By       string             `json:"by,omitempty"`
	Why      string             `json:"why,omitempty"`

	// Outcome is the phase it ended in, or is in; Partial is true while it is not over, and when entries are missing.
	Outcome segue.Phase `json:"outcome"`
	Partial bool        `json:"partial,omitempty"`
	// Sentence says the end state, or the present one.
	Sentence string    `json:"sentence"`
	Started  time.Time `json:"started"`
	// Ended is when it ended, or until when a partial receipt reaches.
	Ended    time.Time `json:"ended"`
	Duration Seconds   `json:"duration_seconds"`

	// Traffic is what the balancer counted from start to end; nil: not measured.
	Traffic *Traffic `json:"traffic"`
	// Witness is what the synthetic users noticed from start to end; nil: there were none.
	Witness *Witness `json:"witness"`
	// Time says where the time went.
	Time Time `json:"time"`

	// Plans are the plans that were carried out, in order; Steps all their steps that were begun, in order of beginning.
	Plans []Plan `json:"plans"`
	Steps []Step `json:"steps"`
	// Servers say which release each server ran when.
	Servers []Server `json:"servers"`
	// Series is the traffic over time, for drawing.
	Series []Point `json:"series,omitempty"`

	Verdicts []Verdict `json:"verdicts,omitempty"`
	Orders   []Order   `json:"orders,omitempty"`
	// Incidents are what nobody ordered: instances that died, strays, servers that came and went.
	Incidents []Incident `json:"incidents,omitempty"`
	// Notes say what limits the figures above.
	Notes []string `json:"notes,omitempty"`
}

// Traffic is what the balancer counted.
type Traffic struct {
	// Since and Until are the first and the last sample: what lies outside was not measured.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// Requests came to an answer or a failure; Failed are those that failed: no proper answer, or one with 5xx.
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	// Failures has every failure in one group of cause, step and server.
	Failures []FailureGroup `json:"failures,omitempty"`
	// FailuresByCause adds the groups up.
	FailuresByCause map[string]int64 `json:"failures_by_cause,omitempty"`
	// Listed are single failed requests, as far as the balancer kept them.
	Listed []Failed `json:"listed,omitempty"`
	// Refused counts requests that were malformed or not allowed; they are not failures.
	Refused int64 `json:"refused,omitempty"`
	// ClientGone counts requests that the client gave up.
	ClientGone int64 `json:"client_gone,omitempty"`
	Retries    int64 `json:"retries"`
	// Held requests waited in the balancer until a backend was ready. LongestHold is that of the longest wait; with AtMost it is only known not to have
	// been longer.
	Held        int64   `json:"held"`
	LongestHold Seconds `json:"longest_hold_seconds"`
	AtMost      bool    `json:"longest_hold_at_most,omitempty"`

	// Before, During and After are latencies of ordinary requests; nil: not measured, or no request.
	Before *Latency `json:"latency_before"`
	During *Latency `json:"latency_during"`
	After  *Latency `json:"latency_after"`
	// Releases are the answers by release, Stable first.
	Releases []ReleaseTraffic `json:"releases,omitempty"`
	Long     Long             `json:"long_connections"`
	// Moves and Users are the balancer's own count of sticky users who were sent to another server; nil when it has none.
	Moves *int64 `json:"sticky_moves,omitempty"`
	Users *int64 `json:"sticky_users,omitempty"`
	// Restarts counts how often the counters began anew.
	Restarts int `json:"balancer_restarts,omitempty"`
}

// FailureGroup counts failures that have cause, step and server in common.
type FailureGroup struct {
	Cause string `json:"cause"`
	// Plan and Step name the step that ran then; 0: none did.
	Plan int          `json:"plan,omitempty"`
	Step segue.StepID `json:"step,omitempty"`
	// Server is "" for failures that belong to no backend.
	Server segue.ServerName `json:"server,omitempty"`
	Count  int64            `json:"count"`
	// Estimated is true when the step was found by the time between two samples, not by the failed request's own time.
	Estimated bool `json:"estimated,omitempty"`
}

// Failed is one failed request.
type Failed struct {
	At      time.Time         `json:"at"`
	Server  segue.ServerName  `json:"server,omitempty"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Cause   string            `json:"cause"`
	Status  int               `json:"status,omitempty"`
	Method  string            `json:"method,omitempty"`
	Path    string            `json:"path,omitempty"`
}

// Latency sums up a distribution.
type Latency struct {
	P50     Seconds `json:"p50_seconds"`
	P99     Seconds `json:"p99_seconds"`
	Samples int64   `json:"samples"`
}

// ReleaseTraffic is one release's share.
type ReleaseTraffic struct {
	Release  segue.ReleaseName `json:"release"`
	Requests int64             `json:"requests"`
	// Classes counts answers by the first digit of their status: "2xx".
	Classes map[string]int64 `json:"classes"`
	Failed  int64            `json:"failed"`
	Latency *Latency         `json:"latency"`
}

// Long counts long connections (WebSockets, streams) that ended while their backend went away.
type Long struct {
	// Closed were closed properly at a drain deadline; Cut broke.
	Closed int64 `json:"closed"`
	Cut    int64 `json:"cut"`
}

// Witness is what the synthetic users noticed.
type Witness struct {
	Users int `json:"users"`
	// SessionsKept and SessionsLost add up to Users.
	SessionsKept int              `json:"sessions_kept"`
	SessionsLost int              `json:"sessions_lost"`
	Requests     int64            `json:"requests"`
	Failed       int64            `json:"failed"`
	Failures     map[string]int64 `json:"failures,omitempty"`
	// Unproven counts failures of steps that had never worked: the witness's own trouble.
	Unproven int64 `json:"unproven,omitempty"`
	Retries  int64 `json:"retries,omitempty"`
	// MovesMean and MovesMax count, per user, how often another server answered than the time before.
	MovesMean float64  `json:"moves_mean"`
	MovesMax  int64    `json:"moves_max"`
	Before    *Latency `json:"latency_before"`
	During    *Latency `json:"latency_during"`
	After     *Latency `json:"latency_after"`
	Writes    Writes   `json:"writes"`
	Sockets   Sockets  `json:"websockets"`
	Problem   string   `json:"problem,omitempty"`
	// Findings are the first of them, at most 50; FindingsMore counts the others that are known.
	Findings     []segue.Finding `json:"findings,omitempty"`
	FindingsMore int             `json:"findings_more,omitempty"`
}

// Writes counts the witness's writes, each read back.
type Writes struct {
	Made       int64 `json:"made"`
	Verified   int64 `json:"verified"`
	Lost       int64 `json:"lost"`
	Doubled    int64 `json:"doubled"`
	Unverified int64 `json:"unverified,omitempty"`
}

// Sockets counts the witness's WebSockets.
type Sockets struct {
	Opened int64 `json:"opened"`
	// Closed counts, by close code, those that were closed properly.
	Closed map[string]int64 `json:"closed,omitempty"`
	Cut    int64            `json:"cut"`
}

// Time says where a rollout's time went. Unavoidable, Person and Overhead add up to the receipt's Duration.
type Time struct {
	// Unavoidable is what no tool could have saved: boots, in-flight work and bakes along the longest chain of steps that waited for each other.
	Unavoidable Seconds `json:"unavoidable_seconds"`
	// Person was spent waiting for a person: approvals, holds, pauses.
	Person Seconds `json:"person_seconds"`
	// Overhead is the rest.
	Overhead Seconds `json:"overhead_seconds"`
	// Ratio is (Duration - Person) / Unavoidable; nil when nothing was unavoidable.
	Ratio *float64 `json:"ratio"`
	// Mixed is how long instances of two releases ran.
	Mixed Seconds `json:"mixed_seconds"`
}

// Plan is one plan of the rollout.
type Plan struct {
	// Number counts from 1: a change of mind is a new plan.
	Number int               `json:"number"`
	Goal   segue.Goal        `json:"goal"`
	To     segue.ReleaseName `json:"to"`
	At     time.Time         `json:"at"`
	// Steps it has, of which Begun were begun.
	Steps int      `json:"steps"`
	Begun int      `json:"begun"`
	Notes []string `json:"notes,omitempty"`
}

// StepStatus is how a step ended.
type StepStatus string

const (
	// StepDone went well.
	StepDone StepStatus = "done"
	// StepFailed was given up.
	StepFailed StepStatus = "failed"
	// StepRunning has no end yet.
	StepRunning StepStatus = "running"
	// StepOvertaken was begun and left by a new plan, or promoted past.
	StepOvertaken StepStatus = "overtaken"
)

// Step is one step that was begun.
type Step struct {
	Plan    int               `json:"plan"`
	ID      segue.StepID      `json:"id"`
	Kind    segue.StepKind    `json:"kind"`
	Batch   int               `json:"batch,omitempty"`
	Server  segue.ServerName  `json:"server,omitempty"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Status  StepStatus        `json:"status"`
	Started time.Time         `json:"started"`
	Ended   time.Time         `json:"ended"`
	// Unavoidable and Overhead add up to Duration.
	Duration    Seconds `json:"duration_seconds"`
	Unavoidable Seconds `json:"unavoidable_seconds"`
	Overhead    Seconds `json:"overhead_seconds"`
	// Attempts that it took; 1 is the least.
	Attempts int `json:"attempts"`
	// Deadline is true when a drain ended by its deadline; Cut is what was in flight then, Closed the long connections closed properly.
	Deadline bool `json:"deadline,omitempty"`
	Cut      int  `json:"cut,omitempty"`
	Closed   int  `json:"closed,omitempty"`
	// Failures counts failed requests while it ran, as in Traffic.Failures.
	Failures int64 `json:"failures"`
	// Note is a clause for people: the outcome's note, or the failure.
	Note string `json:"note,omitempty"`
	// Hint says what to do about a failure.
	Hint string `json:"hint,omitempty"`
	// Database and Title say what a database step worked on, Work what it measured, Owed what it had to leave.
	Database segue.DatabaseName `json:"database,omitempty"`
	Title    string             `json:"title,omitempty"`
	Work     *Work              `json:"work,omitempty"`
	Owed     string             `json:"owed,omitempty"`
}

// Server is one server's time.
type Server struct {
	Name      segue.ServerName    `json:"name"`
	Partition segue.PartitionName `json:"partition,omitempty"`
	Spans     []Span              `json:"spans,omitempty"`
	// Failures counts failed requests of it.
	Failures int64 `json:"failures"`
}

// Span is a time in which a server ran one release.
type Span struct {
	Release segue.ReleaseName `json:"release"`
	From    time.Time         `json:"from"`
	To      time.Time         `json:"to"`
	// Down is true when its instance did not run, or was not ready, without having been told to stop.
	Down bool `json:"down,omitempty"`
}

// Point is the traffic between one sample and the next.
type Point struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Requests int64     `json:"requests"`
	Failed   int64     `json:"failed"`
	P50      *Seconds  `json:"p50_seconds"`
	P99      *Seconds  `json:"p99_seconds"`
}

// Verdict is the last verdict of a step.
type Verdict struct {
	Plan int          `json:"plan"`
	Step segue.StepID `json:"step"`
	// Given counts how many verdicts this step got.
	Given int `json:"given"`
	segue.Verdict
}

// Order is what an operator wanted.
type Order struct {
	At      time.Time          `json:"at"`
	Verb    segue.Verb         `json:"verb"`
	By      string             `json:"by"`
	Why     string             `json:"why,omitempty"`
	Servers []segue.ServerName `json:"servers,omitempty"`
	Plan    int                `json:"plan,omitempty"`
	Step    segue.StepID       `json:"step,omitempty"`
	All     bool               `json:"all,omitempty"`
}

// Incident is one thing that nobody ordered.
type Incident struct {
	At       time.Time         `json:"at"`
	Kind     segue.EventKind   `json:"kind"`
	Server   segue.ServerName  `json:"server,omitempty"`
	Instance segue.InstanceID  `json:"instance,omitempty"`
	Release  segue.ReleaseName `json:"release,omitempty"`
	Text     string            `json:"text,omitempty"`
}
