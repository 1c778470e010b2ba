-- The whole name has gone out of use with v2.
ALTER TABLE customers DROP COLUMN name;
