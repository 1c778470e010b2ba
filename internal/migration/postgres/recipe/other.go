package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

const concurrentlyInstead = "run it by itself, at a quiet hour, or with pg_repack, which holds the table only for a moment"

// alterType plans what happens to enums and other types.
func (t *part) alterType() {
	name := t.objects()[0]
	switch t.shape.Action {
	case "add value":
		d := t.plain(migration.PhaseExpand, "add value "+t.shape.Value+" to "+name.Name,
			t.older()+" may read the value, and must not stumble over it", "it can never be taken back")
		d.Actions[0].Alone = t.version < 120000
		for i := range t.world.catalog.Enums {
			if enum := &t.world.catalog.Enums[i]; enum.Name == name.Name && slices.Contains(t.world.schemas(name), enum.Schema) {
				enum.Values = append(slices.Clone(enum.Values), strings.ReplaceAll(strings.Trim(t.shape.Value, "'"), "''", "'"))
			}
		}
	case "rename value":
		t.breaking("rename a value of "+name.Name, t.older()+" write and compare with the old name, which is gone at once",
			"1: add the new value; 2: write it and read both in the new release; 3: update the rows in batches; the old value stays, unused")
	case "rename", "rename to", "set schema", "rename attribute", "drop attribute", "alter attribute":
		t.breaking(t.shape.Action+" of type "+name.Name, t.older()+" name the type as it was, in casts and declarations",
			"1: create a type of the new form; 2: go over to it with new columns in the new release; 3: drop the old type in a later one")
	default:
		t.asWritten("alter type "+name.Name, "")
	}
}

// alterDomain plans a domain's rules: they hold for every table that uses it.
func (t *part) alterDomain() {
	name := t.objects()[0].Name
	upper := strings.ToUpper(t.statement.SQL)
	write := t.usersOf(name)
	switch {
	case strings.Contains(t.shape.Action, "validate"):
		t.asWritten("validate a constraint of domain "+name, "the rule holds for new rows already: look at the old ones at a quiet hour, in an all-at-once release")
	case strings.HasPrefix(t.shape.Action, "add") && strings.Contains(upper, "NOT VALID"):
		t.contract("", "constrain domain "+name, write, action(t.statement.SQL, "")).Facts = t.facts
	case strings.HasPrefix(t.shape.Action, "add"):
		d := t.contract("", "constrain domain "+name, write, action(t.statement.SQL+" NOT VALID", ""))
		d.Why = "as written it would keep writes of every table with the domain waiting while it reads them"
		d.Caveats = []string{"rows that are there already are not checked: validating a domain's constraint blocks writes on all PostgreSQL versions"}
	case strings.HasPrefix(t.shape.Action, "set not null"), strings.HasPrefix(t.shape.Action, "drop default"):
		t.contract("", t.shape.Action+" of domain "+name, write, action(t.statement.SQL, "")).Facts = t.facts
	default:
		t.asWritten("alter domain "+name, "", t.older()+" may read values that they never expected")
	}
}

// vacuum runs what yields, and refuses what does not.
func (t *part) vacuum() {
	text := " " + strings.Join(strings.Fields(strings.ToUpper(t.statement.SQL)), " ")
	if strings.Contains(text, " FULL") || strings.Contains(text, "(FULL") || strings.HasPrefix(text, " CLUSTER") {
		t.fault(t.headline()+" rewrites the table and lets nobody read it meanwhile", concurrentlyInstead)
		return
	}
	d := t.plain(migration.PhaseExpand, t.headline())
	d.Actions[0].Alone = true
}

// session leaves out what only speaks to the session or its transaction: every change has a session of its own.
func (t *part) session() {
	text := strings.ToLower(strings.Join(strings.Fields(t.statement.SQL), " "))
	for _, name := range []string{"search_path", "schema", "timezone", "time zone", "role", "session authorization"} {
		rest := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(text, "set "), "local "), "session ")
		if t.shape.Kind == sqltext.KindSet && strings.HasPrefix(rest, name) {
			t.fault(t.headline()+" would change what the statements after it mean",
				"write what it stands for into them: qualified names, explicit time zones; the role is that of the connection")
			return
		}
	}
	t.nothing("left out: "+t.headline(), "every change runs in a session and a transaction of its own, with timeouts that are set for it")
}

// other plans statements by their first words, and for the rest by what the server says about them.
func (t *part) other() {
	text := strings.ToLower(strings.Join(strings.Fields(t.statement.SQL), " "))
	starts := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(text, w) })
	}
	title := t.headline()
	unseen := "what it does to rows or to " + t.older() + " could not be seen on an empty copy"
	switch {
	case starts("cluster "), text == "cluster":
		t.fault(title+" rewrites the table and lets nobody read it meanwhile", concurrentlyInstead)
	case starts("lock ", "savepoint", "release savepoint", "discard", "reset"):
		t.nothing("left out: "+title, "every change runs in a session and a transaction of its own")
	case starts("rollback", "abort"):
		t.fault(title+" in a migration takes back what was not yet done", "leave it out")
	case starts("create policy", "alter policy", "drop policy") && !t.rowSecured():
		t.plain(migration.PhaseExpand, title).Why = "row security is off on the table: the policy says nothing yet"
	case starts("create policy", "alter policy", "drop policy"):
		t.contract("", title, []migration.Object{{Kind: migration.ObjectOther, Name: "rows hidden by " + title}}, action(t.statement.SQL, "")).Facts = t.facts
	case starts("drop ", "alter default privileges revoke", "reassign owned"):
		t.contract("", title, []migration.Object{{Kind: migration.ObjectOther, Name: strings.TrimPrefix(title, "drop ")}}, action(t.statement.SQL, "")).Facts = t.facts
	case starts("refresh materialized view"):
		t.refresh(title)
	case starts("create rule", "create or replace rule"):
		t.asWritten(title, "", t.unseen(fmt.Sprintf(newRule, t.older())))
	case starts("create database", "alter system", "create tablespace", "create subscription", "alter subscription"):
		d := t.plain(migration.PhaseExpand, title, unseen)
		d.Actions[0].Alone = true
	case starts("select", "with ", "values", "table "):
		t.asWritten(title, asStatement, when(t.writes(), unseen))
	case starts("create ", "analyze", "alter trigger", "alter statistics", "alter publication", "alter collation", "security label"):
		t.asWritten(title, "")
	case t.shape.Kind == sqltext.KindDo:
		t.asWritten(title, asStatement, unseen)
	default:
		t.asWritten(title, "", unseen)
	}
}

// asStatement is how to do without code that holds others up.
const asStatement = "write what it does as a statement of its own: that has a form which keeps nobody waiting, and is not run twice"

// rowSecured says whether row security is on for the table that a policy is about, as far as that is known.
func (t *part) rowSecured() bool {
	name := find(`(?is)\bpolicy\s+(?:if\s+exists\s+)?`+plainName+`\s+on\s+(`+plainName+`(?:\s*\.\s*`+plainName+`)?)`, t.statement.SQL)
	on := t.world.table(nameOf(name))
	return on == nil || on.RowSecurity
}

// writes says whether a query writes to a table, or draws numbers.
func (t *part) writes() bool {
	for _, lock := range t.facts.Locks {
		if lock >= migration.LockRowExclusive {
			return true
		}
	}
	return false
}

// refresh lets readers of a view go on, where the server can: that takes a unique index, which the view may have only when the change runs.
func (t *part) refresh(title string) {
	const begin = `(?is)^\s*refresh\s+materialized\s+view\s+`
	view := find(begin+`(`+plainName+`(?:\s*\.\s*`+plainName+`)?)\s*(?:with\s+data\s*)?;?\s*$`, t.statement.SQL)
	switch {
	case matches(begin+`concurrently\b`, t.statement.SQL):
		t.asWritten(title, "")
		return
	case matches(`(?is)\bwith\s+no\s+data\b`, t.statement.SQL):
		d := t.contract("", title, []migration.Object{{Kind: migration.ObjectOther, Name: "rows of " + view}}, action(t.statement.SQL, ""))
		d.Facts, d.Why = t.facts, t.older()+" cannot read it until it is filled again"
		return
	case view == "":
		t.asWritten(title, "", "readers of the view wait while it is written anew")
		return
	}
	usable := "EXISTS (SELECT FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid WHERE c.oid = to_regclass(" + literal(view) + ") AND c.relispopulated AND " +
		"i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)"
	t.add("", migration.Change{
		Phase: migration.PhaseExpand, Title: title, Why: "concurrently, where a unique index of the view allows it: readers of the view go on", Facts: t.facts,
		Caveats: []string{"without a unique index on columns of the view, its readers wait while it is written anew"},
		Actions: []migration.Action{action(together("IF "+usable+" THEN REFRESH MATERIALIZED VIEW CONCURRENTLY "+view, "ELSE REFRESH MATERIALIZED VIEW "+view,
			"END IF"), "")},
	})
}

// createTable plans a new table. Nobody knows it yet, so everything about it is free but its foreign keys.
func (t *part) createTable() {
	name := t.objects()[0]
	if !t.shape.Table.Zero() {
		name = t.shape.Table
	}
	if t.shape.Temporary {
		t.fault("a temporary table ends with its session, and every change has its own", "use a table, and drop it at the end, or a WITH clause")
		return
	}
	known := t.world.table(name)
	full := t.world.home(name) + "." + name.Name
	if known != nil && t.shape.IfNotExists {
		t.nothing("create table "+name.Name, "it is there already")
		return
	}
	if known == nil && t.world.gone[full] || known != nil {
		d := t.breaking("create table "+name.Name, t.older()+" still have what is called so now",
			"1: give the new table another name; 2: drop the old one in a later release")
		d.Table, d.needs = full, migration.Object{Kind: migration.ObjectTable, Name: full}
		if known != nil {
			return
		}
	}
	made := newTable(server.Table{Schema: t.world.home(name), Name: name.Name}, true)
	t.world.tables = append(t.world.tables, made)
	made.define(t.world, t.shape)
	switch {
	case len(t.drafts) > 0: // breaking, see above
	case !t.shape.PartitionOf.Zero():
		t.createPartition(made)
	case t.shape.Kind == sqltext.KindCreateTableAs:
		t.asWritten("create table "+name.Name, "", "it reads its source in one long statement, whose snapshot keeps vacuum waiting").Table = made.full()
	default:
		t.createWithKeys(made)
	}
}

// createWithKeys creates the table first and ties it to the tables of others then, each under a lock of its own.
func (t *part) createWithKeys(made *table) {
	sql, keys := t.statement.SQL, []migration.Action{}
	var parents []*table
	for _, clause := range t.shape.Clauses {
		for _, c := range clause.Constraints {
			parent := t.world.table(c.References)
			if c.Kind != sqltext.ConstraintForeignKey || parent == nil || parent.fresh {
				continue
			}
			rest, cut := without(sql, c.SQL)
			if !cut {
				continue
			}
			sql, parents = rest, append(parents, parent)
			columns := c.Columns
			if len(columns) == 0 {
				columns = []string{clause.Column}
			}
			c.Name = made.keyName(columns)
			keys = append(keys, action(alter(made, "ADD "+foreignKey(t.world, made, c, columns)), alter(made, "DROP CONSTRAINT IF EXISTS "+quote(c.Name))))
		}
	}
	d := t.plain(migration.PhaseExpand, "create table "+made.Table.Name)
	d.Table = made.full()
	d.Actions[0].Undo = "DROP TABLE IF EXISTS " + made.quoted()
	if len(keys) == 0 {
		return
	}
	d.plain, d.Actions[0].SQL, d.Facts = false, sql, migration.Facts{}
	t.add("foreign-key", migration.Change{
		Phase: migration.PhaseExpand, Title: "tie " + made.Table.Name + " to " + t.names(parents), Table: made.full(), Actions: keys,
		Facts: locks(migration.LockShareRowExclusive, parents...),
		Why:   "it holds up writes of " + t.names(parents) + " for a moment, and gives way when it cannot have the lock at once",
		Caveats: []string{
			t.older() + " are refused when they delete from " + t.names(parents) + " what the new table points at",
		},
	})
}

func (p *planner) names(tables []*table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = p.world.short(t)
	}
	return strings.Join(distinct(names), ", ")
}

// without cuts a constraint out of a CREATE TABLE, with the comma that held it.
func without(sql, part string) (string, bool) {
	if part == "" || strings.Count(sql, part) != 1 {
		return sql, false
	}
	at := strings.Index(sql, part)
	before, after := strings.TrimRight(sql[:at], " \t\r\n"), strings.TrimLeft(sql[at+len(part):], " \t\r\n")
	switch {
	case strings.HasSuffix(before, ","):
		return strings.TrimSuffix(before, ",") + " " + after, true
	case strings.HasSuffix(before, "(") && strings.HasPrefix(after, ","):
		return before + strings.TrimPrefix(after, ","), true
	case strings.HasSuffix(before, "("):
		return sql, false
	default:
		return before + " " + after, true
	}
}
