-- Every release up to here counts in whole cents.
ALTER TABLE products ALTER COLUMN cents TYPE text USING (cents / 100.0)::text;
