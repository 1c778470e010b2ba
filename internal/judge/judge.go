// Package judge is the contract of whoever weighs evidence about a candidate: evidence in, findings out.
//
// A judge is pure: it reads no clock and does no I/O; the controller gathers the evidence. A judge with memory (sequential statistics)
// keeps it in what it returns from New, is fed every window once and in order, and can be rebuilt by feeding the stored windows again.
package judge

import (
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Evidence is what was seen of a mixed fleet from Since to Until. Counts are of that time alone, not cumulative.
type Evidence struct {
	Service   segue.ServiceName `json:"service"`
	Stable    segue.ReleaseName `json:"stable"`
	Candidate segue.ReleaseName `json:"candidate"`
	Since     time.Time         `json:"since"`
	Until     time.Time         `json:"until"`
	// Servers has one entry per server that ran the whole time.
	Servers []ServerEvidence `json:"servers"`
	// Witness lists what synthetic users found in that time.
	Witness []segue.Finding `json:"witness,omitempty"`
	// Answers were compared in that time, where traffic is mirrored.
	Answers []AnswerCount `json:"answers,omitempty"`
	// Templates tells of those that servers' Logs name and no window before did; Merged of those that became one.
	Templates []LogTemplate `json:"templates,omitempty"`
	Merged    []LogMerge    `json:"merged,omitempty"`
	// Before is what was seen before the first server was replaced, slice by slice, oldest first: each server's own history. It is
	// set in the first window of a rollout alone.
	Before []Evidence `json:"before,omitempty"`
}

// Length is the time from Since to Until.
func (e Evidence) Length() time.Duration { return e.Until.Sub(e.Since) }

// AnswerCount is how often one path of the answers of a route differed, while the same requests went to the candidate and to stable servers.
type AnswerCount struct {
	Route string `json:"route"`
	Path  string `json:"path"`
	// Kind of difference ("value", "missing", "type", "status", "mirror:timeout").
	Kind string `json:"kind"`
	// Candidate counts requests in which only the candidate's answer differed from the primary's, Stable those in which only a second stable
	// server's did; of Compared. Secondaries is how many stable servers were asked beside the primary.
	Candidate   int64 `json:"candidate"`
	Stable      int64 `json:"stable"`
	Compared    int64 `json:"compared"`
	Secondaries int   `json:"secondaries"`
	// Noisy paths differ among stable servers too, so often that nothing can be said of them.
	Noisy bool `json:"noisy,omitempty"`
	// Sample shows one difference.
	Sample string `json:"sample,omitempty"`
}

// LogTemplate is a kind of log line.
type LogTemplate struct {
	// ID is its fingerprint, the same in every process.
	ID       string `json:"id"`
	Severity string `json:"severity,omitempty"`
	// Trace is true for a stack trace.
	Trace bool `json:"trace,omitempty"`
	// Text has <*> for what varies; Sample is one line.
	Text   string `json:"text"`
	Sample string `json:"sample,omitempty"`
	// Born orders templates by their first appearance on any server.
	Born int64 `json:"born"`
	// First is when that was.
	First time.Time `json:"first,omitzero"`
}

// LogMerge says that what was counted under From is counted under Into from now on.
type LogMerge struct {
	From string `json:"from"`
	Into string `json:"into"`
}

// LogCount is how often a server said a template.
type LogCount struct {
	Template string `json:"template"`
	// Units counts slots of 10 s that closed in the window and had at least one: a burst counts once. Events counts every one.
	Units  int64 `json:"units"`
	Events int64 `json:"events"`
}

// ServerEvidence is what was seen of one server.
type ServerEvidence struct {
	Server  segue.ServerName  `json:"server"`
	Release segue.ReleaseName `json:"release"`
	// Requests with a final answer or failure; Errors are 5xx answers and failures the balancer counted.
	Requests int64                  `json:"requests"`
	Errors   int64                  `json:"errors"`
	Latency  telemetry.Distribution `json:"latency"`
	// Ready is false when its readiness check failed at Until.
	Ready    bool `json:"ready"`
	Crashes  int  `json:"crashes,omitempty"`
	Restarts int  `json:"restarts,omitempty"`
	// Started is when its process did, zero when not known.
	Started time.Time `json:"started,omitzero"`
	// Routes counts requests by route, where the balancer tells them apart.
	Routes map[string]int64 `json:"routes,omitempty"`
	// RouteErrors counts those of Errors whose route is known, by route. A route without errors has no entry.
	RouteErrors map[string]int64 `json:"route_errors,omitempty"`
	// Mirrored counts copies of other servers' requests that a mirror sent it. They are not in Requests, Errors or Routes.
	Mirrored int64 `json:"mirrored,omitempty"`
	// Logs counts what it wrote; LogsRead is false when its output could not be read all the time. LogsLost counts lines that could not be taken in.
	Logs     []LogCount `json:"logs,omitempty"`
	LogsRead bool       `json:"logs_read,omitempty"`
	LogsLost int64      `json:"logs_lost,omitempty"`
	// Gauges are its own metrics by series: the mean of a gauge, the rate per second of a counter. What is not there was not readable.
	Gauges map[string]float64 `json:"gauges,omitempty"`
}

// Judge weighs evidence. Findings of windows before count too: a judge is fed window by window and says what it thinks by now. It never
// passes by silence: no data is inconclusive.
type Judge interface {
	// Name is the judge's name in findings and configuration.
	Name() string
	// Weigh takes the next window and gives the findings as of its end.
	Weigh(window Evidence) []segue.Finding
}
