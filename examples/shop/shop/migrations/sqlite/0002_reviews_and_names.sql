-- Ratings and the wishlist, and a customer's name in two parts. v1 goes on with the whole name meanwhile.
CREATE TABLE ratings (
	user_id INTEGER NOT NULL REFERENCES users(id), product_id INTEGER NOT NULL REFERENCES products(id),
	stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5), PRIMARY KEY (product_id, user_id)) WITHOUT ROWID;
CREATE TABLE wishes (
	user_id INTEGER NOT NULL REFERENCES users(id), product_id INTEGER NOT NULL REFERENCES products(id),
	created_at INTEGER NOT NULL, PRIMARY KEY (user_id, product_id)) WITHOUT ROWID;
ALTER TABLE customers ADD COLUMN given_name TEXT;
ALTER TABLE customers ADD COLUMN family_name TEXT;
-- segue: keep name = given_name || ' ' || family_name
UPDATE customers SET given_name = substr(name, 1, instr(name, ' ') - 1), family_name = substr(name, instr(name, ' ') + 1);
