package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/segue-deploy/segue/internal/migration"
)

// Inspect implements migration.Driver.
func (d *Driver) Inspect(ctx context.Context) (migration.Server, error) {
	server := migration.Server{Product: "SQLite"}
	var mode string
	var pages, size, objects int64
	for query, into := range map[string]any{
		"SELECT sqlite_version()":            &server.Version,
		"PRAGMA journal_mode":                &mode,
		"PRAGMA page_count":                  &pages,
		"PRAGMA page_size":                   &size,
		"SELECT count(*) FROM sqlite_schema": &objects,
	} {
		// Through the connection that writes, so that a file that can only be read is noticed; the lock is not taken.
		if err := d.read.QueryRowContext(ctx, query).Scan(into); err != nil {
			return migration.Server{}, d.explain("open database", err)
		}
	}
	if err := d.writable(); err != nil {
		return migration.Server{}, d.unopened("open database", err)
	}
	server.Size = pages * size
	if !strings.EqualFold(mode, "wal") {
		server.Faults = append(server.Faults, migration.Fault{
			Message: fmt.Sprintf("the database is in journal mode %q: readers wait for every write, and every write for the readers", strings.ToLower(mode)),
			Hint:    fmt.Sprintf("run once: sqlite3 %s 'PRAGMA journal_mode=WAL'; it stays with the file", d.path),
		})
	}
	return server, nil
}

// Sample implements migration.Driver. Values that are no JSON come as JSON strings.
func (d *Driver) Sample(ctx context.Context, name, column string, n int) ([]json.RawMessage, error) {
	t, found, err := readTable(ctx, d.read, name)
	if err != nil {
		return nil, d.explain("sample "+name, err)
	}
	if _, there := t.column(column); !found || !there {
		return nil, wrongColumn(name, column)
	}
	// Without a rowid to jump by, the beginning has to do.
	source := fmt.Sprintf("SELECT %s AS value FROM %s WHERE %[1]s IS NOT NULL LIMIT %[3]d", quote(column), quote(t.name), max(n, 0))
	if id := t.rowid(); id != "" {
		source = fmt.Sprintf(`WITH RECURSIVE ends AS (SELECT min(%[3]s) AS low, max(%[3]s) AS high FROM %[2]s),
			step(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM step WHERE i + 1 < %[4]d)
			SELECT %[1]s AS value FROM %[2]s WHERE %[1]s IS NOT NULL AND %[3]s IN (
				SELECT (SELECT %[3]s FROM %[2]s WHERE %[3]s >= low + i * ((high - low) / max(%[4]d - 1, 1)) AND %[1]s IS NOT NULL ORDER BY %[3]s LIMIT 1) FROM step, ends)
			LIMIT %[4]d`, quote(column), quote(t.name), id, max(n, 0))
	}
	// 6 is text that is JSON and blobs that look like JSONB.
	values, err := collect(ctx, d.read, func(row scanner) (json.RawMessage, error) {
		text, err := readText(row)
		return json.RawMessage(text), err
	}, "SELECT CASE WHEN json_valid(value, 6) OR json_valid(value) THEN json(value) ELSE json_quote(CAST(value AS TEXT)) END FROM ("+source+")")
	return values, d.explain("sample "+name, err)
}

// writable says whether the file and its folder can be written: SQLite makes its -wal and -shm there.
func (d *Driver) writable() error {
	return errors.Join(unix.Access(d.path, unix.W_OK), unix.Access(filepath.Dir(d.path), unix.W_OK))
}
