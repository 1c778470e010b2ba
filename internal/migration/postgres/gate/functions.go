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
	"github.com/segue-deploy/segue/internal/sqltext"
)

// function is one whose body the server does not look into before it is called.
type function struct {
	Name, Language, Source, Definition string
	// Arguments are their names, Triggers the tables whose triggers call it, as OIDs.
	Arguments []string
	Triggers  []uint32
}

// need says how sure it is that a body needs something.
type need int

const (
	needNone need = iota
	needPossible
	needSure
)

// readFunctions reads the bodies that are text. Those in SQL with a parsed body (BEGIN ATOMIC) have dependencies, which the server knows.
func readFunctions(ctx context.Context, conn querier) ([]function, error) {
	rows, err := conn.Query(ctx, `SELECT n.nspname || '.' || p.proname AS name, l.lanname::text AS language, p.prosrc AS source, pg_get_functiondef(p.oid) AS definition,
			coalesce(p.proargnames, '{}') AS arguments, (SELECT coalesce(array_agg(DISTINCT t.tgrelid), '{}') FROM pg_trigger t WHERE t.tgfoid = p.oid) AS triggers
		FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
		WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal') AND to_jsonb(p) ->> 'prosqlbody' IS NULL
		  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'segue')
		  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1`)
	if err != nil {
		return nil, server.Explain("read functions", err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowToStructByName[function])
	return functions, server.Explain("read functions", err)
}

// validate asks the server whether a body in SQL is right in a schema: it reads it whole, as at CREATE FUNCTION.
func (p *prober) validate(ctx context.Context, f function) (failure *outcome, err error) {
	if err := p.look(ctx, ""); err != nil {
		return nil, err
	}
	tx, err := p.conn.Begin(ctx)
	if err != nil {
		return nil, server.Explain("validate function "+f.Name, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, "SET LOCAL check_function_bodies = on", pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, server.Explain("validate function "+f.Name, err)
	}
	if _, err := tx.Exec(ctx, f.Definition, pgx.QueryExecModeSimpleProtocol); err != nil {
		o := refusal(err)
		if o == nil {
			return nil, server.Explain("validate function "+f.Name, err)
		}
		return o, nil
	}
	return nil, nil
}

// finding is what a body was found to need, and why it is thought so. What is silent would not fail, and mean something else.
type finding struct {
	need   need
	why    string
	silent bool
}

// scan reads a body for what goes. tables are the relations of the schema, to tell a column of this table from one of another.
func (f function) scan(t target, tables schema) finding {
	body := read(f.Source)
	switch t.object.Kind {
	case migration.ObjectColumn:
		return f.scanColumn(body, t, tables)
	case migration.ObjectTable, migration.ObjectView:
		return scanRelation(body, t)
	case migration.ObjectFunction, migration.ObjectType:
		if body.names(t.name) || quotes(body, t.name) {
			return finding{need: needPossible, why: "names " + t.name}
		}
	case migration.ObjectDefault:
		for _, n := range body.inserts() {
			if given := slices.Contains(n.columns, t.column); n.table == t.name && !given {
				return finding{need: needPossible, why: "may leave " + t.name + "." + t.column + " to its default"}
			}
		}
	case migration.ObjectIndex, migration.ObjectConstraint:
		if body.names("conflict") && body.names(t.name) {
			return finding{need: needPossible, why: "has an ON CONFLICT that may stand on " + t.object.Name}
		}
	case migration.ObjectTrigger, migration.ObjectWrite, migration.ObjectOther: // the first is for releases to miss, the second for rules, the third has no name
	}
	return finding{}
}

// scanRelation looks for a table or view.
func scanRelation(body text, t target) finding {
	found := finding{}
	for i := range body.tokens {
		if !body.name(i) || body.at(i).Value() != t.name {
			continue
		}
		switch {
		case body.is(i-1, ".") && body.at(i-2).Value() != t.schema:
		case body.is(i-1, "from", "join", "into", "update", "only", "table", "using"), body.is(i-1, "."), body.is(i+1, "%"):
			return finding{need: needSure, why: "reads or writes " + t.name}
		default:
			found = finding{need: needPossible, why: "names " + t.name}
		}
	}
	if quotes(body, t.name) {
		found = finding{need: needPossible, why: "names " + t.name}
	}
	return found
}

// scanColumn looks for a column, and for what takes whole rows.
func (f function) scanColumn(body text, t target, tables schema) finding {
	found := finding{}
	note := func(n need, silent bool, text string) {
		if n > found.need {
			found = finding{n, text, silent}
		}
	}
	c := f.reading(body, t, tables)
	for i := range body.tokens {
		if body.name(i) && body.at(i).Value() == t.column {
			n := c.at(i)
			note(n, n == needPossible, map[need]string{needPossible: "may use ", needSure: "uses "}[n]+t.name+"."+t.column)
		}
	}
	for _, n := range body.inserts() {
		if n.table == t.name && n.columns == nil && (n.schema == "" || n.schema == t.schema) {
			note(needSure, true, "writes to "+t.name+" by position")
		}
	}
	speaks := body.names(t.name)
	switch {
	case speaks && quotes(body, t.column), (speaks || quotes(body, t.name)) && body.names("execute") && (quotes(body, t.column) || body.names(t.column)):
		note(needPossible, false, "makes statements that may use "+t.name+"."+t.column)
	case c.hooked && wholeNew(body):
		note(needPossible, false, "uses whole rows of "+t.name)
	case speaks && len(c.aliases) > 0 && starredAnywhere(body):
		note(needPossible, false, "reads whole rows of "+t.name)
	case f.Language != "plpgsql" && f.Language != "sql" && strings.Contains(f.Source, t.name) && strings.Contains(f.Source, t.column):
		note(needPossible, false, "is in "+f.Language+" and names "+t.name+" and "+t.column)
	}
	return found
}

// reading is a body that is read for one column.
type reading struct {
	function
	body   text
	target target
	// aliases are the names of the column's table in the body; others those of other tables, with whether they have such a column.
	aliases, others map[string]bool
	// hooked is true for the body of a trigger on the table.
	hooked bool
}

func (f function) reading(body text, t target, tables schema) reading {
	c := reading{function: f, body: body, target: t, aliases: body.aliases(t.schema, t.name), others: map[string]bool{}, hooked: slices.Contains(f.Triggers, t.oid)}
	for full, r := range tables.relations {
		schemaName, name, _ := strings.Cut(full, ".")
		if full == t.full() || !body.names(name) {
			continue
		}
		for alias := range body.aliases(schemaName, name) {
			c.others[alias] = r.has(t.column)
		}
	}
	return c
}

// at weighs one place where a body has a column's name.
func (c reading) at(i int) need {
	body := c.body
	switch {
	case body.is(i-1, "."):
		return c.qualified(i)
	case len(c.aliases) == 0, body.is(i+1, "(", ".") && !body.is(i-1, ",", "("), body.is(i-1, "as"):
		return needNone
	case slices.Contains(slices.Collect(maps.Values(c.others)), true), slices.Contains(c.Arguments, c.target.column), declared(body, c.target.column):
		return needPossible
	default:
		return needSure
	}
}

// qualified weighs a place where something stands before the name.
func (c reading) qualified(i int) need {
	qualifier := c.body.at(i - 2).Value()
	_, other := c.others[qualifier]
	switch {
	case c.aliases[qualifier], c.hooked && (qualifier == "new" || qualifier == "old"):
		return needSure
	case qualifier == "new", qualifier == "old", other, c.body.is(i-3, "."), c.body.is(i-3, "from", "join", "into", "update"):
		return needNone
	case len(c.aliases) > 0:
		return needPossible // a record, whose row may come from there
	default:
		return needNone
	}
}

// declared says whether a block declares a variable of a name.
func declared(body text, name string) bool {
	inside := false
	for i := range body.tokens {
		switch {
		case body.is(i, "declare"):
			inside = true
		case body.is(i, "begin"):
			inside = false
		case inside && body.at(i).Value() == name && body.is(i-1, "declare", ";"):
			return true
		}
	}
	return false
}

// quotes says whether a string in a body has a name in it: what EXECUTE may be given.
func quotes(body text, name string) bool {
	for _, token := range body.tokens {
		if token.Kind == sqltext.TokenString && read(unquoted(token)).names(name) {
			return true
		}
	}
	return false
}

func wholeNew(body text) bool {
	for i := range body.tokens {
		if body.is(i, "new", "old") && body.is(i+1, ".") && body.is(i+2, "*") {
			return true
		}
	}
	return false
}

func starredAnywhere(body text) bool {
	for i := range body.tokens {
		if body.is(i, "*") && body.is(i-1, "select", ".", ",", "returning", "distinct") {
			return true
		}
	}
	return false
}

// functions looks into the bodies of functions.
func (a *asking) functions(ctx context.Context, bodies []function, applied bool) error {
	clear := true
	for _, f := range bodies {
		found := finding{}
		for _, t := range a.targets {
			if one := f.scan(t, a.before); one.need > found.need {
				found = one
			}
		}
		if found.need != needNone && f.Language == "sql" && applied && analysed(a.targets) {
			var err error
			if found, err = a.confirm(ctx, f, found); err != nil {
				return err
			}
		}
		if found.need != needNone {
			clear = false
			answer := map[need]migration.Answer{needSure: migration.AnswerUnsafe, needPossible: migration.AnswerUnknown}[found.need]
			a.ground(checkFunctions, answer, "function %s %s", f.Name, found.why)
		}
	}
	if clear {
		a.ground(checkFunctions, migration.AnswerSafe, "none of %d functions with a body of text needs it", len(bodies))
	}
	return nil
}

// confirm asks the server about what was found in a body in SQL.
func (a *asking) confirm(ctx context.Context, f function, found finding) (finding, error) {
	failure, err := a.prober.validate(ctx, f)
	switch {
	case err != nil:
		return found, err
	case failure != nil && a.lame[f.Name]:
		return finding{need: needPossible, why: "names what goes, and does not work as things are"}, nil
	case failure != nil:
		return finding{need: needSure, why: "would fail: " + failure.message}, nil
	case found.silent:
		found.need = needPossible
		return found, nil
	default:
		return finding{}, nil
	}
}

// analysed says whether all that goes is such that the analysis of a statement misses it: a default and the index of an ON CONFLICT are not.
func analysed(targets []target) bool {
	return !slices.ContainsFunc(targets, func(t target) bool {
		switch t.object.Kind {
		case migration.ObjectDefault, migration.ObjectIndex, migration.ObjectConstraint:
			return true
		default:
			return false
		}
	})
}

// lameFunctions finds bodies in SQL that are wrong before anything is removed: that they are wrong after it tells nothing.
func (a *asking) lameFunctions(ctx context.Context, bodies []function) error {
	a.lame = map[string]bool{}
	for _, f := range bodies {
		if f.Language != "sql" {
			continue
		}
		failure, err := a.prober.validate(ctx, f)
		if err != nil {
			return fmt.Errorf("validate functions: %w", err)
		}
		a.lame[f.Name] = failure != nil
	}
	return nil
}
