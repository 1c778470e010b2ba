package recipe

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// addColumn plans a new column: as written where that is free, else piece by piece.
func (t *part) addColumn(on *table, clause sqltext.Clause) {
	title := "add column " + t.world.short(on) + "." + clause.Column
	switch {
	case on.column(clause.Column) != nil && clause.IfNotExists:
		t.nothing(title, "it is there already")
		return
	case t.world.gone[on.full()+"."+clause.Column]:
		t.breaking(title, t.older()+" still have a column of that name, which only goes with them",
			"1: add the new column under a name of its own; 2: drop the old one in a later release").needs = on.object(migration.ObjectColumn, clause.Column)
		return
	}
	undo := alter(on, "DROP COLUMN IF EXISTS "+quote(clause.Column))
	caveat := fmt.Sprintf(cachedPlans, "SELECT * or RETURNING * on "+t.world.short(on))
	held := t.held(t.facts)
	clause.NotNull = clause.NotNull || slices.ContainsFunc(clause.Constraints, func(c sqltext.Constraint) bool { return c.Kind == sqltext.ConstraintPrimaryKey })
	if required := clause.NotNull && !gives(clause); !required && t.certain() && spared(held) {
		d := t.asWritten(title, "", caveat)
		d.Actions = []migration.Action{action(alter(on, clause.SQL), undo)}
		return
	}
	t.dissect(on, clause, migration.Change{
		Phase: migration.PhaseExpand, Title: title, Table: on.full(), Facts: locks(migration.LockAccessExclusive, on),
		Caveats: []string{caveat}, Actions: []migration.Action{{Undo: undo}},
	})
}

// certain says whether the server has told what this very part does.
func (t *part) certain() bool { return t.known && len(t.facts.Locks) > 0 && t.facts.Error == "" }

// gives says whether a new column has a value for rows that do not name it.
func gives(clause sqltext.Clause) bool {
	return clause.HasDefault && !null(clause.Default) || serial(clause.Type) != "" || clause.Identity != "" || clause.Generated != ""
}

// dissect adds the column bare, and what was written with it step by step.
func (t *part) dissect(on *table, clause sqltext.Clause, add migration.Change) {
	bare := clause
	bare.Constraints = slices.DeleteFunc(slices.Clone(clause.Constraints), func(c sqltext.Constraint) bool { return c.Kind != sqltext.ConstraintNotNull })
	kind, counted := clause.Type, serial(clause.Type) != "" || clause.Identity != ""
	switch {
	case clause.NotNull && !gives(clause):
		if t.fillAhead(on, clause.Column) == nil {
			t.breaking(add.Title, "rows that are there have no value for it, and "+t.older()+" go on inserting rows without one",
				"1: add it without NOT NULL and write it in the new release; 2: give old rows a value with an UPDATE; 3: SET NOT NULL in a later release")
			return
		}
		t.required[on.full()+"."+clause.Column] = t
		bare.NotNull = false
		add.Why = "it comes without NOT NULL, which follows when rows have a value"
	case clause.Generated == "stored" && t.world.inherited(on):
		t.breaking(add.Title, "as written it would rewrite "+t.world.short(on)+", and a trigger in its place would not see the rows of tables that inherit from it",
			"1: add a plain column and write it in the new release; 2: fill it with an UPDATE")
		return
	case clause.Generated == "stored":
		t.generated(on, clause, add)
		return
	case !counted && (!clause.HasDefault || stable(clause.Default)) && t.certain() && t.rewrites(t.facts, on):
		t.breaking(add.Title, "as written it would "+t.burden(t.facts)+": the type checks every value",
			"add it with the type below, and a CHECK NOT VALID that is validated in another transaction")
		return
	}
	sql := "ADD COLUMN " + quote(clause.Column) + " " + kind
	if plain := serial(clause.Type); plain != "" {
		sql = "ADD COLUMN " + quote(clause.Column) + " " + plain
	}
	if clause.Collate != "" {
		sql += " COLLATE " + collation(clause.Collate)
	}
	volatile := counted || clause.HasDefault && !stable(clause.Default)
	if clause.HasDefault && !volatile {
		sql += " DEFAULT " + clause.Default
	}
	if bare.NotNull && clause.HasDefault && !volatile {
		sql += " NOT NULL"
	}
	add.Actions[0].SQL = alter(on, sql)
	on.addColumn(t.world, bare)
	t.applied = true
	if volatile {
		t.fill(on, clause, add)
	} else {
		t.add("", add)
	}
	t.inline(on, clause)
}

// inline plans the constraints that were written with a new column.
func (t *part) inline(on *table, clause sqltext.Clause) {
	for _, c := range clause.Constraints {
		if c.Kind != sqltext.ConstraintNotNull {
			t.constrain(on, c, []string{clause.Column}, suffixNames[c.Kind])
		}
	}
}

// fill gives existing rows, batch by batch, what the default gives new ones.
func (t *part) fill(on *table, clause sqltext.Clause, add migration.Change) {
	column, value := on.column(clause.Column), clause.Default
	counted := serial(clause.Type) != "" || clause.Identity != ""
	var sequence string
	if counted {
		sequence = on.in(t.world.free(on, "seq", on.Table.Name, clause.Column))
		value = "nextval(" + literal(sequence) + ")"
		column.NotNull = true
		add.Actions = append([]migration.Action{action("CREATE SEQUENCE "+sequence, "DROP SEQUENCE IF EXISTS "+sequence)}, add.Actions...)
	}
	set := alterColumn(on, clause.Column, "SET DEFAULT "+value)
	add.Actions = append(add.Actions, action(set, alterColumn(on, clause.Column, "DROP DEFAULT")))
	add.Why = "as written it would rewrite " + t.world.short(on) + " under an access exclusive lock, for a value per row"
	t.add("", add)
	column.Default = value
	empty := quote(clause.Column) + " IS NULL"
	t.backfill(on, "fill", "fill "+t.world.short(on)+"."+clause.Column, migration.Backfill{
		Set: []migration.Assignment{{Column: clause.Column, Expr: value}}, Where: empty, Violators: empty,
	})
	if clause.NotNull || counted {
		t.notNull(on, clause.Column, "not-null", migration.PhaseExpand)
		column.NotNull = true
	}
	if !counted {
		return
	}
	finish := action("ALTER SEQUENCE "+sequence+" OWNED BY "+on.quoted()+"."+quote(clause.Column), "ALTER SEQUENCE "+sequence+" OWNED BY NONE")
	if clause.Identity != "" {
		always := "GENERATED BY DEFAULT AS IDENTITY"
		if clause.Identity == "always" {
			always = "GENERATED ALWAYS AS IDENTITY"
		}
		finish = action(together(alterColumn(on, clause.Column, "DROP DEFAULT"), alterColumn(on, clause.Column, "ADD "+always),
			fmt.Sprintf("PERFORM setval(pg_get_serial_sequence(%s, %s), nextval(%s), false)", literal(on.quoted()), literal(clause.Column), literal(sequence)),
			"DROP SEQUENCE "+sequence), alterColumn(on, clause.Column, "DROP IDENTITY IF EXISTS"))
	}
	t.add("sequence", migration.Change{
		Phase: migration.PhaseExpand, Title: "give " + t.world.short(on) + "." + clause.Column + " its sequence", Table: on.full(),
		Facts: locks(migration.LockAccessExclusive, on), Actions: []migration.Action{finish},
	})
}

// generated stands in for a stored generated column, which PostgreSQL can only add with a rewrite: a plain column that a trigger keeps.
func (t *part) generated(on *table, clause sqltext.Clause, add migration.Change) {
	name := makeName("generated", on.Table.Name, clause.Column)
	for n := 2; t.world.function(sqltext.Name{Schema: on.Schema, Name: name}) >= 0; n++ {
		name = makeName("generated"+strconv.Itoa(n), on.Table.Name, clause.Column)
	}
	t.world.catalog.Functions = append(t.world.catalog.Functions, server.Function{Schema: on.Schema, Name: name})
	add.Actions[0].SQL = alter(on, "ADD COLUMN "+quote(clause.Column)+" "+clause.Type)
	add.Why = "as written it would rewrite " + t.world.short(on) + " under an access exclusive lock"
	if t.version >= 180000 {
		add.Caveats = append(add.Caveats, "GENERATED ... VIRTUAL would be free on this server")
	}
	body := "BEGIN NEW." + quote(clause.Column) + " := (SELECT " + clause.Expr + " FROM (SELECT NEW.*) AS " + quote(on.Table.Name) + "); RETURN NEW; END"
	add.Actions = append(add.Actions,
		action("CREATE OR REPLACE FUNCTION "+on.in(name)+"() RETURNS trigger LANGUAGE plpgsql AS "+literal(body), "DROP FUNCTION IF EXISTS "+on.in(name)+"()"),
		action("CREATE TRIGGER "+quote(name)+" BEFORE INSERT OR UPDATE ON "+on.quoted()+" FOR EACH ROW EXECUTE FUNCTION "+on.in(name)+"()",
			"DROP TRIGGER IF EXISTS "+quote(name)+" ON "+on.quoted()))
	if t.version < 110000 {
		add.Caveats = append(add.Caveats, "this server is too old for the trigger's syntax")
	}
	add.Caveats = append(add.Caveats, "the trigger "+name+" keeps the column, instead of GENERATED: the catalogue shows a plain column")
	t.add("", add)
	on.Columns = append(on.Columns, server.Column{Name: clause.Column, Type: clause.Type, Nulls: -1})
	on.added[clause.Column], on.synced[clause.Column], t.applied = true, true, true
	differs := quote(clause.Column) + " IS DISTINCT FROM (" + clause.Expr + ")"
	t.backfill(on, "fill", "fill "+t.world.short(on)+"."+clause.Column, migration.Backfill{
		Set: []migration.Assignment{{Column: clause.Column, Expr: clause.Expr}}, Where: differs, Violators: differs,
	})
	if clause.NotNull {
		t.notNull(on, clause.Column, "not-null", migration.PhaseContract)
	}
	t.inline(on, clause)
}

// alterColumn plans what a column promises.
func (t *part) alterColumn(on *table, clause sqltext.Clause) {
	name := t.world.short(on) + "." + clause.Column
	column := on.column(clause.Column)
	if column == nil {
		column = &server.Column{Name: clause.Column}
	}
	known := !on.added[clause.Column]
	switch clause.Kind {
	case sqltext.ClauseSetDefault:
		d := t.asWritten("set default of "+name, "", when(known, fmt.Sprintf(newDefault, t.older())))
		undo := alterColumn(on, clause.Column, "DROP DEFAULT")
		if column.Default != "" {
			undo = alterColumn(on, clause.Column, "SET DEFAULT "+column.Default)
		}
		d.Actions = []migration.Action{action(alterColumn(on, clause.Column, "SET DEFAULT "+clause.Default), undo)}
	case sqltext.ClauseDropDefault:
		t.dropDefault(on, column, "drop default of "+name, alterColumn(on, clause.Column, "DROP DEFAULT"))
	case sqltext.ClauseSetNotNull:
		t.setNotNull(on, column)
	case sqltext.ClauseDropNotNull:
		d := t.asWritten("allow null in "+name, "", when(known, fmt.Sprintf(newNulls, t.older())))
		d.Actions = []migration.Action{{SQL: alterColumn(on, clause.Column, "DROP NOT NULL")}}
	case sqltext.ClauseIdentity:
		if matches(`(?is)drop\s+identity`, clause.SQL) {
			t.dropDefault(on, column, "drop identity of "+name, alter(on, clause.SQL))
			return
		}
		if known && (clause.Identity == "always" || matches(`(?is)set\s+generated\s+always`, clause.SQL)) {
			d := t.contract("", "identity of "+name, writes(on, []string{clause.Column}), action(alter(on, clause.SQL), ""))
			d.Facts, d.Why, d.Caveats = t.facts, t.older()+" are refused when they give it a value", []string{ownNumbers}
			return
		}
		t.asWritten("identity of "+name, "", when(known, ownNumbers)).Actions[0].SQL = alter(on, clause.SQL)
	default:
		t.asWritten(clauseTitle(t.world.short(on), clause),
			"1: add a column with the new expression; 2: read it in the new release; 3: drop the old one in a later one").Actions[0].SQL = alter(on, clause.SQL)
	}
}

// when gives the text if it applies.
func when(applies bool, text string) string {
	if applies {
		return text
	}
	return ""
}

// givenAgain says whether the statement gives the column another source of values.
func (t *part) givenAgain(column string) bool {
	return slices.ContainsFunc(t.shape.Clauses, func(c sqltext.Clause) bool {
		return c.Column == column && (c.Kind == sqltext.ClauseSetDefault || c.Kind == sqltext.ClauseIdentity && !matches(`(?is)drop\s+identity`, c.SQL))
	})
}

func (t *part) dropDefault(on *table, column *server.Column, title, sql string) {
	undo := ""
	if column.Default != "" {
		undo = alterColumn(on, column.Name, "SET DEFAULT "+column.Default)
	}
	if on.added[column.Name] && !column.NotNull || t.givenAgain(column.Name) {
		t.asWritten(title, "").Actions = []migration.Action{action(sql, undo)}
		return
	}
	d := t.contract("", title, []migration.Object{on.object(migration.ObjectDefault, column.Name)}, action(sql, undo))
	d.Facts, d.Why = t.facts, when(column.NotNull, "inserts of "+t.older()+" that leave the column out would be refused")
}

// setNotNull plans the rule without the scan that it would do while everybody waits.
func (t *part) setNotNull(on *table, column *server.Column) {
	phase := migration.PhaseContract
	if on.added[column.Name] && (column.Default != "" && !null(column.Default) || column.Identity != "") {
		phase = migration.PhaseExpand
	}
	if column.NotNull {
		t.nothing("set not null on "+t.world.short(on)+"."+column.Name, "it is so already")
		return
	}
	if t.certain() && len(t.held(t.facts)) == 0 {
		d := t.add("", migration.Change{
			Phase: phase, Title: "set not null on " + t.world.short(on) + "." + column.Name, Table: on.full(), Facts: t.facts,
			Actions: []migration.Action{action(alterColumn(on, column.Name, "SET NOT NULL"), alterColumn(on, column.Name, "DROP NOT NULL"))},
		})
		if phase == migration.PhaseContract {
			d.Removes = writes(on, []string{column.Name})
		}
		return
	}
	t.notNull(on, column.Name, "", phase)
}

// notNull makes a column NOT NULL in steps of which none keeps anybody waiting: a rule for new rows, a look at the old ones, and then the mark.
func (t *part) notNull(on *table, column, suffix string, phase migration.Phase) {
	name := t.world.free(on, "not_null", on.Table.Name, column)
	rule, mark := "CHECK ("+quote(column)+" IS NOT NULL)", []migration.Action{
		action(alterColumn(on, column, "SET NOT NULL"), alterColumn(on, column, "DROP NOT NULL")),
		action(alter(on, "DROP CONSTRAINT "+quote(name)), ""),
	}
	var caveats []string
	switch {
	case t.version >= 180000:
		rule, mark = "NOT NULL "+quote(column), nil
	case t.version < 120000:
		mark, caveats = nil, []string{"the rule stays a CHECK: before PostgreSQL 12, SET NOT NULL reads the table in spite of it"}
	}
	title := "set not null on " + t.world.short(on) + "." + column
	var removes []migration.Object
	why := "as written it would read all of " + t.world.short(on) + " under an access exclusive lock"
	if phase == migration.PhaseContract {
		removes = writes(on, []string{column})
		why = t.older() + " may write rows without a value; " + why
	}
	t.add(suffix, migration.Change{
		Phase: phase, Title: title, Why: why, Table: on.full(), Removes: removes, Facts: locks(migration.LockAccessExclusive, on), Caveats: caveats,
		Actions: []migration.Action{
			action(alter(on, "ADD CONSTRAINT "+quote(name)+" "+rule+" NOT VALID"), alter(on, "DROP CONSTRAINT IF EXISTS "+quote(name))),
		},
	})
	if b, found := t.refill[on.full()+"."+column]; found && phase == migration.PhaseContract {
		b.Where = quote(column) + " IS NULL"
		b.Violators = b.Where
		if d := t.backfill(on, dotted(suffix, "again"), "fill "+t.world.short(on)+"."+column+" again", b); d != nil {
			d.Phase, d.Removes, d.Why = phase, removes, t.older()+" may have left it empty since it was filled"
		}
	}
	validate := migration.Action{
		SQL:    alter(on, "VALIDATE CONSTRAINT "+quote(name)),
		Expect: "SELECT count(*) FROM " + on.quoted() + " WHERE " + quote(column) + " IS NULL",
	}
	t.add(dotted(suffix, "validate"), migration.Change{
		Phase: phase, Title: "check rows of " + t.world.short(on) + " for a value in " + column, Table: on.full(), Removes: removes,
		Facts: scans(locks(migration.LockShareUpdateExclusive, on), on), Actions: append([]migration.Action{validate}, mark...),
	})
}

func dotted(parts ...string) string {
	joined := ""
	for _, part := range parts {
		if joined != "" && part != "" {
			joined += "."
		}
		joined += part
	}
	return joined
}

// writes are what a new rule refuses.
func writes(on *table, columns []string) []migration.Object {
	if len(columns) == 0 {
		columns = on.columnNames()
	}
	objects := make([]migration.Object, len(columns))
	for i, column := range columns {
		objects[i] = on.object(migration.ObjectWrite, column)
	}
	return objects
}
