-- Every release up to here looks for its orders in the table orders.
ALTER TABLE orders RENAME TO purchases;
