package gate

import (
	"context"
	"fmt"
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
		WHERE p.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal') AND to_jsonb(p) ->> 'prosqlbody' IS NULL
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

// scan reads a body for what goes. tables are the relations of the schema, to tell a column of this table from one of another.
func (f function) scan(t target, tables schema) (need, string) {
	body := read(f.Source)
	switch t.object.Kind {
	case migration.ObjectColumn:
		return f.scanColumn(body, t, tables)
	case migration.ObjectTable, migration.ObjectView:
		return scanRelation(body, t)
	case migration.ObjectFunction, migration.ObjectType:
		if body.names(t.name) || quotes(body, t.name) {
			return needPossible, "names " + t.name
		}
	case migration.ObjectDefault:
		for _, n := range body.inserts() {
			if given := slices.Contains(n.columns, t.column); n.table == t.name && !given {
				return needPossible, "may leave " + t.name + "." + t.column + " to its default"
			}
		}
	case migration.ObjectIndex, migration.ObjectConstraint:
		if body.names("conflict") && body.names(t.name) {
			return needPossible, "has an ON CONFLICT that may stand on " + t.object.Name
		}
	case migration.ObjectTrigger, migration.ObjectWrite, migration.ObjectOther: // the first is for releases to miss, the second for rules, the third has no name
	}
	return needNone, ""
}

// scanRelation looks for a table or view.
func scanRelation(body text, t target) (need, string) {
	found := needNone
	for i := range body.tokens {
		if !body.name(i) || body.at(i).Value() != t.name {
			continue
		}
		switch {
		case body.is(i-1, ".") && body.at(i-2).Value() != t.schema:
		case body.is(i-1, "from", "join", "into", "update", "only", "table", "using"), body.is(i-1, "."), body.is(i+1, "%"):
			return needSure, "reads or writes " + t.name
		default:
			found = needPossible
		}
	}
	if found == needNone && quotes(body, t.name) {
		found = needPossible
	}
	return found, "names " + t.name
}

// scanColumn looks for a column, and for what takes whole rows.
func (f function) scanColumn(body text, t target, tables schema) (found need, why string) {
	note := func(n need, text string) {
		if n > found {
			found, why = n, text
		}
	}
	aliases := body.aliases(t.schema, t.name)
	hooked := false
	for _, oid := range f.Triggers {
		hooked = hooked || oid == t.oid
	}
	speaks := body.names(t.name)
	others := map[string]bool{}
	for full, r := range tables.relations {
		schemaName, name, _ := strings.Cut(full, ".")
		if full == t.full() || !body.names(name) {
			continue
		}
		for alias := range body.aliases(schemaName, name) {
			others[alias] = r.has(t.column)
		}
	}
	for i := range body.tokens {
		if body.name(i) && body.at(i).Value() == t.column {
			n := f.column(body, i, t, aliases, others, hooked)
			note(n, map[need]string{needPossible: "may use ", needSure: "uses "}[n]+t.name+"."+t.column)
		}
	}
	for _, n := range body.inserts() {
		if n.table == t.name && n.columns == nil && (n.schema == "" || n.schema == t.schema) {
			note(needSure, "writes to "+t.name+" by position")
		}
	}
	switch {
	case speaks && quotes(body, t.column), (speaks || quotes(body, t.name)) && body.names("execute") && (quotes(body, t.column) || body.names(t.column)):
		note(needPossible, "makes statements that may use "+t.name+"."+t.column)
	case hooked && wholeNew(body):
		note(needPossible, "uses whole rows of "+t.name)
	case speaks && len(aliases) > 0 && starredAnywhere(body):
		note(needPossible, "reads whole rows of "+t.name)
	case f.Language != "plpgsql" && f.Language != "sql" && strings.Contains(f.Source, t.name) && strings.Contains(f.Source, t.column):
		note(needPossible, "is in "+f.Language+" and names "+t.name+" and "+t.column)
	}
	return found, why
}

// column weighs one place where a body has a column's name.
func (f function) column(body text, i int, t target, aliases, others map[string]bool, hooked bool) need {
	if body.is(i-1, ".") {
		qualifier := body.at(i - 2).Value()
		_, other := others[qualifier]
		switch {
		case aliases[qualifier]:
			return needSure
		case qualifier == "new" || qualifier == "old":
			if hooked {
				return needSure
			}
			return needNone
		case other, body.is(i-3, "."), body.is(i-3, "from", "join", "into", "update"):
			return needNone
		case len(aliases) > 0:
			return needPossible // a record, whose row may come from there
		}
		return needNone
	}
	if len(aliases) == 0 || body.is(i+1, "(", ".") && !body.is(i-1, ",", "(") || body.is(i-1, "as") {
		return needNone
	}
	for _, has := range others {
		if has {
			return needPossible
		}
	}
	for _, argument := range f.Arguments {
		if argument == t.column {
			return needPossible
		}
	}
	if declared(body, t.column) {
		return needPossible
	}
	return needSure
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
		case inside && body.at(i).Value() == name && (body.is(i-1, "declare", ";")):
			return true
		}
	}
	return false
}

// quotes says whether a string in a body has a name in it: what EXECUTE may be given.
func quotes(body text, name string) bool {
	for _, token := range body.tokens {
		if token.Kind == sqltext.TokenString && read(strings.ReplaceAll(strings.Trim(token.Text, "'"), "''", "'")).names(name) {
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
	sure, possible := 0, 0
	for _, f := range bodies {
		found, why := needNone, ""
		for _, t := range a.targets {
			if n, text := f.scan(t, a.before); n > found {
				found, why = n, text
			}
		}
		if found != needNone && f.Language == "sql" && applied && analysed(a.targets) {
			failure, err := a.prober.validate(ctx, f)
			if err != nil {
				return err
			}
			if found, why = needNone, ""; failure != nil {
				if found, why = needSure, "would fail: "+failure.message; a.lame[f.Name] {
					found, why = needPossible, "names what goes, and does not work as things are"
				}
			}
		}
		switch found {
		case needSure:
			sure++
			a.ground(checkFunctions, migration.AnswerUnsafe, "function %s %s", f.Name, why)
		case needPossible:
			possible++
			a.ground(checkFunctions, migration.AnswerUnknown, "function %s %s", f.Name, why)
		case needNone:
		}
	}
	if sure+possible == 0 {
		a.ground(checkFunctions, migration.AnswerSafe, "none of %d functions with a body of text needs it", len(bodies))
	}
	return nil
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
