BEGIN

SET lock_timeout = '1s'

SET search_path = other

CREATE INDEX orders_note ON orders (note)
-- assume: nobody works at night

ALTER TABLE orders DROP COLUMN note
-- assume: it was never used

ALTER TABLE orders ALTER COLUMN state SET NOT NULL
-- phase: expand
-- facts: {"locks": {"orders": "access exclusive"}, "scanned": ["orders"]}

ALTER TABLE nowhere ADD COLUMN x int
-- facts: {"error": "relation \"nowhere\" does not exist"}

REVOKE SELECT ON orders FROM app

COMMIT
