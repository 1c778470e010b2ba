package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// Parts of a statement that become changes of their own, by the end of their names.
const (
	partLoosen = "loosen" // let a column be NULL that the new release does not write
	partAdd    = "add"    // a twin column
	partFill   = "fill"
	partSwap   = "swap"   // the twin takes the column's place
	partUnsync = "unsync" // the triggers go
)

// isAside says whether a change only prepares for another phase: it does not make a file of contracts a mixed one.
func isAside(id migration.ChangeID) bool { return strings.HasSuffix(string(id), "."+partLoosen) }

// part is a statement, or a group of them that belong together, under classification.
type part struct {
	*planner
	file       migration.File
	statements []migration.Statement
	// statement and shape are the first's, except of a group.
	statement migration.Statement
	shape     sqltext.Shape
	changes   []migration.Change
}

// classify plans the next statement, or the next few that belong together, and says how many it took.
func (p *planner) classify(ctx context.Context, file migration.File, ahead []migration.Statement) (int, error) {
	n := together(ahead)
	t := &part{planner: p, file: file, statements: ahead[:n], statement: ahead[0], shape: parse(ahead[0].SQL)}
	before, err := p.last.objects(ctx)
	if err != nil {
		return n, err
	}
	if err := t.dispatch(ctx); err != nil {
		return n, err
	}
	// What the next statement finds is what all before it left, whatever phases they got.
	for _, statement := range t.statements {
		if err := p.last.try(ctx, statement.SQL); err != nil {
			if ctx.Err() != nil {
				return n, ctx.Err()
			}
			t.refused(statement, err)
			return n, nil
		}
	}
	if err := t.found(ctx, before); err != nil {
		return n, err
	}
	t.hints()
	p.changes = append(p.changes, t.changes...)
	return n, nil
}

// refused says that SQLite does not take a statement.
func (t *part) refused(statement migration.Statement, err error) {
	hint := "correct the statement; it was tried on a copy of the schema, nothing was changed"
	switch text := plain(err); {
	case strings.Contains(text, "after drop column"):
		hint = "drop what uses the column in a statement before this one"
	case strings.Contains(text, "cannot drop"):
		hint = "SQLite cannot drop a column that is in a PRIMARY KEY or UNIQUE: make the table anew " +
			"(CREATE TABLE new, INSERT ... SELECT, DROP TABLE old, ALTER TABLE new RENAME), in one file"
	case strings.Contains(text, "already exists"):
		hint = "if it was made by hand, write IF NOT EXISTS, or record the file in the history of your runner"
	}
	t.fault(statement.At, hint, "SQLite refuses it: %s", plain(err))
}

// found notes what is new now: no older release knows it.
func (t *part) found(ctx context.Context, before []object) error {
	if t.shape.Kind == sqltext.KindAlterTable && len(t.shape.Clauses) > 0 && t.shape.Clauses[0].Kind == sqltext.ClauseAddColumn {
		t.fresh[lower(t.shape.Table.Name+"."+t.shape.Clauses[0].Column)] = true
	}
	after, err := t.last.objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range after {
		there := func(old object) bool { return strings.EqualFold(old.name, o.name) }
		if o.kind == "table" && !slices.ContainsFunc(before, there) && !slices.ContainsFunc(t.objects, there) {
			t.fresh[lower(o.name)] = true
		}
	}
	return nil
}

// dispatch gives the statement its changes.
func (t *part) dispatch(ctx context.Context) error {
	if len(t.statements) > 1 {
		return t.group(ctx)
	}
	switch t.shape.Kind {
	case sqltext.KindCreateTable, sqltext.KindCreateTableAs:
		return t.createTable(ctx)
	case sqltext.KindCreateIndex:
		return t.createIndex(ctx)
	case sqltext.KindCreateView:
		t.plain(migration.PhaseExpand, "create view "+t.shape.Name.Name)
	case sqltext.KindCreateTrigger:
		t.plain(migration.PhaseExpand, "create trigger "+t.shape.Name.Name).Caveats = []string{"it is run for what " + t.older() + " write too"}
	case sqltext.KindAlterTable:
		return t.alter(ctx)
	case sqltext.KindDropTable, sqltext.KindDropView, sqltext.KindDropIndex, sqltext.KindDropTrigger:
		return t.drop(ctx)
	case sqltext.KindUpdate, sqltext.KindDelete:
		return t.rewrite(ctx)
	case sqltext.KindInsert:
		return t.insert(ctx)
	case sqltext.KindSelect, sqltext.KindBegin, sqltext.KindCommit:
		t.nothing("it changes nothing: Segue makes its own transactions")
	case sqltext.KindVacuum:
		change := t.plain(migration.PhaseExpand, "vacuum")
		change.Actions[0].Alone, change.Facts.Alone = true, true
		change.Caveats = []string{"the whole file is written anew, and writers wait for all of it"}
	default:
		t.other()
	}
	return nil
}

// other are statements that only their first word tells.
func (t *part) other() {
	word := firstWord(t.statement.SQL)
	switch word {
	case "PRAGMA":
		name := strings.ToLower(strings.Trim(strings.TrimSpace(t.statement.SQL)[len(word):], " \t\n;"))
		if strings.HasPrefix(name, "user_version") || strings.HasPrefix(name, "application_id") || strings.HasPrefix(name, "main.user_version") {
			t.plain(migration.PhaseExpand, "set "+name)
			return
		}
		t.nothing("a pragma is for one connection, and this one is Segue's")
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "EXPLAIN", "VALUES":
		t.nothing("it changes nothing: Segue makes its own transactions")
	case "ATTACH", "DETACH":
		t.fault(t.statement.At, "plan the other database as one of its own", "%s: a migration changes one database", word)
	default:
		t.plain(migration.PhaseExpand, shorten(t.statement.SQL))
	}
}

// add takes a change into the part; suffix tells it from others of the same statement.
func (t *part) add(suffix string, change migration.Change) *migration.Change {
	change.ID = migration.ChangeID(t.statement.ID)
	if suffix != "" {
		change.ID += migration.ChangeID("." + suffix)
	}
	change.At = t.statement.At
	for _, statement := range t.statements {
		change.Origin = append(change.Origin, statement.ID)
	}
	t.changes = append(t.changes, change)
	return &t.changes[len(t.changes)-1]
}

// plain takes the statements as they are.
func (t *part) plain(phase migration.Phase, title string) *migration.Change {
	change := migration.Change{Phase: phase, Title: title, Table: t.shape.Table.Name}
	for _, statement := range t.statements {
		change.Actions = append(change.Actions, migration.Action{SQL: statement.SQL})
	}
	return t.add("", change)
}

// nothing accounts for a statement that there is nothing to do for.
func (t *part) nothing(why string) {
	t.add("", migration.Change{Phase: migration.PhaseExpand, Title: "leave out: " + shorten(t.statement.SQL), Why: why})
}

// hints applies what the team said in comments.
func (t *part) hints() {
	hints := t.statement.Hints
	if hints.AssumeSafe && len(t.changes) > 0 {
		t.assume(hints)
	}
	for i := range t.changes {
		change := &t.changes[i]
		main := change.ID == t.changes[len(t.changes)-1].ID || !strings.Contains(string(change.ID), ".")
		if hints.Phase != "" && main && !isAside(change.ID) && change.Phase != hints.Phase {
			t.overrule(change, hints.Phase)
		}
		if change.Phase == migration.PhaseContract {
			change.Wait = hints.After
		}
	}
}

// overrule gives a change the phase that the team asks for, where it can have it.
func (t *part) overrule(change *migration.Change, phase migration.Phase) {
	if change.Backfill != nil && phase != migration.PhaseContract || phase == migration.PhaseBackfill {
		return
	}
	change.Phase, change.Split = phase, ""
	change.Caveats = append(change.Caveats, fmt.Sprintf("it is %s because a comment in the file says so", phase))
	if phase == migration.PhaseContract && len(change.Removes) == 0 {
		change.Removes = []migration.Object{{Kind: migration.ObjectOther, Table: change.Table, Name: change.Title}}
	}
}

// assume makes one change of the statement as it is. What it takes away stays a contract: the reason speaks for the form, not for the gate.
func (t *part) assume(hints migration.Hints) {
	if hints.Reason == "" {
		t.fault(t.statement.At, `write it down: -- segue: assume-safe reason="..."`, "assume-safe is given without a reason")
	}
	whole := migration.Change{Phase: migration.PhaseExpand, Title: t.changes[len(t.changes)-1].Title, Table: t.changes[0].Table, Assumed: hints.Reason}
	for _, change := range t.changes {
		for _, o := range change.Removes {
			if o.Kind != migration.ObjectWrite && o.Kind != migration.ObjectTrigger {
				whole.Phase, whole.Removes = migration.PhaseContract, append(whole.Removes, o)
			}
		}
	}
	for _, statement := range t.statements {
		whole.Actions = append(whole.Actions, migration.Action{SQL: statement.SQL})
	}
	t.changes = nil
	t.add("", whole)
}

// isFresh says whether a table, or a column of it ("" for none), is new in this plan.
func (p *planner) isFresh(table, column string) bool {
	return p.fresh[lower(table)] || column != "" && p.fresh[lower(table+"."+column)]
}

func lower(name string) string { return strings.ToLower(name) }

func wrongColumn(table, column string) error {
	return segue.Errorf(segue.KindNotFound, "there is no column %s.%s", table, column)
}
