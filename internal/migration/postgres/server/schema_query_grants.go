package server

// Privileges are copied where the roles are there: without them, a statement that takes one away would show nothing. Owners are not copied, and what they
// may do is left out. The made-up catalogues are 6 (relations), 7 (functions) and 8 (schemas).

// grantee is whom an exploded entry a is for.
const grantee = `CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END`

const queryGrants = `
SELECT 6::oid AS class, c.oid AS id, 195 AS rank, string_agg(format('GRANT %s ON %s%I.%I TO %s', a.what, CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END,
  n.nspname, c.relname, a.who), '; ') AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT a.privilege_type AS what, ` + grantee + ` AS who FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner
  UNION ALL SELECT format('%s (%I)', a.privilege_type, t.attname), ` + grantee + `
    FROM pg_attribute t CROSS JOIN aclexplode(t.attacl) a WHERE t.attrelid = c.oid AND NOT t.attisdropped AND a.grantee <> c.relowner) a
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ` + ownClass + ` GROUP BY c.oid
UNION ALL
SELECT 7, p.oid, 195, concat_ws('; ', CASE WHEN NOT bool_or(a.grantee = 0) THEN format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', p.oid::regprocedure) END,
  string_agg(format('GRANT EXECUTE ON ROUTINE %s TO %s', p.oid::regprocedure, ` + grantee + `), '; ') FILTER (WHERE a.grantee <> p.proowner))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN aclexplode(p.proacl) a WHERE ` + ownProc + ` GROUP BY p.oid
UNION ALL
SELECT 8, n.oid, 195, string_agg(format('GRANT %s ON SCHEMA %I TO %s', a.privilege_type, n.nspname, ` + grantee + `), '; ')
FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner AND ` + mine + ` GROUP BY n.oid`
