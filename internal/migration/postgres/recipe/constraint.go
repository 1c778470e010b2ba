package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

var suffixNames = map[sqltext.ConstraintKind]string{
	sqltext.ConstraintCheck: "check", sqltext.ConstraintForeignKey: "foreign-key", sqltext.ConstraintUnique: "unique",
	sqltext.ConstraintPrimaryKey: "primary-key", sqltext.ConstraintExclude: "exclude",
}

func (t *part) addConstraint(on *table, clause sqltext.Clause) {
	for _, c := range clause.Constraints {
		columns := c.Columns
		if c.Kind == sqltext.ConstraintCheck {
			columns = mentioned(c.Expr, on.columnNames())
		}
		t.constrain(on, c, columns, "")
	}
	if len(clause.Constraints) == 0 {
		t.clauseOther(on, clause)
	}
}

// constrain plans one rule.
func (t *part) constrain(on *table, c sqltext.Constraint, columns []string, suffix string) {
	switch c.Kind {
	case sqltext.ConstraintCheck, sqltext.ConstraintForeignKey:
		t.rule(on, c, columns, suffix)
	case sqltext.ConstraintUnique, sqltext.ConstraintPrimaryKey:
		t.key(on, c, columns, suffix)
	case sqltext.ConstraintNotNull:
		t.givenRule(on, c, columns, suffix)
	default:
		t.exclude(on, c, columns, suffix)
	}
	on.addConstraint(t.world, c, columns)
	if n := len(on.Indexes); n > 0 && len(t.drafts) > 0 && t.drafts[len(t.drafts)-1].Phase == migration.PhaseContract {
		if made := &on.Indexes[n-1]; c.UsingIndex == "" && on.backed(made.Name) != nil && on.backed(made.Name).Name == on.Constraints[len(on.Constraints)-1].Name {
			made.Valid = false // only the contract makes it: nothing can be walked along it before
		}
	}
	t.applied = true
}

// tightens gives the phase of a new rule: nobody older may be refused by it.
func (t *part) tightens(on *table, c sqltext.Constraint, columns []string) migration.Phase {
	if c.NotEnforced {
		return migration.PhaseExpand
	}
	if on.writtenByOld(columns) {
		return migration.PhaseContract
	}
	if c.Kind == sqltext.ConstraintCheck && matches(`(?is)is\s+not\s+null`, c.Expr) {
		for _, name := range columns {
			if column := on.column(name); column != nil && !column.NotNull && column.Default == "" && !on.fresh {
				return migration.PhaseContract
			}
		}
	}
	return migration.PhaseExpand
}

// tightensKey gives the phase of a new unique key over columns, which reads columns: one that writers obey already refuses nobody.
func (t *part) tightensKey(on *table, c sqltext.Constraint, columns, read []string) (phase migration.Phase, caveats []string) {
	phase = t.tightens(on, c, read)
	open := func(name string) bool { column := on.column(name); return column == nil || !column.NotNull }
	key, named := on.obeyed(columns, c.SQL), columns
	if slices.Contains(columns, "") {
		named = t.shape.Elements
	}
	switch {
	case phase != migration.PhaseContract:
	case c.Kind == sqltext.ConstraintPrimaryKey && slices.ContainsFunc(columns, open) || key == nil:
		caveats = []string{fmt.Sprintf(noArbiter, strings.Join(named, ", "))}
	case len(key) < len(columns):
		phase, caveats = migration.PhaseExpand, []string{twoKeys}
	default:
		phase = migration.PhaseExpand
	}
	return phase, caveats
}

// rule adds a CHECK or foreign key: for new rows at once, for old ones by a look at them that lets everybody work.
func (t *part) rule(on *table, c sqltext.Constraint, columns []string, suffix string) {
	name := on.nameOf(t.world, c, columns)
	phase := t.tightens(on, c, columns)
	title, definition, expect := t.describe(on, c, columns, name)
	parent := t.world.table(c.References)
	if c.NotValid || c.NotEnforced || parent != nil && on.Partitioned && t.version < 180000 {
		t.givenRule(on, c, columns, suffix)
		return
	}
	facts := locks(migration.LockAccessExclusive, on)
	checked := locks(migration.LockShareUpdateExclusive, on)
	read := []*table{on}
	why := "as written it would read all of " + t.world.short(on) + " while others wait"
	var caveats []string
	if parent != nil {
		facts, read = locks(migration.LockShareRowExclusive, on, parent), append(read, parent)
		checked.Locks[parent.full()] = max(checked.Locks[parent.full()], migration.LockRowShare)
		if !parent.fresh {
			caveats = []string{fmt.Sprintf(pointedAt, t.older(), t.world.short(parent))}
		}
	}
	var removes []migration.Object
	if phase == migration.PhaseContract {
		removes = writes(on, columns)
		why = t.older() + " may write what it refuses; " + why
	}
	t.add(suffix, migration.Change{
		Phase: phase, Title: title, Why: why, Table: on.full(), Removes: removes, Facts: facts, Caveats: caveats,
		Actions: []migration.Action{action(alter(on, "ADD "+definition+" NOT VALID"), alter(on, "DROP CONSTRAINT IF EXISTS "+quote(name)))},
	})
	t.add(dotted(suffix, "validate"), migration.Change{
		Phase: phase, Title: "check rows of " + t.world.short(on) + " against " + name, Table: on.full(), Removes: removes,
		Facts:   scans(checked, read...),
		Actions: []migration.Action{{SQL: alter(on, "VALIDATE CONSTRAINT "+quote(name)), Expect: expect}},
	})
}

// describe gives a rule's title, its definition for ADD, and the query that counts rows against it.
func (t *part) describe(on *table, c sqltext.Constraint, columns []string, name string) (title, definition, expect string) {
	if c.Kind != sqltext.ConstraintForeignKey {
		tail := ""
		if matches(`(?is)no\s+inherit`, c.SQL) {
			tail = " NO INHERIT"
		}
		return "add check " + name + " on " + t.world.short(on), "CONSTRAINT " + quote(name) + " CHECK (" + c.Expr + ")" + tail,
			"SELECT count(*) FROM " + on.quoted() + " WHERE NOT (" + c.Expr + ")"
	}
	title = "add foreign key " + name + " on " + t.world.short(on)
	definition = foreignKey(t.world, on, sqltext.Constraint{
		Kind: c.Kind, Name: name, References: c.References, RefColumns: c.RefColumns, SQL: c.SQL,
	}, columns)
	parent, target := t.world.table(c.References), c.RefColumns
	if parent == nil {
		return title, definition, ""
	}
	if len(target) == 0 {
		target = parent.primary()
	}
	if len(target) != len(columns) {
		return title, definition, ""
	}
	var given, same []string
	for i := range columns {
		given = append(given, "a."+quote(columns[i])+" IS NOT NULL")
		same = append(same, "b."+quote(target[i])+" = a."+quote(columns[i]))
	}
	return title, definition, "SELECT count(*) FROM " + on.quoted() + " a WHERE " + strings.Join(given, " AND ") +
		" AND NOT EXISTS (SELECT FROM " + parent.quoted() + " b WHERE " + strings.Join(same, " AND ") + ")"
}

func (t *table) primary() []string {
	if i := slices.IndexFunc(t.Indexes, func(x indexOf) bool { return x.Primary }); i >= 0 {
		return t.Indexes[i].Columns
	}
	return nil
}

// givenRule adds a rule in the form that the team gave it (NOT VALID, NOT ENFORCED).
func (t *part) givenRule(on *table, c sqltext.Constraint, columns []string, suffix string) {
	phase := t.tightens(on, c, columns)
	name := on.nameOf(t.world, c, columns)
	title := "add constraint " + name + " on " + t.world.short(on)
	if held := t.held(t.facts); len(held) > 0 && !spared(held) {
		t.breaking(title, "as written it would "+t.burden(t.facts), "add it as NOT VALID, where the server can, and validate it in another migration")
		return
	}
	sql := c.SQL
	if c.Name == "" {
		sql = "CONSTRAINT " + quote(name) + " " + c.SQL
	}
	change := migration.Change{
		Phase: phase, Title: title, Table: on.full(), Facts: t.facts,
		Actions: []migration.Action{action(alter(on, "ADD "+sql), alter(on, "DROP CONSTRAINT IF EXISTS "+quote(name)))},
	}
	if phase == migration.PhaseContract {
		change.Removes, change.Why = writes(on, columns), t.older()+" may write what it refuses"
	}
	t.add(suffix, change).plain = true
}

// filled makes columns NOT NULL that a primary key needs so.
func (t *part) filled(on *table, columns []string, suffix string, phase migration.Phase) {
	for i, column := range columns {
		if known := on.column(column); known != nil && !known.NotNull {
			t.notNull(on, column, dotted(suffix, "not-null"+strings.Repeat("+", i)), phase)
			known.NotNull = true
		}
	}
}

// key adds a UNIQUE or PRIMARY KEY constraint over an index that was built beside the work.
func (t *part) key(on *table, c sqltext.Constraint, columns []string, suffix string) {
	word := "UNIQUE"
	if c.Kind == sqltext.ConstraintPrimaryKey {
		word = "PRIMARY KEY"
	}
	if c.UsingIndex != "" {
		if _, index := t.world.index(sqltext.Name{Schema: on.Schema, Name: c.UsingIndex}); index != nil {
			columns = index.Columns
		}
	}
	phase, caveats := t.tightensKey(on, c, columns, columns)
	name := on.nameOf(t.world, c, columns)
	build, index := phase, name
	if t.world.gone[on.full()+"."+name] {
		phase = migration.PhaseContract // the name is free only then
		if build == migration.PhaseExpand {
			index = t.world.free(on, "new", name)
		}
	}
	if c.UsingIndex != "" {
		index = c.UsingIndex
	}
	if on.Partitioned {
		t.givenRule(on, c, columns, suffix)
		return
	}
	if word == "PRIMARY KEY" {
		t.filled(on, columns, suffix, phase)
	}
	if c.UsingIndex == "" {
		d := t.buildIndex(on, indexOf{Name: index, Columns: columns, Unique: true}, "("+quoteAll(columns)+")"+included(c.SQL), suffix)
		d.Caveats, d.Phase, d.Title = caveats, build, "build index for "+strings.ToLower(word)+" on "+t.world.short(on)
		d.Why = "as written it would build the index while reads and writes of " + t.world.short(on) + " wait"
		if build == migration.PhaseContract {
			d.Removes = writes(on, columns)
			d.Why = t.older() + " may write what it refuses; " + d.Why
		}
	}
	tail := find(`(?is)((?:\s(?:not\s+)?deferrable)?(?:\s+initially\s+\w+)?)\s*$`, c.SQL)
	change := migration.Change{
		Phase: phase, Title: "add " + strings.ToLower(word) + " " + name + " on " + t.world.short(on), Table: on.full(),
		Facts: locks(migration.LockAccessExclusive, on),
		Actions: []migration.Action{action(alter(on, "ADD CONSTRAINT "+quote(name)+" "+word+" USING INDEX "+quote(index)+tail),
			alter(on, "DROP CONSTRAINT IF EXISTS "+quote(name)))},
	}
	if build == migration.PhaseContract {
		change.Removes = writes(on, columns)
	}
	if c.UsingIndex != "" {
		t.add(suffix, change)
		return
	}
	t.add(dotted(suffix, "constraint"), change)
}

// included gives what stands between a key's columns and its tail.
func included(sql string) string {
	if columns := find(`(?is)\s(include\s*\([^)]*\))`, sql); columns != "" {
		return " " + columns
	}
	return ""
}

// exclude has no form that lets others work.
func (t *part) exclude(on *table, c sqltext.Constraint, columns []string, suffix string) {
	name := on.nameOf(t.world, c, columns)
	title := "add exclusion " + name + " on " + t.world.short(on)
	phase := t.tightens(on, c, columns)
	if held := t.held(t.facts); !t.known || !spared(held) {
		t.breaking(title, "as written it would "+t.burden(t.facts)+", and there is no form that does not",
			"1: make a table that has the rule, and fill it in batches; 2: go over to it in the new release; 3: drop the old one")
		return
	}
	change := migration.Change{
		Phase: phase, Title: title, Table: on.full(), Facts: t.facts, Caveats: []string{quickLock},
		Actions: []migration.Action{action(t.statement.SQL, alter(on, "DROP CONSTRAINT IF EXISTS "+quote(name)))},
	}
	if phase == migration.PhaseContract {
		change.Removes, change.Why = writes(on, columns), t.older()+" may write what it refuses"
	}
	t.add(suffix, change)
}

// dropConstraint loosens, unless others stand on the rule.
func (t *part) dropConstraint(on *table, clause sqltext.Clause) {
	title := "drop constraint " + clause.Name + " of " + t.world.short(on)
	c := on.constraint(clause.Name)
	sql := "DROP CONSTRAINT " + quote(clause.Name)
	if clause.Cascade {
		sql += " CASCADE"
	}
	switch {
	case c == nil && clause.IfExists:
		t.nothing(title, "it is not there")
	case c != nil && (c.Kind == kindPrimary || c.Kind == kindUnique || c.Kind == kindExclude):
		d := t.contract("", title, []migration.Object{on.object(migration.ObjectConstraint, clause.Name)}, action(alter(on, sql), ""))
		d.Facts, d.Why = t.facts, t.older()+" may name it in ON CONFLICT, and foreign keys and replication may stand on it"
	default:
		caveat := fmt.Sprintf(looserRule, t.older())
		if c != nil && c.Kind == kindForeign {
			caveat = fmt.Sprintf(looserKey, t.older())
		}
		d := t.asWritten(title, "", caveat)
		undo := ""
		if c != nil && c.Definition != "" && c.Kind != kindNotNull {
			undo = alter(on, "ADD CONSTRAINT "+quote(c.Name)+" "+strings.TrimSuffix(c.Definition, " NOT VALID")+" NOT VALID")
		}
		d.Actions = []migration.Action{action(alter(on, sql), undo)}
	}
}

// validate looks at old rows for a rule that holds for new ones already.
func (t *part) validate(on *table, clause sqltext.Clause) {
	d := t.asWritten("check rows of "+t.world.short(on)+" against "+clause.Name, "")
	d.Actions = []migration.Action{{SQL: alter(on, "VALIDATE CONSTRAINT "+quote(clause.Name))}}
	if c := on.constraint(clause.Name); c != nil {
		c.Validated = true
	}
}
