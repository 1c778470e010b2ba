ALTER TABLE orders ALTER COLUMN id TYPE bigint
-- facts: {"locks": {"orders": "access exclusive"}, "rewritten": ["orders"], "scanned": ["orders"]}

ALTER TABLE orders ALTER COLUMN customer_id TYPE text
-- facts: {"locks": {"orders": "access exclusive"}, "rewritten": ["orders"], "scanned": ["orders"]}

ALTER TABLE orders ALTER COLUMN total TYPE numeric(14,4)
-- facts: {"locks": {"orders": "access exclusive"}, "rewritten": ["orders"], "scanned": ["orders"]}

ALTER TABLE settings ALTER COLUMN value TYPE varchar(500)
-- facts: {"locks": {"settings": "access exclusive"}, "rewritten": ["settings"]}

ALTER TABLE settings ALTER COLUMN value TYPE jsonb USING value::jsonb
-- facts: {"locks": {"settings": "access exclusive"}, "rewritten": ["settings"]}
