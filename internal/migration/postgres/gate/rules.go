package gate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// rule is what a table refuses to be written: the server tells it of a row, and never of a plan.
type rule struct {
	Table, Kind, Definition string
	Columns                 []string
	// Parent and ParentColumns are those that a foreign key points at; Cascades says that it also changes rows by itself.
	Parent        string
	ParentColumns []string
	Cascades      bool
	// Expression is that of a CHECK.
	Expression string
}

// Kinds of rules, as pg_constraint has them where it does.
const (
	ruleCheck   = "c"
	ruleForeign = "f"
	ruleNotNull = "n"
	ruleUnique  = "u"
	ruleType    = "type"
	ruleDomain  = "domain"
)

// key tells rules apart: a constraint that was only renamed is the same.
func (r rule) key() string { return r.Table + "\x00" + r.Kind + "\x00" + r.Definition }

// String says the rule for people.
func (r rule) String() string {
	name := r.Table + " (" + strings.Join(r.Columns, ", ") + ")"
	switch r.Kind {
	case ruleDomain:
		return "domain " + r.Table
	case ruleCheck:
		return "a check on " + name
	case ruleForeign:
		return "a foreign key of " + name
	case ruleNotNull:
		return "not null of " + name
	case ruleType:
		return "the type of " + name
	default:
		return "a unique key of " + name
	}
}

const rulesQuery = `
WITH tables AS (SELECT c.oid, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'segue')),
columns AS (SELECT t.oid, t.name, a.attnum, a.attname::text AS attname, a.atttypid, a.atttypmod, a.attnotnull
	FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped)
SELECT t.name AS "table", k.contype::text AS kind, regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') AS definition,
	ARRAY(SELECT a.attname FROM columns a WHERE a.oid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns,
	coalesce((SELECT p.name FROM tables p WHERE p.oid = k.confrelid), '') AS parent,
	ARRAY(SELECT a.attname FROM columns a WHERE a.oid = k.confrelid AND a.attnum = ANY (k.confkey)) AS parentcolumns,
	k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) AS cascades,
	CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) ELSE '' END AS expression
FROM pg_constraint k JOIN tables t ON t.oid = k.conrelid WHERE k.contype IN ('c', 'f', 'x')
UNION ALL SELECT t.name, 'u', regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX .* USING ', ' INDEX USING '),
	ARRAY(SELECT DISTINCT a.attname FROM columns a WHERE a.oid = i.indrelid AND (a.attnum = ANY (i.indkey) OR
		EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.oid AND d.refobjsubid = a.attnum))),
	'', '{}', false, '' FROM pg_index i JOIN tables t ON t.oid = i.indrelid WHERE i.indisunique
UNION ALL SELECT c.name, 'n', c.attname, ARRAY[c.attname], '', '{}', false, '' FROM columns c WHERE c.attnotnull
UNION ALL SELECT c.name, 'type', c.attname || ' ' || format_type(c.atttypid, c.atttypmod) || coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.oid)
		FROM pg_constraint k WHERE k.contypid = c.atttypid), '') || coalesce((SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = c.atttypid), ''),
	ARRAY[c.attname], '', '{}', false, '' FROM columns c
UNION ALL SELECT n.nspname || '.' || t.typname, 'domain', t.typnotnull || coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.oid) FROM pg_constraint k WHERE k.contypid = t.oid), ''),
	'{}', '', '{}', false, '' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`

// readRules reads what a copy's tables refuse.
func readRules(ctx context.Context, conn querier) ([]rule, error) {
	rows, err := conn.Query(ctx, rulesQuery)
	if err != nil {
		return nil, server.Explain("read the rules of tables", err)
	}
	rules, err := pgx.CollectRows(rows, pgx.RowToStructByName[rule])
	return rules, server.Explain("read the rules of tables", err)
}

// without gives the rules that are not among others.
func without(rules, others []rule) []rule {
	known := make(map[string]bool, len(others))
	for _, r := range others {
		known[r.key()] = true
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r rule) bool { return known[r.key()] })
}

// tightening is what will be refused that was taken before, and what foreign keys and unique keys will not do any more.
type tightening struct {
	fresh []rule
	// refuses are the CHECKs that a row fails when it is given none of their columns.
	refuses map[string]bool
	lost    []rule
}

// readTightening compares the rules of the copy with those from before the change.
func (a *asking) readTightening(ctx context.Context, before []rule) (t tightening, err error) {
	after, err := readRules(ctx, a.prober.conn)
	if err != nil {
		return t, err
	}
	t.refuses = map[string]bool{}
	for _, r := range without(after, before) {
		table := a.after.relations[r.Table]
		was, existed := a.before.relations[r.Table]
		if r.Kind == ruleDomain && a.before.names[r.Table] {
			t.fresh = append(t.fresh, r)
			continue
		}
		// What nobody could write before is nobody's who is older; the server itself refuses what does not fit there.
		if !existed || !slices.ContainsFunc(r.Columns, was.has) && r.Kind == ruleType {
			continue
		}
		t.fresh = append(t.fresh, r)
		if r.Kind != ruleCheck {
			continue
		}
		if t.refuses[r.key()], err = a.prober.refused(ctx, r, table); err != nil {
			return t, err
		}
	}
	for _, r := range without(before, after) {
		keeps := func(column string) bool { return a.after.relations[r.Table].has(column) }
		if r.Cascades || r.Kind == ruleUnique && len(r.Columns) > 0 && !slices.ContainsFunc(r.Columns, func(c string) bool { return !keeps(c) }) {
			t.lost = append(t.lost, r)
		}
	}
	return t, nil
}

// refused asks the server whether a CHECK fails for a row with nothing but defaults in its columns.
func (p *prober) refused(ctx context.Context, r rule, table relation) (fails bool, err error) {
	values := make([]string, 0, len(table.columns))
	for _, c := range table.columns {
		value := "NULL"
		if c.fill != "" {
			value = c.fill
		}
		values = append(values, "CAST("+value+" AS "+c.kind+") AS "+server.Identifier(c.name))
	}
	err = p.conn.QueryRow(ctx, "SELECT coalesce(NOT ("+r.Expression+"), false) FROM (SELECT "+strings.Join(values, ", ")+") row", pgx.QueryExecModeSimpleProtocol).Scan(&fails)
	if refusal(err) != nil { // a default that cannot be had like this: it is not known, and not taken for good
		return true, nil
	}
	return fails, server.Explain("try a check", err)
}

// tightened says what a statement that works as a plan means under new rules: it is the row that is refused, and the row is not known.
func (a *asking) tightened(s *statement) (migration.Answer, string) {
	w := worst{answer: migration.AnswerSafe}
	writes := written(s.worked.plan)
	for _, full := range slices.Sorted(maps.Keys(writes)) {
		a.refused(s, full, writes[full], &w)
		a.forsaken(s, full, writes[full], &w)
	}
	for _, r := range a.tightening.fresh {
		if _, name, _ := strings.Cut(r.Table, "."); r.Kind == ruleDomain && s.read.names(name) {
			w.note(migration.AnswerUnknown, "it makes a value of %s, which has another rule", r)
		}
	}
	if w.answer == migration.AnswerSafe || a.newer(s) && w.answer == migration.AnswerUnknown {
		return migration.AnswerSafe, ""
	}
	return a.atMost(w.answer, s), w.why
}

// worst keeps the worst of several answers, with why.
type worst struct {
	answer migration.Answer
	why    string
}

func (w *worst) note(answer migration.Answer, format string, args ...any) {
	if w.answer.Worse(answer) != w.answer {
		w.answer, w.why = answer, fmt.Sprintf(format, args...)
	}
}

// refused notes which new rules would refuse what a statement writes to a table.
func (a *asking) refused(s *statement, full, operation string, w *worst) {
	for _, r := range a.tightening.fresh {
		if r.Table != full && r.Parent != full {
			continue
		}
		switch answer := a.refuses(s, r, full, operation); answer {
		case migration.AnswerUnsafe:
			w.note(answer, "it writes %s, and %s would refuse it", full, r)
		case migration.AnswerUnknown:
			w.note(answer, "it writes %s, and %s would refuse some of what it may write", full, r)
		case migration.AnswerSafe:
		}
	}
}

// forsaken notes which rules that are gone did something for a statement.
func (a *asking) forsaken(s *statement, full, operation string, w *worst) {
	for _, r := range a.tightening.lost {
		if r.Table == full && r.Kind == ruleUnique && s.read.skips() {
			w.note(migration.AnswerUnknown, "it may count on %s, which is gone, to skip rows that are there", r)
		}
		if r.Parent == full && moves(s, operation, r.ParentColumns) {
			w.note(migration.AnswerUnknown, "it leaves the rows of %s to a foreign key that is gone", r.Table)
		}
	}
}

// moves says whether a statement takes away or changes what foreign keys point at.
func moves(s *statement, operation string, key []string) bool {
	return operation == "Delete" || operation == "Merge" || operation == "Update" && touches(s.read.sets(), key)
}

// refuses says whether a new rule would refuse what a statement writes.
func (a *asking) refuses(s *statement, r rule, full, operation string) migration.Answer {
	sets := s.read.sets()
	if r.Parent == full && r.Table != full {
		if moves(s, operation, r.ParentColumns) {
			return migration.AnswerUnknown
		}
		return migration.AnswerSafe
	}
	switch {
	case operation == "Delete":
		return migration.AnswerSafe
	case touches(sets, r.Columns):
		return migration.AnswerUnknown
	case operation == "Update":
		return migration.AnswerSafe
	}
	worst := migration.AnswerSafe
	found := false
	for _, n := range s.outer.inserts() {
		name, table, ok := a.after.find(s.path, n.schema, n.table)
		if given, known := n.gives(table); ok && known && name == full {
			found = true
			worst = worst.Worse(a.tightening.inserted(r, table, given))
		}
	}
	if !found { // through a view, or in a way that is not told by reading
		return migration.AnswerUnknown
	}
	return worst
}

// inserted says it of a row of which some columns are given.
func (t tightening) inserted(r rule, table relation, given map[string]bool) migration.Answer {
	filler := read(table.filler)
	filled := false
	for _, c := range table.columns {
		if !slices.Contains(r.Columns, c.name) {
			continue
		}
		if given[c.name] {
			return migration.AnswerUnknown
		}
		filled = filled || c.lends || filler.names(c.name)
		if filler.names(c.name) {
			return migration.AnswerUnknown
		}
	}
	switch {
	case r.Kind == ruleCheck && t.refuses[r.key()], r.Kind == ruleNotNull && !filled:
		return migration.AnswerUnsafe
	case r.Kind == ruleCheck, r.Kind == ruleNotNull:
		return migration.AnswerSafe
	case filled, len(r.Columns) == 0, r.Kind == ruleType:
		return migration.AnswerUnknown
	default:
		return migration.AnswerSafe // NULL is no other's equal, and points at nothing
	}
}

func touches(sets map[string]bool, columns []string) bool {
	return slices.ContainsFunc(columns, func(column string) bool {
		_, set := sets[column]
		return set
	})
}

// skips says whether rows that conflict with whatever rule are left out by an INSERT.
func (t text) skips() bool {
	for i := range t.tokens {
		if t.is(i, "conflict") && t.is(i+1, "do") {
			return true
		}
	}
	return false
}

// writes looks for bodies of functions that write what would be refused.
func (a *asking) writes(bodies []function) {
	for _, f := range bodies {
		body := read(f.Source)
		for _, r := range a.tightening.fresh {
			if a.bodyWrites(body, r) {
				a.ground(checkFunctions, migration.AnswerUnknown, "function %s writes to %s, and may write what %s would refuse", f.Name, r.Table, r)
				break
			}
		}
	}
}

func (a *asking) bodyWrites(body text, r rule) bool {
	for _, n := range body.inserts() {
		if full, table, ok := a.after.find(nil, n.schema, n.table); ok && full == r.Table {
			if given, known := n.gives(table); !known || a.tightening.inserted(r, table, given) != migration.AnswerSafe {
				return true
			}
		}
	}
	_, name, _ := strings.Cut(r.Table, ".")
	return body.names(name) && touches(body.sets(), r.Columns)
}
