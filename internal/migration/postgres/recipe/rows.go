package recipe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// backfill plans work on rows in batches. It gives nil, and a fault, where there is nothing to walk a large table along.
func (t *part) backfill(on *table, suffix, title string, b migration.Backfill) *draft {
	set := make([]string, len(b.Set))
	for i, a := range b.Set {
		set[i] = a.Column
	}
	b.Table, b.Key = on.full(), on.key(set...)
	command := "UPDATE"
	if b.Delete {
		command = "DELETE"
	}
	if rule := on.Rules[command]; rule != "" {
		t.fault("rule "+rule+" rewrites every "+command+" of "+t.world.short(on)+", and the server does not take that in batches",
			"drop or disable the rule in a migration before this one, or put a trigger in its place")
		return nil
	}
	if b.Key == nil {
		if !on.small() && on.key() != nil {
			t.fault("it sets "+strings.Join(on.key(), ", ")+", along which the rows of "+t.world.short(on)+" are walked",
				"add a column of the new values, fill that, and let the new release use it")
			return nil
		}
		if !on.small() {
			t.fault("table "+t.world.short(on)+" has no key to walk its rows along",
				"give it a primary key, or a unique index over columns that are NOT NULL, in a migration before this one")
			return nil
		}
		b.Rows = max(on.Rows, 0)
	}
	d := t.add(suffix, migration.Change{Phase: migration.PhaseBackfill, Title: title, Table: on.full(), Backfill: &b, Facts: locks(migration.LockRowExclusive, on)})
	d.Why = when(b.Key != nil, "as one statement it would hold every row that it changed until its end")
	return d
}

// update plans a statement that changes rows.
func (t *part) update() {
	on := t.world.table(t.shape.Table)
	title := "update " + t.shape.Table.Name
	if on == nil || on.fresh {
		t.asWritten(title, "")
		return
	}
	if len(t.shape.Set) == 0 || matches(`(?is)^\s*with\s`, t.statement.SQL) {
		t.unbatched(on, title)
		return
	}
	w := work{table: on, where: t.shape.Where}
	alias := find(`(?is)^\s*update\s+(?:only\s+)?[^\s]+(?:\s+\*)?\s+(?:as\s+)?("[^"]+"|[\w$]+)\s+set\b`, t.statement.SQL)
	for _, a := range t.shape.Set {
		w.set = append(w.set, migration.Assignment{Column: a.Column, Expr: a.Expr})
	}
	w.unalias(alias)
	b := migration.Backfill{Set: w.set, Where: w.where}
	if t.shape.From != "" || w.selects() {
		if t.shape.From != "" {
			b = w.correlate(t.shape.From)
		}
		if d := t.backfill(on, "", "update "+t.world.short(on), b); d != nil {
			d.Caveats = []string{"what it reads from other tables may change meanwhile, and rows that " + t.older() + " write later are not brought up to date"}
		}
		t.require(on, w)
		return
	}
	t.updateRows(on, w, b)
}

// unbatched plans what cannot be cut into batches.
func (t *part) unbatched(on *table, title string) {
	if on.small() {
		t.plain(migration.PhaseExpand, title, "the table is small: it runs as one statement").Table = on.full()
		return
	}
	t.fault("the statement cannot be cut into batches", "write it as UPDATE ... SET column = expression WHERE ..., or DELETE FROM ... WHERE ..., without WITH and lists")
}

// updateRows plans an update that reads nothing but the row.
func (t *part) updateRows(on *table, w work, b migration.Backfill) {
	title := "update " + t.world.short(on)
	if w.onlyAdded() {
		title = "fill " + t.world.short(on) + "." + strings.Join(w.columns(), ", ")
	}
	steady := w.onlyAdded() && w.constant() && w.whereNull()
	var lent []string
	if steady {
		lent = t.lend(on, w)
	}
	read := w.read()
	if w.onlyAdded() && (len(read) > 0 || len(t.statement.Hints.Keep) > 0) && !t.world.inherited(on) {
		b.Sync = t.sync(on, w, read)
		b.Violators = w.violators()
		for _, column := range w.columns() {
			on.synced[column] = true
		}
	}
	if len(lent) > 0 {
		b.Violators = w.violators()
	}
	d := t.backfill(on, "", title, b)
	if d == nil {
		return
	}
	again := w.whereNull() && len(w.set) == 1 && !on.added[w.set[0].Column] && t.requiredAhead(on, w.set[0].Column)
	if again {
		t.refill[on.full()+"."+w.set[0].Column] = *d.Backfill
	}
	switch {
	case again:
	case b.Sync != nil && len(t.statement.Hints.Keep) == 0:
		d.Caveats = []string{"what the new release writes is not brought back into " + strings.Join(read, ", ") + ": older releases do not see it; say how with " +
			"-- segue: keep " + keepExample(read) + " = ..."}
	case b.Sync == nil && b.Violators == "":
		d.Caveats = []string{"rows that " + t.older() + " write meanwhile or later are not brought up to date"}
	}
	t.require(on, w)
	for _, column := range lent {
		t.contract("default", "drop the default of "+t.world.short(on)+"."+column+" that was lent", []migration.Object{on.object(migration.ObjectDefault, column)},
			action(alterColumn(on, column, "DROP DEFAULT"), "")).Table = on.full()
		t.drafts[len(t.drafts)-1].aftermath = true
	}
	if b.Sync != nil {
		t.unsync(on, b.Sync)
	}
}

func keepExample(read []string) string {
	if len(read) == 0 {
		return "column"
	}
	return read[0]
}

// lend gives columns a default for as long as older releases insert rows without them, where the set makes them NOT NULL.
func (t *part) lend(on *table, w work) []string {
	var lent []string
	for _, a := range w.set {
		column := on.column(a.Column)
		if column == nil || column.Default != "" || null(a.Expr) || t.required[on.full()+"."+a.Column] == nil && !t.requiredAhead(on, a.Column) {
			continue
		}
		t.add("lend", migration.Change{
			Phase: migration.PhaseExpand, Title: "lend " + t.world.short(on) + "." + a.Column + " a default", Table: on.full(),
			Why: t.older() + " insert rows without it", Facts: locks(migration.LockAccessExclusive, on),
			Actions: []migration.Action{action(alterColumn(on, a.Column, "SET DEFAULT "+a.Expr), alterColumn(on, a.Column, "DROP DEFAULT"))},
		})
		column.Default = a.Expr
		lent = append(lent, a.Column)
	}
	return lent
}

// require makes columns NOT NULL that were added so, now that their rows have a value.
func (t *part) require(on *table, w work) {
	for _, name := range w.columns() {
		add := t.required[on.full()+"."+name]
		column := on.column(name)
		if add == nil || column == nil {
			continue
		}
		delete(t.required, on.full()+"."+name)
		phase := migration.PhaseContract
		if column.Default != "" {
			phase = migration.PhaseExpand
		}
		from := len(t.drafts)
		t.notNull(on, name, "not-null", phase)
		for i := range t.drafts[from:] {
			t.drafts[from+i].Origin = add.origin
		}
		column.NotNull = true
	}
}

// sync plans the triggers that keep new columns in step with those that older releases write.
func (t *part) sync(on *table, w work, read []string) *migration.Sync {
	s := &migration.Sync{
		Name: t.syncName(on, w.columns()[0]), Table: on.full(), Forward: w.forward(), Reverse: t.statement.Hints.Keep, Old: read, New: w.columns(),
		Until: migration.PhaseContract,
	}
	for _, keep := range s.Reverse {
		for _, column := range mentioned(keep.Expr, on.columnNames()) {
			if !slices.Contains(s.New, column) && on.added[column] {
				s.New = append(s.New, column)
			}
		}
	}
	return s
}

func (p *planner) syncName(on *table, column string) string {
	name := makeName("sync", "segue", on.Table.Name, column)
	for n := 2; p.ids[migration.ChangeID("sync "+name)] || slices.Contains(p.request.Syncs, name); n++ {
		name = makeName("sync"+strconv.Itoa(n), "segue", on.Table.Name, column)
	}
	p.ids[migration.ChangeID("sync "+name)] = true
	return name
}

// stopSync are the statements that end a sync: trigger and function bear its name, the function in Segue's own schema.
func stopSync(on *table, name string) []migration.Action {
	return []migration.Action{
		action("DROP TRIGGER IF EXISTS "+quote(name)+" ON "+on.quoted(), ""),
		action("DROP FUNCTION IF EXISTS "+quote("segue")+"."+quote(name)+"()", ""),
	}
}

func (t *part) unsync(on *table, s *migration.Sync) {
	d := t.contract("sync", "stop keeping "+t.world.short(on)+"."+strings.Join(s.New, ", ")+" in step", []migration.Object{on.object(migration.ObjectTrigger, s.Name)},
		stopSync(on, s.Name)...)
	d.Table, d.Why, d.aftermath = on.full(), t.older()+" write only "+strings.Join(s.Old, ", "), true
	d.Facts = locks(migration.LockAccessExclusive, on)
}

// fillAhead finds the later statement that gives a column its values.
func (p *planner) fillAhead(on *table, column string) *Statement {
	for i, next := range p.ahead {
		if next.Shape.Kind == sqltext.KindUpdate && p.world.table(next.Shape.Table) == on &&
			slices.ContainsFunc(next.Shape.Set, func(a sqltext.Assignment) bool { return a.Column == column }) {
			return &p.ahead[i]
		}
	}
	return nil
}

// requiredAhead says whether a later statement makes the column NOT NULL.
func (p *planner) requiredAhead(on *table, column string) bool {
	return slices.ContainsFunc(p.ahead, func(next Statement) bool {
		return p.world.table(next.Shape.Table) == on && slices.ContainsFunc(next.Shape.Clauses, func(c sqltext.Clause) bool {
			return c.Kind == sqltext.ClauseSetNotNull && c.Column == column
		})
	})
}

// delete plans the removal of rows.
func (t *part) delete() {
	on := t.world.table(t.shape.Table)
	title := "delete from " + t.shape.Table.Name
	if on == nil || on.fresh {
		t.asWritten(title, "")
		return
	}
	if matches(`(?is)^\s*with\s`, t.statement.SQL) {
		t.unbatched(on, title)
		return
	}
	w := work{table: on, where: t.shape.Where}
	w.unalias(find(`(?is)^\s*delete\s+from\s+(?:only\s+)?[^\s]+(?:\s+\*)?\s+(?:as\s+)?("[^"]+"|[\w$]+)\s+(?:using|where|returning)\b`, t.statement.SQL))
	b := migration.Backfill{Delete: true, Where: w.where}
	if t.shape.From != "" {
		b.Where = w.correlate(t.shape.From).Where
	}
	d := t.backfill(on, "", title, b)
	if d == nil {
		return
	}
	d.Caveats = []string{t.older() + " find the rows missing, and may write more of them"}
	tables, keys := t.world.referencing(on)
	for i, child := range tables {
		if !slices.ContainsFunc(child.Indexes, func(x server.Index) bool { return len(x.Columns) > 0 && slices.Contains(keys[i].Columns, x.Columns[0]) }) {
			d.Caveats = append(d.Caveats, "each row reads all of "+t.world.short(child)+", whose foreign key "+keys[i].Name+" has no index")
		}
	}
}

// insert adds rows, which takes nothing from anybody.
func (t *part) insert() {
	on := t.world.table(t.shape.Table)
	var caveats []string
	if matches(`(?is)\bselect\b.*\bfrom\b`, t.statement.SQL) && (on == nil || !on.fresh) {
		caveats = []string{"it runs as one statement, however many rows it reads"}
	}
	d := t.asWritten("insert into "+t.shape.Table.Name, "", caveats...)
	if on != nil {
		d.Table = on.full()
	}
}
