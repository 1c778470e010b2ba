// Package migration is the contract of whatever changes a database while two releases share it: expand before the new release, work of days ahead
// of it, contract when nothing needs it any more.
//
// A driver is a folder below this one; every driver passes the conformance suite in migrationtest, which also has the fake and the fault injector.
// `source` reads the teams' own folders of SQL files, `pace` sizes batches and throttles; drivers stand on both.
package migration

import (
	"context"
	"encoding/json"
	"time"

	"github.com/segue-deploy/segue"
)

// Driver speaks to one database. Every method may be called at the same time and again after a crash of the caller. What was done is kept in the
// database itself, statement by statement, so that a controller that lost its state cannot do a thing twice. Errors carry a segue.Kind and, for
// missing privileges, the exact GRANT as hint.
type Driver interface {
	// Inspect says what server this is and what stands in the way of working with it. A fault that only hinders some of the work is in Server.Faults;
	// an error means that the server did not answer (KindUnavailable) or refused the login (KindInvalid).
	Inspect(ctx context.Context) (Server, error)

	// Plan says what is still to be done for files: which of them are applied (by Segue or by the team's own runner), and for every other
	// statement its change or changes, classified on a schema-only scratch copy, split by phase. It changes nothing in the database.
	// Faults of the files are in Plan.Faults, all at once; an error means that it could not be found out.
	Plan(ctx context.Context, request PlanRequest) (Plan, error)

	// Lease takes the right to change the database, for one holder at a time. It is fenced: whoever lost it cannot write any more. KindConflict, with
	// who holds it, when another holder has it; a holder that died loses it with its connection.
	Lease(ctx context.Context, holder string) (Lease, error)

	// State reads what is recorded in the database: changes done, under way and owed, backfills, who holds the lease.
	State(ctx context.Context) (State, error)

	// Check is the compatibility matrix: the statements of releases against the schema as it is, and as it is after changes, on scratch copies.
	Check(ctx context.Context, request CheckRequest) (Matrix, error)

	// Gate says whether a contract change may run now, with the evidence for and against.
	Gate(ctx context.Context, request GateRequest) (Gate, error)

	// Statements gives the statements that releases have sent to the server and its replicas since a time, as far as these know (pg_stat_statements).
	Statements(ctx context.Context, since time.Time) (Statements, error)

	// Sample reads up to n values of a semi-structured column, spread over the table.
	Sample(ctx context.Context, table, column string, n int) ([]json.RawMessage, error)

	// Credentials makes the database role of a release exist and gives what an instance needs to log in with it. KindUnsupported where
	// the database has no roles or the configuration does not ask for them. Retire removes the role.
	Credentials(ctx context.Context, release segue.ReleaseName) (Credentials, error)
	Retire(ctx context.Context, release segue.ReleaseName) error

	// Close ends every connection.
	Close() error
}

// Lease is the right to change one database. Every method fails with KindConflict once the lease is lost.
type Lease interface {
	// Record writes changes into the database's journal before any of them runs; those that are there already stay as they are.
	Record(ctx context.Context, release segue.ReleaseName, plan Plan) error

	// Run carries out one recorded change to its end, from wherever it stands. It returns nil at once when that is done already. It
	// reports progress to watch (never nil), of a backfill about once a second. ctx ends it cleanly between two batches or statements.
	// Errors: KindTimeout when a lock could not be had within the change's patience (nothing is left waiting); KindRefused when data
	// stands in the way (violators, with how many); KindUnavailable when the server went away (run it again).
	Run(ctx context.Context, id ChangeID, options RunOptions, watch func(Progress)) (Report, error)

	// Cancel takes a change back that has not come to its end, with all that it left: half-built indexes, triggers, added columns where nothing
	// can have used them. KindRefused, with why, when it cannot be taken back.
	Cancel(ctx context.Context, id ChangeID) error

	// BrownOut hides what a contract change would remove from the applications' roles; Restore shows it again, in milliseconds. KindUnsupported
	// where the database cannot.
	BrownOut(ctx context.Context, id ChangeID) error
	Restore(ctx context.Context, id ChangeID) error

	// Forgive marks a change as not owed any more, for the reason that a person gives.
	Forgive(ctx context.Context, id ChangeID, by, why string) error

	// Lost is closed when the lease is gone.
	Lost() <-chan struct{}

	// Release gives it up.
	Release(ctx context.Context) error
}

// RunOptions bound one run.
type RunOptions struct {
	// Budget is the share of the database that backfills may take, in (0,1]; 0 means the driver's default (0.5: as long working as resting).
	Budget float64
	// Hold, if not nil, is asked before every batch: a reason other than "" makes the backfill wait and say so. This is how a rollout pauses it.
	Hold func() (reason string)
	// Patience bounds the whole wait for a lock, over all tries; 0 means the driver's default.
	Patience time.Duration
}

// Server is the database server that a driver found.
type Server struct {
	// Product and Version for people: "PostgreSQL", "15.18".
	Product string `json:"product"`
	Version string `json:"version"`
	// Size of the database in bytes, 0 when not known.
	Size int64 `json:"size,omitempty"`
	// Standby says that it only follows another server.
	Standby bool `json:"standby,omitempty"`
	// Statements says whether the server keeps statistics of statements, and since when.
	Statements      bool      `json:"statements,omitempty"`
	StatementsSince time.Time `json:"statements_since,omitzero"`
	// Faults hinder some or all of the work.
	Faults []Fault `json:"faults,omitempty"`
}

// Credentials are what an instance logs in with. They are secrets.
type Credentials struct {
	Role string `json:"role"`
	// URL is the whole connection string, with the password.
	URL string `json:"-"`
}
