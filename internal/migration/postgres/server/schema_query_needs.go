package server

// querySame says which objects come with another one: class, id, to_class, to_id. Those of the left have no statement of their own.
const querySame = `
-- Rows of a table, and the types that follow from another type: arrays, multiranges.
SELECT 'pg_type'::regclass::oid AS class, t.oid AS id, 'pg_class'::regclass::oid AS to_class, t.typrelid AS to_id FROM pg_type t WHERE t.typrelid <> 0
UNION ALL SELECT 'pg_type'::regclass, t.typarray, 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.typarray <> 0
UNION ALL SELECT 'pg_type'::regclass, (to_jsonb(r) ->> 'rngmultitypid')::oid, 'pg_type'::regclass, r.rngtypid FROM pg_range r WHERE to_jsonb(r) ? 'rngmultitypid'
-- What a view does.
UNION ALL SELECT 'pg_rewrite'::regclass, w.oid, 'pg_class'::regclass, w.ev_class FROM pg_rewrite w WHERE w.rulename = '_RETURN'
-- The index of a constraint, and a foreign key's parts in partitions.
UNION ALL SELECT 'pg_class'::regclass, k.conindid, 'pg_constraint'::regclass, k.oid FROM pg_constraint k WHERE k.contype IN ('p', 'u', 'x')
UNION ALL SELECT 'pg_constraint'::regclass, k.oid, 'pg_constraint'::regclass, k.conparentid FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid <> 0
UNION ALL SELECT 'pg_constraint'::regclass, k.oid, 'pg_class'::regclass, k.conrelid FROM pg_constraint k WHERE k.contype = 'n' AND k.convalidated AND k.conrelid <> 0
-- The expression of a generated column, and the sequence of an identity.
UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, 'pg_class'::regclass, d.adrelid
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> ''
UNION ALL SELECT 'pg_class'::regclass, d.objid, 'pg_class'::regclass, d.refobjid FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i'`

// queryNeeds says what must be there before: class, id, to_class, to_id. A sequence does not need the column that owns it. A partition is attached
// when both tables have their checks, and before either has an index: the server would make the partition's under names of its own.
const queryNeeds = `
SELECT d.classid AS class, d.objid AS id, d.refclassid AS to_class, d.refobjid AS to_id
FROM pg_depend d
WHERE d.objid >= 16384 AND d.refobjid >= 16384
  AND NOT (d.deptype = 'a' AND d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class s WHERE s.oid = d.objid AND s.relkind = 'S'))
UNION ALL
SELECT 1, i.inhrelid, 'pg_class'::regclass, ends.id FROM pg_inherits i, unnest(ARRAY[i.inhrelid, i.inhparent]) ends(id)
UNION ALL
SELECT 1, i.inhrelid, 'pg_constraint'::regclass, k.oid FROM pg_inherits i JOIN pg_constraint k ON k.conrelid IN (i.inhrelid, i.inhparent) AND k.contype IN ('c', 'n')
UNION ALL
SELECT 'pg_class'::regclass, x.indexrelid, 1, i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
  JOIN pg_index x ON x.indrelid IN (i.inhrelid, i.inhparent)`

// queryMissing names what a copy does not have, where something could miss it.
const queryMissing = `
SELECT what || ' ' || name AS name FROM (
  SELECT 'operator' AS what, format('%I.%s', n.nspname, o.oprname) AS name, o.oid, 'pg_operator'::regclass AS class FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE ` + mine + `
  UNION ALL SELECT 'operator class', format('%I.%I', n.nspname, o.opcname), o.oid, 'pg_opclass'::regclass FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE ` + mine + `
  UNION ALL SELECT 'text search configuration', format('%I.%I', n.nspname, o.cfgname), o.oid, 'pg_ts_config'::regclass FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE ` + mine + `
  UNION ALL SELECT 'ordered-set aggregate', format('%I.%I', n.nspname, p.proname), p.oid, 'pg_proc'::regclass
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_aggregate g ON g.aggfnoid = p.oid WHERE g.aggkind <> 'n' AND ` + mine + `
  UNION ALL SELECT 'cast', format('%s AS %s', format_type(castsource, NULL), format_type(casttarget, NULL)), oid, 'pg_cast'::regclass FROM pg_cast WHERE oid >= 16384
  UNION ALL SELECT 'publication', quote_ident(pubname), oid, 'pg_publication'::regclass FROM pg_publication
) lacking
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = lacking.class AND x.objid = lacking.oid AND x.deptype IN ('e', 'i'))
ORDER BY 1`

// queryRoles names the roles that statements may speak of.
const queryRoles = `SELECT rolname::text AS name FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`

// querySettings gives what ALTER DATABASE and ALTER ROLE ... IN DATABASE have set; the role's come last, and win.
const querySettings = `
SELECT split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) entry
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
ORDER BY s.setrole`

// queryDatabase gives the rest of CREATE DATABASE. The locale's columns differ by version: 15 knows ICU, 17 the builtin provider.
const queryDatabase = `
SELECT format(' TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L%s', pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
  CASE to_jsonb(d) ->> 'datlocprovider'
    WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'))
    WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', to_jsonb(d) ->> 'datlocale')
    WHEN 'c' THEN ' LOCALE_PROVIDER libc' ELSE '' END) AS sql
FROM pg_database d WHERE d.datname = current_database()`
