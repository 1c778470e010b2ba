package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// Sample implements migration.Driver. Of a large table pages are taken at random; values are cut from whatever rows are there.
func (d *Driver) Sample(ctx context.Context, table, column string, n int) ([]json.RawMessage, error) {
	if n <= 0 {
		return nil, nil
	}
	var name string
	var pages float64
	const find = `SELECT coalesce(c.oid::regclass::text, ''), coalesce(c.relpages, 0)::float8
		FROM (SELECT to_regclass($1) AS oid) t LEFT JOIN pg_class c ON c.oid = t.oid`
	if err := d.server.Pool().QueryRow(ctx, find, table).Scan(&name, &pages); err != nil {
		return nil, server.Explain("sample "+table, err)
	}
	if name == "" {
		return nil, segue.Errorf(segue.KindNotFound, "there is no table %s", table)
	}
	// Four times as many pages as values, for some rows have none.
	share := min(100, max(0.001, 400*float64(n)/max(pages, 1)))
	query := fmt.Sprintf("SELECT to_json(%[1]s)::text FROM %[2]s TABLESAMPLE SYSTEM (%[3]f) WHERE %[1]s IS NOT NULL LIMIT %[4]d", server.Identifier(column), name, share, n)
	rows, err := d.server.Pool().Query(ctx, query)
	if err != nil {
		return nil, server.Explain("sample "+table+"."+column, err)
	}
	values, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (json.RawMessage, error) {
		var text string
		err := row.Scan(&text)
		return json.RawMessage(text), err
	})
	return values, server.Explain("sample "+table+"."+column, err)
}
