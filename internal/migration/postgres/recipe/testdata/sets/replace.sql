DROP INDEX customers_email

CREATE UNIQUE INDEX customers_email ON customers (lower(email))

ALTER TABLE customers DROP CONSTRAINT age_check, ADD CONSTRAINT age_check CHECK (age >= 0)
-- facts: {"locks": {"customers": "access exclusive"}, "scanned": ["customers"]}

DROP VIEW IF EXISTS report

CREATE VIEW report AS SELECT id FROM orders

DROP VIEW report

CREATE VIEW report AS SELECT id, total FROM orders

DROP TRIGGER IF EXISTS touch ON orders

CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch()

DROP TABLE carts

CREATE TABLE carts (id uuid PRIMARY KEY)

CREATE INDEX carts_id ON carts (id)

ALTER TABLE orders DROP COLUMN note, ADD COLUMN note jsonb
-- facts: {"locks": {"orders": "access exclusive"}}
