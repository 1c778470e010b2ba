package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/segue-deploy/segue"
)

// applicationID marks a SQLite file as Segue's journal ("SGUE").
const applicationID = 0x53475545

//go:embed migrations/*.sql
var migrations embed.FS

// check refuses what is no journal, is damaged, or was written by a newer version, before anything is changed.
func (j *Journal) check(ctx context.Context) error {
	var id, format, tables int64
	for query, into := range map[string]*int64{
		"PRAGMA application_id":              &id,
		"PRAGMA user_version":                &format,
		"SELECT count(*) FROM sqlite_master": &tables,
	} {
		if err := j.write.QueryRowContext(ctx, query).Scan(into); err != nil {
			return j.explain("open", err)
		}
	}
	known, err := formats()
	if err != nil {
		return err
	}
	switch {
	case id == 0 && format == 0 && tables == 0:
		return nil
	case id != applicationID:
		return j.corrupt("it is a database of something else")
	case format > int64(len(known)):
		return segue.Errorf(segue.KindInvalid, "journal %s was written by a newer segue (format %d, this one knows up to %d)", j.path, format, len(known)).
			WithHint("use the segue that wrote it, or a newer one")
	}
	var word string
	if err := j.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&word); err != nil {
		return j.explain("open", err)
	}
	if word != "ok" {
		return j.corrupt("%s", word)
	}
	return nil
}

// formats gives the scripts that lead from one format to the next, in order: the first makes format 1 out of an empty file.
func formats() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	scripts := make([]string, len(names))
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		scripts[i] = string(text)
	}
	return scripts, nil
}

// migrate brings the file to the present format, each step in a transaction of its own.
func (j *Journal) migrate(ctx context.Context) error {
	// Has to come first and outside transactions; it stays with the file.
	if _, err := j.write.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return j.explain("open", err)
	}
	scripts, err := formats()
	if err != nil {
		return err
	}
	var format int
	if err := j.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return j.explain("open", err)
	}
	for ; format < len(scripts); format++ {
		err := j.transaction(ctx, func(tx *sql.Tx) error {
			// Pragmas take no parameters; both numbers are ours.
			_, err := tx.ExecContext(ctx, fmt.Sprintf("%s\nPRAGMA application_id = %d; PRAGMA user_version = %d;", scripts[format], applicationID, format+1))
			return err
		})
		if err != nil {
			return j.explain("migrate", err)
		}
	}
	return nil
}
