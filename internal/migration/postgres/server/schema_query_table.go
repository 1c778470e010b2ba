package server

// sequenceOptions are those of s, a pg_sequence.
const sequenceOptions = `format('INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache,
      CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END)`

// querySequences leaves those of identity columns out: they come with the column.
const querySequences = `
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 50 AS rank, format('CREATE %sSEQUENCE %I.%I AS %s %s',
  CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, format_type(s.seqtypid, NULL), ` + sequenceOptions + `) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.refclassid = 'pg_class'::regclass AND x.deptype = 'i')
  AND ` + ownClass

// options are the storage parameters of c, each value quoted.
const options = `(SELECT string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(c.reloptions) o)`

// queryTableShapes are bare tables. A partition has all of its columns, an heir in the old way only its own; from version 17 on a partition takes
// identity from its parent. From version 18 on NOT NULL has a name, and may be not valid yet: then it follows later.
const queryTableShapes = `
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 70 AS rank, format('CREATE %sTABLE %I.%I (%s)%s%s%s%s',
  CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, n.nspname, c.relname, concat_ws(', ', columns.list, required.list),
  CASE WHEN c.relispartition THEN '' ELSE coalesce((SELECT ' INHERITS (' || string_agg(format('%I.%I', pn.nspname, pc.relname), ', ' ORDER BY i.inhseqno) || ')'
    FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE i.inhrelid = c.oid), '') END,
  CASE WHEN c.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END,
  coalesce((SELECT format(' USING %I', am.amname) FROM pg_am am WHERE am.oid = c.relam AND c.relkind = 'r'), ''),
  CASE WHEN c.relkind = 'r' THEN coalesce(' WITH (' || ` + options + ` || ')', '') ELSE '' END) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT string_agg(format('%I %s%s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod), ` + collate + `,
    CASE WHEN a.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid))
         WHEN a.attgenerated = 'v' THEN format(' GENERATED ALWAYS AS (%s) VIRTUAL', pg_get_expr(d.adbin, d.adrelid)) ELSE '' END,
    coalesce(identity.clause, ''),
    CASE WHEN nn.oid IS NOT NULL AND NOT nn.convalidated THEN ''
         WHEN nn.oid IS NOT NULL THEN format(' CONSTRAINT %I NOT NULL%s', nn.conname, CASE WHEN nn.connoinherit THEN ' NO INHERIT' ELSE '' END)
         WHEN a.attnotnull AND current_setting('server_version_num')::int < 180000 THEN ' NOT NULL' ELSE '' END), ', ' ORDER BY a.attnum) AS list
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_constraint nn ON nn.conrelid = a.attrelid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum] AND (nn.conislocal OR c.relispartition)
  LEFT JOIN LATERAL (
    SELECT format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I %s)', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
      sn.nspname, sc.relname, ` + sequenceOptions + `) AS clause
    FROM pg_depend sd JOIN pg_class sc ON sc.oid = sd.objid JOIN pg_namespace sn ON sn.oid = sc.relnamespace JOIN pg_sequence s ON s.seqrelid = sc.oid
    WHERE sd.classid = 'pg_class'::regclass AND sd.refclassid = 'pg_class'::regclass AND sd.refobjid = a.attrelid AND sd.refobjsubid = a.attnum AND sd.deptype = 'i'
      AND a.attidentity <> '') identity ON true
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attislocal OR c.relispartition)) columns
CROSS JOIN LATERAL (
  SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ', ') AS list
  FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
  WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conislocal AND k.convalidated AND NOT a.attislocal AND NOT c.relispartition) required
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND ` + ownClass

const queryViewShapes = `
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 80 AS rank, format('CREATE %s %I.%I%s%s AS %s%s',
  CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, c.relname,
  (SELECT coalesce(' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')', '') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
  coalesce(' WITH (' || ` + options + ` || ')', ''), rtrim(pg_get_viewdef(c.oid), ';'),
  CASE c.relkind WHEN 'm' THEN ' WITH NO DATA' ELSE '' END) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND ` + ownClass

const queryDefaults = `
SELECT 'pg_attrdef'::regclass::oid AS class, d.oid AS id, 90 AS rank, format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET DEFAULT %s',
  n.nspname, c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid)) AS sql
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_class c ON c.oid = d.adrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attgenerated = '' AND NOT a.attisdropped AND ` + ownClass

// queryChecks: a partition has its parent's checks of its own until it is attached, then they become one. What an heir in the old way takes over
// comes by itself. NOT NULL is here where a table's own statement cannot say it: not valid yet or, before version 18, of an inherited column.
const queryChecks = `
SELECT 'pg_constraint'::regclass::oid AS class, k.oid AS id, 85 AS rank,
  format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)) AS sql
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (k.conislocal OR c.relispartition) AND (k.contype = 'c' OR k.contype = 'n' AND NOT k.convalidated) AND ` + ownClass + `
UNION ALL
SELECT 4::oid, c.oid, 85, format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET NOT NULL', n.nspname, c.relname, a.attname)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND NOT a.attislocal AND NOT c.relispartition
  AND current_setting('server_version_num')::int < 180000 AND ` + ownClass

const queryPolicies = `
SELECT 'pg_policy'::regclass::oid AS class, o.oid AS id, 165 AS rank, format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', o.polname, n.nspname, c.relname,
  CASE WHEN o.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
  CASE o.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
  (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ') FROM unnest(o.polroles) role),
  coalesce(' USING (' || pg_get_expr(o.polqual, o.polrelid) || ')', ''),
  coalesce(' WITH CHECK (' || pg_get_expr(o.polwithcheck, o.polrelid) || ')', '')) AS sql
FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ` + ownClass

// queryProperties are what no other statement says of tables and columns.
const queryProperties = `
SELECT 4::oid AS class, c.oid AS id, 180 AS rank, format('ALTER TABLE ONLY %I.%I %s', n.nspname, c.relname, property.clause) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT 'ENABLE ROW LEVEL SECURITY' AS clause WHERE c.relrowsecurity
  UNION ALL SELECT 'FORCE ROW LEVEL SECURITY' WHERE c.relforcerowsecurity
  UNION ALL SELECT 'REPLICA IDENTITY FULL' WHERE c.relreplident = 'f'
  UNION ALL SELECT 'REPLICA IDENTITY NOTHING' WHERE c.relreplident = 'n'
  UNION ALL SELECT 'REPLICA IDENTITY USING INDEX ' || quote_ident(ic.relname)
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident AND c.relreplident = 'i'
  UNION ALL SELECT 'CLUSTER ON ' || quote_ident(ic.relname)
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisclustered
  UNION ALL SELECT format('OF %s', c.reloftype::regtype) WHERE c.reloftype <> 0
  UNION ALL SELECT format('%s TRIGGER %I', CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname)
    FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'O'
  UNION ALL SELECT format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
  UNION ALL SELECT format('ALTER COLUMN %I SET (%s)', a.attname, array_to_string(a.attoptions, ', '))
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attoptions IS NOT NULL
  UNION ALL SELECT format('ALTER COLUMN %I SET STORAGE %s', a.attname,
      CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage <> t.typstorage
  UNION ALL SELECT format('ALTER COLUMN %I SET COMPRESSION %s', a.attname, CASE to_jsonb(a) ->> 'attcompression' WHEN 'l' THEN 'lz4' ELSE 'pglz' END)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND to_jsonb(a) ->> 'attcompression' <> '') property
WHERE c.relkind IN ('r', 'p') AND ` + ownClass
