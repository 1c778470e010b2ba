package shop

import (
	"context"
	"database/sql"
	"regexp"
)

// dialect is whose SQL is spoken. Queries are written with $1, $2, ...; what the two do not share is written twice.
type dialect int

const (
	dialectSQLite dialect = iota
	dialectPostgres
)

// String names the dialect as the folder of its migrations.
func (d dialect) String() string {
	if d == dialectPostgres {
		return "postgres"
	}
	return "sqlite"
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// query puts a query into the dialect.
func (d dialect) query(text string) string {
	if d == dialectPostgres {
		return text
	}
	return placeholder.ReplaceAllString(text, "?$1")
}

// pick gives the one of two texts that is the dialect's.
func (d dialect) pick(sqlite, postgres string) string {
	if d == dialectPostgres {
		return postgres
	}
	return sqlite
}

// pool is a database that is spoken to in its dialect; txn is a transaction of one.
type pool struct {
	*sql.DB
	dialect dialect
	// heard, if not nil, hears of every statement.
	heard func(string)
}

// query puts a statement into the dialect, and tells of it.
func (p pool) query(text string) string { return told(p.heard, p.dialect.query(text)) }

func told(heard func(string), text string) string {
	if heard != nil {
		heard(text)
	}
	return text
}

// QueryContext is that of sql.DB.
func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.DB.QueryContext(ctx, p.query(query), args...)
}

// QueryRowContext is that of sql.DB.
func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.DB.QueryRowContext(ctx, p.query(query), args...)
}

type txn struct {
	*sql.Tx
	dialect dialect
	heard   func(string)
}

func (t *txn) query(text string) string { return told(t.heard, t.dialect.query(text)) }

// ExecContext is that of sql.Tx.
func (t *txn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.Tx.ExecContext(ctx, t.query(query), args...)
}

// QueryContext is that of sql.Tx.
func (t *txn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.Tx.QueryContext(ctx, t.query(query), args...)
}

// QueryRowContext is that of sql.Tx.
func (t *txn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.Tx.QueryRowContext(ctx, t.query(query), args...)
}
