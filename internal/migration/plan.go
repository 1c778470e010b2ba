package migration

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// PlanRequest asks what is to be done.
type PlanRequest struct {
	// Files is the whole folder, in order, as `source` read it.
	Files []File
	// History says which table of the team's own runner to read and to keep truthful.
	History History
	// Release is the one that the files come with; Running are those that run, or that a rollback may bring back.
	Release segue.ReleaseName
	Running []segue.ReleaseName
}

// History is the table in which the team's own runner keeps what it ran.
type History struct {
	// Format is the runner's name: "plain", "goose", "golang-migrate", "flyway", "tern", "dbmate".
	Format string
	// Table, possibly qualified; "" where there is none (plain: Segue's own journal alone).
	Table string
}

// Plan is what is to be done, in order.
type Plan struct {
	Database segue.DatabaseName `json:"database,omitempty"`
	Server   Server             `json:"server"`
	Files    []FileState        `json:"files"`
	// Changes not yet done, in the order in which they run: those of Release, and those owed by earlier ones.
	Changes []Change `json:"changes"`
	// Faults make the plan unusable.
	Faults []Fault `json:"faults,omitempty"`
	// Notes are for people.
	Notes []string `json:"notes,omitempty"`
	// Took is how long the classification took, for Classified statements.
	Took       time.Duration `json:"took"`
	Classified int           `json:"classified"`
}

// Of gives the changes of a phase.
func (p Plan) Of(phase Phase) []Change {
	var found []Change
	for _, change := range p.Changes {
		if change.Phase == phase {
			found = append(found, change)
		}
	}
	return found
}

// Change finds one by its ID.
func (p Plan) Change(id ChangeID) (Change, bool) {
	i := slices.IndexFunc(p.Changes, func(c Change) bool { return c.ID == id })
	if i < 0 {
		return Change{}, false
	}
	return p.Changes[i], true
}

// Status says how far a recorded change is.
type Status string

// The states of a change.
const (
	// StatusOwed is recorded and has not begun.
	StatusOwed Status = "owed"
	// StatusRunning has begun; whether somebody works on it is the lease's matter.
	StatusRunning Status = "running"
	// StatusDone has come to its end.
	StatusDone Status = "done"
	// StatusForgiven is not owed any more because a person said so.
	StatusForgiven Status = "forgiven"
	// StatusCanceled was taken back.
	StatusCanceled Status = "canceled"
)

// ChangeState is a change as the database's journal has it.
type ChangeState struct {
	Change Change `json:"change"`
	// Release that brought it, and when it was recorded, began and ended.
	Release  segue.ReleaseName `json:"release"`
	Recorded time.Time         `json:"recorded"`
	Began    time.Time         `json:"began,omitzero"`
	Ended    time.Time         `json:"ended,omitzero"`
	Status   Status            `json:"status"`
	// Progress is the last one that was written down; Report is of a change that is done.
	Progress Progress `json:"progress,omitzero"`
	Report   *Report  `json:"report,omitempty"`
	// Error is that of the last try, "" after one that went well.
	Error string `json:"error,omitempty"`
	// Hidden is true while the brown-out of a contract lasts; since Since.
	Hidden bool      `json:"hidden,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// By and Why are of whoever forgave it.
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
}

// State is what a database knows of Segue's work on it.
type State struct {
	Server  Server        `json:"server"`
	Changes []ChangeState `json:"changes"`
	// Holder has the lease, "" for nobody.
	Holder string    `json:"holder,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// Change finds a recorded change.
func (s State) Change(id ChangeID) (ChangeState, bool) {
	i := slices.IndexFunc(s.Changes, func(c ChangeState) bool { return c.Change.ID == id })
	if i < 0 {
		return ChangeState{}, false
	}
	return s.Changes[i], true
}

// Progress is how far a change is.
type Progress struct {
	ID ChangeID `json:"id"`
	// Action under way, from 1, of Actions.
	Action  int `json:"action,omitempty"`
	Actions int `json:"actions,omitempty"`
	// Done and Total are rows of a backfill; Total is an estimate. Changed counts those that were really written.
	Done    int64 `json:"done,omitempty"`
	Total   int64 `json:"total,omitempty"`
	Changed int64 `json:"changed,omitempty"`
	// Rate in rows per second, of work and rest together, and the time to the end by it; 0 when not known.
	Rate float64       `json:"rate,omitempty"`
	Left time.Duration `json:"left,omitempty"`
	// Batch is the present size in rows.
	Batch int `json:"batch,omitempty"`
	// Waiting says what it waits for: "replication lag 4.1 s", "a rollout is under way", "lock on customers, held by pid 4711 for 12 s"; "" while it works.
	Waiting string `json:"waiting,omitempty"`
	// Utilization of the budget, in [0,1].
	Utilization float64 `json:"utilization,omitempty"`
}

// Report is what a change came to.
type Report struct {
	ID ChangeID `json:"id"`
	// Took from begin to end, over all tries, waits included.
	Took time.Duration `json:"took"`
	// Tries for locks, and LockWait, the time Segue itself waited for them.
	Tries    int           `json:"tries,omitempty"`
	LockWait time.Duration `json:"lock_wait,omitempty"`
	// Held is the longest time that a lock which keeps others waiting was held; Lock is which.
	Held time.Duration `json:"held,omitempty"`
	Lock Lock          `json:"lock,omitempty"`
	// Caused is the longest wait of somebody else's statement that was seen behind ours, and Waiters how many were seen.
	Caused  time.Duration `json:"caused,omitempty"`
	Waiters int           `json:"waiters,omitempty"`
	// Rows that a backfill looked at and Changed; Batches it took.
	Rows    int64 `json:"rows,omitempty"`
	Changed int64 `json:"changed,omitempty"`
	Batches int64 `json:"batches,omitempty"`
	// Violators counted at the end of a backfill, or by Expect; 0 is good.
	Violators int64 `json:"violators"`
	// Note is one clause for people.
	Note string `json:"note,omitempty"`
}
