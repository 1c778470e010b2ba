package recipe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// What a statement does to older releases that no recipe says of it, because it hides it (DO, a function that is called), or because it is one of the
// many that have no recipe: the server was asked what has changed. Recipes say the same things in the same words.
const (
	newDefault    = "inserts of %s that leave the column out get the new default too"
	newNulls      = "%s may read NULLs that they never expected"
	newValue      = "%s may read the value, and must not stumble over it"
	newBody       = "%s call the new one from now on; a new name would leave them theirs"
	newView       = "what %s read through it may change"
	newTrigger    = "it changes what writes of %s do"
	newRule       = "it changes what statements of %s do"
	newNumbers    = "a larger increment or another type changes which numbers %s draw"
	ownNumbers    = "numbers are drawn from the identity's own sequence: mind where it starts"
	looserRule    = "%s may read values that they never expected"
	looserKey     = "%s may meet rows that point at nothing"
	pointedAt     = "%s are refused when they delete from %s what a row points at"
	namedInErrors = "clients that look for the name in errors of the server do not find it"
	allRows       = "every role with a privilege on %s sees all of its rows"
)

// unseen is a caveat for where the server was not asked what has changed: it has told otherwise.
func (t *part) unseen(caveat string) string { return when(t.facts.Effects == nil, caveat) }

// toll is what one effect costs older releases.
type toll struct {
	phase migration.Phase
	// says it for people: a caveat, or the reason for the phase.
	says string
	// removes is what is gone, of a contract.
	removes []migration.Object
}

func caveat(says string) toll { return toll{phase: migration.PhaseExpand, says: says} }

func breaks(says string) toll { return toll{phase: migration.PhaseBreaking, says: says} }

func takes(says string, removes ...migration.Object) toll {
	return toll{phase: migration.PhaseContract, says: says, removes: removes}
}

// reckon judges a statement that is run as written by what the server saw it do. What it takes away, or forbids, is a contract; where it makes what is new
// in one with that, or what older releases know becomes something else, it is breaking; the rest is told.
func (t *part) reckon() {
	defer t.learn()
	t.reckonRest()
	if len(t.drafts) != 1 || !t.drafts[0].plain || t.drafts[0].Phase != migration.PhaseExpand {
		return
	}
	d := &t.drafts[0]
	tolls, brings := t.tolls(t.facts.Effects)
	var why []string
	for _, one := range tolls {
		if one.phase == migration.PhaseExpand {
			d.Caveats = distinct(append(d.Caveats, one.says))
			continue
		}
		why = append(why, one.says)
		d.Removes = distinct(append(d.Removes, one.removes...))
		if d.Phase != migration.PhaseBreaking {
			d.Phase = one.phase
		}
	}
	if needs, taken := t.taken(); taken {
		d.Phase, d.needs = migration.PhaseBreaking, needs
		why = append(why, t.older()+" still have what is called so now")
	}
	if d.Phase == migration.PhaseExpand {
		return
	}
	d.plain, d.Why = false, strings.Join(distinct(append(why, d.Why)), "; ")
	if d.Phase == migration.PhaseContract && brings {
		d.Phase, d.Why = migration.PhaseBreaking, d.Why+", and makes what is new, in one"
	}
	if d.Phase == migration.PhaseContract {
		return
	}
	d.Removes, d.Split = nil, "1: make the new form under another name; 2: use that in the new release; 3: drop the old one in a later release"
	if brings {
		d.Split = "write what is taken away as a statement of its own: it waits for older releases to be gone, the rest does not"
	}
}

// reckonRest judges what is not run as written as a whole by what no recipe has judged: of several clauses, each was planned without knowing what
// another one does, and code that holds others up does more than that.
func (t *part) reckonRest() {
	if len(t.drafts) == 0 || len(t.drafts) == 1 && (t.drafts[0].Phase != migration.PhaseBreaking || t.shape.Kind != sqltext.KindDo) {
		return
	}
	at := slices.IndexFunc(t.drafts, func(d draft) bool {
		return d.plain && d.Phase == migration.PhaseExpand || d.Phase == migration.PhaseBreaking
	})
	if at < 0 {
		return
	}
	d := &t.drafts[at]
	tolls, _ := t.tolls(t.facts.Effects)
	for _, one := range tolls {
		said := len(one.removes) > 0 && !slices.ContainsFunc(one.removes, func(o migration.Object) bool {
			return !slices.ContainsFunc(t.drafts, func(other draft) bool { return slices.Contains(other.Removes, o) })
		})
		switch {
		case said:
		case one.phase == migration.PhaseExpand:
			d.Caveats = distinct(append(d.Caveats, one.says))
		case d.Phase == migration.PhaseBreaking:
			d.Why = strings.Join(distinct([]string{d.Why, one.says}), "; ")
		default:
			d.Phase, d.Why, d.plain, d.Split = migration.PhaseBreaking, one.says, false, "write it as a statement of its own"
		}
	}
}

// taken says whether it makes something of a name that only a contract frees, and which.
func (t *part) taken() (needs migration.Object, taken bool) {
	for _, e := range t.facts.Effects {
		object := t.world.freed[e.Object]
		for _, kind := range []migration.ObjectKind{migration.ObjectTable, migration.ObjectView} {
			if other := t.world.freed[migration.Object{Kind: kind, Name: e.Object.Name}]; e.Object.Kind == migration.ObjectTable || e.Object.Kind == migration.ObjectView {
				object = cmp.Or(object, other)
			}
		}
		if e.Facet == "" && e.Came() && object != nil {
			return *object, true
		}
	}
	return needs, false
}

// tolls are what effects cost, and brings says whether they make what only a new release knows.
func (t *part) tolls(effects []migration.Effect) (tolls []toll, brings bool) {
	for _, e := range effects {
		if says := t.ties(e); says != "" {
			tolls = append(tolls, caveat(says))
		}
		if !t.concerns(e, effects) {
			continue
		}
		cost := t.toll(e, effects)
		brings = brings || e.Came() && e.Facet == "" && cost.phase != migration.PhaseContract && cost.phase != migration.PhaseBreaking &&
			!slices.Contains([]migration.ObjectKind{migration.ObjectWrite, migration.ObjectConstraint, migration.ObjectTrigger, migration.ObjectDefault, migration.ObjectIndex}, e.Object.Kind)
		if cost.says != "" {
			tolls = append(tolls, cost)
		}
	}
	return tolls, brings
}

// ties says what a foreign key costs those who write the table that it points at.
func (t *part) ties(e migration.Effect) string {
	parent := t.world.named(find(`^FOREIGN KEY .* REFERENCES ([^(]+)\(`, e.Now))
	if !e.Came() || e.Object.Kind != migration.ObjectConstraint || parent == nil || parent.fresh || t.judged(e.Object.Table) {
		return ""
	}
	return fmt.Sprintf(pointedAt, t.older(), t.world.short(parent))
}

// concerns says whether an effect is about what older releases know, and is not told by one on the whole that it is a part of.
func (t *part) concerns(e migration.Effect, all []migration.Effect) bool {
	whole := e.Object
	if e.Facet != "" {
		if t.world.made[whole] && e.Facet != "rivals" {
			return false
		}
		if e.Came() == e.Gone() || e.Facet == "rivals" {
			return true
		}
		return !slices.ContainsFunc(all, func(o migration.Effect) bool {
			return o.Object == whole && o.Facet == "" && (o.Came() || o.Gone())
		}) && t.tableKnown(e, all)
	}
	return !t.world.made[whole] && t.tableKnown(e, all)
}

// tableKnown says whether the table or view that an effect is on was there before and is there after it, as far as that is not what it says itself.
func (t *part) tableKnown(e migration.Effect, all []migration.Effect) bool {
	if e.Object.Table == "" {
		return true
	}
	for _, kind := range []migration.ObjectKind{migration.ObjectTable, migration.ObjectView} {
		on := migration.Object{Kind: kind, Name: e.Object.Table}
		if t.world.made[on] || slices.ContainsFunc(all, func(o migration.Effect) bool { return o.Object == on && o.Facet == "" && o.Came() != o.Gone() }) {
			return false
		}
	}
	column := migration.Object{Kind: migration.ObjectColumn, Table: e.Object.Table, Name: e.Object.Name}
	if e.Object.Kind == migration.ObjectDefault || e.Object.Kind == migration.ObjectWrite {
		return !t.world.made[column] && !slices.ContainsFunc(all, func(o migration.Effect) bool { return o.Object == column && o.Facet == "" && o.Came() != o.Gone() })
	}
	return true
}

// comes says whether the statement makes something new of a kind.
func (t *part) comes(kind migration.ObjectKind) bool {
	return slices.ContainsFunc(t.facts.Effects, func(e migration.Effect) bool { return e.Object.Kind == kind && e.Facet == "" && e.Came() })
}

// learn takes note of what is new and what is gone.
func (t *part) learn() {
	for _, e := range t.facts.Effects {
		_, known := t.world.freed[e.Object]
		switch {
		case e.Facet != "" || e.Came() == e.Gone():
		case e.Came():
			t.world.made[e.Object] = !known
		default:
			delete(t.world.made, e.Object)
			t.world.freed[e.Object] = t.removal(e.Object)
		}
	}
}

// removal is what a contract of the statement names for an object that goes, nil where none takes it away.
func (t *part) removal(object migration.Object) *migration.Object {
	var found *migration.Object
	for _, d := range t.drafts {
		for _, o := range d.Removes {
			if d.Phase == migration.PhaseContract && (found == nil || o.Kind == object.Kind && found.Kind != object.Kind) {
				found = &o
			}
		}
	}
	return found
}

// judged says whether the statement's own recipe has judged what happens to a table's columns, rules and keys: its own table's, or those of one that has
// them from there.
func (t *part) judged(table string) bool {
	own, on := t.world.table(t.shape.Table), t.world.named(table)
	switch t.shape.Kind {
	case sqltext.KindAlterTable, sqltext.KindCreateTable, sqltext.KindCreateTableAs, sqltext.KindCreateIndex, sqltext.KindDropIndex, sqltext.KindDropTable:
	default:
		return false
	}
	for on != nil && on != own && on.Parent != "" && !own.isFresh() {
		on = t.world.named(on.Parent)
	}
	return on != nil && on == own
}

func (t *table) isFresh() bool { return t != nil && t.fresh }

// toll says what one effect costs; none says nothing.
func (t *part) toll(e migration.Effect, all []migration.Effect) toll {
	changed := !e.Came() && !e.Gone()
	privilege, isPrivilege := strings.CutPrefix(e.Facet, "privilege ")
	switch {
	case e.Facet == "" && e.Gone() && !isRule(e.Object.Kind):
		return takes("it takes away "+called(e.Object), e.Object)
	case isPrivilege && e.Gone() && !public(e, all):
		return takes("it takes away "+privilege+" on "+called(e.Object), migration.Object{Kind: migration.ObjectOther, Name: "privilege " + privilege + " on " + called(e.Object)})
	case isPrivilege:
		return toll{}
	case e.Facet == "found" && changed && e.Now == "by name":
		return caveat(t.older() + " find " + called(e.Object) + " by its bare name now")
	case e.Facet == "found" && changed:
		return breaks(t.older() + " find something else under the name of " + called(e.Object))
	case e.Facet == "owner" && changed:
		return takes("what "+e.Was+" could do with "+called(e.Object)+" as its owner, it cannot any more",
			ownership(e.Object))
	}
	switch e.Object.Kind {
	case migration.ObjectTable:
		return t.tollOfTable(e)
	case migration.ObjectView:
		return t.tollOfView(e)
	case migration.ObjectColumn:
		return t.tollOfColumn(e)
	case migration.ObjectFunction:
		return t.tollOfFunction(e)
	case migration.ObjectType:
		return t.tollOfType(e)
	case migration.ObjectOther:
		return t.tollOfOther(e)
	default:
		return t.tollOfRule(e, all)
	}
}

// ownership is what a change of owners takes away.
func ownership(of migration.Object) migration.Object {
	if of.Kind == migration.ObjectTable {
		return migration.Object{Kind: migration.ObjectOther, Table: of.Name, Name: "ownership"}
	}
	return migration.Object{Kind: migration.ObjectOther, Name: "ownership of " + called(of)}
}

// isRule says whether a kind is of what governs rows: to lose one need not take anything from older releases.
func isRule(kind migration.ObjectKind) bool {
	return slices.Contains([]migration.ObjectKind{migration.ObjectConstraint, migration.ObjectIndex, migration.ObjectWrite, migration.ObjectDefault, migration.ObjectTrigger}, kind)
}

// public says whether a privilege that somebody lost became everybody's.
func public(e migration.Effect, all []migration.Effect) bool {
	what, _, _ := strings.Cut(e.Facet, " for ")
	return slices.ContainsFunc(all, func(o migration.Effect) bool {
		return o.Object == e.Object && o.Facet == what+" for PUBLIC" && o.Came()
	})
}

// called names an object for people.
func called(o migration.Object) string {
	switch {
	case o.Kind == migration.ObjectOther && o.Table != "":
		return o.Name + " on " + o.Table
	case o.Kind == migration.ObjectOther:
		return o.Name
	default:
		return o.String()
	}
}
