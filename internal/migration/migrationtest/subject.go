package migrationtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Subject is a database of its own, empty, with a driver under test. SQL of the suite is what PostgreSQL and SQLite both take.
type Subject struct {
	// Open gives a driver on the database, which the subject closes in the end; another one is the next controller's.
	Open func(t *testing.T) migration.Driver
	// Steal takes the lease away from whoever has it, as a server does that takes its holder for dead.
	Steal func(t *testing.T)
	// Exec runs a statement as the application, on connections that several goroutines may use; nil where no SQL is run.
	Exec func(ctx context.Context, statement string) error
	// Query gives the first value of a query, as text.
	Query func(ctx context.Context, query string) (string, error)
	// History, if its Format is set, is a table of a runner in the database; Applied gives the versions in it, in order.
	History migration.History
	Applied func(ctx context.Context) ([]string, error)
}

// rows are in the table that the suite works on.
const rows = "3000"

// The application's table, with rows, before the first migration. Values are such that lower and upper lead there and back.
var setupNames = [...]string{
	`CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, email text)`,
	`INSERT INTO customers (id, name, email)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + rows + `) SELECT i, 'Customer', 'M' || i || '@EXAMPLE.COM' FROM n`,
}

// The standard set: 0001 only adds; 0002 moves a column, so that it has all three phases; 0003 only takes away.
const (
	addPhone   = `ALTER TABLE customers ADD COLUMN phone text`
	addMail    = `ALTER TABLE customers ADD COLUMN mail text`
	fillMail   = `UPDATE customers SET mail = lower(email)`
	dropEmail  = `ALTER TABLE customers DROP COLUMN email`
	dropPhone  = `ALTER TABLE customers DROP COLUMN phone`
	notFilled  = `SELECT count(*) FROM customers WHERE mail IS NULL OR mail <> lower(email)`
	oldReads   = `SELECT id, name, email FROM customers WHERE id = 1`
	newReads   = `SELECT id, name, mail FROM customers WHERE id = 1`
	bothRead   = `SELECT id, name FROM customers WHERE id = 1`
	oldRelease = segue.ReleaseName("v1")
	newRelease = segue.ReleaseName("v2")
)

// adds, moves and takes are the files of the standard set.
func adds() migration.File { return File("0001", addPhone) }

func moves() migration.File {
	file := File("0002", addMail, fillMail, dropEmail)
	// What the new release writes, the old one reads.
	file.Statements[1].Hints.Keep = []migration.Assignment{{Column: "email", Expr: "upper(mail)"}}
	return file
}

func takes() migration.File { return File("0003", dropPhone) }

// File makes a migration of statements.
func File(version string, statements ...string) migration.File {
	sum := sha256.Sum256([]byte(strings.Join(statements, ";\n")))
	file := migration.File{Version: version, Title: "test", Path: version + "_test.sql", Sum: hex.EncodeToString(sum[:])}
	for i, statement := range statements {
		file.Statements = append(file.Statements, migration.Statement{
			ID: migration.MakeStatementID(version, i+1), SQL: statement, At: migration.Position{Path: file.Path, Line: i + 1, Column: 1},
		})
	}
	return file
}

// bench is a subject under test, with the first driver opened.
type bench struct {
	*testing.T
	Subject
	driver migration.Driver
}

func newBench(t *testing.T, open func(t *testing.T) Subject) *bench {
	t.Helper()
	b := &bench{T: t, Subject: open(t)}
	b.driver = b.Open(t)
	if b.Exec != nil {
		for _, statement := range setupNames {
			b.exec(statement)
		}
	}
	return b
}

func (b *bench) exec(statement string) {
	b.Helper()
	if b.Exec == nil {
		return
	}
	if err := b.Exec(b.Context(), statement); err != nil {
		b.Fatalf("%s: %v", statement, err)
	}
}

// want asks the database, as the application; a fake is believed.
func (b *bench) want(query, want string) {
	b.Helper()
	if b.Query == nil {
		return
	}
	if got, err := b.Query(b.Context(), query); err != nil || got != want {
		b.Errorf("%s = %s, %v; want %s", query, got, err, want)
	}
}

// fails wants a statement to be refused.
func (b *bench) fails(statement string) {
	b.Helper()
	if b.Exec == nil {
		return
	}
	if err := b.Exec(b.Context(), statement); err == nil {
		b.Errorf("%s works, and should not", statement)
	}
}

func (b *bench) plan(files ...migration.File) migration.Plan {
	b.Helper()
	plan, err := b.driver.Plan(b.Context(), migration.PlanRequest{
		Files: files, History: b.History, Release: newRelease, Running: []segue.ReleaseName{oldRelease},
	})
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// sound is a plan without faults.
func (b *bench) sound(files ...migration.File) migration.Plan {
	b.Helper()
	plan := b.plan(files...)
	for _, fault := range plan.Faults {
		b.Fatalf("fault: %s (%s)", fault, fault.Hint)
	}
	return plan
}

func (b *bench) lease(holder string) migration.Lease {
	b.Helper()
	lease, err := b.driver.Lease(b.Context(), holder)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = lease.Release(context.WithoutCancel(b.Context())) }) // it may be lost by then
	return lease
}

func (b *bench) record(lease migration.Lease, plan migration.Plan) {
	b.Helper()
	if err := lease.Record(b.Context(), newRelease, plan); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) run(lease migration.Lease, id migration.ChangeID) migration.Report {
	b.Helper()
	report, err := lease.Run(b.Context(), id, migration.RunOptions{Budget: 1}, func(migration.Progress) {})
	if err != nil {
		b.Fatalf("run %s: %v (%s)", id, err, segue.HintOf(err))
	}
	return report
}

// runPhases runs the changes of a plan that have one of the phases, in order.
func (b *bench) runPhases(lease migration.Lease, plan migration.Plan, phases ...migration.Phase) {
	b.Helper()
	for _, change := range plan.Changes {
		if slices.Contains(phases, change.Phase) {
			b.run(lease, change.ID)
		}
	}
}

// expanded is a bench whose standard set is done up to its contracts.
func (b *bench) expanded(lease migration.Lease) migration.Plan {
	b.Helper()
	plan := b.sound(adds(), moves())
	b.record(lease, plan)
	b.runPhases(lease, plan, migration.PhaseExpand, migration.PhaseBackfill)
	return plan
}

// fill is the backfill of the standard set, with everything before it done.
func (b *bench) fill(lease migration.Lease) migration.Change {
	b.Helper()
	plan := b.sound(moves())
	b.record(lease, plan)
	for _, change := range plan.Changes {
		switch change.Phase {
		case migration.PhaseBackfill:
			return change
		case migration.PhaseContract:
			b.Fatalf("contract %s comes before the backfill", change.ID)
		default:
			b.run(lease, change.ID)
		}
	}
	b.Fatalf("%q is no backfill", fillMail)
	return migration.Change{}
}

func (b *bench) state() migration.State {
	b.Helper()
	state, err := b.driver.State(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return state
}

func (b *bench) status(id migration.ChangeID) migration.ChangeState {
	b.Helper()
	state, found := b.state().Change(id)
	if !found {
		b.Fatalf("change %s is not recorded", id)
	}
	return state
}

func (b *bench) wantStatus(id migration.ChangeID, want migration.Status) {
	b.Helper()
	if got := b.status(id); got.Status != want {
		b.Errorf("%s is %s, want %s (%s)", id, got.Status, want, got.Error)
	}
}

func (b *bench) wantKind(err error, want segue.Kind) {
	b.Helper()
	if err == nil || segue.KindOf(err) != want {
		b.Errorf("error is %v (%v), want kind %v", err, segue.KindOf(err), want)
	}
}

// brokenOff wants an error that a cancel gives.
func (b *bench) brokenOff(err error) {
	b.Helper()
	if segue.KindOf(err) != segue.KindCanceled && !errors.Is(err, context.Canceled) {
		b.Fatalf("a run that was broken off gives %v", err)
	}
}

// ids are those of changes, in order.
func ids(changes []migration.Change) []migration.ChangeID {
	found := make([]migration.ChangeID, len(changes))
	for i, change := range changes {
		found[i] = change.ID
	}
	return found
}
