package migration

import (
	"time"
)

// Phase says when a change may run, while an old and a new release share the database.
type Phase string

// The phases, in the order in which they run.
const (
	// PhaseExpand is safe for every release that runs: before the new one starts.
	PhaseExpand Phase = "expand"
	// PhaseBackfill is long work on rows, in batches, that the new release waits for.
	PhaseBackfill Phase = "backfill"
	// PhaseContract takes away what older releases need: only when none of them runs or can come back.
	PhaseContract Phase = "contract"
	// PhaseBreaking cannot be split: no order of steps serves both releases. Only all-at-once may carry it.
	PhaseBreaking Phase = "breaking"
)

// ChangeID names a change for ever: the statement it comes from, and its part of it ("0003#2", "0003#2.validate").
type ChangeID string

// Change is one step of work on the database. A statement of a file becomes one or several of them.
type Change struct {
	ID    ChangeID `json:"id"`
	Phase Phase    `json:"phase"`
	// Title in a few words ("add column customers.first_name").
	Title string `json:"title"`
	// Why says what makes it this phase, or why it is not run as it was written; "" where that is plain.
	Why string `json:"why,omitempty"`
	// Origin is what it stands for, in whole or in part; At is where that is written.
	Origin []StatementID `json:"origin"`
	At     Position      `json:"at"`
	// Table it is about, "" for none or several.
	Table string `json:"table,omitempty"`
	// After lists changes that must be done first.
	After []ChangeID `json:"after,omitempty"`
	// Actions are run in order, each journaled when it is done. Empty where there is a Backfill.
	Actions []Action `json:"actions,omitempty"`
	// Backfill is set for PhaseBackfill, and for a contract that is work on rows: one that a comment in the file puts off until older releases are gone.
	Backfill *Backfill `json:"backfill,omitempty"`
	// Removes lists what is gone once it ran: what the gate asks about.
	Removes []Object `json:"removes,omitempty"`
	// Wait is how long a contract waits after the last release that may need it is out of the way (from `after=`).
	Wait time.Duration `json:"wait,omitempty"`
	// Carried is true for a contract that was split off a mixed migration: the release goes on without it, and it is owed. A contract that was written as
	// a migration of its own is meant for this release, and the release waits for its gate.
	Carried bool `json:"carried,omitempty"`
	// Facts are what the server did with it on the scratch copy; Estimate what that means for the real one.
	Facts    Facts    `json:"facts,omitzero"`
	Estimate Estimate `json:"estimate,omitzero"`
	// Caveats are what a person should know ("readers with cached plans of SELECT * on customers must reconnect").
	Caveats []string `json:"caveats,omitempty"`
	// Split says, for a breaking change, what a split over releases would look like.
	Split string `json:"split,omitempty"`
	// Assumed is the team's reason where it asked to take the statement as it is.
	Assumed string `json:"assumed,omitempty"`
}

// Action is one statement of Segue's own making or of the team's.
type Action struct {
	SQL string `json:"sql"`
	// Alone runs it outside of a transaction (CREATE INDEX CONCURRENTLY).
	Alone bool `json:"alone,omitempty"`
	// Repair is run first when Alone was broken off and left something behind ("DROP INDEX CONCURRENTLY IF EXISTS ..."); Leaves names
	// what it leaves, for the catalogue to be asked whether it is there and valid.
	Repair string `json:"repair,omitempty"`
	Leaves string `json:"leaves,omitempty"`
	// Undo takes it back, "" where it cannot be.
	Undo string `json:"undo,omitempty"`
	// Expect, if set, is a query that must give 0 after the action (or, before it, the number of rows that stand in the way).
	Expect string `json:"expect,omitempty"`
}

// Backfill brings rows to a new form, in batches along a key.
type Backfill struct {
	Table string `json:"table"`
	// Key is the primary key, or another unique not-null one.
	Key []string `json:"key"`
	// Set and Where are of the UPDATE; Delete makes it a DELETE.
	Set    []Assignment `json:"set,omitempty"`
	Where  string       `json:"where,omitempty"`
	Delete bool         `json:"delete,omitempty"`
	// Violators is a condition that no row may fulfil once it is done; "" where nothing can be said.
	Violators string `json:"violators,omitempty"`
	// Sync covers writes that arrive meanwhile. nil when it needs none (no release writes what Set reads).
	Sync *Sync `json:"sync,omitempty"`
	// Keyless tables are done in one statement; Rows is the estimate that justified it.
	Rows int64 `json:"rows,omitempty"`
}

// Sync keeps old and new columns of a table in step, in both directions, by triggers, from before the backfill until it is dropped: by the change that
// the plan gives for it (at the end of the backfill, or with the contract when both releases go on writing).
type Sync struct {
	// Name is that of trigger and function, unique in the database.
	Name  string `json:"name"`
	Table string `json:"table"`
	// Forward computes new columns from old ones; Reverse old ones from new. Expressions name columns plainly.
	Forward []Assignment `json:"forward"`
	Reverse []Assignment `json:"reverse,omitempty"`
	// Old and New are the columns read by Forward and by Reverse.
	Old []string `json:"old"`
	New []string `json:"new"`
	// Until says when it goes: "backfill" or "contract".
	Until Phase `json:"until"`
}

// ObjectKind sorts what a change removes.
type ObjectKind string

// What can be removed. ObjectWrite stands for a way of writing that is refused from then on (a new NOT NULL, CHECK, UNIQUE or foreign key).
const (
	ObjectTable      ObjectKind = "table"
	ObjectColumn     ObjectKind = "column"
	ObjectIndex      ObjectKind = "index"
	ObjectConstraint ObjectKind = "constraint"
	ObjectView       ObjectKind = "view"
	ObjectType       ObjectKind = "type"
	ObjectFunction   ObjectKind = "function"
	ObjectDefault    ObjectKind = "default"
	ObjectTrigger    ObjectKind = "trigger"
	ObjectWrite      ObjectKind = "write"
	ObjectOther      ObjectKind = "other"
)

// Object is something in the database.
type Object struct {
	Kind  ObjectKind `json:"kind"`
	Table string     `json:"table,omitempty"`
	Name  string     `json:"name"`
}

// String gives "column customers.name", "table carts".
func (o Object) String() string {
	name := o.Name
	if o.Table != "" && o.Kind != ObjectTable {
		name = o.Table + "." + o.Name
	}
	return string(o.Kind) + " " + name
}

// Lock is the strength of a table lock; a larger one is stronger.
type Lock int

// PostgreSQL's table locks. Other drivers map theirs: a whole-database write lock is LockExclusive.
const (
	LockNone Lock = iota
	LockAccessShare
	LockRowShare
	LockRowExclusive
	LockShareUpdateExclusive
	LockShare
	LockShareRowExclusive
	LockExclusive
	LockAccessExclusive
)

var lockNames = [...]string{
	"none", "access share", "row share", "row exclusive", "share update exclusive", "share", "share row exclusive", "exclusive", "access exclusive",
}

// String gives the lock's name in PostgreSQL's words, in small letters.
func (l Lock) String() string {
	if l < 0 || int(l) >= len(lockNames) {
		return "none"
	}
	return lockNames[l]
}

// MarshalText writes the lock by name.
func (l Lock) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a name; an unknown one is none.
func (l *Lock) UnmarshalText(text []byte) error {
	*l = LockNone
	for i, name := range lockNames {
		if name == string(text) {
			*l = Lock(i)
		}
	}
	return nil
}

// Blocks says in words whom the lock keeps waiting.
func (l Lock) Blocks() string {
	switch {
	case l >= LockAccessExclusive:
		return "reads and writes"
	case l >= LockShare:
		return "writes"
	default:
		return ""
	}
}

// Facts are what a statement did on the scratch copy.
type Facts struct {
	// Locks are the strongest per relation that existed before; tables and indexes by name.
	Locks map[string]Lock `json:"locks,omitempty"`
	// Rewritten, Scanned and Built name tables rewritten, tables read in whole and indexes built.
	Rewritten []string `json:"rewritten,omitempty"`
	Scanned   []string `json:"scanned,omitempty"`
	Built     []string `json:"built,omitempty"`
	// Alone is true for what cannot run in a transaction. Its locks are gone when they could be read: with CONCURRENTLY they are no stronger than SHARE
	// UPDATE EXCLUSIVE, and the rest is told by its form without that, or by what it left.
	Alone bool `json:"alone,omitempty"`
	// Effects are what it changed of what an application meets: for planning, and not kept.
	Effects []Effect `json:"-"`
	// Error is what the server said when it would not do it.
	Error string `json:"error,omitempty"`
}

// Effect is one thing about the schema that a statement changed.
type Effect struct {
	Object Object
	// Facet is what about it ("type", "result", "privilege SELECT for app"), "" for the thing itself.
	Facet string
	// Was and Now are before and after; "" for none.
	Was, Now string
	// Columns are those that an index or a constraint is over.
	Columns []string
}

// Came says whether it was not there before.
func (e Effect) Came() bool { return e.Was == "" }

// Gone says whether it is not there any more.
func (e Effect) Gone() bool { return e.Now == "" }

// Estimate is what a change costs on the real tables.
type Estimate struct {
	// Rows and Bytes of what it reads or rewrites.
	Rows  int64 `json:"rows,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Time it takes, and of that under its strongest lock.
	Time   time.Duration `json:"time,omitempty"`
	Locked time.Duration `json:"locked,omitempty"`
	// Waits says who waits meanwhile: "reads and writes of customers"; "" for nobody.
	Waits string `json:"waits,omitempty"`
}
