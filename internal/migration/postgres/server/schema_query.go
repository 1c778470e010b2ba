package server

// mine is a condition on n, a pg_namespace: what is copied. Segue's own schema is, since triggers may stand on it.
const mine = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`

// Conditions that an object of a catalogue belongs to no extension, which brings it along.
const (
	ownClass = mine + ` AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')`
	ownType  = mine + ` AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass AND x.objid = t.oid AND x.deptype = 'e')`
	ownProc  = mine + ` AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')`
)

// Made-up catalogues, for what has no entry of its own: the numbers stand in the queries.
//
//	1 attaching of a partition     2 attaching of an index     3 owner of a sequence
//	4 properties of a table        5 content of a materialized view
//	6, 7, 8 privileges

// schemaQueryNames are the questions whose answers are statements: class and id of the object, rank, sql.
var schemaQueryNames = [...]string{
	`SELECT 'pg_namespace'::regclass::oid AS class, n.oid AS id, 10 AS rank, format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) AS sql
	FROM pg_namespace n WHERE ` + mine,
	`SELECT 'pg_namespace'::regclass::oid AS class, 0::oid AS id, 10 AS rank, 'DROP SCHEMA public' AS sql
	WHERE NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')`,
	`SELECT 'pg_extension'::regclass::oid AS class, e.oid AS id, 20 AS rank,
	  format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I VERSION %L CASCADE', e.extname, n.nspname, e.extversion) AS sql
	FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'`,
	queryCollations, queryEnumTypes, queryComposites, queryDomains, queryDomainChecks, queryRanges,
	queryRoutines, queryAggregates, querySequences, queryTableShapes, queryViewShapes, queryDefaults, queryChecks,
	`SELECT 1::oid AS class, c.oid AS id, 95 AS rank, format('ALTER TABLE ONLY %I.%I ATTACH PARTITION %I.%I %s', pn.nspname, pc.relname,
	  n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid)) AS sql
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_inherits i ON i.inhrelid = c.oid
	  JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
	WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f') AND ` + ownClass,
	`SELECT 3::oid AS class, c.oid AS id, 110 AS rank, format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, c.relname, tn.nspname, tc.relname, a.attname) AS sql
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
	  JOIN pg_class tc ON tc.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = tc.relnamespace
	  JOIN pg_attribute a ON a.attrelid = tc.oid AND a.attnum = d.refobjsubid
	WHERE c.relkind = 'S' AND ` + ownClass,
	`SELECT 'pg_constraint'::regclass::oid AS class, k.oid AS id, CASE k.contype WHEN 'f' THEN 150 ELSE 120 END AS rank,
	  format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s', CASE WHEN c.relkind = 'p' AND k.contype <> 'f' THEN 'ONLY ' ELSE '' END,
	    n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)) AS sql
	FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE k.contype IN ('p', 'u', 'x', 'f') AND NOT (k.contype = 'f' AND k.conparentid <> 0) AND ` + ownClass,
	`SELECT 'pg_class'::regclass::oid AS class, ic.oid AS id, 130 AS rank, pg_get_indexdef(ic.oid) AS sql
	FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'm') AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = ic.oid AND k.contype IN ('p', 'u', 'x')) AND ` + ownClass,
	`SELECT 2::oid AS class, c.oid AS id, 140 AS rank, format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I', pn.nspname, pc.relname, n.nspname, c.relname) AS sql
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_inherits i ON i.inhrelid = c.oid
	  JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
	WHERE c.relkind IN ('i', 'I') AND ` + mine,
	`SELECT 'pg_rewrite'::regclass::oid AS class, w.oid AS id, 155 AS rank, pg_get_ruledef(w.oid) AS sql
	FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE w.rulename <> '_RETURN' AND ` + ownClass,
	`SELECT 'pg_trigger'::regclass::oid AS class, t.oid AS id, 160 AS rank, pg_get_triggerdef(t.oid) AS sql
	FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND ` + ownClass,
	queryPolicies,
	`SELECT 'pg_statistic_ext'::regclass::oid AS class, s.oid AS id, 170 AS rank, pg_get_statisticsobjdef(s.oid) AS sql
	FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE ` + mine,
	queryProperties, queryGrants,
	`SELECT 5::oid AS class, c.oid AS id, 190 AS rank, format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname) AS sql
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated AND ` + ownClass,
}

const queryCollations = `
SELECT 'pg_collation'::regclass::oid AS class, l.oid AS id, 30 AS rank,
  format('CREATE COLLATION %I.%I (PROVIDER = %s, %s, DETERMINISTIC = %s)', n.nspname, l.collname,
    CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
    CASE WHEN l.collprovider = 'c' THEN format('LC_COLLATE = %L, LC_CTYPE = %L', l.collcollate, l.collctype)
      -- The locale's column has moved: 14, 15, 17.
      ELSE format('LOCALE = %L', coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale', l.collcollate)) END, l.collisdeterministic::text) AS sql
FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
WHERE NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_collation'::regclass AND x.objid = l.oid AND x.deptype = 'e') AND ` + mine

const queryEnumTypes = `
SELECT 'pg_type'::regclass::oid AS class, t.oid AS id, 40 AS rank, format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
  (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)) AS sql
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND ` + ownType

// collate is the clause for a column a whose collation is not its type's.
const collate = `coalesce((SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
    JOIN pg_type lt ON lt.oid = a.atttypid WHERE l.oid = a.attcollation AND l.oid <> lt.typcollation), '')`

const queryComposites = `
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 40 AS rank, format('CREATE TYPE %I.%I AS (%s)', n.nspname, c.relname,
  (SELECT string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod), ` + collate + `), ', ' ORDER BY a.attnum)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) AS sql
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type t ON t.typrelid = c.oid WHERE c.relkind = 'c' AND ` + ownType

// queryDomains: from version 17 on, NOT NULL of a domain is a constraint with a name.
const queryDomains = `
SELECT 'pg_type'::regclass::oid AS class, t.oid AS id, 40 AS rank, format('CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, t.typname,
  format_type(t.typbasetype, t.typtypmod),
  coalesce((SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace
    JOIN pg_type bt ON bt.oid = t.typbasetype WHERE l.oid = t.typcollation AND l.oid <> bt.typcollation), ''),
  coalesce(' DEFAULT ' || pg_get_expr(t.typdefaultbin, 'pg_type'::regclass), ''),
  CASE WHEN t.typnotnull AND current_setting('server_version_num')::int < 170000 THEN ' NOT NULL' ELSE '' END) AS sql
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND ` + ownType

const queryDomainChecks = `
SELECT 'pg_constraint'::regclass::oid AS class, k.oid AS id, 85 AS rank,
  format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, k.conname, pg_get_constraintdef(k.oid)) AS sql
FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE k.contypid <> 0 AND ` + ownType

const queryRanges = `
SELECT 'pg_type'::regclass::oid AS class, t.oid AS id, 40 AS rank, format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %I.%I%s%s%s)',
  n.nspname, t.typname, format_type(r.rngsubtype, NULL), opn.nspname, op.opcname,
  coalesce((SELECT format(', COLLATION = %I.%I', ln.nspname, l.collname) FROM pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace WHERE l.oid = r.rngcollation), ''),
  CASE WHEN r.rngsubdiff::oid <> 0 THEN ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc ELSE '' END,
  coalesce((SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', mn.nspname, m.typname) FROM pg_type m JOIN pg_namespace mn ON mn.oid = m.typnamespace
    WHERE m.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid), '')) AS sql
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_range r ON r.rngtypid = t.oid
  JOIN pg_opclass op ON op.oid = r.rngsubopc JOIN pg_namespace opn ON opn.oid = op.opcnamespace
WHERE t.typtype = 'r' AND ` + ownType

const queryRoutines = `
SELECT 'pg_proc'::regclass::oid AS class, p.oid AS id, 60 AS rank, pg_get_functiondef(p.oid) AS sql
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p', 'w') AND NOT ` + ofRange + ` AND ` + ownProc

// ofRange: a range type brings its constructors along.
const ofRange = `EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'i')`

const queryAggregates = `
SELECT 'pg_proc'::regclass::oid AS class, p.oid AS id, 60 AS rank, format('CREATE AGGREGATE %I.%I(%s) (SFUNC = %s, STYPE = %s%s%s%s, PARALLEL = %s)',
  n.nspname, p.proname, pg_get_function_arguments(p.oid), g.aggtransfn::regproc, format_type(g.aggtranstype, NULL),
  CASE WHEN g.aggfinalfn::oid <> 0 THEN ', FINALFUNC = ' || g.aggfinalfn::regproc ELSE '' END,
  CASE WHEN g.aggcombinefn::oid <> 0 THEN ', COMBINEFUNC = ' || g.aggcombinefn::regproc ELSE '' END,
  coalesce(', INITCOND = ' || quote_literal(g.agginitval), ''),
  CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END) AS sql
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_aggregate g ON g.aggfnoid = p.oid WHERE g.aggkind = 'n' AND ` + ownProc
