package shop

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// migrations are the changes of the schema, one folder per dialect, as any team has them. Whoever rolls the shop may run them; without
// that the shop runs its own at its start.
//
//go:embed migrations
var migrations embed.FS

// Migrations gives the folder of a dialect's migrations, "sqlite" or "postgres", and the names of the files that come with a release.
func Migrations(release, dialect string) (fs.FS, []string, error) {
	folder, err := fs.Sub(migrations, path.Join("migrations", dialect))
	if err != nil {
		return nil, nil, fmt.Errorf("find migrations for %s: %w", dialect, err)
	}
	names := []string{"0001_base.sql"}
	if release != "v1" {
		names = append(names, "0002_reviews_and_names.sql")
	}
	switch release {
	case "v3":
		names = append(names, "0003_drop_name.sql")
	case "v3-breaking":
		names = append(names, "0003_breaking.sql")
	case "v3-long":
		names = append(names, "0003_long.sql")
	}
	return folder, names, nil
}

// migrate runs what a release brings and has not been run yet, all of it or nothing.
func (s *store) migrate(ctx context.Context, release string) error {
	folder, names, err := Migrations(release, s.dialect.String())
	if err != nil {
		return err
	}
	return s.update(ctx, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS shop_migrations (name TEXT PRIMARY KEY)`); err != nil {
			return fmt.Errorf("create table of migrations: %w", err)
		}
		for _, name := range names {
			if err := tx.migrate(ctx, folder, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *txn) migrate(ctx context.Context, folder fs.FS, name string) error {
	var known int
	if err := t.QueryRowContext(ctx, `SELECT count(*) FROM shop_migrations WHERE name = $1`, name).Scan(&known); err != nil || known > 0 {
		return wrapped("read migrations", err)
	}
	text, err := fs.ReadFile(folder, name)
	if err != nil {
		return fmt.Errorf("read migration %s: %w", name, err)
	}
	// The files have no semicolon but at the end of a statement, not even in a comment.
	statements := slices.DeleteFunc(strings.Split(string(text), ";"), func(s string) bool { return strings.TrimSpace(s) == "" })
	for _, statement := range statements {
		if _, err := t.Tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("run migration %s: %w", name, err)
		}
	}
	_, err = t.ExecContext(ctx, `INSERT INTO shop_migrations (name) VALUES ($1)`, name)
	return wrapped("record migration", err)
}

// furnish puts the products of a new shop on the shelf, and as many customers into its books as are wanted: from a time before the shop was on the web.
func (s *store) furnish(ctx context.Context, customers int) error {
	return s.update(ctx, func(ctx context.Context, tx *txn) error {
		for _, p := range assortment() {
			const insert = `INSERT INTO products (slug, name, artist, genre, blurb, cents, stock) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`
			if _, err := tx.ExecContext(ctx, insert, p.Slug, p.Name, p.Artist, p.Genre, p.Blurb, p.Cents, p.Stock); err != nil {
				return fmt.Errorf("add product %s: %w", p.Slug, err)
			}
		}
		if customers == 0 {
			return nil
		}
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM customers`).Scan(&known); err != nil || known >= customers {
			return wrapped("count customers", err)
		}
		insert := tx.dialect.pick(
			`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO customers (name) SELECT 'Given' || i || ' Family' || i FROM n`,
			`INSERT INTO customers (name) SELECT 'Given' || i || ' Family' || i FROM generate_series(1, $1::int) AS i`)
		_, err := tx.ExecContext(ctx, insert, customers-known)
		return wrapped("add customers", err)
	})
}
