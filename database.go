package segue

// DatabaseVerb says what was ordered of a database's work, or what came of it.
type DatabaseVerb string

// What is ordered, and what is reported.
const (
	// DatabasePrepare orders the long work that a release will need.
	DatabasePrepare DatabaseVerb = "prepare"
	// DatabasePause lets it rest after its present batch; DatabaseResume goes on, also after a failure.
	DatabasePause  DatabaseVerb = "pause"
	DatabaseResume DatabaseVerb = "resume"
	// DatabaseCancel gives it up, and takes back what it had begun.
	DatabaseCancel DatabaseVerb = "cancel"
	// DatabaseContract orders what is owed to be done now, if its gate lets it.
	DatabaseContract DatabaseVerb = "contract"
	// DatabaseForgive strikes a change off what is owed.
	DatabaseForgive DatabaseVerb = "forgive"

	// DatabasePrepared says that everything that can be done ahead is; DatabaseFailed what it stopped at.
	DatabasePrepared DatabaseVerb = "prepared"
	DatabaseFailed   DatabaseVerb = "failed"
	// DatabaseContracted says that something was removed, and which releases cannot come back.
	DatabaseContracted DatabaseVerb = "contracted"
)

// DatabaseEvent is what EventDatabase carries.
type DatabaseEvent struct {
	Verb DatabaseVerb `json:"verb"`
	// Release that is prepared, of the event's service, with the stored configuration that says how.
	Release ReleaseName `json:"release,omitempty"`
	Config  Digest      `json:"config,omitempty"`
	// Change that was contracted or forgiven, and its title.
	Change string `json:"change,omitempty"`
	Title  string `json:"title,omitempty"`
	// Barred are the releases that cannot work with the database any more.
	Barred  []Barred `json:"barred,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
	By      string   `json:"by,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// Barred is a release that cannot work with a database any more.
type Barred struct {
	Service ServiceName `json:"service"`
	Release ReleaseName `json:"release"`
	Why     string      `json:"why"`
}
