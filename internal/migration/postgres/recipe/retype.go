package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// setType plans another type under the same name. See the package's doc for what is done when.
func (t *part) setType(on *table, clause sqltext.Clause) {
	column := on.column(clause.Column)
	name := t.world.short(on) + "." + clause.Column
	title := "change type of " + name + " to " + clause.Type
	if column == nil {
		t.asWritten(title, "")
		return
	}
	sql := alter(on, "ALTER COLUMN "+quote(clause.Column)+" TYPE "+clause.Type+collated(clause)+when(clause.Using != "", " USING "+clause.Using))
	caveats := []string{cachedPlansOf(name), "clients of " + t.older() + " must bear the wider values that the new release writes"}
	held := t.held(t.facts)
	rewritten := t.rewrites(t.facts, on)
	free := t.certain() && len(held) == 0 || !t.certain() && widens(column.Type, clause.Type)
	switch verdict := suits(column.Type, clause.Type); {
	case free:
		d := t.plain(migration.PhaseExpand, title, caveats...)
		d.Actions = []migration.Action{action(sql, "")}
	case t.certain() && !rewritten && len(on.checks(clause.Column)) > 0 && !t.rebuilds(on, clause):
		t.aroundChecks(on, clause, sql, title)
	case verdict == narrows && t.certain() && spared(held):
		d := t.contract("", title, writes(on, []string{clause.Column}), action(sql, ""))
		d.Why, d.Facts, d.Caveats = t.older()+" may write what does not fit", t.facts, []string{quickLock}
	case verdict == narrows:
		t.breaking(title, t.older()+" may write what does not fit, and as written it would rewrite "+t.world.short(on)+" under an access exclusive lock",
			"keep the type, and add a CHECK for what fits: Segue adds it without holding anybody up")
	case verdict == foreign:
		t.breaking(title, t.older()+" read and write "+column.Type+" under this name, and the new release "+clause.Type,
			"1: add a column of the new type under another name, and keep both in step; 2: read it in the new release; 3: drop the old one in a later release")
	case t.certain() && spared(held):
		d := t.plain(migration.PhaseExpand, title, append(caveats, quickLock)...)
		d.Why, d.Actions = "it would "+t.burden(t.facts), []migration.Action{action(sql, "")}
	default:
		t.swap(on, column, clause, title, caveats)
	}
}

func cachedPlansOf(name string) string {
	return strings.ReplaceAll(cachedPlans, "%s", name)
}

func collated(clause sqltext.Clause) string {
	return when(clause.Collate != "", " COLLATE "+collation(clause.Collate))
}

// rebuilds says whether an index over the column is built anew (a changed collation).
func (t *part) rebuilds(on *table, clause sqltext.Clause) bool {
	return clause.Collate != "" || slices.ContainsFunc(t.facts.Built, func(name string) bool {
		return slices.ContainsFunc(on.Indexes, func(x server.Index) bool { return x.Name == name })
	})
}

// checks are the CHECK constraints that read a column.
func (t *table) checks(column string) []server.Constraint {
	var found []server.Constraint
	for _, c := range t.Constraints {
		if c.Kind == kindCheck && slices.Contains(c.Columns, column) {
			found = append(found, c)
		}
	}
	return found
}

// aroundChecks changes a type that is free but for the CHECKs on the column, which would be tried on every row meanwhile.
func (t *part) aroundChecks(on *table, clause sqltext.Clause, sql, title string) {
	checks := on.checks(clause.Column)
	drop, add := make([]string, 0, 2*len(checks)+1), make([]string, 0, len(checks))
	validate := make([]migration.Action, 0, len(checks))
	for _, c := range checks {
		drop = append(drop, alter(on, "DROP CONSTRAINT "+quote(c.Name)))
		add = append(add, alter(on, "ADD CONSTRAINT "+quote(c.Name)+" "+strings.TrimSuffix(c.Definition, " NOT VALID")+" NOT VALID"))
		validate = append(validate, migration.Action{SQL: alter(on, "VALIDATE CONSTRAINT "+quote(c.Name))})
	}
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title, Table: on.full(), Facts: locks(migration.LockAccessExclusive, on),
		Why:     "as written it would " + t.burden(t.facts) + ", to try the CHECK on every row",
		Actions: []migration.Action{{SQL: together(append(append(drop, sql), add...)...)}}, Caveats: []string{cachedPlansOf(t.world.short(on) + "." + clause.Column)},
	})
	t.add("validate", migration.Change{
		Phase: migration.PhaseExpand, Title: "check rows of " + t.world.short(on) + " again", Table: on.full(),
		Facts: scans(locks(migration.LockShareUpdateExclusive, on), on), Actions: validate,
	})
}

// swap fills a twin of the new type beside the old column and puts it in its place in one short transaction.
func (t *part) swap(on *table, column *server.Column, clause sqltext.Clause, title string, caveats []string) {
	twin := *column
	twin.Name, twin.Type, twin.NotNull, twin.Default = makeName("new", "segue", clause.Column), clause.Type, false, ""
	if clause.Collate != "" {
		twin.Collation = clause.Collate
	}
	if why := t.swapless(on, column, twin.Name); why != "" {
		t.breaking(title, "as written it would rewrite "+t.world.short(on)+" under an access exclusive lock, and it cannot be swapped for a twin: "+why,
			"1: add a column of the new type under another name, and keep both in step; 2: read it in the new release; 3: drop the old one in a later release")
		return
	}
	expr := quote(clause.Column) + "::" + clause.Type
	if clause.Using != "" {
		expr = clause.Using
	}
	why := "as written it would rewrite " + t.world.short(on) + " under an access exclusive lock"
	if t.certain() {
		why = "as written it would " + t.burden(t.facts)
	}
	t.add("twin", migration.Change{
		Phase: migration.PhaseExpand, Title: title + ": a twin", Why: why, Table: on.full(), Facts: locks(migration.LockAccessExclusive, on),
		Actions: []migration.Action{addTwin(on, twin)},
	})
	sync := &migration.Sync{
		Name: t.syncName(on, twin.Name), Table: on.full(), Old: []string{clause.Column}, New: []string{twin.Name}, Until: migration.PhaseContract,
		Forward: []migration.Assignment{{Column: twin.Name, Expr: expr}},
	}
	differs := quote(twin.Name) + " IS DISTINCT FROM (" + expr + ")"
	if twin.Type == "jsonb" || twin.Type == "json" { // json has no equality
		differs = quote(twin.Name) + " IS NULL AND " + quote(clause.Column) + " IS NOT NULL"
	}
	if t.backfill(on, "fill", "fill the twin of "+t.world.short(on)+"."+clause.Column, migration.Backfill{Set: sync.Forward, Where: differs, Violators: differs, Sync: sync}) == nil {
		return
	}
	indexes := slices.Clone(on.Indexes)
	on.Columns = append(on.Columns, twin)
	from := len(on.Indexes)
	t.dress(on, *column, twin.Name, "")
	made := slices.Clone(on.Indexes[from:])
	keyed := t.swapKey(on, column.Name, twin.Name)
	on.Columns = slices.DeleteFunc(on.Columns, func(c server.Column) bool { return c.Name == twin.Name })
	on.Indexes = indexes
	t.exchange(exchange{on: on, column: *on.column(clause.Column), twin: twin, sync: sync.Name, made: made, key: keyed}, title, caveats)
	applyColumn(on.column(clause.Column), clause)
	t.applied = true
}

// swapless says why a twin cannot take the column's place, "" where it can.
func (t *part) swapless(on *table, column *server.Column, twin string) string {
	_, keys := t.world.referencing(on)
	reads := func(c server.Constraint) bool {
		return slices.Contains(c.Columns, column.Name) && c.Kind != kindPrimary && c.Kind != kindNotNull
	}
	switch {
	case on.column(twin) != nil:
		return "one is there already"
	case column.Generated != "" || column.Identity != "":
		return "its values are generated"
	case t.owes(on, column.Name):
		return "an earlier statement is still to constrain it"
	case on.Partitioned || on.Parent != "" || t.world.inherited(on):
		return "the table is partitioned, or one of several that inherit"
	case len(on.Rules) > 0:
		return on.ruled()
	case len(column.Computes) > 0:
		return "it computes " + strings.Join(column.Computes, ", ")
	case len(column.Watched) > 0:
		return column.Watched[0] + " stands on it"
	case slices.ContainsFunc(keys, func(c server.Constraint) bool { return slices.Contains(c.RefColumns, column.Name) }):
		return "foreign keys point at it"
	case slices.ContainsFunc(on.Constraints, reads):
		return "constraints stand on it"
	case len(on.primary()) > 1 && slices.Contains(on.primary(), column.Name):
		return "it is part of a longer primary key"
	case len(t.world.readers(on, column.Name)) > 0:
		return "views read it"
	case slices.ContainsFunc(on.Triggers, func(g server.Trigger) bool { return len(mentioned(g.Definition, []string{column.Name})) > 0 }):
		return "triggers name it"
	default:
		return ""
	}
}

// swapKey builds what a primary key over the twin will stand on.
func (t *part) swapKey(on *table, column, twin string) string {
	if !slices.Contains(on.primary(), column) {
		return ""
	}
	index := indexOf{Name: t.world.free(on, "pkey", on.Table.Name, twin), Columns: []string{twin}, Unique: true}
	t.buildIndex(on, index, "("+quote(twin)+")", "index").Why = "the primary key will stand on it"
	return index.Name
}

// exchange is what is known when a twin takes its column's place.
type exchange struct {
	on     *table
	column server.Column
	twin   server.Column
	sync   string
	made   []server.Index
	key    string
}

func (t *part) exchange(x exchange, title string, caveats []string) {
	on, old := x.on, makeName("old", "segue", x.column.Name)
	caveats = append(caveats, fmt.Sprintf(byPosition, t.world.short(on)+"."+x.column.Name))
	steps := []string{stopSync(on, x.sync)[0].SQL}
	if x.key != "" {
		primary := on.Constraints[slices.IndexFunc(on.Constraints, func(c server.Constraint) bool { return c.Kind == kindPrimary })].Name
		steps = append(steps, alter(on, "DROP CONSTRAINT "+quote(primary)),
			alter(on, "ADD CONSTRAINT "+quote(primary)+" PRIMARY KEY USING INDEX "+quote(x.key)))
	}
	if x.column.NotNull {
		steps = append(steps, alterColumn(on, x.column.Name, "DROP NOT NULL"))
	}
	if x.column.Default != "" {
		steps = append(steps, alterColumn(on, x.column.Name, "DROP DEFAULT"), alterColumn(on, x.twin.Name, "SET DEFAULT "+x.column.Default))
		if sequence := find(`(?is)^nextval\('((?:[^']|'')+)'::regclass\)$`, x.column.Default); sequence != "" {
			steps = append(steps, "ALTER SEQUENCE "+sequence+" OWNED BY "+on.quoted()+"."+quote(x.twin.Name))
			if x.twin.Type == "bigint" || x.twin.Type == "int8" {
				steps = append(steps, "ALTER SEQUENCE "+sequence+" AS bigint")
			}
		}
	}
	steps = append(steps, alter(on, "RENAME COLUMN "+quote(x.column.Name)+" TO "+quote(old)), alter(on, "RENAME COLUMN "+quote(x.twin.Name)+" TO "+quote(x.column.Name)))
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title + ": the swap", Table: on.full(), Facts: locks(migration.LockAccessExclusive, on), Caveats: caveats,
		Why: "the twin takes the column's name and place, in one short transaction", Actions: []migration.Action{{SQL: together(steps...)}, stopSync(on, x.sync)[1]},
	})
	drops, after := make([]migration.Action, 0, len(x.made)*2+1), make([]migration.Action, 0, len(x.made))
	for i, index := range t.replacedBy(x) {
		drops = append(drops, dropIndex(on, index))
		after = append(after, action("ALTER INDEX "+on.in(x.made[i].Name)+" RENAME TO "+quote(index.Name), ""))
	}
	drops = append(append(drops, after...), action(alter(on, "DROP COLUMN "+quote(old)), ""))
	d := t.contract("drop", "drop the old "+t.world.short(on)+"."+x.column.Name, []migration.Object{on.object(migration.ObjectColumn, old)}, drops...)
	d.Table, d.aftermath, d.Facts = on.full(), true, locks(migration.LockAccessExclusive, on)
	d.Why = "nobody reads it since the swap; until then its values are at hand, as they were"
}

// replacedBy gives, in order, the indexes of the column that those of the twin stand for.
func (t *part) replacedBy(x exchange) []server.Index {
	var old []server.Index
	for _, index := range x.on.Indexes {
		if x.on.backed(index.Name) == nil && slices.Contains(index.Columns, x.column.Name) && len(old) < len(x.made) {
			old = append(old, index)
		}
	}
	return old
}

// suit says how a new type gets on with clients of the old one.
type suit int

const (
	// foreign types are not read or not written by clients of the other.
	foreign suit = iota
	// wide ones take every value that the old one takes, and come out in the same form.
	wide
	// narrow ones come out in the same form, and refuse some values.
	narrows
)

// family gives a type's kind, its rank in it, and its modifiers.
func family(name string) (kind string, rank int, modifiers []int) {
	name = strings.ToLower(strings.Join(strings.Fields(name), " "))
	base, inside, _ := strings.Cut(name, "(")
	inside, rest, _ := strings.Cut(inside, ")")
	for text := range strings.SplitSeq(inside, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
			modifiers = append(modifiers, n)
		}
	}
	base = strings.TrimSpace(strings.TrimSpace(base) + rest)
	ranks := map[string]struct {
		kind string
		rank int
	}{
		"smallint": {"integer", 0}, "int2": {"integer", 0}, "integer": {"integer", 1}, "int": {"integer", 1}, "int4": {"integer", 1},
		"bigint": {"integer", 2}, "int8": {"integer", 2}, "real": {"float", 0}, "float4": {"float", 0}, "double precision": {"float", 1}, "float8": {"float", 1},
		"char": {"text", 0}, "character": {"text", 0}, "bpchar": {"text", 0}, "varchar": {"text", 1}, "character varying": {"text", 1}, "text": {"text", 2},
		"numeric": {"numeric", 0}, "decimal": {"numeric", 0}, "json": {"json", 0}, "jsonb": {"json", 1},
	}
	if known, found := ranks[base]; found {
		return known.kind, known.rank, modifiers
	}
	return base, 0, modifiers
}

// suits says whether clients of one type can live with another under the same name.
func suits(from, to string) suit {
	kind, rank, old := family(from)
	other, newRank, modifiers := family(to)
	switch {
	case kind != other:
		return foreign
	case kind == "numeric" && len(modifiers) > 0:
		return suitsNumeric(old, modifiers)
	case kind == "text" && len(modifiers) > 0:
		if len(old) > 0 && old[0] <= modifiers[0] && rank <= newRank {
			return wide
		}
		return narrows
	case newRank < rank && kind != "text":
		return narrows
	case len(modifiers) > 0 && (len(old) == 0 || old[0] > modifiers[0]):
		return narrows
	default:
		return wide
	}
}

func suitsNumeric(old, modifiers []int) suit {
	scale := func(m []int) int {
		if len(m) > 1 {
			return m[1]
		}
		return 0
	}
	if len(old) == 0 || scale(modifiers) < scale(old) || modifiers[0]-scale(modifiers) < old[0]-scale(old) {
		return narrows
	}
	return wide
}

// widens says, where the server was not asked about it alone, whether a change of type is known to be free.
func widens(from, to string) bool {
	kind, rank, old := family(from)
	_, newRank, modifiers := family(to)
	switch {
	case suits(from, to) != wide:
		return false
	case kind == "text":
		return rank > 0 && newRank > 0
	case kind == "numeric":
		return len(modifiers) == 0 || len(old) > 1 && len(modifiers) > 1 && old[1] == modifiers[1]
	default:
		return false
	}
}
