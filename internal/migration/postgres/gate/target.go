package gate

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// target is something that a change removes, as one database has it.
type target struct {
	object migration.Object
	// class and oid are those of pg_depend; column is "" where a whole object goes.
	class, oid uint32
	column     string
	schema     string
	// name is the object's own, or the table's of a column.
	name string
}

// full is "schema.name".
func (t target) full() string { return t.schema + "." + t.name }

// catalogs that targets are in.
const (
	classRelation uint32 = 1259
	classFunction uint32 = 1255
	classType     uint32 = 1247
)

// resolve finds what a change removes, with every partition and parent of its tables. What is not there, or cannot be named by a statement, is left out.
func resolve(ctx context.Context, conn querier, objects []migration.Object) ([]target, error) {
	var found []target
	for _, o := range objects {
		var more []target
		var err error
		switch o.Kind {
		case migration.ObjectTable, migration.ObjectView, migration.ObjectColumn, migration.ObjectDefault, migration.ObjectWrite, migration.ObjectIndex,
			migration.ObjectConstraint, migration.ObjectTrigger:
			more, err = resolveRelation(ctx, conn, o)
		case migration.ObjectFunction:
			more, err = resolveNamed(ctx, conn, o, classFunction, "SELECT p.oid, n.nspname, p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.proname = $2 AND ($1 = '' AND pg_function_is_visible(p.oid) OR n.nspname = $1)")
		case migration.ObjectType:
			more, err = resolveNamed(ctx, conn, o, classType, "SELECT t.oid, n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typname = $2 AND ($1 = '' AND pg_type_is_visible(t.oid) OR n.nspname = $1)")
		case migration.ObjectOther:
		}
		if err != nil {
			return nil, server.Explain("look up "+o.String(), err)
		}
		found = append(found, more...)
	}
	return found, nil
}

// standing says whether an object is a relation, or stands on a whole one as far as statements can tell.
func standing(kind migration.ObjectKind) bool {
	switch kind {
	case migration.ObjectColumn, migration.ObjectDefault, migration.ObjectWrite:
		return false
	default:
		return true
	}
}

func resolveRelation(ctx context.Context, conn querier, o migration.Object) ([]target, error) {
	name, column := o.Name, ""
	if o.Table != "" && o.Kind != migration.ObjectTable && o.Kind != migration.ObjectView {
		name = o.Table
	}
	if !standing(o.Kind) {
		column = o.Name
	}
	const query = `WITH RECURSIVE family(oid) AS (SELECT to_regclass($1)::oid
			UNION SELECT CASE WHEN i.inhparent = f.oid THEN i.inhrelid ELSE i.inhparent END FROM family f JOIN pg_inherits i ON f.oid IN (i.inhparent, i.inhrelid))
		SELECT c.oid, n.nspname::text, c.relname::text FROM family f JOIN pg_class c ON c.oid = f.oid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE NOT $3 AND c.oid = to_regclass($1) OR $3 AND ($2 = '' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped))`
	rows, err := conn.Query(ctx, query, server.Identifier(strings.Split(name, ".")...), column, o.Kind != migration.ObjectTable)
	if err != nil {
		return nil, err
	}
	var found []target
	t := target{object: o, class: classRelation, column: column}
	_, err = pgx.ForEachRow(rows, []any{&t.oid, &t.schema, &t.name}, func() error {
		found = append(found, t)
		return nil
	})
	return found, err
}

func resolveNamed(ctx context.Context, conn querier, o migration.Object, class uint32, query string) ([]target, error) {
	schemaName, name, qualified := strings.Cut(strings.TrimSpace(strings.SplitN(o.Name, "(", 2)[0]), ".")
	if !qualified {
		schemaName, name = "", schemaName
	}
	t := target{object: o, class: class}
	err := conn.QueryRow(ctx, query+" LIMIT 1", schemaName, name).Scan(&t.oid, &t.schema, &t.name)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return []target{t}, err
}

// possible says whether a statement can have anything to do with the targets, by the names in it: those of the objects, and of what stands on them.
func possible(t text, targets []target, related map[string]bool) bool {
	if t.is(0, "do") { // whatever its language, and whatever it makes of text
		return mentions(t.sql, targets, related)
	}
	if t.cut {
		return true
	}
	whole := t.is(0, "truncate", "lock") // without a look at columns
	for _, one := range targets {
		if t.names(one.name) && (!whole || one.column == "") {
			return true
		}
	}
	for name := range related {
		if t.names(name) {
			return true
		}
	}
	return false
}

// mentions says whether a text has one of the names in it, anywhere.
func mentions(body string, targets []target, related map[string]bool) bool {
	body = strings.ToLower(body)
	for _, one := range targets {
		if strings.Contains(body, strings.ToLower(one.name)) {
			return true
		}
	}
	for name := range related {
		if strings.Contains(body, strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// vague says whether something goes that no name in a statement would give away.
func vague(objects []migration.Object, targets []target) bool {
	return slices.ContainsFunc(objects, func(o migration.Object) bool {
		return !slices.ContainsFunc(targets, func(t target) bool { return t.object == o })
	})
}

// spoken says whether a statement names the very thing that goes, which does not mean that it needs it.
func spoken(t text, targets []target) bool {
	for _, one := range targets {
		if t.names(one.name) && (one.column == "" || t.names(one.column)) {
			return true
		}
	}
	return false
}
