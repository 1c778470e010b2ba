package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// together says how many of the next statements belong together: a table that is made anew under its old name, or a view, trigger or index that is
// dropped and created again. Alone, each would take something away before the next brings it back.
func together(ahead []migration.Statement) int {
	if n := replaced(ahead); n > 1 {
		return n
	}
	return rebuilt(ahead)
}

// replaced finds DROP and CREATE of the same thing.
func replaced(ahead []migration.Statement) int {
	if len(ahead) < 2 {
		return 1
	}
	pairs := map[sqltext.Kind]sqltext.Kind{
		sqltext.KindDropView: sqltext.KindCreateView, sqltext.KindDropTrigger: sqltext.KindCreateTrigger, sqltext.KindDropIndex: sqltext.KindCreateIndex,
	}
	first, second := parse(ahead[0].SQL), parse(ahead[1].SQL)
	if again, ok := pairs[first.Kind]; ok && second.Kind == again && strings.EqualFold(dropped(first), second.Name.Name) {
		return 2
	}
	return 1
}

// dropped is the name of what a DROP drops.
func dropped(shape sqltext.Shape) string {
	switch {
	case shape.Name.Name != "":
		return shape.Name.Name
	case shape.Table.Name != "":
		return shape.Table.Name
	case len(shape.Names) > 0:
		return shape.Names[0].Name
	}
	return ""
}

// rebuilt finds the making anew of a table: CREATE TABLE new, INSERT, DROP TABLE old, ALTER TABLE new RENAME TO old, and the indexes and triggers after it;
// pragmas and transactions may stand before and between.
func rebuilt(ahead []migration.Statement) int {
	start := 0
	for start < len(ahead) && idle(ahead[start]) {
		start++
	}
	if start == len(ahead) {
		return 1
	}
	first := parse(ahead[start].SQL)
	if first.Kind != sqltext.KindCreateTable && first.Kind != sqltext.KindCreateTableAs {
		return 1
	}
	made, gone := tableOf(first), []string(nil)
	for i := start + 1; i < len(ahead); i++ {
		shape := parse(ahead[i].SQL)
		switch {
		case shape.Kind == sqltext.KindDropTable:
			gone = append(gone, lower(dropped(shape)))
		case shape.Kind == sqltext.KindAlterTable && len(shape.Clauses) == 1 && shape.Clauses[0].Kind == sqltext.ClauseRenameTable:
			to := shape.Clauses[0].NewName
			if strings.EqualFold(shape.Table.Name, made) && slices.Contains(gone, lower(to)) {
				return i + 1 + remade(ahead[i+1:], to)
			}
		}
	}
	return 1
}

// remade counts the indexes and triggers that are made on the table again, and what is idle among them.
func remade(ahead []migration.Statement, table string) int {
	for n, statement := range ahead {
		shape := parse(statement.SQL)
		again := (shape.Kind == sqltext.KindCreateIndex || shape.Kind == sqltext.KindCreateTrigger) && strings.EqualFold(shape.Table.Name, table)
		if !again && !idle(statement) {
			return n
		}
	}
	return len(ahead)
}

// idle are statements that Segue leaves out.
func idle(statement migration.Statement) bool {
	switch firstWord(statement.SQL) {
	case "PRAGMA", "BEGIN", "COMMIT", "END":
		return true
	}
	return false
}

func tableOf(shape sqltext.Shape) string {
	if shape.Table.Name != "" {
		return shape.Table.Name
	}
	return shape.Name.Name
}

// group plans statements that belong together.
func (t *part) group(ctx context.Context) error {
	if replaced(t.statements) > 1 {
		return t.replace(ctx)
	}
	t.statements = slices.DeleteFunc(slices.Clone(t.statements), idle)
	i := slices.IndexFunc(t.statements, func(s migration.Statement) bool {
		shape := parse(s.SQL)
		return shape.Kind == sqltext.KindAlterTable && shape.Clauses[0].Kind == sqltext.ClauseRenameTable
	})
	return t.rebuild(ctx, parse(t.statements[i].SQL).Clauses[0].NewName)
}

// replace plans a view, trigger or index that is dropped and made again: one transaction, between two states that all releases can live with, or not.
func (t *part) replace(ctx context.Context) error {
	name := dropped(t.shape)
	kind := strings.TrimPrefix(string(t.shape.Kind), "drop ")
	o, found, err := t.last.named(ctx, kind, name)
	if err != nil {
		return err
	}
	change := t.plain(migration.PhaseExpand, fmt.Sprintf("replace %s %s", kind, name))
	change.Table = o.table
	change.Caveats = []string{t.older() + " use the new one as soon as it is there"}
	switch {
	case !found:
	case kind == "view":
		change.Table = ""
		return t.replaceView(ctx, change, name)
	case kind == "index":
		again := parse(t.statements[1].SQL)
		change.Facts.Built = []string{name}
		if again.Unique && (!parse(o.sql).Unique || !slices.Equal(again.Elements, parse(o.sql).Elements)) {
			change.Phase, change.Why = migration.PhaseContract, fmt.Sprintf("what %s write may be twice: it would be refused from then on", t.older())
			change.Removes = []migration.Object{{Kind: migration.ObjectWrite, Table: o.table, Name: name}}
		}
		return t.estimate(ctx, change, o.table, indexRate)
	}
	return nil
}

// replaceView compares what a view gives with what it gave.
func (t *part) replaceView(ctx context.Context, change *migration.Change, name string) error {
	was, err := t.last.prepare("SELECT * FROM " + quote(name))
	if err != nil {
		return nil //nolint:nilerr // a view that does not work is missed by nobody
	}
	if err := t.last.exec(ctx, "SAVEPOINT replace"); err != nil {
		return err
	}
	var is []string
	for _, statement := range t.statements {
		if err = t.last.exec(ctx, statement.SQL); err != nil {
			break // classify says it, with its place
		}
	}
	if err == nil {
		is, _ = t.last.prepare("SELECT * FROM " + quote(name))
	}
	if err := t.last.exec(ctx, "ROLLBACK TO replace; RELEASE replace"); err != nil {
		return err
	}
	for _, column := range was {
		if !slices.ContainsFunc(is, func(c string) bool { return strings.EqualFold(c, column) }) {
			change.Phase, change.Caveats = migration.PhaseContract, nil
			change.Why = fmt.Sprintf("it has no column %s any more, which %s may read", column, t.older())
			change.Removes = append(change.Removes, migration.Object{Kind: migration.ObjectColumn, Table: name, Name: column})
		}
	}
	return nil
}

// rebuild plans a table that is made anew under its old name. It is one transaction, in which everything is copied: whether it may run beside older
// releases is told from the two tables.
func (t *part) rebuild(ctx context.Context, name string) error {
	before, there, err := t.last.table(ctx, name)
	if err != nil {
		return err
	}
	if err := t.last.exec(ctx, "SAVEPOINT rebuild"); err != nil {
		return err
	}
	for _, statement := range t.statements {
		if err = t.last.try(ctx, statement.SQL); err != nil {
			break // classify says it, with its place
		}
	}
	after, _, readErr := t.last.table(ctx, name)
	if err := t.last.exec(ctx, "ROLLBACK TO rebuild; RELEASE rebuild"); err != nil {
		return err
	}
	if err != nil || readErr != nil || !there {
		t.plain(migration.PhaseExpand, "make table "+name+" anew")
		return readErr
	}
	for _, c := range before.columns {
		if _, kept := after.column(c.name); !kept {
			t.loosen(before, c.name)
		}
	}
	change := t.plain(migration.PhaseExpand, "make table "+name+" anew")
	change.Table, change.Facts.Rewritten = before.name, []string{before.name}
	if err := t.estimate(ctx, change, name, rewriteRate); err != nil {
		return err
	}
	t.judge(change, before, after)
	return nil
}

// judge gives a rebuilt table its phase.
func (t *part) judge(change *migration.Change, before, after table) {
	breaking := func(format string, args ...any) {
		change.Phase, change.Removes = migration.PhaseBreaking, nil
		change.Why = fmt.Sprintf(format, args...)
		change.Split = "take it apart: new columns and looser rules first (ADD COLUMN, ALTER COLUMN ... DROP NOT NULL, DROP CONSTRAINT need no new table), " +
			"an UPDATE that fills them, and what goes or is forbidden in a file of its own, for a later release"
	}
	for _, c := range before.columns {
		is, kept := after.column(c.name)
		switch {
		case !kept:
			change.Removes = append(change.Removes, migration.Object{Kind: migration.ObjectColumn, Table: before.name, Name: c.name})
		case !strings.EqualFold(is.kind, c.kind):
			breaking("%s.%s changes from %s to %s, and %s read and write it as it was", before.name, c.name, c.kind, is.kind, t.older())
			return
		}
	}
	required := without(after.required(), before.required())
	for _, name := range required {
		if _, was := before.column(name); !was {
			breaking("%s.%s must be given, and %s do not know it", before.name, name, t.older())
			return
		}
	}
	if len(required) > 0 || !slices.Equal(rules(before), rules(after)) && !looser(before, after) {
		change.Removes = append(change.Removes, migration.Object{Kind: migration.ObjectWrite, Table: before.name, Name: "new rules"})
	}
	if len(change.Removes) > 0 {
		change.Phase = migration.PhaseContract
		change.Why = fmt.Sprintf("it takes away or forbids what %s may use", t.older())
	}
	if change.Estimate.Locked >= longHold {
		breaking("%d rows are copied in one transaction, and writers wait about %s", change.Estimate.Rows, change.Estimate.Locked)
	}
}

// rules are the constraints of a table, as written.
func rules(t table) []string {
	var texts []string
	for _, clause := range parse(t.sql).Clauses {
		for _, c := range clause.Constraints {
			if c.Kind != sqltext.ConstraintNotNull {
				texts = append(texts, lower(strings.Join(strings.Fields(string(c.Kind)+" "+clause.Column+" "+strings.Join(c.Columns, " ")+" "+c.Expr+" "+c.References.Name), " ")))
			}
		}
	}
	slices.Sort(texts)
	return texts
}

// looser says whether a table has no rule that the other one has not.
func looser(before, after table) bool {
	old := rules(before)
	return !slices.ContainsFunc(rules(after), func(rule string) bool { return !slices.Contains(old, rule) })
}
