package oracle

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue/internal/migration"
)

// queryNames lists what statements of an application can name, as migration.Object does. A column that may be NULL counts as one way to write it.
const queryNames = `
WITH mine AS (SELECT oid, nspname::text AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'segue')),
     relation AS (SELECT c.oid, c.relkind, m.name || '.' || c.relname AS name FROM pg_class c JOIN mine m ON m.oid = c.relnamespace)
SELECT 'other' AS kind, '' AS table, 'schema ' || name AS name FROM mine
UNION ALL SELECT 'table', '', name FROM relation WHERE relkind IN ('r', 'p', 'f')
UNION ALL SELECT 'view', '', name FROM relation WHERE relkind IN ('v', 'm')
UNION ALL SELECT 'other', '', 'sequence ' || name FROM relation WHERE relkind = 'S'
UNION ALL SELECT 'column', r.name, a.attname::text FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
  WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'default', r.name, a.attname::text FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid WHERE r.relkind IN ('r', 'p') AND a.atthasdef AND NOT a.attisdropped
UNION ALL SELECT 'write', r.name, a.attname::text FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
  WHERE r.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attnotnull AND NOT a.attisdropped
UNION ALL SELECT 'index', r.name, x.relname::text FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indisunique
UNION ALL SELECT 'trigger', r.name, t.tgname::text FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL SELECT 'function', '', m.name || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' FROM pg_proc p JOIN mine m ON m.oid = p.pronamespace
UNION ALL SELECT 'type', '', m.name || '.' || t.typname FROM pg_type t JOIN mine m ON m.oid = t.typnamespace
  WHERE t.typtype IN ('e', 'd') OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')`

// hidden says whether a statement does not say in itself what it takes away: code, and what the planner does not read.
func (t text) hidden() bool {
	return t.begins("do", "call", "select", "with", "values", "execute") ||
		t.begins("alter") && t.second("schema", "sequence", "view", "materialized", "function", "procedure", "routine", "aggregate", "foreign")
}

// lookFor reads the books, and the names where a statement hides what it does with them.
func lookFor(ctx context.Context, tx pgx.Tx, text text) (now state, named []migration.Object, err error) {
	if text.hidden() {
		if named, err = names(ctx, tx); err != nil {
			return now, nil, err
		}
	}
	now, err = look(ctx, tx)
	return now, named, err
}

func names(ctx context.Context, tx pgx.Tx) ([]migration.Object, error) {
	rows, err := tx.Query(ctx, queryNames)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o migration.Object, err error) {
		err = row.Scan(&o.Kind, &o.Table, &o.Name)
		return o, err
	})
}

// difference says what is gone of what was there, and whether something came. Parts of what is gone whole are not named.
func difference(before, after []migration.Object) (gone []migration.Object, came bool) {
	was, is := map[migration.Object]bool{}, map[migration.Object]bool{}
	for _, o := range after {
		is[o] = true
	}
	for _, o := range before {
		was[o] = true
	}
	for _, o := range before {
		whole := migration.Object{Kind: migration.ObjectColumn, Table: o.Table, Name: o.Name}
		part := o.Table != "" && !is[migration.Object{Kind: migration.ObjectTable, Name: o.Table}] && !is[migration.Object{Kind: migration.ObjectView, Name: o.Table}] ||
			(o.Kind == migration.ObjectDefault || o.Kind == migration.ObjectWrite) && !is[whole]
		if !is[o] && !part {
			gone = append(gone, o)
		}
	}
	for _, o := range after {
		came = came || !was[o] && o.Kind != migration.ObjectWrite
	}
	return gone, came
}
