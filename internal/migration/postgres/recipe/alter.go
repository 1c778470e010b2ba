package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// alterTable plans each clause by itself, and puts them together again when all of them are free.
func (t *part) alterTable() {
	on := t.world.table(t.shape.Table)
	if on == nil {
		t.alterOther()
		return
	}
	if on.fresh && !t.reaches(on) {
		title, sql := t.title(on), t.whole(on)
		for _, clause := range t.shape.Clauses {
			on.apply(t.world, clause)
		}
		d := t.plain(migration.PhaseExpand, title)
		d.Table, d.Actions[0].SQL = on.full(), sql
		return
	}
	if len(t.shape.Clauses) == 0 {
		t.clauseOther(on, sqltext.Clause{SQL: t.statement.SQL})
		return
	}
	if len(t.shape.Clauses) == 1 {
		t.clause(on, t.shape.Clauses[0])
		return
	}
	t.clauses(on)
}

// reaches says whether a statement on a new table takes hold of others.
func (t *part) reaches(on *table) bool {
	return slices.ContainsFunc(t.shape.Clauses, func(c sqltext.Clause) bool {
		return c.Kind == sqltext.ClauseAttachPartition || c.Kind == sqltext.ClauseDetachPartition || on.Parent != ""
	}) && len(t.held(t.facts)) > 0
}

// clauses plans several clauses of one statement.
func (t *part) clauses(on *table) {
	together := true
	var titles []string
	for i, clause := range t.shape.Clauses {
		one := &part{
			planner: t.planner, statement: t.statement, shape: t.shape, origin: t.origin,
			id: t.id + migration.ChangeID("."+strconv.Itoa(i+1)), known: len(t.held(t.facts)) == 0,
		}
		one.statement.SQL = "ALTER TABLE " + on.quoted() + " " + clause.SQL
		if one.known {
			one.facts = t.facts
		}
		one.clause(on, clause)
		together = together && len(one.drafts) == 1 && one.drafts[0].plain && one.drafts[0].Phase == migration.PhaseExpand
		for _, d := range one.drafts {
			if d.suffix != "" {
				d.suffix = "." + d.suffix
			}
			d.suffix = strconv.Itoa(i+1) + d.suffix
			titles = append(titles, d.Title)
			t.drafts = append(t.drafts, d)
		}
	}
	if !together {
		return
	}
	drafts := t.drafts
	t.drafts = nil
	whole := t.plain(migration.PhaseExpand, strings.Join(titles, ", "))
	whole.Table, whole.Actions[0].SQL = on.full(), t.whole(on)
	var undo []string
	for _, d := range drafts {
		whole.Caveats = distinct(append(whole.Caveats, d.Caveats...))
		undo = append([]string{strings.TrimPrefix(d.Actions[0].Undo, "ALTER TABLE "+on.quoted()+" ")}, undo...)
	}
	if !slices.Contains(undo, "") {
		whole.Actions[0].Undo = "ALTER TABLE " + on.quoted() + " " + strings.Join(undo, ", ")
	}
}

// whole writes the statement with its table named in full.
func (t *part) whole(on *table) string {
	clauses := make([]string, len(t.shape.Clauses))
	for i, clause := range t.shape.Clauses {
		if clauses[i] = clause.SQL; clause.SQL == "" {
			return t.statement.SQL
		}
	}
	if len(clauses) == 0 || t.shape.Only {
		return t.statement.SQL
	}
	return alter(on, strings.Join(clauses, ", "))
}

// alterOther plans ALTER TABLE of what is no table of the catalogue: a view, a sequence, a table that is not there.
func (t *part) alterOther() {
	name := t.shape.Table.Name
	for _, clause := range t.shape.Clauses {
		if clause.Kind == sqltext.ClauseRenameTable || clause.Kind == sqltext.ClauseSetSchema || clause.Kind == sqltext.ClauseRenameColumn {
			t.breaking("alter "+name+": "+clause.SQL, t.older()+" know it by the old name", "1: make a second one of the new name; 2: drop the first in a later release")
			return
		}
	}
	t.asWritten("alter "+name, "")
}

// title names a statement about a table.
func (t *part) title(on *table) string {
	clauses := make([]string, len(t.shape.Clauses))
	for i, clause := range t.shape.Clauses {
		clauses[i] = clauseTitle(on.Table.Name, clause)
	}
	if len(clauses) == 0 {
		return "alter table " + on.Table.Name
	}
	return strings.Join(clauses, ", ")
}

func clauseTitle(table string, clause sqltext.Clause) string {
	constraint := find(`(?i)^\s*alter\s+constraint\s+(`+plainName+`)`, clause.SQL)
	switch {
	case clause.Kind == sqltext.ClauseOther && constraint != "":
		return "alter constraint " + constraint + " on " + table
	case clause.Column != "":
		return string(clause.Kind) + " " + table + "." + clause.Column
	case clause.Name != "":
		return string(clause.Kind) + " " + clause.Name + " on " + table
	default:
		return string(clause.Kind) + " on " + table
	}
}

// clause plans one clause on a table that others use.
func (t *part) clause(on *table, clause sqltext.Clause) {
	before := len(t.drafts)
	t.applied = false
	switch clause.Kind {
	case sqltext.ClauseAddColumn:
		t.addColumn(on, clause)
	case sqltext.ClauseDropColumn:
		t.dropColumn(on, clause)
	case sqltext.ClauseRenameColumn:
		t.renameColumn(on, clause)
	case sqltext.ClauseSetType:
		t.setType(on, clause)
	case sqltext.ClauseSetDefault, sqltext.ClauseDropDefault, sqltext.ClauseSetNotNull, sqltext.ClauseDropNotNull, sqltext.ClauseIdentity,
		sqltext.ClauseDropExpression, sqltext.ClauseSetExpression:
		t.alterColumn(on, clause)
	case sqltext.ClauseAddConstraint:
		t.addConstraint(on, clause)
	case sqltext.ClauseDropConstraint:
		t.dropConstraint(on, clause)
	case sqltext.ClauseValidateConstraint:
		t.validate(on, clause)
	case sqltext.ClauseRenameTable, sqltext.ClauseSetSchema:
		t.moveTable(on, clause)
	case sqltext.ClauseAttachPartition:
		t.attach(on, clause)
	case sqltext.ClauseDetachPartition:
		t.detach(on, clause)
	case sqltext.ClauseRowSecurity:
		t.rowSecurity(on, clause)
	case sqltext.ClauseRenameConstraint:
		t.renameConstraint(on, clause)
	case sqltext.ClauseOwner:
		t.changeOwner(on, clause)
	default:
		t.clauseOther(on, clause)
	}
	for i := range t.drafts[before:] {
		d := &t.drafts[before+i]
		if d.Table == "" {
			d.Table = on.full()
		}
		if len(d.Actions) == 1 && d.Actions[0].SQL == t.statement.SQL && clause.SQL != "" && on.full() == d.Table {
			d.Actions[0].SQL = alter(on, clause.SQL)
		}
	}
	if !t.applied {
		on.apply(t.world, clause)
	}
}

// alter writes ALTER TABLE.
func alter(on *table, clause string) string {
	return "ALTER TABLE " + on.quoted() + " " + clause
}

// alterColumn writes ALTER TABLE ... ALTER COLUMN.
func alterColumn(on *table, column, clause string) string {
	return alter(on, "ALTER COLUMN "+quote(column)+" "+clause)
}

func (t *part) rowSecurity(on *table, clause sqltext.Clause) {
	name := t.world.short(on)
	if matches(`(?is)^\s*(disable|no\s+force)`, clause.SQL) {
		t.asWritten("disable row security on "+name, "", fmt.Sprintf(allRows, name))
		return
	}
	t.contract("", "row security on "+name, []migration.Object{on.object(migration.ObjectOther, "rows without a policy")},
		action(alter(on, clause.SQL), alter(on, "DISABLE ROW LEVEL SECURITY"))).Facts = t.facts
}

// renameConstraint leaves a key its name for as long as older releases may name it.
func (t *part) renameConstraint(on *table, clause sqltext.Clause) {
	title := "rename constraint " + clause.Name + " of " + t.world.short(on)
	c := on.constraint(clause.Name)
	if c == nil || c.Kind != kindUnique && c.Kind != kindPrimary && c.Kind != kindExclude {
		t.asWritten(title, "", namedInErrors)
		return
	}
	d := t.contract("", title, []migration.Object{on.object(migration.ObjectConstraint, clause.Name)},
		action(alter(on, clause.SQL), alter(on, "RENAME CONSTRAINT "+quote(clause.NewName)+" TO "+quote(clause.Name))))
	d.Facts, d.Why = t.facts, t.older()+" may name it in ON CONFLICT ON CONSTRAINT"
	d.Caveats = []string{"until then the new release must not name it " + clause.NewName}
}

// changeOwner takes from a role what it can do as the owner, and older releases may log in with it.
func (t *part) changeOwner(on *table, clause sqltext.Clause) {
	title := "give " + t.world.short(on) + " to " + clause.NewName
	if on.Owner == clause.NewName || quote(clause.NewName) == on.Owner {
		t.nothing(title, "it is so already")
		return
	}
	undo := ""
	if on.Owner != "" {
		undo = alter(on, "OWNER TO "+on.Owner)
	}
	d := t.contract("", title, []migration.Object{on.object(migration.ObjectOther, "ownership")}, action(alter(on, clause.SQL), undo))
	d.Facts, d.Why = t.facts, t.older()+" may log in as its owner, and could do nothing with it then but what is granted"
}

// clauseOther goes by the facts, and by what is known to change the writes of others.
func (t *part) clauseOther(on *table, clause sqltext.Clause) {
	title := clauseTitle(t.world.short(on), clause)
	if clause.Column == "" && clause.SQL != "" {
		title = strings.ToLower(strings.Join(strings.Fields(clause.SQL), " ")) + " on " + t.world.short(on)
	}
	if matches(`(?is)^\s*disable\s+(trigger|rule)`, clause.SQL) {
		t.contract("", title, []migration.Object{on.object(migration.ObjectTrigger, find(`(?is)(\S+)\s*$`, clause.SQL))}, action(t.statement.SQL, "")).Facts = t.facts
		return
	}
	if !t.known {
		t.breaking(title, "among several clauses the server does not say which one holds "+t.world.short(on)+" up", "write it as a statement of its own")
		return
	}
	t.asWritten(title, "move the rows with pg_repack, or to a new table in batches")
}

// apply tells the catalogue what a clause did.
func (t *table) apply(w *world, clause sqltext.Clause) {
	column := t.column(clause.Column)
	switch clause.Kind {
	case sqltext.ClauseAddColumn:
		if column == nil {
			t.addColumn(w, clause)
		}
	case sqltext.ClauseDropColumn:
		t.dropColumn(clause.Column)
		if !t.fresh {
			w.gone[t.full()+"."+clause.Column] = true
		}
	case sqltext.ClauseAddConstraint:
		for _, c := range clause.Constraints {
			t.addConstraint(w, c, c.Columns)
		}
	case sqltext.ClauseDropConstraint:
		t.dropRule(w, clause.Name)
	case sqltext.ClauseRenameTable:
		w.move(t, t.Schema, clause.NewName)
	case sqltext.ClauseSetSchema:
		w.move(t, clause.NewName, t.Table.Name)
	case sqltext.ClauseRenameColumn:
		t.renameColumn(clause.Column, clause.NewName)
	case sqltext.ClauseRenameConstraint:
		if c := t.constraint(clause.Name); c != nil {
			c.Name = clause.NewName
		}
	case sqltext.ClauseAttachPartition, sqltext.ClauseDetachPartition:
		t.applyPartition(w, clause)
	default:
		if column != nil {
			applyColumn(column, clause)
		}
	}
}
