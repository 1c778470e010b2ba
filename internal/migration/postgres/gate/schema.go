package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/backfill"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// relation is a table or view of a scratch copy.
type relation struct {
	oid  uint32
	view bool
	// row is the type of its rows, rows that of arrays of them.
	row, rows uint32
	columns   []column
	// filler holds the sources of functions that run before rows are inserted: they may give a column its value.
	filler string
}

// column is one of a relation's.
type column struct {
	name, kind string
	// oid is the type's: a type that was made anew has the old name.
	oid uint32
	// required columns must be given by an INSERT: not null, and nothing else fills them.
	required bool
	// lends is true where a default fills it, with fill.
	lends bool
	fill  string
}

func (r relation) has(name string) bool { return r.column(name) != nil }

// column gives one of the columns, nil for none of the name.
func (r relation) column(name string) *column {
	for i := range r.columns {
		if r.columns[i].name == name {
			return &r.columns[i]
		}
	}
	return nil
}

// schema is a scratch copy's, by "schema.name", at one time.
type schema struct {
	relations map[string]relation
	path      []string
	// names are those of all that a statement can take as a value (regclass, regproc, regtype), sequences among them.
	names map[string]bool
}

// readSchema reads a copy.
func readSchema(ctx context.Context, conn *pgx.Conn) (schema, error) {
	s := schema{relations: map[string]relation{}}
	if err := conn.QueryRow(ctx, "SELECT current_schemas(false)::text[]").Scan(&s.path); err != nil {
		return s, server.Explain("read the copy's schema", err)
	}
	var err error
	if s.names, err = readNames(ctx, conn); err != nil {
		return s, err
	}
	const query = `SELECT n.nspname || '.' || c.relname, c.oid, c.relkind IN ('v', 'm'), c.reltype, (SELECT t.typarray FROM pg_type t WHERE t.oid = c.reltype), a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid,
			a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '', a.atthasdef AND a.attgenerated = '',
			coalesce((SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum AND a.attgenerated = ''), ''),
			coalesce((SELECT string_agg(f.prosrc, ' ') FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
				WHERE t.tgrelid = c.oid AND t.tgtype & 7 = 7 AND NOT t.tgisinternal), '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
		ORDER BY c.oid, a.attnum`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return s, server.Explain("read the copy's schema", err)
	}
	var name, filler string
	var one relation
	var col column
	_, err = pgx.ForEachRow(rows, []any{&name, &one.oid, &one.view, &one.row, &one.rows, &col.name, &col.kind, &col.oid, &col.required, &col.lends, &col.fill, &filler}, func() error {
		known := s.relations[name]
		one.columns, one.filler = append(known.columns, col), filler
		s.relations[name] = one
		return nil
	})
	if err != nil {
		return s, server.Explain("read the copy's schema", err)
	}
	return s, nil
}

func readNames(ctx context.Context, conn *pgx.Conn) (map[string]bool, error) {
	const query = `SELECT n.nspname || '.' || named.name FROM pg_namespace n JOIN (SELECT relnamespace AS oid, relname AS name FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
		UNION SELECT pronamespace, proname FROM pg_proc UNION SELECT typnamespace, typname FROM pg_type WHERE typtype IN ('e', 'd', 'r') OR typtype = 'c') named USING (oid)
		WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'`
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, server.Explain("read the copy's names", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, server.Explain("read the copy's names", err)
	}
	names := make(map[string]bool, len(all))
	for _, name := range all {
		names[name] = true
	}
	return names, nil
}

// loses says whether a name is not there any more in another schema.
func (s schema) loses(later schema) bool {
	for name := range s.names {
		if !later.names[name] {
			return true
		}
	}
	return false
}

// find looks a name up along a search path.
func (s schema) find(path []string, schemaName, name string) (full string, found relation, ok bool) {
	if schemaName != "" {
		path = []string{schemaName}
	} else if path == nil {
		path = s.path
	}
	for _, in := range path {
		if r, ok := s.relations[in+"."+name]; ok {
			return in + "." + name, r, true
		}
	}
	return "", relation{}, false
}

// changed says whether a relation has other columns in another schema.
func (s schema) changed(later schema, full string) bool {
	return !slices.EqualFunc(s.relations[full].columns, later.relations[full].columns, column.like)
}

// moved says whether what the first columns of a relation are, all for less than none, are others in another schema.
func (s schema) moved(later schema, full string, first int) bool {
	was, is := s.relations[full].columns, later.relations[full].columns
	if first < 0 || first > len(was) {
		first = len(was)
	}
	return len(is) < first || !slices.EqualFunc(was[:first], is[:first], column.like)
}

// retyped says whether a column of a relation has another type in another schema.
func (s schema) retyped(later schema, full string) bool {
	return slices.ContainsFunc(later.relations[full].columns, func(is column) bool {
		return slices.ContainsFunc(s.relations[full].columns, func(was column) bool { return was.name == is.name && !was.like(is) })
	})
}

// rowType gives the relation of whose rows, or arrays of rows, a type is, where that has other columns in another schema; "" for none.
func (s schema) rowType(later schema, oid uint32) string {
	for full, r := range s.relations {
		if oid != 0 && (oid == r.row || oid == r.rows) && s.changed(later, full) {
			return full
		}
	}
	return ""
}

// like says whether two columns look the same from outside.
func (c column) like(other column) bool {
	return c.name == other.name && c.kind == other.kind && c.oid == other.oid
}

// applyError says that the copy would not take a change.
type applyError struct {
	change migration.ChangeID
	cause  error
}

func (e applyError) Error() string {
	return fmt.Sprintf("apply change %s to the copy: %v", e.change, e.cause)
}
func (e applyError) Unwrap() error { return e.cause }

// apply does to a copy what a change does to the database. The copy has no rows, and so of a backfill it gets the triggers alone: what they fill, no
// release must give.
func apply(ctx context.Context, conn *pgx.Conn, change migration.Change) error {
	for _, action := range change.Actions {
		if err := conn.PgConn().Exec(ctx, patiently(action.SQL)).Close(); err != nil {
			// A transaction that the action began itself is over with this.
			_, _ = conn.Exec(ctx, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
			return applyError{change: change.ID, cause: err}
		}
	}
	if b := change.Backfill; b != nil && b.Sync != nil && b.Sync.Until != migration.PhaseBackfill {
		return synchronise(ctx, conn, change)
	}
	return nil
}

// synchronise makes the triggers of a backfill, anew where the copy has them from the database.
func synchronise(ctx context.Context, conn *pgx.Conn, change migration.Change) error {
	table, err := backfill.ReadTable(ctx, conn, change.Backfill.Table)
	if err != nil {
		return err
	}
	create, drop, err := backfill.SyncSQL(*change.Backfill.Sync, table)
	if err != nil {
		return err
	}
	for _, statement := range slices.Concat([]string{"CREATE SCHEMA IF NOT EXISTS " + server.Identifier(backfill.Schema)}, drop, create) {
		if err := conn.PgConn().Exec(ctx, statement).Close(); err != nil {
			return applyError{change: change.ID, cause: err}
		}
	}
	return nil
}

// patiently takes CONCURRENTLY out: on a copy there is nobody to wait for, and it would need a transaction of its own.
func patiently(sql string) string {
	t := read(sql)
	if !t.is(0, "create", "drop", "reindex", "refresh", "alter") || !t.names("concurrently") {
		return sql
	}
	var out strings.Builder
	for _, token := range sqltext.Tokens(sqltext.Postgres, sql) {
		if !token.Is("concurrently") {
			out.WriteString(token.Text)
		}
	}
	return out.String()
}
