package operator

import (
	"time"

	"github.com/segue-deploy/segue"
)

// Database is a database as it stands: what was done, what is under way, what is owed.
type Database struct {
	Name   segue.DatabaseName `json:"name"`
	Driver string             `json:"driver"`
	// Server for people: "PostgreSQL 15.18"; Size of the database in bytes.
	Server   string              `json:"server"`
	Size     int64               `json:"size,omitempty"`
	Services []segue.ServiceName `json:"services"`
	// Faults hinder the work; Error says why the database could not be asked at all.
	Faults []string `json:"faults,omitempty"`
	Error  string   `json:"error,omitempty"`
	// Holder has the right to change it now, "" for nobody.
	Holder string `json:"holder,omitempty"`
	// Preparing is the long work of days ahead that was ordered, nil for none.
	Preparing *Preparation `json:"preparing,omitempty"`
	// Changes recorded in the database: owed and running ones first, then the latest done.
	Changes []Change `json:"changes"`
	// Horizon says which releases this schema can serve.
	Horizon []Fit `json:"horizon,omitempty"`
}

// Preparation is work that was ordered for a release before its deploy.
type Preparation struct {
	Release segue.ReleaseName `json:"release"`
	By      string            `json:"by,omitempty"`
	Since   time.Time         `json:"since"`
	Paused  bool              `json:"paused,omitempty"`
	// Failure is what it stopped at; it goes on by `resume`.
	Failure *segue.Failure `json:"failure,omitempty"`
	// Done says that everything that can be done ahead is.
	Done bool `json:"done,omitempty"`
}

// Fit says whether a release can work with a database as it is.
type Fit struct {
	Service segue.ServiceName `json:"service"`
	Release segue.ReleaseName `json:"release"`
	Fits    bool              `json:"fits"`
	// Why it does not; "" when it does.
	Why string `json:"why,omitempty"`
}

// Change is one step of work on a database.
type Change struct {
	ID    string `json:"id"`
	Phase string `json:"phase" enum:"expand,backfill,contract,breaking"`
	// Status is "planned" before it is recorded in the database.
	Status  string            `json:"status" enum:"planned,owed,running,done,forgiven,canceled"`
	Release segue.ReleaseName `json:"release,omitempty"`
	Title   string            `json:"title"`
	Why     string            `json:"why,omitempty"`
	// At is where it is written: path:line:column.
	At      string   `json:"at,omitempty"`
	SQL     []string `json:"sql,omitempty"`
	Removes []string `json:"removes,omitempty"`
	// Carried says that the release goes on without it.
	Carried bool `json:"carried,omitempty"`
	// Lock is the strongest it takes, on Tables; Waits says who waits meanwhile; Takes and Locked are estimates.
	Lock    string        `json:"lock,omitempty"`
	Waits   string        `json:"waits,omitempty"`
	Rows    int64         `json:"rows,omitempty"`
	Takes   time.Duration `json:"takes_ns,omitempty"`
	Locked  time.Duration `json:"locked_ns,omitempty"`
	Caveats []string      `json:"caveats,omitempty"`
	Split   string        `json:"split,omitempty"`
	// Error is what the last try said.
	Error    string          `json:"error,omitempty"`
	Recorded time.Time       `json:"recorded,omitzero"`
	Began    time.Time       `json:"began,omitzero"`
	Ended    time.Time       `json:"ended,omitzero"`
	Progress *ChangeProgress `json:"progress,omitempty"`
	Report   *ChangeReport   `json:"report,omitempty"`
	Gate     *Gate           `json:"gate,omitempty"`
	// Hidden is true while a brown-out lasts.
	Hidden bool `json:"hidden,omitempty"`
}

// ChangeProgress is how far a change is.
type ChangeProgress struct {
	Done    int64         `json:"done"`
	Total   int64         `json:"total"`
	Changed int64         `json:"changed"`
	Rate    float64       `json:"rate"`
	Left    time.Duration `json:"left_ns"`
	Batch   int           `json:"batch,omitempty"`
	// Waiting says what it waits for, "" while it works; Utilization is the share of its budget in use.
	Waiting     string  `json:"waiting,omitempty"`
	Utilization float64 `json:"utilization,omitempty"`
}

// ChangeReport is what a change came to.
type ChangeReport struct {
	Took     time.Duration `json:"took_ns"`
	Tries    int           `json:"tries,omitempty"`
	LockWait time.Duration `json:"lock_wait_ns,omitempty"`
	// Held is the longest time that others could have waited behind a lock of ours, Caused the longest that somebody was seen to.
	Held    time.Duration `json:"held_ns,omitempty"`
	Lock    string        `json:"lock,omitempty"`
	Caused  time.Duration `json:"caused_ns,omitempty"`
	Waiters int           `json:"waiters,omitempty"`
	Rows    int64         `json:"rows,omitempty"`
	Changed int64         `json:"changed,omitempty"`
	Batches int64         `json:"batches,omitempty"`
	Note    string        `json:"note,omitempty"`
}

// Gate is the answer to whether something may be removed now.
type Gate struct {
	Answer     string        `json:"answer" enum:"safe,unsafe,unknown"`
	Grounds    []Ground      `json:"grounds"`
	Statements int           `json:"statements"`
	Took       time.Duration `json:"took_ns"`
}

// Ground is one thing that a gate looked at.
type Ground struct {
	Check     string            `json:"check"`
	Answer    string            `json:"answer" enum:"safe,unsafe,unknown"`
	Text      string            `json:"text"`
	Release   segue.ReleaseName `json:"release,omitempty"`
	Statement string            `json:"statement,omitempty"`
	Seen      time.Time         `json:"seen,omitzero"`
	Until     time.Time         `json:"until,omitzero"`
}

// DatabaseCheck is what a release would do to a database, and what works with what.
type DatabaseCheck struct {
	Database segue.DatabaseName `json:"database"`
	Service  segue.ServiceName  `json:"service"`
	Release  segue.ReleaseName  `json:"release"`
	Server   string             `json:"server"`
	Changes  []Change           `json:"changes"`
	// Cells are the compatibility matrix; empty where no statements are known.
	Cells []Cell   `json:"cells,omitempty"`
	Notes []string `json:"notes,omitempty"`
	// Refused says why a rollout would not begin; "" when it would.
	Refused string `json:"refused,omitempty"`
	Hint    string `json:"hint,omitempty"`
	// Took is how long the Classified statements took on the scratch copy.
	Took       time.Duration `json:"took_ns"`
	Classified int           `json:"classified"`
}

// Cell is a release against a stage of the schema.
type Cell struct {
	Release segue.ReleaseName `json:"release"`
	Stage   string            `json:"stage" enum:"now,expanded,contracted"`
	Tried   int               `json:"tried"`
	Misfits []Misfit          `json:"misfits,omitempty"`
}

// Misfit is a statement that does not work with a stage of the schema.
type Misfit struct {
	SQL     string `json:"sql"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
	Shape   bool   `json:"shape,omitempty"`
	Change  string `json:"change,omitempty"`
}

// PrepareRequest asks for the long work that a release will need, ahead of its deploy.
type PrepareRequest struct {
	Project Project  `json:"project"`
	Targets []Target `json:"targets" minItems:"1" maxItems:"100"`
	By      string   `json:"by,omitempty" maxLength:"200"`
	Why     string   `json:"why,omitempty" maxLength:"2000"`
}

// DatabasesReply lists databases, and what there is to say about what was asked.
type DatabasesReply struct {
	Databases []Database `json:"databases"`
	Notes     []string   `json:"notes,omitempty"`
}

// DatabaseOrder is an operator's order to a database's work.
type DatabaseOrder struct {
	// Database may be left out where there is one.
	Database segue.DatabaseName `json:"database,omitempty"`
	Verb     segue.DatabaseVerb `json:"verb" enum:"pause,resume,cancel,contract,forgive"`
	// Change is the one that contract and forgive mean; contract without one means every one that is owed.
	Change string `json:"change,omitempty"`
	By     string `json:"by,omitempty" maxLength:"200"`
	Why    string `json:"why,omitempty" maxLength:"2000"`
}
