// Package operator holds what an operator asks for and sees: requests, replies and views, as they go over the wire. Engine and faces both speak in
// it, so that neither needs to know the other.
package operator

import (
	"encoding/json"
	"time"

	"github.com/segue-deploy/segue"
)

// Project is a segue.yaml as its user sees it: the text, where it stands, and the variables it names.
type Project struct {
	// File is the name for error messages, Dir the folder that relative paths in it start from.
	File string `json:"file" maxLength:"4096" doc:"name of the file, for messages"`
	Dir  string `json:"dir" maxLength:"4096" doc:"absolute folder that relative paths start from"`
	Text string `json:"text" maxLength:"1048576" doc:"content of segue.yaml"`
	// Variables holds the values of those ${VAR} that the text names, and no others. They are secrets.
	Variables map[string]string `json:"variables,omitempty" doc:"values of the variables that the text names"`
}

// Target names what to deploy.
type Target struct {
	// Service is empty for "every service that has this release".
	Service segue.ServiceName `json:"service,omitempty" doc:"empty: every service that has this release"`
	Release segue.ReleaseName `json:"release" doc:"the release to go to"`
}

// DeployRequest asks for a plan, or for a rollout of it.
type DeployRequest struct {
	Project Project  `json:"project"`
	Targets []Target `json:"targets" minItems:"1" maxItems:"100"`
	// Plan is the index that a shown plan carried; the deploy is refused when the fleet has changed since. 0 takes the fleet as it is.
	Plan int64 `json:"plan,omitempty" doc:"index of the plan that was shown; refused when the fleet has changed since"`
	// Replace makes the release the candidate in place of a running rollout's; Queue lets it wait for that.
	Replace bool `json:"replace,omitempty"`
	Queue   bool `json:"queue,omitempty"`
	// Hurry leaves out observations.
	Hurry bool `json:"hurry,omitempty"`
	// Carry leaves contract steps that must wait owed, instead of refusing the deploy for them.
	Carry bool   `json:"carry,omitempty"`
	By    string `json:"by,omitempty" maxLength:"200"`
	Why   string `json:"why,omitempty" maxLength:"2000"`
}

// PlanReply is a plan per service, and the index that they hold for.
type PlanReply struct {
	Index int64         `json:"index"`
	Plans []ServicePlan `json:"plans"`
}

// ServicePlan is one service's plan, with its lines for people.
type ServicePlan struct {
	Plan segue.Plan `json:"plan"`
	// Lines are one per action, headings between; they say the same as Plan.
	Lines []string `json:"lines"`
	// Forecast is what it will take.
	Forecast Forecast `json:"forecast"`
	// Databases say what the release does to each database.
	Databases []DatabaseCheck `json:"databases,omitempty"`
}

// Forecast says what a plan will take, as far as one can know.
type Forecast struct {
	// AtLeast is the time that its bakes and the earlier boots sum up to; AtMost what its deadlines allow.
	AtLeast time.Duration `json:"at_least_ns"`
	AtMost  time.Duration `json:"at_most_ns"`
	// PeakLoad is the load on the busiest server while one is out, against its load now.
	PeakLoad float64 `json:"peak_load"`
	// Finds are faults that the judges would find at the present traffic; empty where none was seen.
	Finds []Prospect `json:"finds,omitempty"`
	// Past is what the judges would compare servers with; absent where none looks back.
	Past *Past `json:"past,omitempty"`
}

// Past is how much of the last hour is known of servers.
type Past struct {
	// Answers is for how long they were counted, Logs for how long the output of each was read.
	Answers time.Duration `json:"answers_ns"`
	Logs    time.Duration `json:"logs_ns"`
	// Enough is how much it takes for errors and latency to fail a candidate, and not only hold it; 0 where they are not judged.
	Enough time.Duration `json:"enough_ns"`
}

// Prospect is a fault, and the time in which half of such faults are found; 0 where it is not to be found at this traffic.
type Prospect struct {
	What   string        `json:"what"`
	Within time.Duration `json:"within_ns"`
}

// DeployReply says which rollouts were opened; services without one had nothing to do, and say so in Notes.
type DeployReply struct {
	Rollouts []Rollout `json:"rollouts"`
	Notes    []string  `json:"notes,omitempty"`
}

// Rollout is one run of a plan, as it stands.
type Rollout struct {
	ID        segue.RolloutID   `json:"id"`
	Service   segue.ServiceName `json:"service"`
	Stable    segue.ReleaseName `json:"stable,omitempty"`
	Candidate segue.ReleaseName `json:"candidate"`
	Phase     segue.Phase       `json:"phase"`
	Reason    string            `json:"reason,omitempty"`
	// Sentence says the end state in one sentence; before the end, the state so far.
	Sentence string         `json:"sentence"`
	By       string         `json:"by,omitempty"`
	OpenedAt time.Time      `json:"opened_at"`
	EndedAt  time.Time      `json:"ended_at,omitzero"`
	Goal     segue.Goal     `json:"goal,omitempty"`
	Steps    []StepStatus   `json:"steps,omitempty"`
	Batches  int            `json:"batches,omitempty"`
	Fleet    segue.Fleet    `json:"fleet"`
	Verdict  *segue.Verdict `json:"verdict,omitempty"`
	// Failure is what made a gate fail.
	Failure *segue.Failure `json:"failure,omitempty"`
	// Receipt is true once the receipt is stored.
	Receipt bool `json:"receipt,omitempty"`
	// Index is the journal's last index that this was made from.
	Index int64 `json:"index"`
}

// StepStatus is a step of a rollout's present plan with its progress.
type StepStatus struct {
	segue.Step
	Status  string         `json:"status" enum:"waiting,running,done,failed,skipped"`
	Attempt int            `json:"attempt,omitempty"`
	Since   time.Time      `json:"since,omitzero"`
	Until   time.Time      `json:"until,omitzero"`
	Waiting string         `json:"waiting,omitempty"`
	Outcome *segue.Outcome `json:"outcome,omitempty"`
	Failure *segue.Failure `json:"failure,omitempty"`
	// Progress is that of a database step that runs.
	Progress *ChangeProgress `json:"progress,omitempty"`
}

// Status is everything at one moment.
type Status struct {
	Version    string          `json:"version"`
	PID        int             `json:"pid"`
	StartedAt  time.Time       `json:"started_at"`
	Background bool            `json:"background"`
	Index      int64           `json:"index"`
	Services   []ServiceStatus `json:"services"`
}

// ServiceStatus is one service at one moment.
type ServiceStatus struct {
	Name   segue.ServiceName `json:"name"`
	Stable segue.ReleaseName `json:"stable,omitempty"`
	// Previous is the release that a rollback would go to; Until says how long it is kept. Empty when there is no way back.
	Previous segue.ReleaseName `json:"previous,omitempty"`
	Until    time.Time         `json:"until,omitzero"`
	Fleet    segue.Fleet       `json:"fleet"`
	// Listen is where the balancer takes requests.
	Listen string `json:"listen,omitempty"`
	// Rollout is the open one; Queued wait behind it.
	Rollout *Rollout          `json:"rollout,omitempty"`
	Queued  []segue.RolloutID `json:"queued,omitempty"`
	// Traffic per release since the balancer began to count.
	Traffic []ReleaseTraffic `json:"traffic,omitempty"`
	// Problems are what is not as it should be, one sentence each.
	Problems []string `json:"problems,omitempty"`
}

// ReleaseTraffic is what a release's backends did together.
type ReleaseTraffic struct {
	Release  segue.ReleaseName `json:"release"`
	Backends int               `json:"backends"`
	Requests int64             `json:"requests"`
	Errors   int64             `json:"errors"`
	InFlight int               `json:"in_flight"`
	P50      time.Duration     `json:"p50_ns"`
	P99      time.Duration     `json:"p99_ns"`
}

// OrderRequest is an operator's order to a rollout.
type OrderRequest struct {
	// Service or Rollout says which; with neither, the only open one.
	Service segue.ServiceName `json:"service,omitempty"`
	Rollout segue.RolloutID   `json:"rollout,omitempty"`
	Order   segue.Order       `json:"order"`
}

// RotationRequest takes a server out of rotation by hand, or puts it back.
type RotationRequest struct {
	Service segue.ServiceName `json:"service,omitempty"`
	Server  segue.ServerName  `json:"server"`
	In      bool              `json:"in"`
	By      string            `json:"by,omitempty" maxLength:"200"`
	Why     string            `json:"why,omitempty" maxLength:"2000"`
}

// HistoryEntry is a rollout that was, in short.
type HistoryEntry struct {
	ID        segue.RolloutID   `json:"id"`
	Service   segue.ServiceName `json:"service"`
	Stable    segue.ReleaseName `json:"stable,omitempty"`
	Candidate segue.ReleaseName `json:"candidate"`
	Phase     segue.Phase       `json:"phase"`
	By        string            `json:"by,omitempty"`
	OpenedAt  time.Time         `json:"opened_at"`
	EndedAt   time.Time         `json:"ended_at,omitzero"`
	Sentence  string            `json:"sentence"`
	// Summary figures of the receipt; nil while there is none.
	Requests *int64 `json:"requests,omitempty"`
	Failed   *int64 `json:"failed,omitempty"`
}

// ReceiptReply holds a receipt as package receipt reads it.
type ReceiptReply struct {
	Receipt json.RawMessage `json:"receipt"`
}
