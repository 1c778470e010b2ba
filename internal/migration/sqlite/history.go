package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/migration/source"
)

// dialect is what source calls SQLite.
const dialect = "sqlite"

// history is what the table of the team's own runner says.
type history struct {
	// applied are files by version; unknown are versions without a file.
	applied map[string]bool
	unknown []string
	faults  []migration.Fault
}

// readHistory reads the runner's table, where there is one.
func readHistory(ctx context.Context, q querier, from migration.History, files []migration.File) (h history, err error) {
	query := source.Query(from, dialect)
	if query == "" || from.Table == "" {
		return h, nil
	}
	var there bool
	name := from.Table[strings.LastIndexByte(from.Table, '.')+1:]
	row := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)", name)
	if err := row.Scan(&there); err != nil || !there {
		return h, err
	}
	rows, err := collect(ctx, q, readHistoryRow, query)
	if err != nil {
		return h, err
	}
	h.applied, h.faults = source.Applied(from, files, rows)
	for _, row := range rows {
		number := strings.TrimLeft(row.Version, "0")
		if row.Applied && number != "" && !slices.ContainsFunc(files, func(f migration.File) bool { return strings.TrimLeft(f.Version, "0") == number }) {
			h.unknown = append(h.unknown, row.Version)
		}
	}
	return h, nil
}

func readHistoryRow(row scanner) (r source.Row, err error) {
	var applied, dirty string
	err = row.Scan(&r.Version, &applied, &dirty, &r.Sum)
	r.Applied, r.Dirty = applied == "1", dirty == "1"
	return r, err
}

// writeHistory tells the runner's table that a file is applied, in the transaction in which it came to be. The table is made as the runner would make it.
func writeHistory(ctx context.Context, tx *sql.Conn, row fileRow, complete []string) error {
	if row.History.Table == "" {
		return nil
	}
	folder, err := readFolder(ctx, tx)
	if err != nil {
		return err
	}
	known, err := readHistory(ctx, tx, row.History, folder)
	if err != nil {
		return err
	}
	before := slices.Clone(complete)
	for version := range known.applied {
		before = append(before, version)
	}
	commands := slices.Concat(source.Create(row.History, dialect), source.Record(row.History, dialect, folder, before, row.File))
	for _, command := range commands {
		if _, err := tx.ExecContext(ctx, command.SQL, command.Args...); err != nil {
			return err
		}
	}
	return nil
}

// readFolder gives the files of the folder, by their versions alone, in order.
func readFolder(ctx context.Context, q querier) ([]migration.File, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT versions FROM segue_folder").Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var versions []string
	if err := json.Unmarshal([]byte(text), &versions); err != nil {
		return nil, segue.Errorf(segue.KindCorrupt, "read the folder's files from the journal: %w", err)
	}
	files := make([]migration.File, len(versions))
	for i, version := range versions {
		files[i].Version = version
	}
	return files, nil
}

// recordFolder writes down which files the folder has.
func recordFolder(ctx context.Context, tx *sql.Conn, versions []string) error {
	if len(versions) == 0 {
		return nil
	}
	text, err := json.Marshal(versions)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO segue_folder (id, versions) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET versions = ?1", string(text))
	return err
}
