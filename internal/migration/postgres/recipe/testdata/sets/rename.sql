ALTER TABLE orders RENAME COLUMN state TO status

ALTER TABLE orders RENAME COLUMN code TO reference

ALTER TABLE orders RENAME COLUMN customer_id TO buyer_id

ALTER TABLE customers RENAME COLUMN age TO years

ALTER TABLE customers RENAME COLUMN status TO standing

ALTER TABLE customers RENAME TO people

ALTER TABLE people ADD COLUMN nick text
-- facts: {"locks": {"people": "access exclusive"}}

ALTER TABLE carts RENAME COLUMN id TO number
