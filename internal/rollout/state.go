// Package rollout is the machine: a pure function from (state, event, now) to the next state and the commands to carry out. It does no I/O,
// starts no goroutine and reads no clock; the controller journals each event before it carries out what follows from it, so a restart replays the
// events and is handed the same commands again.
package rollout

import (
	"time"

	"github.com/segue-deploy/segue"
)

// State is all that a rollout is: the fold of its events, and a function of them alone.
//
// Apply uses up the state that it is given: the result shares its memory, so that one event costs the same in a fleet of ten
// thousand servers as in one of ten. Whoever wants to keep a state, or to read it on another goroutine, takes a Clone.
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
	// Planning is true while a fresh plan is awaited; PlanTry counts the attempts at it, PlanNotBefore holds a further one back.
	Planning      bool      `json:"planning,omitempty"`
	PlanTry       int       `json:"plan_try,omitempty"`
	PlanNotBefore time.Time `json:"plan_not_before,omitzero"`
	// Meanwhile keeps what happened to instances while a plan is awaited: its maker may have looked at the fleet before that.
	Meanwhile []segue.Event `json:"meanwhile,omitempty"`
	// Turn says that the present plan is to be given up for a fresh one, and when.
	Turn Turn `json:"turn,omitempty"`
	// Joining lists servers that joined and get stable before anything else goes on.
	Joining []segue.ServerName `json:"joining,omitempty"`

	// Fleet is the fleet as the events tell it.
	Fleet segue.Fleet `json:"fleet"`

	Paused bool `json:"paused,omitempty"`
	// Held says what kind of decision a person has to take; "" when none.
	Held Hold `json:"held,omitempty"`
	// Interrupted is true when the hold ended an observation before its time: to promote is to do without the rest of it.
	Interrupted bool `json:"interrupted,omitempty"`
	// Mirror is the mirror step that was handed out last, done or not, until a step that ends it is done; its ID is 0 when no request can be copied.
	Mirror segue.Step `json:"mirror,omitzero"`
	// Hurry leaves out every further observation; Overruled makes failing verdicts a matter of record only (promote --all
	// after a failed gate).
	Hurry     bool `json:"hurry,omitempty"`
	Overruled bool `json:"overruled,omitempty"`
	// Insist finalizes although a server is not ready (promote while finalize waits for it).
	Insist   bool `json:"insist,omitempty"`
	Observed int  `json:"observed"`
	// BakeSince keeps the time at which an observation began that a fresh plan goes on with.
	BakeSince time.Time `json:"bake_since,omitzero"`
	// Crashes counts unplanned deaths of candidate instances.
	Crashes int `json:"crashes"`
	// Verdict is the latest one.
	Verdict *segue.Verdict `json:"verdict,omitempty"`
	// Approvals holds every yes, with who, when and why.
	Approvals []Approval `json:"approvals,omitempty"`
	// Closed says why stable cannot come back any more: a point of no return was passed, with a person's yes. "" while it can.
	Closed string `json:"closed,omitempty"`
	// Abandoned is true when a person gave the candidate up although stable cannot come back: it ends wherever the servers are.
	Abandoned bool `json:"abandoned,omitempty"`
	// Owed lists database work that could not be done in this rollout and stays to be done.
	Owed []string `json:"owed,omitempty"`
	// GateFailed is what made a gate fail; nil while none has.
	GateFailed *segue.Failure `json:"gate_failed,omitempty"`

	OpenedAt time.Time `json:"opened_at"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	// MixedSince is when the second release came to run; MixedFor sums the times that were over.
	MixedSince time.Time     `json:"mixed_since,omitzero"`
	MixedFor   time.Duration `json:"mixed_for"`

	// index answers in constant time what would take a scan; nil until it is needed.
	index *index
}

// Turn says when the present plan ends for a fresh one.
type Turn string

const (
	// TurnNone goes on with the present plan.
	TurnNone Turn = ""
	// TurnAfterGroups lets begun groups come to their end first.
	TurnAfterGroups Turn = "after-groups"
	// TurnAfterSteps lets running steps end, no more: the fresh plan starts from wherever servers are.
	TurnAfterSteps Turn = "after-steps"
)

// Hold is what a held rollout waits for.
type Hold string

const (
	// HoldNone waits for nobody.
	HoldNone Hold = ""
	// HoldGate waits after a failed gate: promote overrides it, abort gives up.
	HoldGate Hold = "gate"
	// HoldData waits because an observation ended without enough data: promote, resume (look again) or abort.
	HoldData Hold = "data"
	// HoldJudges waits because the judges hold the candidate: too much against it to go on, too little to send it back. promote overrules them, resume
	// looks again, abort gives up.
	HoldJudges Hold = "judges"
	// HoldPlan waits because no plan could be made: resume tries again, abort gives up.
	HoldPlan Hold = "plan"
	// HoldClosed waits because the candidate is to be given up and stable cannot come back: promote or resume goes on.
	HoldClosed Hold = "closed"
	// HoldMixed waits with the fleet mixed after servers were rolled back by name: resume goes on, abort takes all back.
	HoldMixed Hold = "mixed"
)

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

// Approval is a person's yes: to an approve step, to the end of an observation, or over a gate that failed.
type Approval struct {
	// Verb is approve or promote, Over what it overruled, "" when nothing had failed.
	Verb segue.Verb   `json:"verb"`
	Over string       `json:"over,omitempty"`
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

// Command is what the machine asks the controller to do; Done, Failed and Planned make the event that answers it. It is idempotent by (Rollout, plan number, Step.ID, Attempt): after a crash
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
	// Mirroring is the mirror that may be on, and that the plan to make has to end first.
	Mirroring segue.Step `json:"mirroring,omitzero"`
}
