CREATE FUNCTION atomic(floor int) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM events e JOIN customers c ON c.id = e.id WHERE c.score > floor; END;
CREATE VIEW on_atomic AS SELECT atomic(1) AS n;
CREATE TYPE spans AS RANGE (SUBTYPE = date, MULTIRANGE_TYPE_NAME = many_spans);
CREATE TABLE compressed (t text COMPRESSION pglz);
