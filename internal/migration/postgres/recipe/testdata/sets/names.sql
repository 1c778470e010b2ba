ALTER TABLE customers ADD COLUMN first_name text, ADD COLUMN last_name text
-- facts: {"locks": {"customers": "access exclusive"}}

UPDATE customers SET first_name = split_part(name, ' ', 1), last_name = split_part(name, ' ', 2) WHERE first_name IS NULL
-- keep: name = first_name || ' ' || last_name

ALTER TABLE customers ALTER COLUMN first_name SET NOT NULL
-- facts: {"locks": {"customers": "access exclusive"}, "scanned": ["customers"]}

ALTER TABLE customers DROP COLUMN name
-- after: 168h
