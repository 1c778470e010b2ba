package recipe

import (
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/migration"
)

// work is what an UPDATE or DELETE does to rows of a table.
type work struct {
	table *table
	set   []migration.Assignment
	where string
}

// unalias writes the table's own name where the statement has another.
func (w *work) unalias(alias string) {
	alias = strings.Trim(alias, `"`)
	if alias == "" {
		return
	}
	w.where = renamed(w.where, true, alias, w.table.Table.Name)
	for i := range w.set {
		w.set[i].Expr = renamed(w.set[i].Expr, true, alias, w.table.Table.Name)
	}
}

func (w *work) columns() []string {
	names := make([]string, len(w.set))
	for i, a := range w.set {
		names[i] = a.Column
	}
	return names
}

// selects says whether a value or the condition comes from elsewhere.
func (w *work) selects() bool {
	return slices.ContainsFunc(append([]migration.Assignment{{Expr: w.where}}, w.set...), func(a migration.Assignment) bool {
		return matches(`(?is)\(\s*select\b`, a.Expr)
	})
}

// correlate writes UPDATE ... FROM as an update of single rows, each of which looks up its own.
func (w *work) correlate(from string) migration.Backfill {
	condition := ""
	if w.where != "" {
		condition = " WHERE " + w.where
	}
	b := migration.Backfill{Where: "EXISTS (SELECT FROM " + from + condition + ")"}
	for _, a := range w.set {
		b.Set = append(b.Set, migration.Assignment{Column: a.Column, Expr: "(SELECT " + a.Expr + " FROM " + from + condition + " LIMIT 1)"})
	}
	return b
}

// onlyAdded says whether it writes nothing that older releases know.
func (w *work) onlyAdded() bool {
	return !slices.ContainsFunc(w.set, func(a migration.Assignment) bool { return !w.table.added[a.Column] })
}

func (w *work) constant() bool {
	return !slices.ContainsFunc(w.set, func(a migration.Assignment) bool { return !constant(a.Expr) })
}

// whereNull says whether the condition is none, or only that the columns are still empty.
func (w *work) whereNull() bool {
	return w.where == "" || len(w.set) == 1 && matches(`(?is)^\(*\s*"?`+w.set[0].Column+`"?\s+is\s+null\s*\)*$`, w.where)
}

// read gives the columns of older releases that values and condition stand on.
func (w *work) read() []string {
	var known []string
	for _, name := range w.table.columnNames() {
		if !w.table.added[name] {
			known = append(known, name)
		}
	}
	var read []string
	for _, a := range w.set {
		read = append(read, mentioned(a.Expr, known)...)
	}
	return distinct(append(read, mentioned(w.where, known)...))
}

// forward gives the assignments as they hold for one row at any time.
func (w *work) forward() []migration.Assignment {
	if len(mentioned(w.where, w.read())) == 0 {
		return w.set
	}
	forward := make([]migration.Assignment, len(w.set))
	for i, a := range w.set {
		forward[i] = migration.Assignment{Column: a.Column, Expr: "CASE WHEN " + w.where + " THEN " + a.Expr + " ELSE " + quote(a.Column) + " END"}
	}
	return forward
}

// violators says which rows are not done. It must stay true while both releases write: a value that the new release chose is no violation, a missing one is.
func (w *work) violators() string {
	var missing []string
	for _, a := range w.set {
		if len(mentioned(a.Expr, w.columns())) > 0 {
			return ""
		}
		clause := quote(a.Column) + " IS NULL"
		if !constant(a.Expr) {
			clause += " AND (" + a.Expr + ") IS NOT NULL"
		}
		missing = append(missing, clause)
	}
	condition := strings.Join(missing, " OR ")
	if w.where != "" && !w.whereNull() {
		condition = "(" + w.where + ") AND (" + condition + ")"
	}
	return condition
}
