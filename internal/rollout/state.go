// Package rollout is the machine: a pure function from (state, event, now) to the next state and the commands to carry out. It does no I/O,
// starts no goroutine and reads no clock; the controller journals each event before it carries out what follows from it, so a restart replays the
// events and is handed the same commands again.
package rollout

import (
	"time"

	"github.com/segue-deploy/segue"
)

// State is all that a rollout is: the fold of its events. It is a value: Apply returns a new one and leaves the old alone.
type State struct {
	ID        segue.RolloutID   `json:"id"`
	Service   segue.ServiceName `json:"service"`
	Settings  segue.Service     `json:"settings"`
	Stable    segue.Release     `json:"stable"`
	Candidate segue.Release     `json:"candidate"`
	By        string            `json:"by,omitempty"`

	Phase segue.Phase `json:"phase"`
	// Reason says in one clause why it is in this phase ("first batch observed", "web-1: readiness: timeout").
	Reason string `json:"reason,omitempty"`
	// Goal is what it wants now, Scope the servers it wants that for (empty: all).
	Goal  segue.Goal         `json:"goal"`
	Scope []segue.ServerName `json:"scope,omitempty"`

	Plan  segue.Plan  `json:"plan"`
	Steps []StepState `json:"steps"`
	// Plans counts the plans this rollout has had; the attempt number of a plan command.
	Plans int `json:"plans"`
	// Planning is true while a fresh plan is awaited.
	Planning bool `json:"planning,omitempty"`

	// Fleet is the fleet as the events tell it.
	Fleet segue.Fleet `json:"fleet"`

	Paused   bool `json:"paused,omitempty"`
	Hurry    bool `json:"hurry,omitempty"`
	Observed int  `json:"observed"`
	// Crashes counts unplanned deaths of candidate instances.
	Crashes int `json:"crashes"`
	// Verdict is the latest one.
	Verdict *segue.Verdict `json:"verdict,omitempty"`
	// Approvals holds every yes, with who, when and why.
	Approvals []Approval `json:"approvals,omitempty"`
	// GateFailed is what made a gate fail; nil while none has.
	GateFailed *segue.Failure `json:"gate_failed,omitempty"`

	OpenedAt time.Time `json:"opened_at"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	// MixedSince is when the second release came to run; MixedFor sums the times that were over.
	MixedSince time.Time     `json:"mixed_since,omitzero"`
	MixedFor   time.Duration `json:"mixed_for"`
}

// StepStatus is where a step of the present plan stands.
type StepStatus string

const (
	// StepWaiting has steps before it, or is held back by a pause or by capacity.
	StepWaiting StepStatus = "waiting"
	// StepRunning was handed out and has no outcome yet.
	StepRunning StepStatus = "running"
	// StepDone went well.
	StepDone StepStatus = "done"
	// StepFailed was given up.
	StepFailed StepStatus = "failed"
	// StepSkipped was not needed any more: promoted past, or overtaken by a new plan.
	StepSkipped StepStatus = "skipped"
)

// StepState is one step's progress.
type StepState struct {
	Status  StepStatus `json:"status"`
	Attempt int        `json:"attempt,omitempty"`
	// Since is when the step was first handed out, Until when it ended.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// NotBefore holds a further attempt back.
	NotBefore time.Time      `json:"not_before,omitzero"`
	Outcome   *segue.Outcome `json:"outcome,omitempty"`
	Failure   *segue.Failure `json:"failure,omitempty"`
	// Waiting says in one clause what holds it back, where that is not plain ("capacity: web-3 is down").
	Waiting string `json:"waiting,omitempty"`
}

// Approval is a person's yes.
type Approval struct {
	Step segue.StepID `json:"step"`
	By   string       `json:"by"`
	Why  string       `json:"why,omitempty"`
	At   time.Time    `json:"at"`
}

// CommandKind says what the controller is to do.
type CommandKind string

const (
	// CommandStep is to carry out a step and report EventStepDone or EventStepFailed for this attempt.
	CommandStep CommandKind = "step"
	// CommandPlan is to look at the fleet as it is, plan for Goal and Servers, and report EventPlanned.
	CommandPlan CommandKind = "plan"
	// CommandCancel is to give up carrying out a step (an observation that was promoted past); its outcome is not waited for.
	CommandCancel CommandKind = "cancel"
)

// Command is what the machine asks the controller to do. It is idempotent by (Rollout, plan number, Step.ID, Attempt): after a crash
// the controller is handed the same command again.
type Command struct {
	Kind    CommandKind     `json:"kind"`
	Rollout segue.RolloutID `json:"rollout"`
	// Plan is the number of the plan that the step is of, or of the plan to make.
	Plan    int        `json:"plan"`
	Step    segue.Step `json:"step,omitzero"`
	Attempt int        `json:"attempt,omitempty"`
	// Since is when the step was first handed out: a bake goes on from there after a crash.
	Since time.Time `json:"since,omitzero"`
	// NotBefore holds the attempt back.
	NotBefore time.Time          `json:"not_before,omitzero"`
	Goal      segue.Goal         `json:"goal,omitempty"`
	Servers   []segue.ServerName `json:"servers,omitempty"`
	Observed  int                `json:"observed,omitempty"`
	Hurry     bool               `json:"hurry,omitempty"`
}
