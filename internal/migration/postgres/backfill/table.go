package backfill

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/postgres/server"
)

// Querier is a connection, a pool or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Table is what the catalogue says of a table that is worked on.
type Table struct {
	OID          uint32
	Schema, Name string
	Columns      []Column
}

// Column is one of a table's.
type Column struct {
	Name string
	// Type can be cast to without losing anything: without a length where a cast would cut.
	Type string
	// Default as an expression, "" for none.
	Default string
	// Comparable is false for types without equality (json, xml, point).
	Comparable bool
}

// Types are comparable when btree or hash know how by themselves; others are compared as text.
const selectColumns = `
SELECT a.attname,
	CASE a.atttypid WHEN 'varchar'::regtype THEN 'character varying' WHEN 'bpchar'::regtype THEN 'bpchar' ELSE format_type(a.atttypid, a.atttypmod) END,
	coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
	t.typtype IN ('e', 'r', 'm') OR t.typcategory = 'A' OR b.oid IN ('varchar'::regtype, 'cidr'::regtype) OR EXISTS (
		SELECT 1 FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod WHERE m.amname IN ('btree', 'hash') AND o.opcdefault AND o.opcintype = b.oid)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

const selectTable = `
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (
	$1 IN (n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname))
	OR $1 IN (c.relname, quote_ident(c.relname)) AND pg_table_is_visible(c.oid))
ORDER BY pg_table_is_visible(c.oid) DESC, c.oid LIMIT 1`

// ReadTable looks a table up by its name, qualified or not, quoted or not. KindRefused when there is none.
func ReadTable(ctx context.Context, q Querier, name string) (Table, error) {
	var t Table
	err := q.QueryRow(ctx, selectTable, name).Scan(&t.OID, &t.Schema, &t.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, segue.Errorf(segue.KindRefused, "there is no table %s", name).WithHint("was it dropped or renamed since the plan was made? plan again")
	}
	if err != nil {
		return t, fmt.Errorf("look up table %s: %w", name, err)
	}
	rows, err := q.Query(ctx, selectColumns, t.OID)
	if err != nil {
		return t, fmt.Errorf("read columns of %s: %w", name, err)
	}
	t.Columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Column, err error) {
		return c, row.Scan(&c.Name, &c.Type, &c.Default, &c.Comparable)
	})
	if err != nil {
		return t, fmt.Errorf("read columns of %s: %w", name, err)
	}
	return t, nil
}

// estimate is how many rows the planner expects, from the statistics and the size as it is now.
func (t Table) estimate(ctx context.Context, q Querier) (rows int64, err error) {
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := q.QueryRow(ctx, server.Marked(server.Mark, "EXPLAIN (FORMAT JSON) SELECT FROM ")+t.sql()).Scan(&plan); err != nil {
		return 0, fmt.Errorf("estimate rows of %s: %w", t, err)
	}
	if len(plan) == 0 {
		return 0, nil
	}
	return int64(plan[0].Plan.Rows), nil
}

// String names the table for people.
func (t Table) String() string {
	if t.Schema == "public" {
		return t.Name
	}
	return t.Schema + "." + t.Name
}

func (t Table) sql() string { return quote(t.Schema) + "." + quote(t.Name) }

// column finds one by name.
func (t Table) column(name string) (Column, error) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, nil
		}
	}
	return Column{}, segue.Errorf(segue.KindRefused, "table %s has no column %s", t, name).WithHint("was it dropped or renamed since the plan was made? plan again")
}

func (t Table) columns(names []string) ([]Column, error) {
	found := make([]Column, len(names))
	for i, name := range names {
		var err error
		if found[i], err = t.column(name); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// steady says whether the default gives the same however often it is asked in a transaction, so that a value can be told from it: a constant, or the time.
func (c Column) steady() bool {
	return regexp.MustCompile(`^(E?'([^']|'')*'|-?[0-9.]+|\(-[0-9.]+\)|true|false|NULL|now\(\)|CURRENT_(DATE|TIMESTAMP))(::[^()]+(\([0-9, ]+\))?)*$`).MatchString(c.Default)
}

// of is the column's value in a row, for comparing.
func (c Column) of(row string) string {
	value := quote(c.Name)
	if row != "" {
		value = row + "." + value
	}
	if !c.Comparable {
		value += "::text"
	}
	return value
}

// cast is an expression as a value of the column.
func (c Column) cast(expr string) string { return grouped(expr) + "::" + c.Type }

// value is an expression as a value of the column, for comparing.
func (c Column) value(expr string) string {
	value := c.cast(expr)
	if !c.Comparable {
		value += "::text"
	}
	return value
}

// quote is the one place where an identifier gets into SQL.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}
