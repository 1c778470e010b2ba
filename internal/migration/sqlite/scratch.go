package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	engine "modernc.org/sqlite"

	"github.com/segue-deploy/segue/internal/migration"
)

// scratch is a copy in memory: the schema, and no rows.
type scratch struct {
	db   *sql.DB
	conn *sql.Conn
	// notes say what could not be copied.
	notes []string
}

// newScratch copies a schema. Names in double quotes that are no columns are errors on it, as far as the schema itself allows: SQLite would take them
// for texts, and a statement that names a dropped column in quotes would pass for one that does not need it.
func newScratch(ctx context.Context, objects []object) (*scratch, error) {
	s, err := copySchema(ctx, objects, "_dqs=0")
	if err != nil {
		return nil, err
	}
	if len(s.notes) == 0 {
		return s, nil
	}
	lax, err := copySchema(ctx, objects, "_dqs=1")
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if len(lax.notes) >= len(s.notes) {
		return s, lax.close()
	}
	return lax, s.close()
}

func copySchema(ctx context.Context, objects []object, option string) (*scratch, error) {
	db, err := sql.Open("sqlite", "file::memory:?"+option)
	if err != nil {
		return nil, fmt.Errorf("open scratch copy: %w", err)
	}
	// Each connection would have a database of its own.
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open scratch copy: %w", err), db.Close())
	}
	s := &scratch{db: db, conn: conn}
	for _, o := range objects {
		if err := s.exec(ctx, o.sql); err != nil {
			s.notes = append(s.notes, fmt.Sprintf("%s %s cannot be copied, so nothing can be said of it: %s", o.kind, o.name, plain(err)))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scratch) exec(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

// prepare has SQLite read a statement and gives the names of its result's columns; nothing is run.
func (s *scratch) prepare(statement string) (names []string, err error) {
	err = s.conn.Raw(func(driver any) error {
		columns, ok := driver.(interface {
			ColumnInfo(query string) ([]engine.ColumnInfo, error)
		})
		if !ok {
			return errors.New("the SQLite driver does not tell columns")
		}
		info, err := columns.ColumnInfo(statement)
		for _, c := range info {
			names = append(names, c.Name)
		}
		return err
	})
	return names, err
}

// try runs a statement of a migration. What writes rows is only prepared: there are none to write, and made-up ones would prove nothing.
func (s *scratch) try(ctx context.Context, statement string) error {
	switch word, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(statement)), " "); word {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "VALUES", "VACUUM", "ANALYZE", "REINDEX", "PRAGMA":
		_, err := s.prepare(statement)
		return err
	}
	return s.exec(ctx, statement)
}

// apply does to the copy what a change does to the real one, as far as the schema goes.
func (s *scratch) apply(ctx context.Context, change migration.Change) error {
	for _, action := range change.Actions {
		if err := s.try(ctx, action.SQL); err != nil {
			return err
		}
	}
	if change.Backfill == nil || change.Backfill.Sync == nil {
		return nil
	}
	t, _, err := s.table(ctx, change.Backfill.Table)
	if err != nil {
		return err
	}
	for _, statement := range createSync(*change.Backfill.Sync, t) {
		if err := s.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *scratch) table(ctx context.Context, name string) (table, bool, error) {
	return readTable(ctx, s.conn, name)
}

func (s *scratch) objects(ctx context.Context) ([]object, error) { return readObjects(ctx, s.conn) }

// named finds an object of the copy.
func (s *scratch) named(ctx context.Context, kind, name string) (object, bool, error) {
	all, err := s.objects(ctx)
	if err != nil {
		return object{}, false, err
	}
	i := slices.IndexFunc(all, func(o object) bool { return o.kind == kind && strings.EqualFold(o.name, name) })
	if i < 0 {
		return object{}, false, nil
	}
	return all[i], true, nil
}

// refuses tries a statement on a table that has one row, made up: SQLite refuses some additions only where there are rows. A table that takes
// no such row says nothing.
func (s *scratch) refuses(ctx context.Context, t table, statement string) (err error) {
	probe, err := copySchema(ctx, []object{{kind: "table", name: t.name, sql: t.sql}}, "_dqs=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, probe.close()) }()
	var names, values []string
	for _, c := range t.columns {
		if c.hidden {
			continue
		}
		value := "'1'"
		if kind := strings.ToUpper(c.kind); strings.Contains(kind, "INT") || strings.Contains(kind, "REAL") {
			value = "1"
		}
		names, values = append(names, c.name), append(values, value)
	}
	insert := fmt.Sprintf("PRAGMA ignore_check_constraints = 1; INSERT INTO %s (%s) VALUES (%s)", quote(t.name), quoteAll(names), strings.Join(values, ", "))
	if len(probe.notes) > 0 || probe.exec(ctx, insert) != nil {
		return nil
	}
	return probe.exec(ctx, statement)
}

func (s *scratch) close() error {
	return errors.Join(s.conn.Close(), s.db.Close())
}
