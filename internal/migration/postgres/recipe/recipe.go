// Package recipe turns the statements of pending migrations into changes that an old and a new release live through: it gives each its phase and,
// where running it as written would hold others up or take away what older releases need, a form that does not. It decides and does nothing else: the
// server's own classification of every statement (migration.Facts) and the catalogue come in, changes come out, and no statement is ever sent.
//
// What it decides by:
//
//   - What only adds is expand. What older releases may still read is taken away by a contract. What they still write may be forbidden only by a contract
//     too: a new NOT NULL, CHECK, UNIQUE or foreign key on a column that they write. On a column or table that is new in the same set of migrations,
//     nobody old writes, and the rule is expand, after the column was filled.
//   - The server's facts come before any guess. A statement that rewrites or reads a whole table while others wait is never expand as written, unless
//     the table is so small that they wait less than a second (see locked), or the team took it on itself (`assume-safe`).
//   - What nobody waits for and nothing old needs is run as written, whatever it is.
//   - A statement that holds others up and has no safe form is breaking: an all-at-once release may carry it, and Change.Split says how to do without.
//
// A new type under the same name is the hard one. Types that both releases can read (int to bigint, varchar to text) are swapped in: a twin column, kept
// in step, filled, indexed, and put in the old one's place by two renames in one short transaction. Types that they cannot both read are breaking.
// A rename is a twin that stays: both names work, in both directions, until a contract drops the old one.
//
// The order of the changes is that of the statements, except that contracts come last. A change follows (After) the last one on the same table, and those
// that are about no table or more than one follow everything before them.
package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Request is what there is to plan from.
type Request struct {
	// Files with pending statements, in order.
	Files []File
	// Catalog as it was before the first of them.
	Catalog server.Catalog
	// Syncs are names of earlier changes' syncs: each is a trigger and a function of its own.
	Syncs []string
	// Version is server_version_num; 0 means the catalogue's.
	Version int
	// Release brings the files; Running are the others that run or may come back, for words only: what they need is the gate's to find out.
	Release segue.ReleaseName
	Running []segue.ReleaseName
}

// File is the pending part of a migration.
type File struct {
	Version    string
	Statements []Statement
}

// Statement is one with what it says and what the server did with it.
type Statement struct {
	migration.Statement
	Shape sqltext.Shape
	Facts migration.Facts
}

// Plan makes changes of statements. Every statement is the origin of a change, or the place of a fault.
func Plan(request Request) (changes []migration.Change, faults []migration.Fault, notes []string) {
	p := newPlanner(request)
	for _, file := range request.Files {
		p.file(file)
	}
	p.leftovers()
	early := p.makeWay()
	rank := func(c migration.Change) int {
		if c.Phase == migration.PhaseContract && !early[c.ID] {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(p.changes, func(a, b migration.Change) int { return rank(a) - rank(b) })
	return p.changes, p.faults, p.notes
}

func newPlanner(request Request) *planner {
	if request.Version == 0 {
		request.Version = request.Catalog.Version
	}
	p := &planner{
		request: request, version: request.Version, world: newWorld(request.Catalog), ids: map[migration.ChangeID]bool{},
		expanded: map[string]migration.ChangeID{}, contracted: map[string]migration.ChangeID{},
		required: map[string]*part{}, replaced: map[string]*part{}, renewed: map[string]server.Index{}, relaxed: map[string]bool{}, needs: map[migration.ChangeID]migration.Object{},
		refill: map[string]migration.Backfill{},
	}
	for _, file := range request.Files {
		p.ahead = append(p.ahead, file.Statements...)
	}
	return p
}

// leftovers are columns that were to be NOT NULL, whose values come from a statement that could not be planned.
func (p *planner) leftovers() {
	for _, t := range p.required {
		t.fault("the column is NOT NULL, and no value for the rows that are there could be planned", "fill it with UPDATE ... SET column = expression")
	}
}

// makeWay finds the contracts that a breaking change cannot do without: those keep their place before it, and are not carried.
func (p *planner) makeWay() map[migration.ChangeID]bool {
	early := map[migration.ChangeID]bool{}
	for i := range p.changes {
		c := &p.changes[i]
		object, needs := p.needs[c.ID]
		if !needs || c.Phase != migration.PhaseBreaking {
			continue
		}
		for _, other := range p.changes[:i] {
			if other.Phase == migration.PhaseContract && slices.Contains(other.Removes, object) {
				c.After = distinct(append(c.After, other.ID))
				early[other.ID] = true
			}
		}
	}
	for i := len(p.changes) - 1; i >= 0; i-- {
		c := &p.changes[i]
		if c.Phase != migration.PhaseContract || !early[c.ID] {
			continue
		}
		c.Carried = false
		for _, id := range c.After {
			early[id] = true
		}
	}
	return early
}

// planner goes through the statements in order.
type planner struct {
	request Request
	version int
	world   *world
	// ahead are the statements that come after the present one.
	ahead   []Statement
	changes []migration.Change
	faults  []migration.Fault
	notes   []string
	ids     map[migration.ChangeID]bool
	// expanded and contracted are the last changes per table, "" for those that are about no single one.
	expanded, contracted map[string]migration.ChangeID
	// required are columns that were added without their NOT NULL, until the statement that fills them; replaced are drops whose object comes again.
	required, replaced map[string]*part
	needs              map[migration.ChangeID]migration.Object
	// refill are updates that gave columns values which older releases may leave empty again.
	refill map[string]migration.Backfill
	// renewed are indexes that were dropped to be made anew.
	renewed map[string]server.Index
	relaxed map[string]bool
}

// file plans one file. Contracts of a file that has nothing else are meant for this release; all others are carried.
func (p *planner) file(file File) {
	from := len(p.changes)
	mixed := false
	for _, statement := range file.Statements {
		p.ahead = p.ahead[1:]
		part := p.part(statement)
		p.statement(part)
		part.reckon()
		part.settle()
		for _, d := range part.drafts {
			mixed = mixed || d.aftermath || d.Phase != migration.PhaseContract && !d.aside
		}
		p.commit(part)
	}
	for i := from; i < len(p.changes); i++ {
		p.changes[i].Carried = mixed && p.changes[i].Phase == migration.PhaseContract
	}
}

// part is a statement under work, or one clause of it, and what was made of it so far.
type part struct {
	*planner
	statement Statement
	shape     sqltext.Shape
	// id is what its changes' names begin with.
	id migration.ChangeID
	// facts are the server's, of this part: none are known of one clause among several.
	facts  migration.Facts
	known  bool
	origin []migration.StatementID
	drafts []draft
	// applied is set by a recipe that told the catalogue itself.
	applied bool
}

// draft is a change before it has its place.
type draft struct {
	migration.Change
	suffix string
	// needs is what a contract has to take out of its way.
	needs migration.Object
	// plain is a statement as written; aside prepares for another phase; aftermath is a contract that an expand change leaves behind.
	plain, aside, aftermath bool
}

func (p *planner) part(statement Statement) *part {
	return &part{
		planner: p, statement: statement, shape: statement.Shape, id: migration.ChangeID(statement.ID), facts: statement.Facts,
		known: true, origin: []migration.StatementID{statement.ID},
	}
}

// add takes a change into the part. Its suffix tells it from the others of the statement.
func (t *part) add(suffix string, change migration.Change) *draft {
	t.drafts = append(t.drafts, draft{Change: change, suffix: suffix})
	return &t.drafts[len(t.drafts)-1]
}

// plain takes the statement as it is.
func (t *part) plain(phase migration.Phase, title string, caveats ...string) *draft {
	d := t.add("", migration.Change{
		Phase: phase, Title: title, Facts: t.facts, Caveats: slices.DeleteFunc(caveats, func(c string) bool { return c == "" }),
		Actions: []migration.Action{{SQL: t.statement.SQL, Alone: t.facts.Alone}},
	})
	d.plain = true
	return d
}

// nothing accounts for a statement that there is nothing to do for.
func (t *part) nothing(title, why string) {
	t.add("", migration.Change{Phase: migration.PhaseExpand, Title: title, Why: why}).aside = true
}

// breaking takes the statement as it is, for an all-at-once release.
func (t *part) breaking(title, why, split string) *draft {
	d := t.plain(migration.PhaseBreaking, title)
	d.plain, d.Why, d.Split = false, why, split
	return d
}

// fault says that the statement cannot be planned.
func (t *part) fault(message, hint string) {
	t.faults = append(t.faults, migration.Fault{At: t.statement.At, Message: message, Hint: hint})
}

// settle applies what the team said in comments.
func (t *part) settle() {
	hints := t.statement.Hints
	if hints.AssumeSafe {
		t.assume(hints)
	}
	for i := range t.drafts {
		d := &t.drafts[i]
		if hints.Phase != "" && !d.aftermath && !d.aside {
			t.overrule(d, hints.Phase)
		}
		if d.Phase == migration.PhaseContract {
			d.Wait = hints.After
		}
	}
}

// overrule gives a change the phase that the team asks for. A backfill stays one, unless it is put off until older releases are gone.
func (t *part) overrule(d *draft, phase migration.Phase) {
	if d.Backfill != nil && phase != migration.PhaseContract || d.Phase == phase {
		return
	}
	if phase == migration.PhaseBackfill && d.Backfill == nil {
		return
	}
	d.Caveats = append(d.Caveats, "it is "+string(phase)+" because a comment in the file says so")
	d.Phase, d.Split = phase, ""
	if phase == migration.PhaseContract && len(d.Removes) == 0 {
		d.Removes = []migration.Object{{Kind: migration.ObjectOther, Table: d.Table, Name: d.Title}}
	}
}

// assume makes one change of the statement as it is. What it takes away stays a contract: the reason speaks for the statement's form, not for the gate.
func (t *part) assume(hints migration.Hints) {
	if hints.Reason == "" {
		t.fault("assume-safe is given without a reason", `write it down: -- segue: assume-safe reason="..."`)
	}
	if len(t.drafts) == 0 {
		return
	}
	first := t.drafts[0]
	whole := migration.Change{
		Phase: migration.PhaseExpand, Title: first.Title, Table: first.Table, Assumed: hints.Reason, Facts: t.statement.Facts,
		Actions: []migration.Action{{SQL: t.statement.SQL, Alone: t.statement.Facts.Alone || t.shape.Concurrently}},
	}
	for _, d := range t.drafts {
		if d.suffix == "" {
			whole.Title = d.Title
		}
		for _, object := range d.Removes {
			if object.Kind != migration.ObjectWrite && !d.aftermath {
				whole.Phase = migration.PhaseContract
				whole.Removes = append(whole.Removes, object)
			}
		}
	}
	t.drafts = []draft{{Change: whole}}
}

// commit gives the part's changes their names and their places.
func (p *planner) commit(t *part) {
	var own, ownContract migration.ChangeID
	for _, d := range t.drafts {
		change := d.Change
		change.ID = p.name(t.id, d.suffix)
		change.Origin, change.At = distinct(append(change.Origin, t.origin...)), t.statement.At
		contract := change.Phase == migration.PhaseContract
		follow := []migration.ChangeID{own}
		follow = append(follow, lastOf(p.expanded, change.Table)...)
		if contract {
			follow = append(append(follow, ownContract), lastOf(p.contracted, change.Table)...)
		}
		change.After = distinct(append(follow, change.After...))
		change.Estimate = p.estimate(change)
		if d.needs.Name != "" {
			p.needs[change.ID] = d.needs
		}
		if contract {
			remember(p.contracted, change)
			ownContract = change.ID
		} else {
			remember(p.expanded, change)
			own = change.ID
		}
		p.changes = append(p.changes, change)
	}
}

func (p *planner) name(id migration.ChangeID, suffix string) migration.ChangeID {
	if suffix != "" {
		id += migration.ChangeID("." + suffix)
	}
	for p.ids[id] {
		id += "+"
	}
	p.ids[id] = true
	return id
}

// lastOf gives the changes that one about a table has to follow; one about no table follows all.
func lastOf(last map[string]migration.ChangeID, table string) []migration.ChangeID {
	if table != "" {
		return []migration.ChangeID{last[""], last[table]}
	}
	all := make([]migration.ChangeID, 0, len(last))
	for _, id := range last {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

func remember(last map[string]migration.ChangeID, change migration.Change) {
	if change.Table == "" {
		clear(last)
	}
	last[change.Table] = change.ID
}

func distinct[T comparable](all []T) []T {
	var zero T
	var kept []T
	for _, one := range all {
		if one != zero && !slices.Contains(kept, one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// older names the releases that share the database with the new one.
func (p *planner) older() string {
	if len(p.request.Running) == 0 || len(p.request.Running) > 3 {
		return "older releases"
	}
	names := make([]string, len(p.request.Running))
	for i, name := range p.request.Running {
		names[i] = string(name)
	}
	return "older releases (" + strings.Join(names, ", ") + ")"
}
