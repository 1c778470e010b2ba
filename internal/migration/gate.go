package migration

import (
	"time"

	"github.com/segue-deploy/segue"
)

// Answer is a gate's. Silence is never AnswerSafe.
type Answer string

const (
	// AnswerSafe means that everything was looked at and nothing needs what would go.
	AnswerSafe Answer = "safe"
	// AnswerUnsafe means that something needs it.
	AnswerUnsafe Answer = "unsafe"
	// AnswerUnknown means that not enough could be seen.
	AnswerUnknown Answer = "unknown"
)

// Worse gives the worse of two answers: unsafe before unknown before safe.
func (a Answer) Worse(b Answer) Answer {
	rank := map[Answer]int{AnswerSafe: 0, AnswerUnknown: 1, AnswerUnsafe: 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// Query is a statement of an application.
type Query struct {
	// Release it was seen from or recorded for, "" when not known.
	Release segue.ReleaseName `json:"release,omitempty"`
	SQL     string            `json:"sql"`
	// Calls since the statistics began, Seen last; zero when not known.
	Calls int64     `json:"calls,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`
	// Source is "statistics", "recorded" or "file".
	Source string `json:"source"`
	// Role that sent it.
	Role string `json:"role,omitempty"`
}

// Presence says what the fleet's ledger knows of a release.
type Presence struct {
	Release segue.ReleaseName `json:"release"`
	// Order among the releases of its service, rising with time of first deploy.
	Order int `json:"order"`
	// Running instances, by server; Until when it may be rolled back to, zero for not at all.
	Running []segue.ServerName `json:"running,omitempty"`
	Until   time.Time          `json:"until,omitzero"`
	// Ended is when its last instance stopped, zero when it runs or never ran.
	Ended time.Time `json:"ended,omitzero"`
	// Role of the database that its instances log in with, "" when they share one.
	Role string `json:"role,omitempty"`
}

// GateRequest asks whether a contract change may run.
type GateRequest struct {
	Change Change
	// Releases is the fleet's ledger: every release that runs, that may be rolled back to, or that ran not long ago.
	Releases []Presence
	// Brought is the release that brought the change: it and later ones do not need what goes, by declaration, and are checked all the same.
	Brought segue.ReleaseName
	// Recorded are statements from `segue record` or the releases' own lists.
	Recorded []Query
	// Window is how long the server must have been watched for silence to count; 0 means the driver's default.
	Window time.Duration
	Now    time.Time
}

// Gate is the answer, with every ground that was looked at.
type Gate struct {
	Change  ChangeID `json:"change"`
	Answer  Answer   `json:"answer"`
	Grounds []Ground `json:"grounds"`
	// Statements is how many were tried, in Took.
	Statements int           `json:"statements"`
	Took       time.Duration `json:"took"`
	At         time.Time     `json:"at"`
}

// Ground is one thing that the gate looked at.
type Ground struct {
	// Check is what was looked at: "releases", "wait", "statements", "dependencies", "functions", "views", "slots", "replicas", "statistics", "sessions",
	// as far as the database has it (docs/database.md lists which).
	Check  string `json:"check"`
	Answer Answer `json:"answer"`
	// Text says it for people, one clause.
	Text string `json:"text"`
	// Release, Statement and Seen name who needs it, where that is known.
	Release   segue.ReleaseName `json:"release,omitempty"`
	Statement string            `json:"statement,omitempty"`
	Seen      time.Time         `json:"seen,omitzero"`
	// Until is when it will be otherwise by itself, zero when it will not.
	Until time.Time `json:"until,omitzero"`
}

// Settle takes the answer from the grounds: the worst of them, and unknown when there are none.
func (g *Gate) Settle() {
	g.Answer = AnswerUnknown
	for i, ground := range g.Grounds {
		if i == 0 {
			g.Answer = ground.Answer
			continue
		}
		g.Answer = g.Answer.Worse(ground.Answer)
	}
}

// CheckRequest asks for the compatibility matrix.
type CheckRequest struct {
	// Queries of the releases, from statistics and from records.
	Queries []Query
	// Before are changes that run before the new release (expand, and what backfills leave), After those that run last (contract).
	Before []Change
	After  []Change
}

// Stage is a state of the schema in a rollout.
type Stage string

// The schema as it is now, once it is expanded, and once it is contracted.
const (
	StageNow        Stage = "now"
	StageExpanded   Stage = "expanded"
	StageContracted Stage = "contracted"
)

// Statements are what servers have counted.
type Statements struct {
	Queries []Query
	// Unheard says of each server that did not tell, or not everything, why: silence there is no yes.
	Unheard []string
}

// Matrix is what works with what.
type Matrix struct {
	Cells []Cell        `json:"cells"`
	Took  time.Duration `json:"took"`
}

// Cell is a release against a stage of the schema.
type Cell struct {
	Release segue.ReleaseName `json:"release"`
	Stage   Stage             `json:"stage"`
	// Tried statements, of which Misfits do not work. Nothing tried is unknown, and no yes.
	Tried   int      `json:"tried"`
	Misfits []Misfit `json:"misfits,omitempty"`
}

// Misfit is a statement that does not work with a stage of the schema.
type Misfit struct {
	Query Query `json:"query"`
	// Code is SQLSTATE where there is one; Message what the server said.
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	// Shape is true when the statement works and gives other columns than before: cached plans and positional readers break.
	Shape bool `json:"shape,omitempty"`
	// Change that causes it, where one can be named.
	Change ChangeID `json:"change,omitempty"`
}
