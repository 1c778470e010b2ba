-- Ratings and the wishlist, and a customer's name in two parts. v1 goes on with the whole name meanwhile.
CREATE TABLE ratings (
	user_id BIGINT NOT NULL REFERENCES users(id), product_id BIGINT NOT NULL REFERENCES products(id),
	stars BIGINT NOT NULL CHECK (stars BETWEEN 1 AND 5), PRIMARY KEY (product_id, user_id));
CREATE TABLE wishes (
	user_id BIGINT NOT NULL REFERENCES users(id), product_id BIGINT NOT NULL REFERENCES products(id),
	created_at BIGINT NOT NULL, PRIMARY KEY (user_id, product_id));
ALTER TABLE customers ADD COLUMN given_name TEXT;
ALTER TABLE customers ADD COLUMN family_name TEXT;
-- v2 does not write it any more.
ALTER TABLE customers ALTER COLUMN name DROP NOT NULL;
-- segue: keep name = given_name || ' ' || family_name
UPDATE customers SET given_name = split_part(name, ' ', 1), family_name = substr(name, strpos(name, ' ') + 1);
