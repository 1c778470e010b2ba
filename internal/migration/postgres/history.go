package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/postgres/runner"
	"github.com/segue-deploy/segue/internal/migration/source"
)

// dialect is what source calls PostgreSQL.
const dialect = "postgres"

// querier is a pool, a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// past is what the table of the team's own runner says.
type past struct {
	// applied are files by version; unknown are versions without a file.
	applied map[string]bool
	unknown []string
	faults  []migration.Fault
}

// readPast reads the runner's table, where there is one.
func readPast(ctx context.Context, q querier, from migration.History, files []migration.File) (p past, err error) {
	query := source.Query(from, dialect)
	if query == "" || from.Table == "" {
		return p, nil
	}
	var there bool
	if err := q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", source.Table(from, dialect)).Scan(&there); err != nil || !there {
		return p, err
	}
	found, err := q.Query(ctx, query)
	if err != nil {
		return p, err
	}
	rows, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (r source.Row, err error) {
		var applied, dirty string
		err = row.Scan(&r.Version, &applied, &dirty, &r.Sum)
		r.Applied, r.Dirty = applied == "1", dirty == "1"
		return r, err
	})
	if err != nil {
		return p, err
	}
	p.applied, p.faults = source.Applied(from, files, rows)
	for _, row := range rows {
		number := strings.TrimLeft(row.Version, "0")
		if row.Applied && number != "" && !slices.ContainsFunc(files, func(f migration.File) bool { return strings.TrimLeft(f.Version, "0") == number }) {
			p.unknown = append(p.unknown, row.Version)
		}
	}
	return p, nil
}

// unknownFiles are those that only the runner's history knows.
func (p past) unknownFiles(format string) []migration.FileState {
	states := make([]migration.FileState, 0, len(p.unknown))
	for _, version := range p.unknown {
		states = append(states, migration.FileState{Version: version, Status: migration.FileApplied, By: format})
	}
	return states
}

// history keeps the table of the team's own runner truthful.
type history struct{}

// Applied implements runner.History. The table is made as the runner would make it.
func (history) Applied(ctx context.Context, tx pgx.Tx, file migration.File, from migration.History) error {
	if from.Table == "" {
		return nil
	}
	return record(ctx, tx, file, from, func(folder []migration.File, before []string) []source.Command {
		return slices.Concat(source.Create(from, dialect), source.Record(from, dialect, folder, before, file))
	})
}

// TakenBack implements runner.History.
func (history) TakenBack(ctx context.Context, tx pgx.Tx, file migration.File, from migration.History) error {
	if from.Table == "" {
		return nil
	}
	return record(ctx, tx, file, from, func(folder []migration.File, before []string) []source.Command {
		return source.Unrecord(from, dialect, folder, before, file)
	})
}

func record(ctx context.Context, tx pgx.Tx, file migration.File, from migration.History, commands func(folder []migration.File, before []string) []source.Command) error {
	folder, complete, err := runner.Folder(ctx, tx)
	if err != nil {
		return err
	}
	known, err := readPast(ctx, tx, from, folder)
	if err != nil {
		return err
	}
	before := complete
	for version := range known.applied {
		before = append(before, version)
	}
	before = slices.DeleteFunc(before, func(version string) bool { return version == file.Version })
	for _, command := range commands(folder, before) {
		if _, err := tx.Exec(ctx, command.SQL, command.Args...); err != nil {
			return err
		}
	}
	return nil
}
