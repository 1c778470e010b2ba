package recipe

import (
	"maps"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// renameColumn gives the column a twin of the new name, in step with it, until nobody uses the old one.
func (t *part) renameColumn(on *table, clause sqltext.Clause) {
	title := "rename column " + t.world.short(on) + "." + clause.Column + " to " + clause.NewName
	column := on.column(clause.Column)
	taken := t.world.gone[on.full()+"."+clause.NewName]
	if on.added[clause.Column] && !on.synced[clause.Column] && !taken {
		t.asWritten(title, "")
		return
	}
	if why := t.twinless(on, column, clause.NewName); why != "" || taken {
		d := t.breaking(title, t.older()+" know it by the old name, and it cannot have a twin: "+why,
			"1: add a column of the new name and write both in the new release; 2: read the new one; 3: drop the old one in a later release")
		if taken {
			d.needs = on.object(migration.ObjectColumn, clause.NewName)
		}
		return
	}
	twin := *column
	twin.Name, twin.NotNull, twin.Default = clause.NewName, false, ""
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title + ": a twin", Table: on.full(), Facts: locks(migration.LockAccessExclusive, on),
		Why: t.older() + " know it by the old name: both names work, in step, until a contract drops the old one", Actions: []migration.Action{addTwin(on, twin)},
		Caveats: []string{"SELECT * gives both columns meanwhile"},
	})
	before, after := quote(clause.Column), quote(clause.NewName)
	sync := &migration.Sync{
		Name: t.syncName(on, clause.NewName), Table: on.full(), Old: []string{clause.Column}, New: []string{clause.NewName}, Until: migration.PhaseContract,
		Forward: []migration.Assignment{{Column: clause.NewName, Expr: before}}, Reverse: []migration.Assignment{{Column: clause.Column, Expr: after}},
	}
	differs := after + " IS DISTINCT FROM " + before
	if t.backfill(on, "fill", "fill "+t.world.short(on)+"."+clause.NewName, migration.Backfill{
		Set: sync.Forward, Where: differs, Violators: differs, Sync: sync,
	}) == nil {
		return
	}
	on.Columns = append(on.Columns, twin)
	on.added[twin.Name], on.synced[twin.Name] = true, true
	t.dress(on, *column, twin.Name, "")
	t.retire(on, *column, clause.NewName, sync.Name)
	t.world.gone[on.full()+"."+clause.Column] = true
	on.dropColumn(clause.Column)
	t.applied = true
}

func addTwin(on *table, twin server.Column) migration.Action {
	sql := "ADD COLUMN " + quote(twin.Name) + " " + twin.Type
	if twin.Collation != "" {
		sql += " COLLATE " + collation(twin.Collation)
	}
	return action(alter(on, sql), alter(on, "DROP COLUMN IF EXISTS "+quote(twin.Name)))
}

// collation writes the name of one, qualified or not, quoted or not.
func collation(name string) string {
	if strings.Contains(name, `"`) {
		return name
	}
	parts := strings.SplitN(name, ".", 2)
	for i := range parts {
		parts[i] = quote(parts[i])
	}
	return strings.Join(parts, ".")
}

// twinless says why a column cannot have a twin, "" where it can.
func (t *part) twinless(on *table, column *server.Column, twin string) string {
	_, keys := t.world.referencing(on)
	switch {
	case column == nil:
		return "it is not in the catalogue"
	case on.column(twin) != nil || t.world.gone[on.full()+"."+twin]:
		return "the other name is taken"
	case column.Generated != "" || column.Identity != "":
		return "its values are generated"
	case slices.Contains(on.primary(), column.Name):
		return "it is part of the primary key"
	case t.owes(on, column.Name):
		return "an earlier statement is still to constrain it"
	case on.Parent != "":
		return "the table is a partition, or inherits from another one"
	case len(on.Rules) > 0:
		return on.ruled()
	case t.world.inherited(on):
		return "other tables inherit from it, and triggers do not see their rows"
	case len(column.Computes) > 0:
		return "it computes " + strings.Join(column.Computes, ", ")
	case slices.ContainsFunc(on.Constraints, func(c server.Constraint) bool {
		return c.Kind == kindForeign && t.world.named(c.References) == on && slices.Contains(c.RefColumns, column.Name)
	}), slices.ContainsFunc(keys, func(c server.Constraint) bool { return slices.Contains(c.RefColumns, column.Name) }):
		return "foreign keys point at it"
	case slices.ContainsFunc(on.Constraints, func(c server.Constraint) bool {
		return c.Kind == kindExclude && slices.Contains(c.Columns, column.Name)
	}):
		return "an exclusion constraint stands on it"
	default:
		return ""
	}
}

// ruled says which rules a table has.
func (t *table) ruled() string {
	return "rules rewrite what is written to the table (" + strings.Join(distinct(slices.Sorted(maps.Values(t.Rules))), ", ") + ")"
}

// dress gives a twin the indexes and the rules of its column.
func (t *part) dress(on *table, column server.Column, twin, prefix string) {
	for _, index := range slices.Clone(on.Indexes) {
		read := mentioned(index.Definition, []string{column.Name})
		if backed := on.backed(index.Name); backed != nil && backed.Kind != kindUnique || !slices.Contains(index.Columns, column.Name) && len(read) == 0 {
			continue
		}
		own := index
		own.Name, own.Columns = t.world.free(on, "idx", on.Table.Name, twin), swapped(index.Columns, column.Name, twin)
		rest := renamed(indexTail(sqltext.Shape{SQL: index.Definition}), false, column.Name, twin)
		own.Definition = "CREATE " + when(index.Unique, "UNIQUE ") + "INDEX " + quote(own.Name) + " ON " + on.quoted() + " " + rest
		if on.Partitioned {
			t.add(dotted(prefix, "index"), migration.Change{
				Phase: migration.PhaseExpand, Title: "create index " + own.Name + " on " + t.world.short(on), Table: on.full(),
				Actions: t.partitionIndexes(on, own, rest), Facts: migration.Facts{Alone: true},
			})
		} else {
			d := t.buildIndex(on, own, rest, dotted(prefix, "index"))
			d.Why = "the column has one like it"
			if own.Unique {
				d.Caveats = []string{twoKeys}
			}
		}
		if on.backed(index.Name) != nil && !on.Partitioned {
			t.add(dotted(prefix, "unique"), migration.Change{
				Phase: migration.PhaseExpand, Title: "add unique " + own.Name + " on " + t.world.short(on), Table: on.full(), Facts: locks(migration.LockAccessExclusive, on),
				Actions: []migration.Action{action(alter(on, "ADD CONSTRAINT "+quote(own.Name)+" UNIQUE USING INDEX "+quote(own.Name)), alter(on, "DROP CONSTRAINT IF EXISTS "+quote(own.Name)))},
			})
			on.Constraints = append(on.Constraints, server.Constraint{Name: own.Name, Kind: kindUnique, Columns: own.Columns, Index: own.Name, Validated: true})
		}
		on.Indexes = append(on.Indexes, own)
	}
	if column.NotNull {
		t.notNull(on, twin, dotted(prefix, "not-null"), migration.PhaseExpand)
		on.column(twin).NotNull = true
	}
	for _, c := range slices.Clone(on.Constraints) {
		if !slices.Contains(c.Columns, column.Name) || c.Kind != kindCheck && c.Kind != kindForeign {
			continue
		}
		t.copyRule(on, c, column.Name, twin, prefix)
	}
}

func swapped(names []string, from, to string) []string {
	names = slices.Clone(names)
	for i := range names {
		if names[i] == from {
			names[i] = to
		}
	}
	return names
}

// copyRule gives a twin a CHECK or foreign key of its column, whose rows obey it already.
func (t *part) copyRule(on *table, c server.Constraint, from, twin, prefix string) {
	word := "check"
	if c.Kind == kindForeign {
		word = "fkey"
	}
	own := c
	own.Name, own.Columns = t.world.free(on, word, on.Table.Name, twin), swapped(c.Columns, from, twin)
	own.Definition = strings.TrimSuffix(c.Definition, " NOT VALID")
	if c.Kind == kindForeign {
		_, target, _ := strings.Cut(own.Definition, " REFERENCES ")
		own.Definition = "FOREIGN KEY (" + quoteAll(own.Columns) + ") REFERENCES " + target
	} else {
		own.Definition = renamed(own.Definition, false, from, twin)
	}
	locked := []*table{on}
	facts := locks(migration.LockAccessExclusive, on)
	if parent := t.world.named(c.References); c.Kind == kindForeign && parent != nil {
		facts, locked = locks(migration.LockShareRowExclusive, on, parent), append(locked, parent)
	}
	suffix := dotted(prefix, word)
	t.add(suffix, migration.Change{
		Phase: migration.PhaseExpand, Title: "add " + own.Name + " on " + t.world.short(on), Why: "the column has one like it", Table: on.full(), Facts: facts,
		Actions: []migration.Action{action(alter(on, "ADD CONSTRAINT "+quote(own.Name)+" "+own.Definition+" NOT VALID"), alter(on, "DROP CONSTRAINT IF EXISTS "+quote(own.Name)))},
	})
	t.add(dotted(suffix, "validate"), migration.Change{
		Phase: migration.PhaseExpand, Title: "check rows of " + t.world.short(on) + " against " + own.Name, Table: on.full(),
		Facts: scans(locks(migration.LockShareUpdateExclusive, on), locked...), Actions: []migration.Action{{SQL: alter(on, "VALIDATE CONSTRAINT "+quote(own.Name))}},
	})
	on.Constraints = append(on.Constraints, own)
}

// retire ends the twins' time together: the sync stops, the default goes over, the old column goes.
func (t *part) retire(on *table, column server.Column, twin, sync string) {
	t.relax(on, &column)
	d := t.dropTwin(on, sqltext.Clause{Column: column.Name}, "drop column "+t.world.short(on)+"."+column.Name+", now "+twin, "drop")
	d.aftermath = true
	first := stopSync(on, sync)
	if column.Default != "" {
		stop := first[0].SQL
		first[0].SQL = together(stop, alterColumn(on, twin, "SET DEFAULT "+column.Default))
		if sequence := find(`(?is)^nextval\('((?:[^']|'')+)'::regclass\)$`, column.Default); sequence != "" {
			first = append(first, action("ALTER SEQUENCE "+sequence+" OWNED BY "+on.quoted()+"."+quote(twin), ""))
		}
	}
	d.Actions = append(first, d.Actions...)
	if readers := t.world.readers(on, column.Name); len(readers) > 0 {
		d.Caveats = append(d.Caveats, "view "+readers[0].Name+" reads the old column: replace it first, or the drop is refused")
	}
	for _, what := range column.Watched {
		d.Caveats = append(d.Caveats, what+" stands on the old column: replace it first, or the drop is refused")
	}
}

// moveTable gives a table another name or schema, and leaves a view in its old place that can be written through.
func (t *part) moveTable(on *table, clause sqltext.Clause) {
	from, fromSchema, fromName := on.quoted(), on.Schema, on.Table.Name
	title, toSchema, toName := "rename table "+fromName+" to "+clause.NewName, fromSchema, clause.NewName
	if clause.Kind == sqltext.ClauseSetSchema {
		title, toSchema, toName = "move table "+fromName+" to schema "+clause.NewName, clause.NewName, fromName
	}
	if t.world.taken(toSchema, toName) || on.Parent != "" || toSchema != fromSchema && t.owes(on, "") {
		t.breaking(title, t.older()+" know it by the old name, and a view cannot stand for it: the new name is taken, it is a partition, or contracts on it are open",
			"1: make a table of the new name; 2: write both in the new release, fill it, read it; 3: drop the old one in a later release")
		return
	}
	to := quote(toSchema) + "." + quote(toName)
	options := ""
	if on.RowSecurity && t.version >= 150000 {
		options = " WITH (security_invoker = true)"
	}
	view := "CREATE VIEW " + from + options + " AS SELECT " + quoteAll(on.columnNames()) + " FROM " + to
	grants := "FOR one IN SELECT x.privilege_type AS what, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS who" +
		" FROM pg_class c, aclexplode(c.relacl) x WHERE c.oid = " + literal(to) + "::regclass AND x.grantee <> c.relowner" +
		" LOOP EXECUTE format('GRANT %s ON %s TO %s', one.what, " + literal(from) + ", one.who); END LOOP"
	steps := []string{"ALTER TABLE " + from + " " + clause.SQL, view}
	if clause.SQL == "" {
		steps[0] = "ALTER TABLE " + from + " RENAME TO " + quote(toName)
	}
	if on.Owner != "" {
		steps = append(steps, "ALTER VIEW "+from+" OWNER TO "+quote(on.Owner))
	}
	back := "ALTER TABLE " + to + " RENAME TO " + quote(fromName)
	if clause.Kind == sqltext.ClauseSetSchema {
		back = "ALTER TABLE " + to + " SET SCHEMA " + quote(fromSchema)
	}
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title, Table: toSchema + "." + toName, Facts: locks(migration.LockAccessExclusive, on),
		Why: t.older() + " know it by the old name: a view stands there, which can be read and written",
		Actions: []migration.Action{{
			SQL:  "DO $segue$ DECLARE one record; BEGIN " + strings.Join(append(steps, grants), "; ") + "; END $segue$",
			Undo: together("DROP VIEW "+from, back),
		}},
		Caveats: []string{"through the view, COPY, TRUNCATE, LOCK TABLE and DDL do not work, and sessions prepare their statements again"},
	})
	d := t.contract("drop", "drop view "+fromName+", the old name of "+toName, []migration.Object{{Kind: migration.ObjectView, Name: fromSchema + "." + fromName}},
		action("DROP VIEW "+from, view))
	d.Table, d.aftermath = toSchema+"."+toName, true
	for _, last := range []map[string]migration.ChangeID{t.expanded, t.contracted} {
		if id := last[on.full()]; id != "" {
			last[toSchema+"."+toName] = id
		}
	}
	t.readdress(on.full(), from, toSchema+"."+toName, to)
	t.world.move(on, toSchema, toName)
	t.world.gone[fromSchema+"."+fromName], t.applied = true, true
}

// owes says whether a contract on the column, or on any of the table's when it is "", is still to come.
func (p *planner) owes(on *table, column string) bool {
	return slices.ContainsFunc(p.changes, func(c migration.Change) bool {
		return c.Phase == migration.PhaseContract && slices.ContainsFunc(c.Removes, func(o migration.Object) bool {
			return o.Table == on.full() && (column == "" || o.Name == column)
		})
	})
}

// readdress lets contracts that are owed find a table under its new name: they run after the move.
func (p *planner) readdress(from, quotedFrom, to, quotedTo string) {
	for i := range p.changes {
		c := &p.changes[i]
		if c.Phase != migration.PhaseContract {
			continue
		}
		for j := range c.Actions {
			for _, text := range []*string{&c.Actions[j].SQL, &c.Actions[j].Undo, &c.Actions[j].Expect} {
				*text = strings.ReplaceAll(*text, quotedFrom, quotedTo)
			}
		}
		for j := range c.Removes {
			if c.Removes[j].Table == from {
				c.Removes[j].Table = to
			}
		}
		if c.Table == from {
			c.Table = to
		}
	}
}
