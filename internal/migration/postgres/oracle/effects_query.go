package oracle

// mine is what all questions begin with: the schemas of the team, and the relations in them. Numbers below 16384 are the server's own: to leave them out
// first saves most of the work.
const mine = `
WITH mine AS (SELECT oid, nspname::text AS name, nspowner AS owner, nspacl AS acl FROM pg_namespace
              WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'segue')),
     relation AS (SELECT c.*, m.name || '.' || c.relname AS name FROM pg_class c JOIN mine m ON m.oid = c.relnamespace
                  WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')),
     facet(kind, tab, name, facet, value, columns) AS (`

// facetsEnd writes facets as lines: their words, and the columns as more of them. A value that is NULL makes none.
const facetsEnd = `) SELECT coalesce(string_agg(kind || chr(31) || tab || chr(31) || name || chr(31) || facet || chr(31) || value || chr(31) ||
  coalesce(array_to_string(columns, chr(31)), ''), chr(30)), '') FROM facet`

// relationKind and relationName are a relation as migration.Object names it.
const (
	relationKind = `CASE WHEN r.relkind IN ('r', 'p', 'f') THEN 'table' WHEN r.relkind = 'S' THEN 'other' ELSE 'view' END`
	relationName = `CASE WHEN r.relkind = 'S' THEN 'sequence ' ELSE '' END || r.name`
	nobody       = `NULL::text[]`
	// privilege is one of a, an exploded list.
	privilege = `format('privilege %s for %s', a.privilege_type, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END)`
)

// question asks for kind, table, name, facet, value and columns of facets. Values that are long are hashed. Its answer can be another one only when one of
// these catalogues was written to.
type question struct {
	sql string
	of  []string
}

// questions are all that are asked. A table's new name is in every answer, and is seen in pg_type, where its rows have the same one.
func questions() []question {
	return []question{
		{facetsOfRelations, []string{
			"pg_class", "pg_inherits", "pg_sequence", "pg_rewrite", "pg_attribute", "pg_index", "pg_publication", "pg_publication_rel", "pg_publication_namespace",
			"pg_type", "pg_namespace",
		}},
		{facetsOfColumns, []string{"pg_attribute", "pg_attrdef", "pg_type", "pg_namespace"}},
		{facetsOfRules, []string{"pg_class", "pg_constraint", "pg_index", "pg_trigger", "pg_rewrite", "pg_policy", "pg_attribute", "pg_type", "pg_namespace"}},
		{facetsOfFunctions, []string{"pg_proc", "pg_aggregate", "pg_type", "pg_namespace"}},
		{facetsOfTypes, []string{"pg_type", "pg_enum", "pg_attribute", "pg_constraint", "pg_namespace"}},
		{facetsOfOthers, []string{
			"pg_namespace", "pg_collation", "pg_operator", "pg_cast", "pg_ts_config", "pg_ts_dict", "pg_extension", "pg_publication", "pg_type",
		}},
	}
}

const facetsOfRelations = `
SELECT ` + relationKind + `, '', ` + relationName + `, f.facet, f.value, ` + nobody + ` FROM relation r CROSS JOIN LATERAL (
  SELECT '' AS facet, 'there' AS value
  UNION ALL SELECT 'found', CASE WHEN pg_table_is_visible(r.oid) THEN 'by name' ELSE 'no' END
  UNION ALL SELECT 'owner', pg_get_userbyid(r.relowner)
  UNION ALL SELECT 'persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END WHERE r.relkind IN ('r', 'p')
  UNION ALL SELECT 'row security', CASE WHEN r.relrowsecurity AND r.relforcerowsecurity THEN 'forced' WHEN r.relrowsecurity THEN 'on' ELSE 'off' END WHERE r.relkind IN ('r', 'p')
  UNION ALL SELECT 'replica identity', r.relreplident::text WHERE r.relkind IN ('r', 'p')
  UNION ALL SELECT 'options', (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(r.reloptions) o) WHERE r.relkind = 'v'
  UNION ALL SELECT 'definition', md5(pg_get_viewdef(r.oid)) WHERE r.relkind IN ('v', 'm')
  UNION ALL SELECT 'writes', pg_relation_is_updatable(r.oid, true)::text WHERE r.relkind = 'v'
) f
UNION ALL SELECT ` + relationKind + `, '', ` + relationName + `, ` + privilege + `, 'there', ` + nobody + `
  FROM relation r CROSS JOIN aclexplode(r.relacl) a WHERE a.grantee <> r.relowner
UNION ALL SELECT 'table', '', p.name, 'rows of ' || r.name, CASE WHEN r.relispartition THEN 'partition' ELSE 'heir' END, ` + nobody + `
  FROM pg_inherits i JOIN relation p ON p.oid = i.inhparent JOIN relation r ON r.oid = i.inhrelid
UNION ALL SELECT 'table', '', r.name, 'updates that cannot be replicated', 'refused', ` + nobody + ` FROM relation r
  WHERE r.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_publication_tables t JOIN pg_publication b ON b.pubname = t.pubname JOIN mine m ON m.name = t.schemaname
      WHERE t.tablename = r.relname AND m.oid = r.relnamespace AND (b.pubupdate OR b.pubdelete))
    AND (r.relreplident = 'n' OR r.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = r.oid AND x.indisprimary))
UNION ALL SELECT 'other', '', 'sequence ' || r.name, f.facet, f.value, ` + nobody + ` FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid CROSS JOIN LATERAL (
  SELECT 'increment' AS facet, s.seqincrement::text AS value UNION ALL SELECT 'lowest', s.seqmin::text UNION ALL SELECT 'highest', s.seqmax::text
  UNION ALL SELECT 'type', format_type(s.seqtypid, NULL) UNION ALL SELECT 'cache', s.seqcache::text UNION ALL SELECT 'cycle', s.seqcycle::text
  UNION ALL SELECT 'place', r.relfilenode::text) f` + facetsEnd

// facetsOfColumns: a column that may be NULL counts as one way to write it, and one that every row must name is required.
const facetsOfColumns = `
SELECT 'column', r.name, a.attname::text, f.facet, f.value, ` + nobody + `
FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'
  LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
  CROSS JOIN LATERAL (
    SELECT '' AS facet, CASE WHEN a.attnotnull AND d.oid IS NULL AND a.attidentity = '' THEN 'required' ELSE 'there' END AS value
    UNION ALL SELECT 'type', format_type(a.atttypid, a.atttypmod)
    UNION ALL SELECT 'collation', a.attcollation::regcollation::text WHERE a.attcollation <> 0
    UNION ALL SELECT 'generated', pg_get_expr(d.adbin, d.adrelid) WHERE a.attgenerated <> ''
    UNION ALL SELECT 'identity', CASE a.attidentity WHEN 'a' THEN 'always' ELSE 'by default' END WHERE a.attidentity <> ''
  ) f
UNION ALL SELECT 'column', r.name, a.attname::text, format('privilege %s for %s', x.privilege_type, CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END),
    'there', ` + nobody + `
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped CROSS JOIN aclexplode(a.attacl) x WHERE x.grantee <> r.relowner
UNION ALL SELECT 'default', r.name, a.attname::text, '', pg_get_expr(d.adbin, d.adrelid), ` + nobody + `
  FROM relation r JOIN pg_attrdef d ON d.adrelid = r.oid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.adnum AND a.attgenerated = ''
UNION ALL SELECT 'write', r.name, a.attname::text, '', 'there', ` + nobody + `
  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attnotnull AND NOT a.attisdropped WHERE r.relkind IN ('r', 'p')` + facetsEnd

// facetsOfRules are what refuses or changes rows. Indexes and triggers are told from each other by what stands behind their names.
const facetsOfRules = `
SELECT 'constraint', r.name, k.conname::text, '', pg_get_constraintdef(k.oid),
    coalesce((SELECT array_agg(a.attname::text ORDER BY u.ord) FROM unnest(k.conkey) WITH ORDINALITY u(num, ord)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num), '{}')
  FROM relation r JOIN pg_constraint k ON k.conrelid = r.oid AND k.oid >= 16384 AND k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL SELECT 'index', r.name, x.relname::text, '', CASE WHEN i.indisunique THEN 'unique' ELSE 'plain' END || substr(def.text, strpos(def.text, ' ON ')),
    coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum = ANY (i.indkey::int2[]) AND a.attnum > 0), '{}')
  FROM relation r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid CROSS JOIN LATERAL (SELECT pg_get_indexdef(x.oid) AS text OFFSET 0) def
  WHERE x.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.oid AND k.conrelid = r.oid AND k.contype IN ('p', 'u', 'x'))
UNION ALL SELECT 'trigger', r.name, t.tgname::text, '', CASE WHEN t.tgenabled IN ('O', 'A') THEN 'on ' ELSE 'off ' END ||
    regexp_replace(pg_get_triggerdef(t.oid), '^CREATE (CONSTRAINT )?TRIGGER ("([^"]|"")*"|\S+) ', '\1'), ` + nobody + `
  FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
UNION ALL SELECT 'other', r.name, 'rule ' || w.rulename, '', CASE WHEN w.ev_enabled IN ('O', 'A') THEN 'on ' ELSE 'off ' END || pg_get_ruledef(w.oid), ` + nobody + `
  FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE w.rulename <> '_RETURN'
UNION ALL SELECT 'other', r.name, 'policy ' || p.polname, '', CASE WHEN p.polpermissive THEN 'permissive ' ELSE 'restrictive ' END ||
    md5(concat_ws('|', p.polcmd, p.polroles::text, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))), ` + nobody + `
  FROM relation r JOIN pg_policy p ON p.polrelid = r.oid` + facetsEnd

// facetsOfFunctions: rivals are functions of the same name that a call with as many arguments may mean; "same" ones of the same types, where a default
// makes the difference. A body is told with what the server has stored by it.
const facetsOfFunctions = `
SELECT 'function', '', m.name || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', f.facet, f.value, ` + nobody + `
FROM (SELECT * FROM pg_proc WHERE oid >= 16384) p JOIN mine m ON m.oid = p.pronamespace LEFT JOIN pg_aggregate g ON g.aggfnoid = p.oid CROSS JOIN LATERAL (
  SELECT '' AS facet, 'there' AS value
  UNION ALL SELECT 'found', CASE WHEN pg_function_is_visible(p.oid) THEN 'by name' ELSE 'no' END
  UNION ALL SELECT 'result', CASE p.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' WHEN 'w' THEN 'window ' ELSE '' END || coalesce(pg_get_function_result(p.oid), '')
  UNION ALL SELECT 'arguments', pg_get_function_arguments(p.oid)
  UNION ALL SELECT 'security', CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END
  UNION ALL SELECT 'owner', pg_get_userbyid(p.proowner) WHERE p.prosecdef
  UNION ALL SELECT 'way', concat_ws(' ', p.provolatile, p.proisstrict, p.proleakproof, p.proparallel, p.proconfig::text)
  UNION ALL SELECT 'body', md5(concat_ws('|', p.prolang, p.probin, p.prosrc, to_jsonb(p) ->> 'prosqlbody', g.aggtransfn::oid, g.aggfinalfn::oid, g.aggtranstype, g.agginitval)) || ' ' ||
    coalesce((SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, 0), ', ') FROM pg_depend d LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
      LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid LEFT JOIN pg_attrdef e ON d.classid = 'pg_attrdef'::regclass AND e.oid = d.objid
      LEFT JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
      WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND (c.relkind IN ('i', 'I', 'p', 'm') OR k.contype = 'c' OR a.attgenerated = 's')), '')
  UNION ALL SELECT 'rivals', (SELECT string_agg(format('%s %s.%s(%s)', CASE WHEN common.same THEN 'same' ELSE 'other' END, on_.nspname, o.proname, oidvectortypes(o.proargtypes)), '; ' ORDER BY o.oid)
    FROM pg_proc o JOIN pg_namespace on_ ON on_.oid = o.pronamespace
      CROSS JOIN LATERAL (SELECT greatest(p.pronargs - p.pronargdefaults, o.pronargs - o.pronargdefaults) AS least, least(p.pronargs, o.pronargs) AS most) n
      CROSS JOIN LATERAL (SELECT p.pronargs <> o.pronargs AND NOT EXISTS (SELECT FROM generate_series(0, n.least - 1) i WHERE p.proargtypes[i] <> o.proargtypes[i]) AS same) common
    WHERE o.proname = p.proname AND o.oid <> p.oid AND n.least <= n.most AND o.prokind <> 'p' AND p.prokind <> 'p'
      AND pg_function_is_visible(o.oid) AND pg_function_is_visible(p.oid) AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype))
) f
UNION ALL SELECT 'function', '', m.name || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', ` + privilege + `, 'there', ` + nobody + `
  FROM (SELECT * FROM pg_proc WHERE oid >= 16384) p JOIN mine m ON m.oid = p.pronamespace CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner` + facetsEnd

const facetsOfTypes = `
SELECT 'type', '', m.name || '.' || t.typname, f.facet, f.value, ` + nobody + `
FROM (SELECT * FROM pg_type WHERE oid >= 16384) t JOIN mine m ON m.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid CROSS JOIN LATERAL (
  SELECT '' AS facet, 'there' AS value
  UNION ALL SELECT 'found', CASE WHEN pg_type_is_visible(t.oid) THEN 'by name' ELSE 'no' END
  UNION ALL SELECT 'value ' || quote_literal(e.enumlabel), 'there' FROM pg_enum e WHERE e.enumtypid = t.oid
  UNION ALL SELECT 'attribute ' || a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL SELECT 'null', 'allowed' WHERE t.typtype = 'd' AND NOT t.typnotnull
  UNION ALL SELECT 'default', t.typdefault WHERE t.typtype = 'd'
  UNION ALL SELECT 'constraint ' || k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'
  UNION ALL SELECT ` + privilege + `, 'there' FROM aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a WHERE a.grantee <> t.typowner
) f
WHERE t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c'` + facetsEnd

// facetsOfOthers: how many operators there are of a name says whether a new one has to be told from others.
const facetsOfOthers = `
SELECT 'other', '', 'schema ' || m.name, f.facet, f.value, ` + nobody + ` FROM mine m CROSS JOIN LATERAL (
  SELECT '' AS facet, 'there' AS value
  UNION ALL SELECT ` + privilege + `, 'there' FROM aclexplode(m.acl) a WHERE a.grantee <> m.owner) f
UNION ALL SELECT 'other', '', 'collation ' || m.name || '.' || o.collname, '', 'there', ` + nobody + ` FROM pg_collation o JOIN mine m ON m.oid = o.collnamespace WHERE o.oid >= 16384
UNION ALL SELECT 'other', '', format('operator %s.%s (%s, %s)', m.name, o.oprname, format_type(o.oprleft, NULL), format_type(o.oprright, NULL)), '',
    CASE WHEN EXISTS (SELECT FROM pg_operator b WHERE b.oprname = o.oprname AND b.oid <> o.oid) THEN 'one of several' ELSE 'alone' END, ` + nobody + `
  FROM pg_operator o JOIN mine m ON m.oid = o.oprnamespace WHERE o.oid >= 16384
UNION ALL SELECT 'other', '', format('cast (%s AS %s)', format_type(castsource, NULL), format_type(casttarget, NULL)), '', castcontext::text, ` + nobody + `
  FROM pg_cast WHERE oid >= 16384
UNION ALL SELECT 'other', '', 'text search configuration ' || m.name || '.' || o.cfgname, '', 'there', ` + nobody + ` FROM pg_ts_config o JOIN mine m ON m.oid = o.cfgnamespace
UNION ALL SELECT 'other', '', 'text search dictionary ' || m.name || '.' || o.dictname, '', 'there', ` + nobody + ` FROM pg_ts_dict o JOIN mine m ON m.oid = o.dictnamespace
UNION ALL SELECT 'other', '', 'extension ' || extname, '', extversion, ` + nobody + ` FROM pg_extension
UNION ALL SELECT 'other', '', 'publication ' || pubname, '', 'there', ` + nobody + ` FROM pg_publication` + facetsEnd
