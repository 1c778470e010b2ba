package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// createTable plans a new table.
func (t *part) createTable(context.Context) error {
	if t.shape.Temporary {
		t.fault(t.statement.At, "make it a plain table and drop it at the end", "a temporary table does not live from one statement of a migration to the next")
	}
	name := t.shape.Table.Name
	if name == "" {
		name = t.shape.Name.Name
	}
	t.plain(migration.PhaseExpand, "create table "+name).Table = name
	return nil
}

// createIndex plans an index. A unique one on columns that older releases write forbids them something.
func (t *part) createIndex(ctx context.Context) error {
	name := t.shape.Table.Name
	kind := "index"
	if t.shape.Unique {
		kind = "unique index"
	}
	change := t.plain(migration.PhaseExpand, fmt.Sprintf("create %s %s on %s", kind, t.shape.Name.Name, name))
	change.Facts.Built = []string{t.shape.Name.Name}
	change.Facts.Scanned = []string{name}
	if err := t.estimate(ctx, change, name, indexRate); err != nil {
		return err
	}
	if !t.shape.Unique || t.isFresh(name, "") {
		return nil
	}
	for _, column := range t.shape.Columns {
		// Rows that do not have the column yet are NULL there, and NULLs are never equal.
		if c, found, err := t.column(ctx, name, column); err != nil {
			return err
		} else if found && t.isFresh(name, column) && !c.hasDefault {
			return nil
		}
	}
	change.Phase = migration.PhaseContract
	change.Why = fmt.Sprintf("what %s write may be twice: it would be refused from then on", t.older())
	change.Removes = []migration.Object{{Kind: migration.ObjectWrite, Table: name, Name: t.shape.Name.Name}}
	elements := strings.Join(t.shape.Elements, ", ")
	if where := t.shape.Where; elements != "" {
		filter := notNull(t.shape.Elements)
		if where != "" {
			filter += " AND (" + where + ")"
		}
		change.Actions[0].Expect = fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s GROUP BY %s HAVING count(*) > 1)", quote(name), filter, elements)
	}
	return nil
}

// notNull is the condition that no element is NULL.
func notNull(elements []string) string {
	parts := make([]string, len(elements))
	for i, e := range elements {
		parts[i] = "(" + e + ") IS NOT NULL"
	}
	return strings.Join(parts, " AND ")
}

func (t *part) column(ctx context.Context, name, column string) (c column, found bool, err error) {
	from, there, err := t.last.table(ctx, name)
	if err != nil || !there {
		return c, false, err
	}
	c, found = from.column(column)
	return c, found, nil
}

// alter plans ALTER TABLE, of which SQLite takes one clause at a time.
func (t *part) alter(ctx context.Context) error {
	if len(t.shape.Clauses) != 1 {
		t.plain(migration.PhaseExpand, shorten(t.statement.SQL))
		return nil
	}
	clause, name := t.shape.Clauses[0], t.shape.Table.Name
	switch clause.Kind {
	case sqltext.ClauseAddColumn:
		return t.addColumn(ctx, clause)
	case sqltext.ClauseDropColumn:
		return t.dropColumn(ctx, clause.Column)
	case sqltext.ClauseRenameColumn:
		return t.renameColumn(ctx, clause)
	case sqltext.ClauseRenameTable:
		t.renameTable(clause)
	case sqltext.ClauseSetNotNull:
		return t.tighten(ctx, clause.Column, fmt.Sprintf("forbid NULL in %s.%s", name, clause.Column), quote(clause.Column)+" IS NULL")
	case sqltext.ClauseDropNotNull:
		change := t.plain(migration.PhaseExpand, fmt.Sprintf("allow NULL in %s.%s", name, clause.Column))
		change.Caveats = []string{fmt.Sprintf("%s may read NULL from %s.%s where they never did", t.older(), name, clause.Column)}
	case sqltext.ClauseAddConstraint:
		expr, called := "", clause.Name
		for _, c := range clause.Constraints {
			expr = c.Expr
			if c.Name != "" {
				called = c.Name
			}
		}
		if called == "" {
			called = "check (" + shorten(expr) + ")"
		}
		condition := ""
		if expr != "" {
			condition = "NOT (" + expr + ")"
		}
		return t.tighten(ctx, called, fmt.Sprintf("add constraint %s to %s", called, name), condition)
	case sqltext.ClauseDropConstraint:
		change := t.plain(migration.PhaseExpand, fmt.Sprintf("drop constraint %s of %s", clause.Name, name))
		change.Caveats = []string{fmt.Sprintf("%s may read from %s what it refused until now", t.older(), name)}
	default:
		t.plain(migration.PhaseExpand, shorten(t.statement.SQL))
	}
	return nil
}

// addColumn plans a new column. What SQLite refuses only where there are rows is found out here, not when it runs.
func (t *part) addColumn(ctx context.Context, clause sqltext.Clause) error {
	name := t.shape.Table.Name
	change := t.plain(migration.PhaseExpand, fmt.Sprintf("add column %s.%s", name, clause.Column))
	from, there, err := t.last.table(ctx, name)
	if err != nil || !there || t.isFresh(name, "") {
		return err
	}
	refusal := t.last.refuses(ctx, from, t.statement.SQL)
	if refusal == nil {
		return nil
	}
	hint := "add it with a constant default, or without one and fill it with an UPDATE in a statement of its own"
	if clause.NotNull {
		hint = fmt.Sprintf("add it without NOT NULL, fill it (UPDATE %s SET %s = ...), and forbid NULL last (ALTER TABLE %[1]s ALTER COLUMN %[2]s SET NOT NULL); "+
			"or give it a constant default",
			quote(name), quote(clause.Column))
	}
	t.fault(t.statement.At, hint, "SQLite refuses it for a table that has rows: %s", plain(refusal))
	change.Why = plain(refusal)
	return nil
}

// tighten plans what forbids a way of writing.
func (t *part) tighten(ctx context.Context, called, title, violation string) error {
	name := t.shape.Table.Name
	change := t.plain(migration.PhaseContract, title)
	change.Facts.Scanned = []string{name}
	if err := t.estimate(ctx, change, name, scanRate); err != nil {
		return err
	}
	if violation != "" {
		change.Actions[0].Expect = fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", quote(name), violation)
	}
	if t.isFresh(name, "") {
		change.Phase = migration.PhaseExpand
		return nil
	}
	change.Why = fmt.Sprintf("what %s write may not be like that: it would be refused from then on", t.older())
	change.Removes = []migration.Object{{Kind: migration.ObjectWrite, Table: name, Name: called}}
	return nil
}

// renameTable is breaking: the old name could only live on as a view, and a view with triggers for every way of writing is another table, not this one.
func (t *part) renameTable(clause sqltext.Clause) {
	name := t.shape.Table.Name
	if t.isFresh(name, "") {
		t.plain(migration.PhaseExpand, fmt.Sprintf("rename table %s to %s", name, clause.NewName))
		return
	}
	change := t.plain(migration.PhaseBreaking, fmt.Sprintf("rename table %s to %s", name, clause.NewName))
	change.Why = fmt.Sprintf("%s name %s, the new release names %s, and SQLite has one name for a table", t.older(), name, clause.NewName)
	change.Split = fmt.Sprintf("a view does for releases that only read: (1) CREATE VIEW %[2]s AS SELECT * FROM %[1]s, with INSTEAD OF triggers if the new release writes it; "+
		"(2) when no release names %[1]s any more: DROP VIEW %[2]s and the rename, in one file, all at once", name, clause.NewName)
}

// drop plans DROP TABLE, VIEW, INDEX and TRIGGER.
func (t *part) drop(ctx context.Context) error {
	kinds := map[sqltext.Kind]migration.ObjectKind{
		sqltext.KindDropTable: migration.ObjectTable, sqltext.KindDropView: migration.ObjectView,
		sqltext.KindDropIndex: migration.ObjectIndex, sqltext.KindDropTrigger: migration.ObjectTrigger,
	}
	kind := kinds[t.shape.Kind]
	name := t.shape.Name.Name
	if name == "" {
		name = t.shape.Table.Name
	}
	if name == "" && len(t.shape.Names) > 0 {
		name = t.shape.Names[0].Name
	}
	title := fmt.Sprintf("drop %s %s", kind, name)
	o, found, err := t.last.named(ctx, string(kind), name)
	if err != nil {
		return err
	}
	if !found || t.isFresh(o.table, "") {
		t.plain(migration.PhaseExpand, title)
		return nil
	}
	change := t.plain(migration.PhaseContract, title)
	change.Table = o.table
	change.Removes = []migration.Object{{Kind: kind, Table: o.table, Name: o.name}}
	if kind == migration.ObjectTable || kind == migration.ObjectView {
		change.Removes[0].Table = ""
	}
	if kind != migration.ObjectTable {
		return nil
	}
	if err := t.estimate(ctx, change, name, dropRate); err != nil {
		return err
	}
	return t.referrers(ctx, change, name)
}

// referrers says which tables have foreign keys to one that goes.
func (t *part) referrers(ctx context.Context, change *migration.Change, name string) error {
	others, err := collect(ctx, t.last.conn, readText, `SELECT DISTINCT s.name FROM sqlite_schema s, pragma_foreign_key_list(s.name) f
		WHERE s.type = 'table' AND f."table" = ?1 COLLATE NOCASE AND s.name <> ?1 COLLATE NOCASE`, name)
	for _, other := range others {
		change.Caveats = append(change.Caveats, fmt.Sprintf("%s has a foreign key to it: with foreign keys enforced nothing can be written to %[1]s afterwards", other))
	}
	return err
}

// dropColumn plans a column that goes, and lets it be NULL before where the new release, which does not write it, could not insert.
func (t *part) dropColumn(ctx context.Context, column string) error {
	name := t.shape.Table.Name
	from, there, err := t.last.table(ctx, name)
	if err != nil {
		return err
	}
	if !there || t.isFresh(name, column) {
		t.plain(migration.PhaseExpand, fmt.Sprintf("drop column %s.%s", name, column))
		return nil
	}
	if loosened := t.loosen(from, column); loosened != nil {
		loosened.Caveats = []string{fmt.Sprintf("%s read NULL from it in rows that the new release inserts, unless a `keep` comment of a backfill says what", t.older())}
	}
	change := t.plain(migration.PhaseContract, fmt.Sprintf("drop column %s.%s", name, column))
	change.Removes = []migration.Object{{Kind: migration.ObjectColumn, Table: name, Name: column}}
	change.Facts.Rewritten = []string{name}
	return t.estimate(ctx, change, name, rewriteRate)
}

// loosen lets a column be NULL that releases without it do not write.
func (t *part) loosen(from table, name string) *migration.Change {
	for _, required := range from.required() {
		if !strings.EqualFold(required, name) {
			continue
		}
		return t.add(partLoosen, migration.Change{
			Phase: migration.PhaseExpand, Title: fmt.Sprintf("allow NULL in %s.%s", from.name, name), Table: from.name,
			Why: "a release that does not write the column could not insert rows",
			Actions: []migration.Action{{
				SQL:  fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", quote(from.name), quote(name)),
				Undo: fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", quote(from.name), quote(name)),
			}},
		})
	}
	return nil
}
