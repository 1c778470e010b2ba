package receipt

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// Labels of samples that Build looks for. All other labels are for people.
const (
	// LabelOpen is taken when the rollout is opened.
	LabelOpen = "open"
	// LabelBegin is taken when its first step may begin: the time from LabelOpen to it is "before". Without it, "before" is all that the counters
	// hold at LabelOpen.
	LabelBegin = "begin"
	// LabelEnd is taken when it has ended.
	LabelEnd = "end"
	// LabelAfter is taken some time later: the time from LabelEnd to it is "after".
	LabelAfter = "after"
)

// Sample is what was measured at one moment: the data of an EventSample. Counters are cumulative. Samples are taken at the start, when steps end, every
// few seconds between, and at the end. While a fleet bakes for days, let the time between samples grow with the rollout's age: some hundred are enough
// for any receipt.
type Sample struct {
	// Label is one of the labels above, "step 5", or "".
	Label string `json:"label,omitempty"`
	// Balancer is nil when the balancer did not answer or there is none.
	Balancer *telemetry.Snapshot `json:"balancer,omitempty"`
	// Witness is nil when there is none.
	Witness *WitnessSample `json:"witness,omitempty"`
}

// Event makes the journal event that keeps the sample.
func (s Sample) Event(service segue.ServiceName, rollout segue.RolloutID) (segue.Event, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return segue.Event{}, fmt.Errorf("encode sample: %w", err)
	}
	return segue.Event{Kind: segue.EventSample, Service: service, Rollout: rollout, Data: data}, nil
}

// Lean leaves out the failed requests that an earlier sample, taken at the time given, has listed already: each is then kept once. Build puts them
// together again. It changes nothing that the sample shares with its source.
func (s Sample) Lean(earlier time.Time) Sample {
	if s.Balancer == nil || earlier.IsZero() {
		return s
	}
	lean := *s.Balancer
	lean.Failures = slices.DeleteFunc(slices.Clone(lean.Failures), func(f telemetry.FailedRequest) bool { return f.At.Before(earlier) })
	s.Balancer = &lean
	return s
}

// WitnessSample is what the synthetic users have counted since their Run began.
type WitnessSample struct {
	At time.Time `json:"at"`
	// Run changes whenever the counters begin anew.
	Run      string           `json:"run"`
	Users    int              `json:"users"`
	Requests int64            `json:"requests"`
	Failed   int64            `json:"failed"`
	Failures map[string]int64 `json:"failures,omitempty"`
	// Unproven counts failures of steps that had never worked: they say nothing about a release.
	Unproven int64 `json:"unproven,omitempty"`
	Retries  int64 `json:"retries,omitempty"`
	// Logouts and Moves are by user.
	Logouts []int64                `json:"logouts,omitempty"`
	Moves   []int64                `json:"moves,omitempty"`
	Latency telemetry.Distribution `json:"latency"`

	WritesMade       int64 `json:"writes_made,omitempty"`
	WritesVerified   int64 `json:"writes_verified,omitempty"`
	WritesLost       int64 `json:"writes_lost,omitempty"`
	WritesDoubled    int64 `json:"writes_doubled,omitempty"`
	WritesUnverified int64 `json:"writes_unverified,omitempty"`

	SocketsOpened int64 `json:"sockets_opened,omitempty"`
	// SocketsClosed counts, by close code, WebSockets that the other side closed properly; SocketsCut those that broke.
	SocketsClosed map[string]int64 `json:"sockets_closed,omitempty"`
	SocketsCut    int64            `json:"sockets_cut,omitempty"`

	// Problem says why the witness itself could not work; "" when it could.
	Problem string `json:"problem,omitempty"`
	// Findings are those since the sample before.
	Findings []segue.Finding `json:"findings,omitempty"`
}
