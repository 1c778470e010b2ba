-- What every release needs.
CREATE TABLE products (
	id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL, artist TEXT NOT NULL, genre TEXT NOT NULL,
	blurb TEXT NOT NULL, cents INTEGER NOT NULL, stock INTEGER NOT NULL CHECK (stock >= 0));
CREATE TABLE users (
	id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE customers (id INTEGER PRIMARY KEY, user_id INTEGER UNIQUE REFERENCES users(id), name TEXT);
CREATE TABLE sessions (
	token BLOB PRIMARY KEY, user_id INTEGER REFERENCES users(id), created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cart_items (
	session BLOB NOT NULL REFERENCES sessions(token) ON DELETE CASCADE, product_id INTEGER NOT NULL REFERENCES products(id),
	quantity INTEGER NOT NULL CHECK (quantity > 0), PRIMARY KEY (session, product_id)) WITHOUT ROWID;
CREATE TABLE orders (
	id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id), idempotency_key TEXT NOT NULL,
	answer TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (user_id, idempotency_key));
CREATE INDEX orders_by_user ON orders (user_id, id);
