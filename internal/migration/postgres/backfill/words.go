package backfill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
)

// words are the parts of the statements of one backfill.
type words struct {
	table     Table
	key       []Column
	verb      string // UPDATE ... SET ..., or DELETE FROM ...
	todo      string
	violators string
}

// write puts the statements together. KindInvalid when they cannot be.
func write(table Table, job migration.Backfill) (w words, err error) {
	w = words{table: table}
	if w.violators, err = table.violators(job); err != nil {
		return w, err
	}
	if w.key, err = table.columns(job.Key); err != nil {
		return w, err
	}
	if w.todo, err = table.todo(job); err != nil {
		return w, err
	}
	if job.Delete {
		w.verb = "DELETE FROM " + table.sql()
		return w, nil
	}
	if len(job.Set) == 0 {
		return w, segue.Errorf(segue.KindInvalid, "a backfill of %s that neither sets nor deletes", table)
	}
	sets := make([]string, len(job.Set))
	for i, a := range job.Set {
		if slices.Contains(job.Key, a.Column) {
			return w, segue.Errorf(segue.KindInvalid, "a backfill of %s that sets %s, which is of the key that it goes along", table, a.Column).
				WithHint("go along another unique key, or add a column of the new form")
		}
		sets[i] = quote(a.Column) + " = " + grouped(a.Expr)
	}
	w.verb = "UPDATE " + table.sql() + " SET " + strings.Join(sets, ", ")
	return w, nil
}

// args are the parameters of a statement.
type args []any

// add gives the parameter's place.
func (a *args) add(value any) string {
	*a = append(*a, value)
	return fmt.Sprintf("$%d", len(*a))
}

// within is the condition for rows after one key and up to another; nil is no bound. Keys of any type go as text, which the server wrote itself; compared
// they are by the column's own order and collation.
func (w words) within(a *args, after, upTo []string) string {
	bound := func(compare string, key []string) string {
		values := make([]string, len(key))
		for i, value := range key {
			values[i] = a.add(value) + "::text::" + w.key[i].Type
		}
		return fmt.Sprintf("(%s) %s (%s)", w.columns(), compare, strings.Join(values, ", "))
	}
	conditions := []string{}
	if after != nil {
		conditions = append(conditions, bound(">", after))
	}
	if upTo != nil {
		conditions = append(conditions, bound("<=", upTo))
	}
	return all(conditions)
}

func (w words) columns() string {
	names := make([]string, len(w.key))
	for i, c := range w.key {
		names[i] = quote(c.Name)
	}
	return strings.Join(names, ", ")
}

func (w words) texts() []string {
	texts := make([]string, len(w.key))
	for i, c := range w.key {
		texts[i] = quote(c.Name) + "::text"
	}
	return texts
}

// name is an expression for a row's name.
func (w words) name() string {
	if len(w.key) == 0 {
		return "'one'"
	}
	parts := make([]string, len(w.key))
	for i, text := range w.texts() {
		parts[i] = fmt.Sprintf("'%s = ' || %s", strings.ReplaceAll(w.key[i].Name, "'", "''"), text)
	}
	return strings.Join(parts, " || ', ' || ")
}

// bound asks for the key of the n-th row after another one.
func (w words) bound(a *args, after []string, n int) string {
	return fmt.Sprintf("SELECT ARRAY[%s] FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %s",
		strings.Join(w.texts(), ", "), w.table.sql(), w.within(a, after, nil), w.columns(), a.add(n-1)+"::bigint")
}

// count asks for the number of rows after a key.
func (w words) count(a *args, after []string) string {
	return "SELECT count(*) FROM " + w.table.sql() + " WHERE " + w.within(a, after, nil)
}

// batchEnd is where a batch ends: the key up to which it goes (nil for the end of the table), and the position after it, with its cursor as JSON.
type batchEnd struct {
	position
	upTo   []string
	cursor []byte
}

// sql is a batch: it does the rows within a range and moves the position, as one statement. Where the table was gone through before, only violators are
// done: what was written once may not be written again, unless it is wrong as it is.
func (w words) sql(a *args, p position, next batchEnd, id migration.ChangeID) string {
	move := fmt.Sprintf(`UPDATE "segue"."backfill" AS b SET cursor = %s, state = %s, rows = %s, batches = b.batches + 1`,
		a.add(next.cursor)+"::jsonb", a.add(string(next.state)), a.add(next.rows)+"::bigint")
	within := w.within(a, p.cursor, next.upTo)
	if p.state == stateVerify {
		broken := grouped(w.violators)
		return fmt.Sprintf(`WITH done AS (SELECT count(*) FILTER (WHERE %[1]s) AS violators, count(*) FILTER (WHERE %[1]s AND %[2]s) AS pending,
			min(%[3]s) FILTER (WHERE %[1]s) AS sample FROM %[4]s WHERE %[5]s)
			%[6]s, violators = b.violators + done.violators, pending = b.pending + done.pending, sample = coalesce(b.sample, done.sample) FROM done WHERE b.change = %[7]s`,
			broken, w.todo, w.name(), w.table.sql(), within, move, a.add(string(id))) + returning
	}
	todo := w.todo
	if p.pass > 1 {
		todo += " AND " + grouped(w.violators)
	}
	return fmt.Sprintf(`WITH done AS (%s WHERE %s AND %s RETURNING 1)
		%s, changed = b.changed + (SELECT count(*) FROM done) WHERE b.change = %s`, w.verb, within, todo, move, a.add(string(id))) + returning
}
