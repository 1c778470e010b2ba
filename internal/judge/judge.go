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
}

// Judge weighs evidence. Findings of windows before count too: a judge is fed window by window and says what it thinks by now. It never
// passes by silence: no data is inconclusive.
type Judge interface {
	// Name is the judge's name in findings and configuration.
	Name() string
	// Weigh takes the next window and gives the findings as of its end.
	Weigh(window Evidence) []segue.Finding
}
