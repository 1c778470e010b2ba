package segue

import (
	"encoding/json"
	"time"
)

// EventKind says what happened.
type EventKind string

// Events of a rollout. The rollout machine folds them; the journal keeps them; faces render them.
const (
	// EventOpened begins a rollout; carries Opening.
	EventOpened EventKind = "rollout-opened"
	// EventPlanned gives a rollout a fresh plan for what it wants now; carries Plan and the Fleet that it was made from, or Failure.
	EventPlanned EventKind = "rollout-planned"
	// EventStepDone ends an attempt of a step well; carries Step, Attempt, Outcome.
	EventStepDone EventKind = "step-done"
	// EventStepFailed ends an attempt of a step badly; carries Step, Attempt, Failure.
	EventStepFailed EventKind = "step-failed"
	// EventVerdict is a judgement while a step observes; carries Step and Verdict.
	EventVerdict EventKind = "verdict"
	// EventOrder is what an operator wants; carries Order.
	EventOrder EventKind = "order"
	// EventInstanceDown reports an instance that should run and does not, or is not ready; carries Server, Instance, Failure.
	EventInstanceDown EventKind = "instance-down"
	// EventInstanceUp reports that it is ready again; carries Server, Instance.
	EventInstanceUp EventKind = "instance-up"
	// EventServerJoined adds a server to the service; carries Server (and its partition in Slot).
	EventServerJoined EventKind = "server-joined"
	// EventServerLeft removes a server from the service; carries Server.
	EventServerLeft EventKind = "server-left"
	// EventStray reports an instance that nobody started; carries Server, Instance.
	EventStray EventKind = "stray-found"
)

// Events outside the machine: kept in the journal, folded by the ledger, ignored by rollouts.
const (
	// EventServiceConfigured records a service as it is from now on; carries Service settings and the digest of its stored
	// configuration.
	EventServiceConfigured EventKind = "service-configured"
	// EventReleaseRegistered records an immutable release; carries Release.
	EventReleaseRegistered EventKind = "release-registered"
	// EventReleaseRetired records that a release's files are gone: nobody can go back to it; carries Release.
	EventReleaseRetired EventKind = "release-retired"
	// EventSample keeps measured counters for the receipt; carries Data.
	EventSample EventKind = "sample"
	// EventReceipt keeps the receipt of a rollout that ended; carries Data.
	EventReceipt EventKind = "receipt"
	// EventDatabase records what was ordered of a database outside of rollouts, or came of it; carries Database and Work.
	EventDatabase EventKind = "database"
	// EventRotation records that an operator drained or admitted a server by hand, outside rollouts; carries Server, Rotation.
	EventRotation EventKind = "rotation"
)

// Event is one thing that happened. Kind says which of the other fields are set.
type Event struct {
	Kind    EventKind   `json:"kind"`
	Service ServiceName `json:"service,omitempty"`
	Rollout RolloutID   `json:"rollout,omitempty"`

	Step    StepID `json:"step,omitempty"`
	Attempt int    `json:"attempt,omitempty"`
	// PlanNumber says which plan of the rollout Step is of, or Plan is, from 1: a late word about a step of an earlier plan is
	// not taken for one about the present plan.
	PlanNumber int `json:"plan_number,omitempty"`

	Server    ServerName    `json:"server,omitempty"`
	Partition PartitionName `json:"partition,omitempty"`
	Instance  InstanceID    `json:"instance,omitempty"`
	Database  DatabaseName  `json:"database,omitempty"`
	Rotation  Rotation      `json:"rotation,omitempty"`
	// Restarts is how often the instance has been started again by its keeper, in EventInstanceDown and EventInstanceUp.
	Restarts int `json:"restarts,omitempty"`

	Opening  *Opening       `json:"opening,omitempty"`
	Plan     *Plan          `json:"plan,omitempty"`
	Fleet    *Fleet         `json:"fleet,omitempty"`
	Outcome  *Outcome       `json:"outcome,omitempty"`
	Failure  *Failure       `json:"failure,omitempty"`
	Verdict  *Verdict       `json:"verdict,omitempty"`
	Order    *Order         `json:"order,omitempty"`
	Release  *Release       `json:"release,omitempty"`
	Settings *Service       `json:"settings,omitempty"`
	Work     *DatabaseEvent `json:"work,omitempty"`
	Config   Digest         `json:"config,omitempty"`

	// Data is opaque to the machine.
	Data json.RawMessage `json:"data,omitempty"`
}

// Entry is an event as the journal keeps it.
type Entry struct {
	// Index numbers all entries of a journal, from 1 and without gaps.
	Index int64     `json:"index"`
	At    time.Time `json:"at"`
	Event Event     `json:"event"`
}

// Opening is all that a rollout starts from.
type Opening struct {
	// Settings is the service as configured for this rollout.
	Settings Service `json:"settings"`
	// Stable has no Name when the service is deployed for the first time.
	Stable    Release `json:"stable"`
	Candidate Release `json:"candidate"`
	// Fleet is what the plan was made from.
	Fleet Fleet `json:"fleet"`
	Plan  Plan  `json:"plan"`
	// Queued makes it wait for the service's present rollout; its plan is then made when its turn comes.
	Queued bool `json:"queued,omitempty"`
	// By and Why come from the operator.
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
}

// Outcome is what a step that went well found out.
type Outcome struct {
	// Address of a started instance.
	Address string `json:"address,omitempty"`
	// Unavoidable is the part of the step's time that no tool could have saved: boot, in-flight work, bake.
	Unavoidable time.Duration `json:"unavoidable,omitempty"`
	// Deadline is true when a drain ended by its deadline and not by zero in flight.
	Deadline bool `json:"deadline,omitempty"`
	// InFlight is what was cut then.
	InFlight int `json:"in_flight,omitempty"`
	// LongClosed counts long connections (WebSockets, streams) that were closed properly at the drain deadline.
	LongClosed int `json:"long_closed,omitempty"`
	// Owed says, of a database step, what stays to be done because its gate or the database did not let it; "" when all is done.
	Owed string `json:"owed,omitempty"`
	// Work is what a database step measured, opaque to the machine.
	Work json.RawMessage `json:"work,omitempty"`
	// Note is one clause for people.
	Note string `json:"note,omitempty"`
}

// Failure is an error as the journal keeps it.
type Failure struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// FailureOf turns an error into what the journal keeps of it.
func FailureOf(err error) *Failure {
	return &Failure{Kind: KindOf(err), Message: err.Error(), Hint: HintOf(err)}
}

// Err turns it back into an error.
func (f Failure) Err() error { return &Error{Kind: f.Kind, Message: f.Message, Hint: f.Hint} }

// Verb is what an operator can order of a rollout.
type Verb string

// The operator's verbs.
const (
	// VerbPromote ends the present observation or hold and goes on.
	VerbPromote Verb = "promote"
	// VerbPause lets begun servers come to their end and starts no further ones.
	VerbPause Verb = "pause"
	// VerbResume goes on from a pause.
	VerbResume Verb = "resume"
	// VerbAbort gives the candidate up: back to stable everywhere.
	VerbAbort Verb = "abort"
	// VerbRollback takes the servers named back to stable; all of them when none is named. With servers named, the rollout
	// is then held with the fleet mixed.
	VerbRollback Verb = "rollback"
	// VerbApprove says the yes that an approve step waits for.
	VerbApprove Verb = "approve"
)

// Order is an operator's wish, with who wanted it and why.
type Order struct {
	Verb    Verb         `json:"verb"`
	Servers []ServerName `json:"servers,omitempty"`
	Step    StepID       `json:"step,omitempty"`
	// All makes promote skip every later observation, too.
	All bool   `json:"all,omitempty"`
	By  string `json:"by"`
	Why string `json:"why,omitempty"`
}
