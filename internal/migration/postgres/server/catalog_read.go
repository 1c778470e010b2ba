package server

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// beginner is a pool or a connection.
type beginner interface {
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Catalog reads the schema and its sizes, in one snapshot. Expressions and definitions name everything with its schema, whatever the search path is;
// only what is in pg_catalog stands alone.
func (s *Server) Catalog(ctx context.Context) (Catalog, error) {
	catalog, err := readCatalog(ctx, s.pool)
	return catalog, Explain("read the catalogue", err)
}

func readCatalog(ctx context.Context, from beginner) (catalog Catalog, err error) {
	err = snapshot(ctx, from, func(tx pgx.Tx, path []string) error {
		r := &reader{tx: tx, tables: map[uint32]*Table{}}
		catalog = r.read(ctx)
		catalog.SearchPath = path
		return r.err
	})
	return catalog, err
}

// snapshot runs look in a transaction that sees one state of the catalogue, with an empty search path, so that the server qualifies every name that it
// gives. It waits for nobody long. path is the search path that there was, as schemas that exist.
func snapshot(ctx context.Context, from beginner, look func(tx pgx.Tx, path []string) error) error {
	tx, err := from.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it has changed nothing
	var path []string
	if err := tx.QueryRow(ctx, "SELECT current_schemas(false)::text[]").Scan(&path); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = ''; SET LOCAL lock_timeout = '3s'", pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	return look(tx, path)
}

// reader asks the catalogue's questions until one fails.
type reader struct {
	tx     pgx.Tx
	tables map[uint32]*Table
	err    error
}

// rows runs a query whose columns have the names of T's fields.
func rows[T any](ctx context.Context, r *reader, query string) []T {
	if r.err != nil {
		return nil
	}
	found, err := r.tx.Query(ctx, query)
	if err != nil {
		r.err = err
		return nil
	}
	all, err := pgx.CollectRows(found, pgx.RowToStructByName[T])
	r.err = err
	return all
}

func (r *reader) read(ctx context.Context) Catalog {
	var catalog Catalog
	for _, one := range rows[struct {
		Version    int
		Extensions []string
	}](ctx, r, `SELECT current_setting('server_version_num')::int AS version,
		(SELECT coalesce(array_agg(extname::text ORDER BY extname), '{}') FROM pg_extension) AS extensions`) {
		catalog.Version, catalog.Extensions = one.Version, one.Extensions
	}
	catalog.Tables = r.readTables(ctx, catalog.Version)
	for i := range catalog.Tables {
		r.tables[catalog.Tables[i].OID] = &catalog.Tables[i]
	}
	r.readParts(ctx)
	catalog.Views = rows[View](ctx, r, queryViews)
	catalog.Functions = rows[Function](ctx, r, queryFunctions)
	catalog.Enums = rows[Enum](ctx, r, queryEnums)
	return catalog
}

func (r *reader) readTables(ctx context.Context, version int) []Table {
	type row struct {
		Schema, Name, Parent, Owner string
		OID                         uint32
		Rows, Bytes, Heap           int64
		Partitioned, RowSecurity    bool
	}
	found := rows[row](ctx, r, queryTables)
	tables := make([]Table, 0, len(found))
	for _, t := range found {
		if version < 140000 && t.Rows == 0 && t.Heap == 0 {
			t.Rows = -1 // before 14, a table that was never looked at has the statistics of an empty one
		}
		tables = append(tables, Table{
			Schema: t.Schema, Name: t.Name, OID: t.OID, Rows: t.Rows, Bytes: t.Bytes, Heap: t.Heap,
			Partitioned: t.Partitioned, Parent: t.Parent, RowSecurity: t.RowSecurity, Owner: t.Owner,
		})
	}
	return tables
}

// readParts reads what belongs to tables.
func (r *reader) readParts(ctx context.Context) {
	type column struct {
		Relation uint32
		Column
	}
	for _, c := range rows[column](ctx, r, queryColumns) {
		if t := r.tables[c.Relation]; t != nil {
			t.Columns = append(t.Columns, c.Column)
		}
	}
	type constraint struct {
		Relation uint32
		Letter   string
		Name     string
		Columns  []string
		References, Definition,
		Index string
		RefColumns []string
		Validated  bool
	}
	for _, c := range rows[constraint](ctx, r, queryConstraints) {
		if t := r.tables[c.Relation]; t != nil {
			t.Constraints = append(t.Constraints, Constraint{
				Name: c.Name, Kind: c.Letter[0], Columns: c.Columns, References: c.References, RefColumns: c.RefColumns,
				Definition: c.Definition, Validated: c.Validated, Index: c.Index,
			})
		}
	}
	type index struct {
		Relation uint32
		Index
	}
	for _, i := range rows[index](ctx, r, queryIndexes) {
		if t := r.tables[i.Relation]; t != nil {
			t.Indexes = append(t.Indexes, i.Index)
		}
	}
	for _, one := range rows[struct {
		Relation      uint32
		Name, Command string
	}](ctx, r, queryRules) {
		if t := r.tables[one.Relation]; t != nil {
			if t.Rules == nil {
				t.Rules = map[string]string{}
			}
			t.Rules[one.Command] = one.Name
		}
	}
	type trigger struct {
		Relation uint32
		Trigger
	}
	for _, i := range rows[trigger](ctx, r, queryTriggers) {
		if t := r.tables[i.Relation]; t != nil {
			t.Triggers = append(t.Triggers, i.Trigger)
		}
	}
}
