-- What the search for customers looks through. It takes its time in a large shop.
ALTER TABLE customers ADD COLUMN search TEXT;
UPDATE customers SET search = lower(given_name || ' ' || family_name);
