// Package migrationtest holds what every migration driver is tested with, and what stands in for one: the conformance suite that each driver passes, a
// fake in memory, and a fault injector around any driver.
package migrationtest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// Behaviour is what a change of the fake does. The zero value is done at once and goes well.
type Behaviour struct {
	// Takes is the time of one run from begin to end; of a backfill, with the default budget and without holds.
	Takes time.Duration
	// Rows of a backfill; 0 means a thousand.
	Rows int64
	// Fail is the error of its runs, after half of the time; of the first FailTimes, 0 means of all.
	Fail      error
	FailTimes int
	// Violators stand in the way at the end: KindRefused.
	Violators int64
}

// defaultBudget is what Behaviour.Takes is said for.
const defaultBudget = 0.5

// Fake is a migration.Driver in memory. It takes time from the time package and draws no lots: under testing/synctest the same calls give the same again.
// It stands for the database, not for a controller's connection to it: Close ends the lease, and after it the fake can be used on, as by the next
// controller. No SQL is run: what a statement is, is told from its first words, and who needs what is removed, from whether its name is in a statement.
type Fake struct {
	// Server is what Inspect answers.
	Server migration.Server
	// Roles makes Credentials work; Hides makes BrownOut work.
	Roles, Hides bool

	mu         sync.Mutex
	behaviours map[migration.ChangeID]Behaviour
	failed     map[migration.ChangeID]int
	answers    map[migration.ChangeID]migration.Gate
	states     []migration.ChangeState
	sums       map[string]string // of files, as planned last
	recorded   map[string]string // of files with recorded changes
	retired    map[segue.ReleaseName]bool
	documents  map[string][]json.RawMessage
	statements []migration.Query
	lease      *fakeLease
	down       error
}

var _ migration.Driver = (*Fake)(nil)

// NewFake makes a database to which nothing was done yet.
func NewFake() *Fake {
	return &Fake{
		Server: migration.Server{Product: "Fake", Version: "1"}, Hides: true,
		behaviours: map[migration.ChangeID]Behaviour{}, failed: map[migration.ChangeID]int{}, answers: map[migration.ChangeID]migration.Gate{},
		sums: map[string]string{}, recorded: map[string]string{}, retired: map[segue.ReleaseName]bool{}, documents: map[string][]json.RawMessage{},
	}
}

// Behave says what a change does, from its next run on.
func (f *Fake) Behave(id migration.ChangeID, behaviour Behaviour) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behaviours[id] = behaviour
	f.failed[id] = 0
}

// Answer makes the gate of a change say so, whatever is recorded; without grounds it gets one.
func (f *Fake) Answer(id migration.ChangeID, answer migration.Answer, grounds ...migration.Ground) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(grounds) == 0 {
		grounds = []migration.Ground{{Check: "releases", Answer: answer, Text: "the test says so"}}
	}
	f.answers[id] = migration.Gate{Answer: answer, Grounds: grounds}
}

// Down makes every call fail, and ends the lease, as a server does that goes away; nil brings it back.
func (f *Fake) Down(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down = err; err != nil {
		f.dropLease()
	}
}

// Steal takes the lease away from its holder, as a server does that takes it for dead.
func (f *Fake) Steal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropLease()
}

// Sent adds to what Statements answers.
func (f *Fake) Sent(queries ...migration.Query) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statements = append(f.statements, queries...)
	f.Server.Statements = true
}

// Store adds values to what Sample answers for a column.
func (f *Fake) Store(table, column string, values ...json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.documents[table+"."+column] = append(f.documents[table+"."+column], values...)
}

func (f *Fake) dropLease() {
	if f.lease != nil {
		close(f.lease.lost)
		f.lease = nil
	}
}

// enter begins a call.
func (f *Fake) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return ended(ctx)
	}
	return f.down
}

// Inspect implements migration.Driver.
func (f *Fake) Inspect(ctx context.Context) (migration.Server, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Server, f.enter(ctx)
}

// State implements migration.Driver.
func (f *Fake) State(ctx context.Context) (migration.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state := migration.State{Server: f.Server, Changes: slices.Clone(f.states)}
	if f.lease != nil {
		state.Holder, state.Since = f.lease.holder, f.lease.since
	}
	return state, f.enter(ctx)
}

// Statements implements migration.Driver.
func (f *Fake) Statements(ctx context.Context, since time.Time) (migration.Statements, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var heard migration.Statements
	for _, q := range f.statements {
		if q.Seen.IsZero() || !q.Seen.Before(since) {
			heard.Queries = append(heard.Queries, q)
		}
	}
	return heard, f.enter(ctx)
}

// Sample implements migration.Driver.
func (f *Fake) Sample(ctx context.Context, table, column string, n int) ([]json.RawMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	values := f.documents[table+"."+column]
	return slices.Clone(values[:min(n, len(values))]), f.enter(ctx)
}

// Credentials implements migration.Driver.
func (f *Fake) Credentials(ctx context.Context, release segue.ReleaseName) (migration.Credentials, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return migration.Credentials{}, err
	}
	if !f.Roles {
		return migration.Credentials{}, segue.Errorf(segue.KindUnsupported, "the fake has no roles")
	}
	delete(f.retired, release)
	return migration.Credentials{Role: "app_" + string(release), URL: "fake://app_" + string(release) + "@db"}, nil
}

// Retire implements migration.Driver.
func (f *Fake) Retire(ctx context.Context, release segue.ReleaseName) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return err
	}
	if !f.Roles {
		return segue.Errorf(segue.KindUnsupported, "the fake has no roles")
	}
	f.retired[release] = true
	return nil
}

// Retired says whether the role of a release was removed.
func (f *Fake) Retired(release segue.ReleaseName) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.retired[release]
}

// Close implements migration.Driver: the lease ends, what is recorded stays.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropLease()
	return nil
}

// Gate implements migration.Driver. Of a release that runs and of which nothing is known it says that it does not know.
func (f *Fake) Gate(ctx context.Context, request migration.GateRequest) (migration.Gate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return migration.Gate{}, err
	}
	gate := migration.Gate{Change: request.Change.ID, At: request.Now}
	if said, ok := f.answers[request.Change.ID]; ok {
		gate.Answer, gate.Grounds = said.Answer, said.Grounds
		return gate, nil
	}
	for _, p := range request.Releases {
		if len(p.Running) == 0 && !p.Until.After(request.Now) {
			continue
		}
		gate.Grounds = append(gate.Grounds, ground(request, p, slices.Concat(request.Recorded, f.statements)))
	}
	gate.Statements = len(request.Recorded)
	gate.Settle()
	if len(request.Releases) > 0 && len(gate.Grounds) == 0 {
		gate.Answer = migration.AnswerSafe
		gate.Grounds = []migration.Ground{{Check: "releases", Answer: migration.AnswerSafe, Text: "no release runs or can come back"}}
	}
	return gate, nil
}

// ground is what is known of a release that runs or can come back.
func ground(request migration.GateRequest, p migration.Presence, queries []migration.Query) migration.Ground {
	g := migration.Ground{Check: "statements", Answer: migration.AnswerUnknown, Release: p.Release, Text: "nothing is recorded of " + string(p.Release)}
	if len(p.Running) == 0 {
		g.Until = p.Until
	}
	if p.Release != request.Brought && slices.ContainsFunc(request.Change.Removes, func(o migration.Object) bool { return o.Kind == migration.ObjectOther }) {
		g.Check, g.Text = "releases", string(p.Release)+" may count on what no statement names"
		return g
	}
	for _, q := range queries {
		if q.Release != p.Release {
			continue
		}
		if needs(q.SQL, request.Change.Removes) {
			g.Answer, g.Text, g.Statement, g.Seen = migration.AnswerUnsafe, string(p.Release)+" needs it", q.SQL, q.Seen
			return g
		}
		g.Answer, g.Text = migration.AnswerSafe, "the statements of "+string(p.Release)+" do not need it"
	}
	return g
}

func needs(statement string, removes []migration.Object) bool {
	words := strings.FieldsFunc(statement, func(r rune) bool { return !isWord(r) })
	return slices.ContainsFunc(removes, func(o migration.Object) bool { return slices.Contains(words, o.Name) })
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// Check implements migration.Driver, by the names that are added and removed.
func (f *Fake) Check(ctx context.Context, request migration.CheckRequest) (migration.Matrix, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter(ctx); err != nil {
		return migration.Matrix{}, err
	}
	var added []migration.Object
	for _, change := range request.Before {
		if fields := strings.Fields(change.Title); len(fields) == 3 && fields[0] == "add" {
			_, name, _ := strings.Cut(fields[2], ".")
			added = append(added, migration.Object{Name: name})
		}
	}
	var removed []migration.Object
	for _, change := range request.After {
		removed = append(removed, change.Removes...)
	}
	var matrix migration.Matrix
	for stage, missing := range map[migration.Stage][]migration.Object{
		migration.StageNow: added, migration.StageExpanded: nil, migration.StageContracted: removed,
	} {
		matrix.Cells = append(matrix.Cells, cells(stage, request.Queries, missing)...)
	}
	order := []migration.Stage{migration.StageNow, migration.StageExpanded, migration.StageContracted}
	slices.SortStableFunc(matrix.Cells, func(a, b migration.Cell) int { return slices.Index(order, a.Stage) - slices.Index(order, b.Stage) })
	return matrix, nil
}

func cells(stage migration.Stage, queries []migration.Query, missing []migration.Object) []migration.Cell {
	var all []migration.Cell
	for _, q := range queries {
		i := slices.IndexFunc(all, func(c migration.Cell) bool { return c.Release == q.Release })
		if i < 0 {
			all, i = append(all, migration.Cell{Release: q.Release, Stage: stage}), len(all)
		}
		all[i].Tried++
		if needs(q.SQL, missing) {
			all[i].Misfits = append(all[i].Misfits, migration.Misfit{Query: q, Message: "no such name"})
		}
	}
	return all
}

// ended says why a context is done, with a kind.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return segue.Errorf(segue.KindTimeout, "%w", context.Cause(ctx))
	}
	return segue.Errorf(segue.KindCanceled, "%w", context.Cause(ctx))
}
