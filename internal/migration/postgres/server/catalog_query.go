package server

// The questions to the catalogue. They stand in a transaction with an empty search path: what the server prints is qualified.

// queryTables: sizes are asked of the file system, and for that the server takes a lock; while somebody holds or awaits the strongest one, the last
// known number of pages has to do.
const queryTables = `
WITH busy AS (SELECT relation FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' AND pid <> pg_backend_pid())
SELECT n.nspname::text AS schema, c.relname::text AS name, c.oid, greatest(c.reltuples, -1)::int8 AS rows,
       CASE WHEN c.relkind = 'p' THEN 0 WHEN b.relation IS NULL THEN pg_total_relation_size(c.oid) ELSE pages.number * block.size END AS bytes,
       CASE WHEN c.relkind = 'p' THEN 0 WHEN b.relation IS NULL THEN pg_relation_size(c.oid) ELSE c.relpages * block.size END AS heap,
       c.relkind = 'p' AS partitioned, c.relrowsecurity AS row_security, c.relowner::regrole::text AS owner,
       coalesce((SELECT format('%s.%s', pn.nspname, pc.relname) FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent
                 JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1), '') AS parent
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN (SELECT current_setting('block_size')::int8 AS size) block
  LEFT JOIN (SELECT DISTINCT relation FROM busy) b ON b.relation = c.oid
  CROSS JOIN LATERAL (SELECT c.relpages + coalesce(sum(ic.relpages), 0)::int8 AS number
                      FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid) pages
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ` + userSchema + `
ORDER BY 1, 2`

const queryColumns = `
SELECT a.attrelid AS relation, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS default,
       CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' ELSE '' END AS generated,
       CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' ELSE '' END AS identity,
       coalesce((SELECT format('%I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
                 JOIN pg_type t ON t.oid = a.atttypid WHERE l.oid = a.attcollation AND l.oid <> t.typcollation), '') AS collation,
       coalesce(s.null_frac, -1)::float8 AS nulls,
       ARRAY(SELECT DISTINCT g.attname::text FROM pg_depend d JOIN pg_attribute g ON g.attrelid = a.attrelid AND g.attnum <> a.attnum AND g.attgenerated <> ''
             LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
             WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND (e.adrelid = a.attrelid AND e.adnum = g.attnum
               OR d.classid = 'pg_class'::regclass AND d.objid = a.attrelid AND d.objsubid = g.attnum) ORDER BY 1) AS computes,
       ARRAY(SELECT DISTINCT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
             WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
               AND (d.classid = 'pg_policy'::regclass OR NOT t.tgisinternal AND t.tgname NOT LIKE 'segue\_%') ORDER BY 1) AS watched
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND ` + userSchema + `
ORDER BY a.attrelid, a.attnum`

const queryConstraints = `
SELECT k.conrelid AS relation, k.conname::text AS name, k.contype::text AS letter,
       coalesce((SELECT array_agg(a.attname::text ORDER BY u.ord) FROM unnest(k.conkey) WITH ORDINALITY u(num, ord)
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num), '{}') AS columns,
       coalesce((SELECT format('%s.%s', rn.nspname, rc.relname) FROM pg_class rc JOIN pg_namespace rn ON rn.oid = rc.relnamespace
                 WHERE rc.oid = k.confrelid), '') AS references,
       coalesce((SELECT array_agg(a.attname::text ORDER BY u.ord) FROM unnest(k.confkey) WITH ORDINALITY u(num, ord)
                 JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num), '{}') AS ref_columns,
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated,
       coalesce((SELECT ic.relname::text FROM pg_class ic WHERE ic.oid = k.conindid AND k.contype IN ('p', 'u', 'x')), '') AS index
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x', 'n') AND c.relkind IN ('r', 'p') AND ` + userSchema + `
ORDER BY k.conrelid, k.conname, k.contype, 5, 6`

const queryIndexes = `
SELECT i.indrelid AS relation, ic.relname::text AS name, i.indisunique AS unique, i.indisprimary AS primary, i.indisvalid AS valid, i.indisready AS ready,
       coalesce((SELECT array_agg(coalesce(a.attname::text, '') ORDER BY u.ord) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(num, ord)
                 LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND u.num > 0 WHERE u.ord <= i.indnkeyatts), '{}') AS columns,
       coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate, pg_get_indexdef(i.indexrelid) AS definition,
       CASE WHEN ic.relkind = 'I' THEN 0 ELSE ic.relpages * current_setting('block_size')::int8 END AS bytes
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND ` + userSchema + `
ORDER BY i.indrelid, ic.relname`

const queryTriggers = `
SELECT t.tgrelid AS relation, t.tgname::text AS name, format('%s.%s', pn.nspname, p.proname) AS function,
       pg_get_triggerdef(t.oid) AS definition, t.tgenabled <> 'D' AS enabled
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace
WHERE NOT t.tgisinternal AND c.relkind IN ('r', 'p') AND ` + userSchema + `
ORDER BY t.tgrelid, t.tgname`

const queryRules = `
SELECT w.ev_class AS relation, w.rulename::text AS name, CASE w.ev_type WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END AS command
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND w.ev_type <> '1' AND w.ev_enabled <> 'D' AND ` + userSchema + `
ORDER BY 1, 2 DESC`

// queryViews: a view's columns are dependencies of its rule.
const queryViews = `
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'm' AS materialized, pg_get_viewdef(c.oid) AS definition,
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
       coalesce((SELECT array_agg(DISTINCT format('%s.%s.%s', rn.nspname, rc.relname, a.attname) ORDER BY format('%s.%s.%s', rn.nspname, rc.relname, a.attname))
                 FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
                 JOIN pg_class rc ON rc.oid = d.refobjid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE w.ev_class = c.oid AND d.refobjsubid > 0 AND d.refobjid <> c.oid), '{}') AS reads
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND ` + userSchema + `
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')
ORDER BY 1, 2`

const queryFunctions = `
SELECT n.nspname::text AS schema, p.proname::text AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       oidvectortypes(p.proargtypes) AS types, l.lanname::text AS language,
       coalesce(nullif(p.prosrc, ''), CASE WHEN p.prokind IN ('f', 'p') AND l.lanname = 'sql' THEN pg_get_functiondef(p.oid) END, '') AS source,
       coalesce((SELECT array_agg(DISTINCT format('%s.%s.%s', rn.nspname, rc.relname, a.attname) ORDER BY format('%s.%s.%s', rn.nspname, rc.relname, a.attname))
                 FROM pg_depend d JOIN pg_class rc ON rc.oid = d.refobjid JOIN pg_namespace rn ON rn.oid = rc.relnamespace
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0), '{}') AS reads
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE ` + userSchema + `
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')
ORDER BY 1, 2, 3`

const queryEnums = `
SELECT n.nspname::text AS schema, t.typname::text AS name,
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS values
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype = 'e' AND ` + userSchema + `
  AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid AND x.deptype = 'e')
ORDER BY 1, 2`
