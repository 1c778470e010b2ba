package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

type indexOf = server.Index

// createIndex builds beside the work.
func (t *part) createIndex() {
	on := t.world.table(t.shape.Table)
	if on == nil {
		t.asWritten("create index "+t.shape.Name.Name, "")
		return
	}
	index, rest := t.newIndex(on), indexTail(t.shape)
	index.Definition = "CREATE " + when(index.Unique, "UNIQUE ") + "INDEX " + quote(index.Name) + " ON " + on.quoted() + " " + rest
	phase, caveats := migration.PhaseExpand, []string(nil)
	if index.Unique {
		phase, caveats = t.tightensKey(on, sqltext.Constraint{SQL: rest}, index.Columns, t.indexed(on))
	}
	index.Valid = phase != migration.PhaseContract
	title := "create index " + index.Name + " on " + t.world.short(on)
	switch _, there := t.world.index(sqltext.Name{Schema: on.Schema, Name: index.Name}); {
	case there != nil && t.shape.IfNotExists && there.Valid:
		t.nothing(title, "it is there already")
		return
	case on.fresh:
		t.plain(migration.PhaseExpand, title).Table = on.full()
	case on.Partitioned && t.shape.Only:
		d := t.asWritten(title, "")
		d.Table, d.Actions = on.full(), []migration.Action{
			action(strings.Replace(index.Definition, " ON ", " ON ONLY ", 1), "DROP INDEX IF EXISTS "+on.in(index.Name)),
		}
	case on.Partitioned:
		t.buildOnPartitions(on, index, rest, phase)
	default:
		t.buildNamed(on, index, rest, phase).Caveats = caveats
	}
	on.Indexes = append(on.Indexes, index)
}

// newIndex is the index as the statement says it, under the name that the server would give it.
func (t *part) newIndex(on *table) indexOf {
	index := indexOf{Name: t.shape.Name.Name, Unique: t.shape.Unique, Ready: true, Predicate: t.shape.Where}
	for _, element := range t.shape.Elements {
		index.Columns = append(index.Columns, plainColumn(element, on))
	}
	if index.Name == "" {
		index.Name = t.world.free(on, "idx", append([]string{on.Table.Name}, distinct(index.Columns)...)...)
	}
	return index
}

// buildNamed builds an index, under another name first where an index that is to go still has this one.
func (t *part) buildNamed(on *table, index indexOf, rest string, phase migration.Phase) *draft {
	final := index.Name
	if t.world.gone[on.Schema+"."+final] {
		index.Name = t.world.free(on, "new", final)
	}
	d := t.buildIndex(on, index, rest, "")
	d.Phase, d.Title = phase, "create index "+final+" on "+t.world.short(on)
	if phase == migration.PhaseContract {
		d.Removes = writes(on, t.indexed(on))
		d.Why = t.older() + " may write what it refuses; " + d.Why
	}
	if final == index.Name {
		return d
	}
	rename := []migration.Action{action("ALTER INDEX "+on.in(index.Name)+" RENAME TO "+quote(final), "")}
	if drop := t.replaced[on.in(final)]; drop != nil {
		rename = append([]migration.Action{dropIndex(on, t.renewed[on.in(final)])}, rename...)
		t.origin = append(slices.Clone(drop.origin), t.origin...)
		delete(t.replaced, on.in(final))
	}
	last := t.contract("name", "put index "+index.Name+" in the place of "+final, []migration.Object{on.object(migration.ObjectIndex, final)}, rename...)
	last.Table, last.aftermath, last.Why = on.full(), true, "the old index serves "+t.older()+" until then"
	return &t.drafts[len(t.drafts)-2]
}

// indexed are the columns whose values an index sees, in its expressions too.
func (t *part) indexed(on *table) []string {
	return mentioned(strings.Join(t.shape.Elements, ", "), on.columnNames())
}

// plainColumn gives the column of an index's element, "" for an expression.
func plainColumn(element string, on *table) string {
	if found := words(element); len(found) > 0 && found[0].start == 0 && !found[0].call && on.column(found[0].text) != nil {
		return found[0].text
	}
	return ""
}

// indexTail is what stands after the table in CREATE INDEX.
func indexTail(shape sqltext.Shape) string {
	const name = plainName
	if tail := find(`(?is)^\s*create\s+(?:unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:`+name+`\s+)?on\s+(?:only\s+)?`+
		name+`(?:\s*\.\s*`+name+`)?\s*((?:using\b|\().*)$`, shape.SQL); tail != "" {
		return strings.TrimSpace(tail)
	}
	tail := "(" + strings.Join(shape.Elements, ", ") + ")"
	if shape.Method != "" {
		tail = "USING " + shape.Method + " " + tail
	}
	if shape.Where != "" {
		tail += " WHERE " + shape.Where
	}
	return tail
}

// concurrent turns an index's definition into one that is built beside the work.
func concurrent(definition string) string {
	head, rest, found := strings.Cut(definition, "INDEX ")
	if !found {
		return ""
	}
	return head + "INDEX CONCURRENTLY " + strings.TrimPrefix(rest, "CONCURRENTLY ")
}

// buildIndex builds an index on a table that others use.
func (t *part) buildIndex(on *table, index indexOf, rest, suffix string) *draft {
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + on.in(index.Name)
	build := migration.Action{
		SQL:   "CREATE " + when(index.Unique, "UNIQUE ") + "INDEX CONCURRENTLY " + quote(index.Name) + " ON " + on.quoted() + " " + rest,
		Alone: true, Leaves: on.in(index.Name), Repair: drop, Undo: drop,
	}
	if index.Unique && len(index.Columns) > 0 && index.Predicate == "" && !strings.Contains(quoteAll(index.Columns), `""`) {
		given := make([]string, len(index.Columns))
		for i, column := range index.Columns {
			given[i] = quote(column) + " IS NOT NULL"
		}
		build.Expect = "SELECT count(*) FROM (SELECT FROM " + on.quoted() + " WHERE " + strings.Join(given, " AND ") +
			" GROUP BY " + quoteAll(index.Columns) + " HAVING count(*) > 1) AS twice"
	}
	return t.add(suffix, migration.Change{
		Phase: migration.PhaseExpand, Title: "create index " + index.Name + " on " + t.world.short(on), Table: on.full(), Facts: builds(on, index),
		Why: "as written it would keep writes of " + t.world.short(on) + " waiting while it builds", Actions: []migration.Action{build},
	})
}

// buildOnPartitions builds the parts one by one and hangs them under an empty whole.
func (t *part) buildOnPartitions(on *table, index indexOf, rest string, phase migration.Phase) {
	actions := t.partitionIndexes(on, index, rest)
	facts := locks(migration.LockShareUpdateExclusive, on)
	facts.Alone = true
	for _, child := range t.world.partitions(on) {
		facts.Locks[child.full()] = migration.LockShareUpdateExclusive
		facts = scans(facts, child)
	}
	change := migration.Change{
		Phase: phase, Title: "create index " + index.Name + " on " + t.world.short(on), Table: on.full(), Actions: actions, Facts: facts,
		Why: "as written it would keep writes of every partition waiting while it builds",
	}
	if phase == migration.PhaseContract {
		change.Removes = writes(on, t.indexed(on))
	}
	t.add("", change)
}

func (t *part) partitionIndexes(on *table, index indexOf, rest string) []migration.Action {
	unique := when(index.Unique, "UNIQUE ")
	actions := []migration.Action{action("CREATE "+unique+"INDEX "+quote(index.Name)+" ON ONLY "+on.quoted()+" "+rest, "DROP INDEX IF EXISTS "+on.in(index.Name))}
	for _, child := range t.world.partitions(on) {
		own := index
		own.Name = t.world.free(child, "idx", child.Table.Name, index.Name)
		if child.Partitioned {
			actions = append(actions, t.partitionIndexes(child, own, rest)...)
		} else {
			drop := "DROP INDEX CONCURRENTLY IF EXISTS " + child.in(own.Name)
			actions = append(actions, migration.Action{
				SQL:   "CREATE " + unique + "INDEX CONCURRENTLY " + quote(own.Name) + " ON " + child.quoted() + " " + rest,
				Alone: true, Leaves: child.in(own.Name), Repair: drop, Undo: drop,
			})
		}
		actions = append(actions, action("ALTER INDEX "+on.in(index.Name)+" ATTACH PARTITION "+child.in(own.Name), "DROP INDEX IF EXISTS "+on.in(index.Name)))
	}
	return actions
}

// dropIndexes takes indexes away. Older releases' plans may need them, and their ON CONFLICT clauses.
func (t *part) dropIndexes() {
	var removes []migration.Object
	var actions []migration.Action
	var titles []string
	var only *table
	for _, name := range t.objects() {
		on, found := t.world.index(name)
		titles = append(titles, name.Name)
		if found == nil {
			continue
		}
		index := *found
		if !on.fresh && len(t.objects()) == 1 && t.renews(on, index) {
			return
		}
		removes = append(removes, on.object(migration.ObjectIndex, index.Name))
		on.leave(index)
		only = on
		drop := dropIndex(on, index)
		if on.Partitioned {
			drop = action("DROP INDEX IF EXISTS "+on.in(index.Name), "")
		}
		actions = append(actions, drop)
		kept := on.Indexes[:0:0]
		for _, other := range on.Indexes {
			if other.Name != index.Name {
				kept = append(kept, other)
			}
		}
		on.Indexes = kept
		if !on.fresh {
			t.world.gone[on.Schema+"."+index.Name] = true
		}
	}
	title := "drop index " + strings.Join(titles, ", ")
	if only == nil || only.fresh {
		t.asWritten(title, "").Why = when(only == nil, "there is none of that name in the catalogue")
		return
	}
	d := t.contract("", title, removes, actions...)
	d.Why = "statements of " + t.older() + " may be slow without it, or refused where ON CONFLICT names its columns"
	d.Facts = locks(migration.LockShareUpdateExclusive, only)
	d.Facts.Alone = true
	if len(removes) == 1 {
		d.Table = only.full()
	}
}

// renews leaves a drop to the later statement that makes an index of the same name.
func (t *part) renews(on *table, index indexOf) bool {
	again := slices.ContainsFunc(t.ahead, func(next Statement) bool {
		return next.Shape.Kind == sqltext.KindCreateIndex && next.Shape.Name.Name == index.Name && t.world.table(next.Shape.Table) == on
	})
	if !again || on.backed(index.Name) != nil || on.Partitioned {
		return false
	}
	key := on.in(index.Name)
	t.replaced[key], t.renewed[key], t.world.gone[on.Schema+"."+index.Name] = t, index, true
	on.leave(index)
	on.Indexes = slices.DeleteFunc(slices.Clone(on.Indexes), func(x indexOf) bool { return x.Name == index.Name })
	return true
}

func (t *part) alterIndex() {
	name := t.objects()[0]
	on, index := t.world.index(name)
	title := "alter index " + name.Name
	if t.shape.NewName != "" {
		title = "rename index " + name.Name + " to " + t.shape.NewName
	}
	d := t.asWritten(title, "")
	if on == nil {
		return
	}
	d.Table = on.full()
	if t.shape.NewName != "" {
		d.Actions[0].Undo = "ALTER INDEX " + on.in(t.shape.NewName) + " RENAME TO " + quote(name.Name)
		index.Name = t.shape.NewName
	}
}

// reindex rebuilds beside the work, where the server can.
func (t *part) reindex() {
	name := t.objects()[0]
	title := t.headline()
	what := find(`(?is)^\s*reindex\s*(?:\([^)]*\)\s*)?(index|table|schema|database|system)`, t.statement.SQL)
	if t.shape.Concurrently || t.version < 120000 || strings.EqualFold(what, "system") {
		t.asWritten(title, "REINDEX ... CONCURRENTLY from PostgreSQL 12 on; or build a second index CONCURRENTLY and drop the first").Actions[0].Alone = true
		return
	}
	sql := find(`(?is)^(\s*reindex\s*(?:\([^)]*\)\s*)?(?:index|table|schema|database)\s)`, t.statement.SQL)
	one := migration.Action{SQL: sql + "CONCURRENTLY" + t.statement.SQL[max(len(sql)-1, 0):], Alone: true}
	change := migration.Change{
		Phase: migration.PhaseExpand, Title: strings.ToLower(title), Actions: []migration.Action{one}, Facts: migration.Facts{Alone: true},
		Why: "as written it would keep writes waiting while it builds",
	}
	if on, index := t.world.index(name); index != nil {
		left := on.in(makeName("ccnew", index.Name))
		change.Actions[0].Leaves, change.Actions[0].Repair = left, "DROP INDEX CONCURRENTLY IF EXISTS "+left
		change.Table, change.Facts = on.full(), builds(on, *index)
	}
	t.add("", change)
}
