package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// dropColumn takes a column away once nobody needs it, and before that lets the new release do without it.
func (t *part) dropColumn(on *table, clause sqltext.Clause) {
	title := "drop column " + t.world.short(on) + "." + clause.Column
	column := on.column(clause.Column)
	switch {
	case column == nil && clause.IfExists:
		t.nothing(title, "it is not there")
		return
	case on.added[clause.Column] && !on.synced[clause.Column]:
		t.asWritten(title, "")
		return
	}
	if column != nil {
		t.relax(on, column)
	}
	t.dropTwin(on, clause, title, "")
}

// relax lets inserts leave out a column that is to go, before the release that leaves it out.
func (t *part) relax(on *table, column *server.Column) {
	key := on.full() + "." + column.Name
	if !column.NotNull || column.Default != "" || column.Identity != "" || column.Generated != "" || t.relaxed[key] {
		return
	}
	if slices.ContainsFunc(on.Constraints, func(c server.Constraint) bool {
		return c.Kind == kindPrimary && slices.Contains(c.Columns, column.Name)
	}) {
		return
	}
	t.relaxed[key] = true
	t.add("relax", migration.Change{
		Phase: migration.PhaseExpand, Title: "allow null in " + t.world.short(on) + "." + column.Name, Table: on.full(),
		Why:     "the new release will not write the column, and every row would need a value",
		Caveats: []string{t.older() + " may read NULLs in rows that the new release writes"},
		Facts:   locks(migration.LockAccessExclusive, on),
		Actions: []migration.Action{{SQL: alterColumn(on, column.Name, "DROP NOT NULL")}},
	}).aside = true
}

// dropTwin drops a column with what stands on it, each thing in a lock window of its own.
func (t *part) dropTwin(on *table, clause sqltext.Clause, title, suffix string) *draft {
	removes := []migration.Object{on.object(migration.ObjectColumn, clause.Column)}
	var actions []migration.Action
	for _, index := range on.Indexes {
		if !slices.Contains(index.Columns, clause.Column) || on.backed(index.Name) != nil || on.Partitioned || on.Parent != "" {
			continue
		}
		actions = append(actions, dropIndex(on, index))
		removes = append(removes, on.object(migration.ObjectIndex, index.Name))
	}
	locked := []*table{on}
	for _, c := range on.Constraints {
		if !slices.Contains(c.Columns, clause.Column) {
			continue
		}
		removes = append(removes, on.object(migration.ObjectConstraint, c.Name))
		if parent := t.world.named(c.References); c.Kind == kindForeign && on.Parent == "" {
			actions = append(actions, action(alter(on, "DROP CONSTRAINT IF EXISTS "+quote(c.Name)), ""))
			if parent != nil {
				locked = append(locked, parent)
			}
		}
	}
	drop := "DROP COLUMN " + quote(clause.Column)
	if clause.Cascade {
		drop += " CASCADE"
		for _, view := range t.world.readers(on, clause.Column) {
			removes = append(removes, migration.Object{Kind: migration.ObjectView, Name: view.Schema + "." + view.Name})
		}
	}
	actions = append(actions, action(alter(on, drop), ""))
	d := t.contract(suffix, title, removes, actions...)
	d.Table, d.Facts = on.full(), locks(migration.LockAccessExclusive, locked...)
	d.Why = t.older() + " may read and write it; it cannot be brought back"
	if len(actions) > 1 {
		d.Why += "; what stands on it goes first, so that no lock is held for long"
	}
	return d
}

// dropIndex drops without keeping anybody waiting.
func dropIndex(on *table, index server.Index) migration.Action {
	drop := "DROP INDEX CONCURRENTLY IF EXISTS " + on.in(index.Name)
	return migration.Action{SQL: drop, Alone: true, Leaves: on.in(index.Name), Repair: drop, Undo: concurrent(index.Definition)}
}

// demolition is what a DROP TABLE comes to.
type demolition struct {
	removes []migration.Object
	actions []migration.Action
	// locked are tables of others, dropped all of those that are there.
	locked, dropped []*table
	partition       bool
}

// dropTables takes tables away, after the foreign keys that would lock others along with them.
func (t *part) dropTables() {
	var x demolition
	names := t.objects()
	titles := make([]string, len(names))
	for i, name := range names {
		titles[i] = name.Name
		on := t.world.table(name)
		if on == nil {
			continue
		}
		titles[i], x.dropped = t.world.short(on), append(x.dropped, on)
		t.demolish(&x, on)
	}
	title := "drop table " + strings.Join(titles, ", ")
	t.forgetTables(x.dropped)
	if len(x.removes) == 0 {
		t.plain(migration.PhaseExpand, title).Why = when(len(x.dropped) == 0, "there is none of that name")
		return
	}
	d := t.contract("", title, x.removes, x.actions...)
	d.Why, d.Facts = t.older()+" may read and write it; it cannot be brought back", locks(migration.LockAccessExclusive, x.locked...)
	if len(x.locked) == 1 {
		d.Table = x.locked[0].full()
	}
	switch {
	case x.partition:
		d.Why += "; it is taken out of its parent first, which goes on meanwhile"
	case len(x.actions) > len(titles):
		d.Why += "; foreign keys go first, because they lock the other table too"
	}
}

// demolish adds one table.
func (t *part) demolish(x *demolition, on *table) {
	drop := "DROP TABLE " + on.quoted() + when(t.shape.Cascade, " CASCADE")
	if on.fresh {
		x.actions = append(x.actions, action(drop, ""))
		return
	}
	x.removes = append(x.removes, migration.Object{Kind: migration.ObjectTable, Name: on.full()})
	first, others := t.untie(on)
	x.locked = append(append(x.locked, on), others...)
	if parent := t.world.named(on.Parent); on.Parent != "" && parent != nil {
		x.partition = true
		first = append(first, t.detached(parent, on))
		x.removes = append(x.removes, parent.object(migration.ObjectOther, "rows in "+on.Table.Name))
	}
	if t.shape.Cascade {
		for _, view := range t.world.readers(on, "") {
			x.removes = append(x.removes, migration.Object{Kind: migration.ObjectView, Name: view.Schema + "." + view.Name})
		}
	}
	x.actions = append(append(x.actions, first...), action(drop, ""))
}

// untie drops the foreign keys between a table and others, in windows of their own.
func (t *part) untie(on *table) (actions []migration.Action, others []*table) {
	for _, c := range on.Constraints {
		if parent := t.world.named(c.References); c.Kind == kindForeign && parent != nil && parent != on && on.Parent == "" {
			actions = append(actions, action(alter(on, "DROP CONSTRAINT IF EXISTS "+quote(c.Name)), alter(on, "ADD CONSTRAINT "+quote(c.Name)+" "+c.Definition+" NOT VALID")))
			others = append(others, parent)
		}
	}
	if !t.shape.Cascade {
		return actions, others
	}
	tables, keys := t.world.referencing(on)
	for i, other := range tables {
		actions = append(actions, action(alter(other, "DROP CONSTRAINT IF EXISTS "+quote(keys[i].Name)), ""))
		others = append(others, other)
	}
	return actions, others
}

func (t *part) forgetTables(dropped []*table) {
	for _, on := range dropped {
		t.world.tables = slices.DeleteFunc(t.world.tables, func(other *table) bool { return other == on })
		if !on.fresh {
			t.world.gone[on.full()] = true
		}
	}
}

// truncate empties tables: what older releases still read is gone.
func (t *part) truncate() {
	var removes []migration.Object
	for _, name := range t.objects() {
		if on := t.world.table(name); on != nil && !on.fresh {
			removes = append(removes, on.object(migration.ObjectOther, "rows"))
		}
	}
	if len(removes) == 0 {
		t.plain(migration.PhaseExpand, t.headline())
		return
	}
	d := t.contract("", t.headline(), removes, action(t.statement.SQL, ""))
	d.Facts, d.Why = t.facts, t.older()+" still read the rows; it cannot be brought back"
	if t.shape.Cascade {
		d.Caveats = []string{"every table that points at it is emptied too"}
	}
}
