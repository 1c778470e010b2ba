WITH gone AS (SELECT id FROM carts) UPDATE orders SET note = '' FROM gone

DROP TABLE carts

ALTER TABLE carts ADD COLUMN x int

ALTER TABLE orders ADD COLUMN paid boolean NOT NULL

WITH one AS (SELECT 1) UPDATE orders SET paid = false FROM one

ALTER TABLE customers ADD COLUMN score int DEFAULT (random() * 10)::int, ADD COLUMN kind text NOT NULL DEFAULT 'a' CHECK (kind <> '')
-- facts: {"locks": {"customers": "access exclusive"}, "rewritten": ["customers"], "scanned": ["customers"]}

ALTER TABLE customers ALTER COLUMN email SET NOT NULL

ALTER TYPE mood RENAME TO temper

CREATE TEMPORARY TABLE scratch (id int)

ALTER TABLE customers ALTER COLUMN id TYPE bigint
-- facts: {"locks": {"customers": "access exclusive"}}

ALTER TABLE customers RENAME COLUMN id TO number

ALTER TABLE customers ALTER COLUMN age TYPE bigint
-- facts: {"locks": {"customers": "access exclusive"}, "rewritten": ["customers"]}

DROP SEQUENCE orders_id_seq

DROP TYPE IF EXISTS mood

DROP FUNCTION touch()
