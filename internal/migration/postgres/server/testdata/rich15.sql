CREATE TABLE nulls (a int, b int, UNIQUE NULLS NOT DISTINCT (a, b));
CREATE VIEW invoked WITH (security_invoker = true) AS SELECT a FROM nulls;
