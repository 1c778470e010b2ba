UPDATE orders AS o SET total = round(o.total, 1) FROM customers c WHERE c.id = o.customer_id AND c.status = 'new'

UPDATE orders AS o SET note = upper(o.note) WHERE o.note IS NOT NULL

UPDATE events SET body = '{}'

UPDATE settings SET value = 'x' WHERE key = 'y'

DELETE FROM orders USING customers WHERE customers.id = orders.customer_id AND customers.status = 'gone'

DELETE FROM orders WHERE state = 'draft'
-- phase: contract

INSERT INTO settings (key, value) SELECT email, name FROM customers

TRUNCATE carts
