package shop

import (
	"context"
	"database/sql"
	"fmt"
)

// schemaBase is what every release needs. A statement only adds, and does nothing where its work is done: each release
// brings its own part, and no other release is disturbed by it.
const schemaBase = `
CREATE TABLE IF NOT EXISTS products (
	id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, artist TEXT NOT NULL, genre TEXT NOT NULL,
	blurb TEXT NOT NULL, cents INTEGER NOT NULL, stock INTEGER NOT NULL CHECK (stock >= 0));
CREATE TABLE IF NOT EXISTS users (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
	token BLOB PRIMARY KEY, user_id INTEGER REFERENCES users(id), created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cart_items (
	session BLOB NOT NULL REFERENCES sessions(token) ON DELETE CASCADE, product_id INTEGER NOT NULL REFERENCES products(id),
	quantity INTEGER NOT NULL CHECK (quantity > 0), PRIMARY KEY (session, product_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
	id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), idempotency_key TEXT NOT NULL,
	answer TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (user_id, idempotency_key));
CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id, id);
`

// schemaReviews is what ratings and the wishlist need, since v2.
const schemaReviews = `
CREATE TABLE IF NOT EXISTS ratings (
	user_id INTEGER NOT NULL REFERENCES users(id), product_id INTEGER NOT NULL REFERENCES products(id),
	stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5), PRIMARY KEY (product_id, user_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wishes (
	user_id INTEGER NOT NULL REFERENCES users(id), product_id INTEGER NOT NULL REFERENCES products(id),
	created_at INTEGER NOT NULL, PRIMARY KEY (user_id, product_id)) WITHOUT ROWID;
`

// migrate adds what a release needs and the products of a new shop.
func (s *store) migrate(ctx context.Context, wanted features) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schemaBase); err != nil {
			return fmt.Errorf("create tables: %w", err)
		}
		if wanted.ratings || wanted.wishlist {
			if _, err := tx.ExecContext(ctx, schemaReviews); err != nil {
				return fmt.Errorf("create tables of reviews: %w", err)
			}
		}
		for _, p := range assortment() {
			const insert = `INSERT OR IGNORE INTO products (slug, name, artist, genre, blurb, cents, stock) VALUES (?, ?, ?, ?, ?, ?, ?)`
			if _, err := tx.ExecContext(ctx, insert, p.Slug, p.Name, p.Artist, p.Genre, p.Blurb, p.Cents, p.Stock); err != nil {
				return fmt.Errorf("add product %s: %w", p.Slug, err)
			}
		}
		return nil
	})
}
