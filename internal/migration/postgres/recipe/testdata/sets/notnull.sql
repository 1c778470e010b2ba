ALTER TABLE customers ADD COLUMN tier text NOT NULL
-- facts: {"error": "column \"tier\" of relation \"customers\" contains null values"}

UPDATE customers SET tier = 'basic'

ALTER TABLE orders ADD COLUMN source text

UPDATE orders SET source = 'web' WHERE source IS NULL

ALTER TABLE orders ALTER COLUMN source SET NOT NULL
-- facts: {"locks": {"orders": "access exclusive"}, "scanned": ["orders"]}

ALTER TABLE orders ADD COLUMN channel text

UPDATE orders SET channel = 'phone' WHERE note LIKE 'phone%'
