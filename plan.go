package segue

import "time"

// StepID numbers a step within its plan, from 1. 0 means none.
type StepID int

// StepKind is a word of the one vocabulary that every strategy is written in.
type StepKind string

// The vocabulary, by family. A driver that cannot do a step says so before the plan is accepted.
const (
	StepStart      StepKind = "start"
	StepAwaitReady StepKind = "await-ready"
	StepStop       StepKind = "stop"

	StepDrain       StepKind = "drain"
	StepAdmit       StepKind = "admit"
	StepWeigh       StepKind = "weigh"
	StepMirror      StepKind = "mirror"
	StepHold        StepKind = "hold"
	StepUnhold      StepKind = "unhold"
	StepMaintenance StepKind = "maintenance"

	StepExpand   StepKind = "expand"
	StepBackfill StepKind = "backfill"
	StepContract StepKind = "contract"

	StepObserve  StepKind = "observe"
	StepApprove  StepKind = "approve"
	StepFinalize StepKind = "finalize"
)

// Step is one action of a plan. It runs when every step of After is done.
type Step struct {
	ID    StepID   `json:"id"`
	Kind  StepKind `json:"kind"`
	After []StepID `json:"after,omitempty"`
	// Group ties the steps of one server's upgrade together: a pause lets a group that has begun come to its end, so that
	// no server is left out of rotation. "" for steps that concern the whole fleet.
	Group string `json:"group,omitempty"`
	// Batch is the stage, from 1; 0 for steps outside stages.
	Batch     int           `json:"batch,omitempty"`
	Partition PartitionName `json:"partition,omitempty"`
	Server    ServerName    `json:"server,omitempty"`
	Instance  InstanceID    `json:"instance,omitempty"`
	Release   ReleaseName   `json:"release,omitempty"`
	// Within bounds the step (ready, drain, grace); 0 means no bound of its own.
	Within time.Duration `json:"within,omitempty"`
	// For is how long an observe step looks.
	For time.Duration `json:"for,omitempty"`
	// On switches a maintenance step on or off.
	On bool `json:"on,omitempty"`
	// Why says in a few words what this step is for, where that is not plain ("stray of an earlier start").
	Why string `json:"why,omitempty"`
	// Database and Change say what a database step works on; Title is the change in a few words.
	Database DatabaseName `json:"database,omitempty"`
	Change   string       `json:"change,omitempty"`
	Title    string       `json:"title,omitempty"`
	// Closes says, for a point of no return, why stable cannot come back once this step has run; "" for all others. A person's yes comes before it.
	Closes string `json:"closes,omitempty"`
}

// Work is one change of a database, as strategies see it.
type Work struct {
	Database DatabaseName `json:"database"`
	Change   string       `json:"change"`
	// Kind is StepExpand, StepBackfill or StepContract.
	Kind  StepKind `json:"kind"`
	Title string   `json:"title"`
	Why   string   `json:"why,omitempty"`
	// Breaking work serves the new release alone: only all-at-once carries it. Split says what a split over releases would look like.
	Breaking bool   `json:"breaking,omitempty"`
	Split    string `json:"split,omitempty"`
	// Closes says why stable cannot come back once it has run; "" when it can.
	Closes string `json:"closes,omitempty"`
	// Takes is the estimate; 0 when not known.
	Takes time.Duration `json:"takes,omitempty"`
}

// Goal is where a plan leads.
type Goal string

const (
	// GoalForward leads to the candidate on every server.
	GoalForward Goal = "forward"
	// GoalBack leads to stable on every server of the plan's scope.
	GoalBack Goal = "back"
	// GoalJoin brings stable onto servers that are empty.
	GoalJoin Goal = "join"
)

// Plan is an ordered list of steps from the fleet as it is to a goal. It is computed by a pure function and never changed: a
// change of mind is a new plan.
type Plan struct {
	Service  ServiceName  `json:"service"`
	Strategy StrategyKind `json:"strategy"`
	Goal     Goal         `json:"goal"`
	// From and To are stable and candidate; in a plan back, the other way round.
	From ReleaseName `json:"from,omitempty"`
	To   ReleaseName `json:"to"`
	// Index is the fleet's index that the plan was made at.
	Index int64 `json:"index"`
	// MinReady is the capacity bound that the plan keeps; 0 in all-at-once.
	MinReady int `json:"min_ready"`
	// Batches is the number of stages.
	Batches int    `json:"batches"`
	Steps   []Step `json:"steps"`
	// Work is what the plan's database steps do, with what is known of it beforehand.
	Work []Work `json:"work,omitempty"`
	// Notes say what the plan leaves alone and why.
	Notes []string `json:"notes,omitempty"`
	// WayBack says how to return, from the step it names on.
	WayBack []WayBack `json:"way_back,omitempty"`
}

// WayBack says how the fleet returns to stable once a step has run, and what closes that way.
type WayBack struct {
	From StepID `json:"from"`
	How  string `json:"how"`
	// Closed is "" while the way is open, else the reason why it is not.
	Closed string `json:"closed,omitempty"`
}

// Empty says whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Step finds a step by its number.
func (p Plan) Step(id StepID) (Step, bool) {
	if id < 1 || int(id) > len(p.Steps) {
		return Step{}, false
	}
	return p.Steps[id-1], true
}
