package gate

import (
	"context"
	"encoding/json"
	"fmt"
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
	ruleType    = "type"
)

// key tells rules apart: a constraint that was only renamed is the same.
func (r rule) key() string { return r.Table + "\x00" + r.Kind + "\x00" + r.Definition }

// String says the rule for people.
func (r rule) String() string {
	name := r.Table + " (" + strings.Join(r.Columns, ", ") + ")"
	switch r.Kind {
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
	ARRAY[c.attname], '', '{}', false, '' FROM columns c`

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

// tightening is what will be refused that was taken before, and what foreign keys will not do any more.
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
		full, table := r.Table, a.after.relations[r.Table]
		was, existed := a.before.relations[full]
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
		if r.Cascades {
			t.lost = append(t.lost, r)
		}
	}
	return t, nil
}

// refused asks the server whether a CHECK fails for a row with nothing but defaults in its columns.
func (p *prober) refused(ctx context.Context, r rule, table relation) (fails bool, err error) {
	var values []string
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
	worst, why := migration.AnswerSafe, ""
	note := func(answer migration.Answer, format string, args ...any) {
		if worst.Worse(answer) != worst {
			worst, why = answer, fmt.Sprintf(format, args...)
		}
	}
	for full, operation := range written(s.worked.plan) {
		for _, r := range a.tightening.fresh {
			if r.Table == full || r.Parent == full {
				if answer := a.refuses(s, r, full, operation); answer != migration.AnswerSafe {
					note(answer, "it writes %s, and %s would refuse %s", full, r, map[migration.Answer]string{migration.AnswerUnsafe: "it", migration.AnswerUnknown: "some of what it may write"}[answer])
				}
			}
		}
		for _, r := range a.tightening.lost {
			if r.Parent == full && (operation == "Delete" || operation == "Merge" || operation == "Update" && touches(s.read.sets(), r.ParentColumns)) {
				note(migration.AnswerUnknown, "it leaves the rows of %s to a foreign key that is gone", r.Table)
			}
		}
	}
	if worst == migration.AnswerSafe || a.newer(s) && worst == migration.AnswerUnknown {
		return migration.AnswerSafe, ""
	}
	return a.atMost(worst, s), why
}

// refuses says whether a new rule would refuse what a statement writes.
func (a *asking) refuses(s *statement, r rule, full, operation string) migration.Answer {
	sets := s.read.sets()
	if r.Parent == full && r.Table != full {
		if operation == "Delete" || operation == "Merge" || operation == "Update" && touches(sets, r.ParentColumns) {
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
	case r.Kind == ruleCheck && t.refuses[r.key()]:
		return migration.AnswerUnsafe
	case r.Kind == ruleCheck, r.Kind == ruleNotNull: // one that leaves out what must be given is found without this
		return migration.AnswerSafe
	case filled, len(r.Columns) == 0, r.Kind == ruleType:
		return migration.AnswerUnknown
	default:
		return migration.AnswerSafe // NULL is no other's equal, and points at nothing
	}
}

func touches(names map[string]bool, columns []string) bool {
	return slices.ContainsFunc(columns, func(column string) bool { return names[column] })
}

// sets gives the columns that a statement sets by UPDATE, in any of its parts.
func (t text) sets() map[string]bool {
	names := map[string]bool{}
	for i := range t.tokens {
		if !t.is(i, "set") {
			continue
		}
		for j := i + 1; j < len(t.tokens) && !t.is(j, "from", "where", "returning", ")", "when"); {
			end := t.over(j)
			if end == j && t.name(j) {
				names[t.at(j).Value()] = true
			}
			for k := j + 1; k < end-1; k++ {
				if t.name(k) {
					names[t.at(k).Value()] = true
				}
			}
			for j = max(end, j+1); j < len(t.tokens) && !t.is(j, ",", "from", "where", "returning", ")", "when"); {
				j = max(t.over(j), j+1)
			}
			if t.is(j, ",") {
				j++
			}
		}
	}
	return names
}

// written gives the tables that a plan writes, "schema.name", and how.
func written(plan string) map[string]string {
	type write struct {
		node
		Operation string
		Plans     []json.RawMessage
	}
	found := map[string]string{}
	var visit func(raw json.RawMessage)
	visit = func(raw json.RawMessage) {
		var n write
		if json.Unmarshal(raw, &n) != nil {
			return
		}
		if n.Operation != "" && n.Relation != "" {
			full := n.Schema + "." + n.Relation
			if before := found[full]; before != "" && before != n.Operation {
				found[full] = "Merge"
			} else {
				found[full] = n.Operation
			}
		}
		for _, below := range n.Plans {
			visit(below)
		}
	}
	var trees []struct{ Plan json.RawMessage }
	if json.Unmarshal([]byte(plan), &trees) != nil {
		return found
	}
	for _, tree := range trees {
		visit(tree.Plan)
	}
	return found
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
