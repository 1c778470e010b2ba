package sqlite

import (
	"fmt"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// The four triggers of a sync, by the end of their names.
const (
	syncInsert  = "_insert"
	syncEcho    = "_echo"
	syncForward = "_forward"
	syncReverse = "_reverse"
)

// createSync gives the triggers that keep two forms of a table's rows in step.
//
// SQLite has no trigger depth to ask for and no NEW to assign to, so each trigger is an UPDATE of the row that was just written, and what stops the
// two directions from answering each other is the row itself: nothing is done to one whose forms agree already, by either expression. That holds
// whether recursive triggers are on or off, and also for expressions that lose something, where neither undoes the other.
//
// Who wrote is told from what was written: an INSERT that leaves the new columns at their defaults is one of the older release, and of an UPDATE that
// changes both forms the new one counts.
func createSync(sync migration.Sync, t table) []string {
	var statements []string
	add := func(suffix, event, when string, set []migration.Assignment) {
		statements = append(statements, fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS %s AFTER %s ON %s FOR EACH ROW WHEN %s BEGIN UPDATE %s SET %s WHERE %s AND NOT (%s); END",
			quote(sync.Name+suffix), event, quote(t.name), when, quote(t.name), assign(set), sameRow(t), agree(sync)))
	}
	add(syncInsert, "INSERT", untouched(sync, t), sync.Forward)
	if len(sync.Old) > 0 {
		add(syncForward, "UPDATE OF "+quoteAll(sync.Old),
			fmt.Sprintf("(%s) AND NOT (%s)", changed(sync.Old), changed(targets(sync.Forward))), sync.Forward)
	}
	if len(sync.Reverse) > 0 {
		add(syncEcho, "INSERT", "NOT ("+untouched(sync, t)+")", sync.Reverse)
		add(syncReverse, "UPDATE OF "+quoteAll(sync.New), changed(sync.New), sync.Reverse)
	}
	return statements
}

// dropSync takes the triggers away.
func dropSync(name string) []string {
	statements := make([]string, 0, 4)
	for _, suffix := range []string{syncInsert, syncEcho, syncForward, syncReverse} {
		statements = append(statements, "DROP TRIGGER IF EXISTS "+quote(name+suffix))
	}
	return statements
}

// assign writes the list of a SET.
func assign(set []migration.Assignment) string {
	parts := make([]string, len(set))
	for i, a := range set {
		parts[i] = fmt.Sprintf("%s = (%s)", quote(a.Column), a.Expr)
	}
	return strings.Join(parts, ", ")
}

// holds is the condition that assignments have been made.
func holds(set []migration.Assignment) string {
	parts := make([]string, len(set))
	for i, a := range set {
		parts[i] = fmt.Sprintf("%s IS (%s)", quote(a.Column), a.Expr)
	}
	return strings.Join(parts, " AND ")
}

// agree is the condition that both forms of a row say the same.
func agree(sync migration.Sync) string {
	if len(sync.Reverse) == 0 {
		return holds(sync.Forward)
	}
	return fmt.Sprintf("(%s) OR (%s)", holds(sync.Forward), holds(sync.Reverse))
}

// untouched is the condition that an INSERT left the new columns as they are by themselves.
func untouched(sync migration.Sync, t table) string {
	parts := make([]string, len(sync.Forward))
	for i, a := range sync.Forward {
		standard := "NULL"
		if c, found := t.column(a.Column); found && c.hasDefault {
			standard = "(" + c.standard + ")"
		}
		parts[i] = fmt.Sprintf("NEW.%s IS %s", quote(a.Column), standard)
	}
	return strings.Join(parts, " AND ")
}

// changed is the condition that an UPDATE gave one of the columns another value.
func changed(columns []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = fmt.Sprintf("NEW.%s IS NOT OLD.%[1]s", quote(c))
	}
	return strings.Join(parts, " OR ")
}

// sameRow is the condition for the row that a trigger was called for.
func sameRow(t table) string {
	key := t.key()
	if id := t.rowid(); id != "" {
		key = []string{id}
	}
	parts := make([]string, len(key))
	for i, c := range key {
		parts[i] = fmt.Sprintf("%s = NEW.%[1]s", quote(c))
	}
	return strings.Join(parts, " AND ")
}

func targets(set []migration.Assignment) []string {
	columns := make([]string, len(set))
	for i, a := range set {
		columns[i] = a.Column
	}
	return columns
}
