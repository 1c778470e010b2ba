package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ownPrefix begins the names of Segue's own tables, which are never part of a copy.
const ownPrefix = "segue_"

// object is a line of sqlite_schema.
type object struct{ kind, name, table, sql string }

// column is one of a table or view.
type column struct {
	name, kind, standard string
	hasDefault, notNull  bool
	// key is its place in the primary key, from 1; 0 when it is not in it. hidden columns are generated ones and those of virtual tables.
	key    int
	hidden bool
}

// table is what PRAGMA knows of a table.
type table struct {
	name, sql     string
	columns       []column
	rowless       bool
	view, virtual bool
}

// readObjects reads the schema in the order in which it was made, without what SQLite and Segue keep for themselves.
func readObjects(ctx context.Context, q querier) ([]object, error) {
	// Shadow tables are made by the virtual table they belong to.
	const query = `SELECT type, name, tbl_name, sql FROM sqlite_schema s WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow' AND schema = 'main')
		AND NOT (type = 'table' AND name LIKE 'segue\_%' ESCAPE '\')
		ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`
	return collect(ctx, q, func(row scanner) (o object, err error) {
		err = row.Scan(&o.kind, &o.name, &o.table, &o.sql)
		return o, err
	}, query)
}

// readTable asks for one table or view; found is false when there is none of that name.
func readTable(ctx context.Context, q querier, name string) (t table, found bool, err error) {
	var kind string
	row := q.QueryRowContext(ctx, `SELECT l.name, l.type, l.wr, coalesce(s.sql, '') FROM pragma_table_list l
		JOIN sqlite_schema s ON s.name = l.name AND s.type IN ('table', 'view') WHERE l.schema = 'main' AND l.name = ? COLLATE NOCASE`, name)
	switch err := row.Scan(&t.name, &kind, &t.rowless, &t.sql); {
	case errors.Is(err, sql.ErrNoRows):
		return t, false, nil
	case err != nil:
		return t, false, fmt.Errorf("read table %s: %w", name, err)
	}
	t.view, t.virtual = kind == "view", kind == "virtual"
	t.columns, err = collect(ctx, q, readColumn, `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)`, t.name)
	if err != nil {
		return t, false, fmt.Errorf("read table %s: %w", name, err)
	}
	return t, true, nil
}

func readColumn(row scanner) (c column, err error) {
	var standard sql.NullString
	err = row.Scan(&c.name, &c.kind, &c.notNull, &standard, &c.key, &c.hidden)
	c.standard, c.hasDefault = standard.String, standard.Valid && !strings.EqualFold(standard.String, "NULL")
	return c, err
}

// column finds one by name.
func (t table) column(name string) (column, bool) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return column{}, false
	}
	return t.columns[i], true
}

// rowid gives a name by which the table's rowid can be had, "" when it has none or columns hide all three.
func (t table) rowid() string {
	if t.rowless || t.view || t.virtual {
		return ""
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if _, hidden := t.column(name); !hidden {
			return name
		}
	}
	return ""
}

// key gives the columns along which the table can be walked: the rowid, under its own name where it has one, or the primary key.
func (t table) key() []string {
	var keys []column
	for _, c := range t.columns {
		if c.key > 0 {
			keys = append(keys, c)
		}
	}
	if !t.rowless {
		if len(keys) == 1 && strings.EqualFold(keys[0].kind, "INTEGER") {
			return []string{keys[0].name}
		}
		if id := t.rowid(); id != "" {
			return []string{id}
		}
		return nil
	}
	slices.SortFunc(keys, func(a, b column) int { return a.key - b.key })
	names := make([]string, len(keys))
	for i, c := range keys {
		names[i] = c.name
	}
	return names
}

// required lists columns that an INSERT must name: NOT NULL, without default, and not given by SQLite.
func (t table) required() []string {
	var names []string
	key := t.key()
	for _, c := range t.columns {
		given := len(key) == 1 && !t.rowless && strings.EqualFold(key[0], c.name)
		if c.notNull && !c.hasDefault && !c.hidden && !given {
			names = append(names, c.name)
		}
	}
	return names
}

// countLimit is up to how many rows are counted; beyond, the highest rowid stands for them.
const countLimit = 100_000

// countRows estimates how many rows a table has, in bounded time.
func countRows(ctx context.Context, q querier, t table) (int64, error) {
	var n int64
	if t.view || t.virtual {
		return 0, nil
	}
	query := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d)", quote(t.name), countLimit)
	if err := q.QueryRowContext(ctx, query).Scan(&n); err != nil {
		return 0, fmt.Errorf("count rows of %s: %w", t.name, err)
	}
	id := t.rowid()
	if n < countLimit || id == "" {
		return n, nil
	}
	var highest sql.NullInt64
	if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT max(%s) - min(%[1]s) + 1 FROM %[2]s", id, quote(t.name))).Scan(&highest); err != nil {
		return 0, fmt.Errorf("count rows of %s: %w", t.name, err)
	}
	return max(n, highest.Int64), nil
}
