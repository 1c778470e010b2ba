CREATE TABLE tags (id bigserial PRIMARY KEY, label text, order_id int REFERENCES orders (id), customer_id bigint, CONSTRAINT tags_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE)

CREATE INDEX tags_label ON tags (label)

INSERT INTO tags (label) VALUES ('a'), ('b')

UPDATE tags SET label = upper(label)

ALTER TABLE tags ALTER COLUMN label SET NOT NULL, ADD CONSTRAINT tags_label_check CHECK (label <> '')

ALTER TABLE tags RENAME COLUMN label TO name

ALTER TABLE orders ADD COLUMN tag_id bigint REFERENCES tags (id)
-- facts: {"locks": {"orders": "access exclusive"}}

CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_tag ON orders (tag_id)

DROP TABLE tags CASCADE
