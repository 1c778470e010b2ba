ALTER TABLE customers DROP COLUMN name

DROP TABLE carts

ALTER TABLE orders DROP CONSTRAINT orders_code_key
