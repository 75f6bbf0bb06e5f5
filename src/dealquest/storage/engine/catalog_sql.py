"""The questions that the catalog asks PostgreSQL, one text each; all run with an empty search_path.

They look at system tables by oid only: a lookup by name would need rights that the login role must not have.
Source: PostgreSQL manual, "System Catalogs" (15 to 18), read 2026-11-22.
"""

# Types under domains: a domain may stand on a domain.
_BASE_TYPES = """
WITH RECURSIVE base_types AS (
  SELECT oid, typbasetype, typnamespace, COALESCE(NULLIF(typbasetype, 0), oid) AS base, typtypmod AS mod
  FROM pg_catalog.pg_type
  UNION
  SELECT t.oid, b.typbasetype, b.typnamespace, COALESCE(NULLIF(b.typbasetype, 0), b.oid), t.mod
  FROM base_types t JOIN pg_catalog.pg_type b ON t.typbasetype = b.oid
), under AS (SELECT oid, base, mod FROM base_types WHERE typbasetype = 0)
"""

# $1: exposed schemas. One row a relation; its columns as one JSON text.
TABLES = (
    _BASE_TYPES
    + """
SELECT n.nspname, c.relname, c.relkind::text, obj_description(c.oid, 'pg_class'),
  pg_catalog.pg_relation_is_updatable(c.oid, true)::text,
  (SELECT json_agg(a.attname ORDER BY k.place)::text
   FROM pg_catalog.pg_constraint p, unnest(p.conkey) WITH ORDINALITY AS k(num, place)
   JOIN pg_catalog.pg_attribute a ON a.attnum = k.num
   WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid),
  (SELECT json_agg(json_build_array(
      a.attname,
      pg_catalog.format_type(a.atttypid, a.atttypmod),
      CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(u.base, u.mod) ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END,
      NOT (a.attnotnull OR t.typtype = 'd' AND t.typnotnull),
      CASE
        WHEN a.attidentity <> '' THEN (
          SELECT pg_catalog.format('nextval(%L::regclass)', pg_catalog.quote_ident(sn.nspname) || '.' || pg_catalog.quote_ident(s.relname))
          FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
          JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
          WHERE d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i' LIMIT 1)
        WHEN a.attgenerated <> '' THEN NULL
        ELSE COALESCE(pg_catalog.pg_get_expr(ad.adbin, ad.adrelid), t.typdefault)
      END,
      a.attgenerated <> '' OR a.attidentity = 'a',
      pg_catalog.col_description(c.oid, a.attnum),
      information_schema._pg_char_max_length(
        information_schema._pg_truetypid(a, t), information_schema._pg_truetypmod(a, t)),
      (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid IN (t.oid, t.typbasetype))
    ) ORDER BY a.attnum)::text
   FROM pg_catalog.pg_attribute a
   JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
   LEFT JOIN under u ON u.oid = t.oid
   LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition AND n.nspname = ANY($1::text[])
ORDER BY n.nspname, c.relname
"""
)

# Every foreign key, its pairs of columns, and whether its own side is unique.
FOREIGN_KEYS = """
SELECT n1.nspname, c1.relname, n2.nspname, c2.relname, con.conname,
  (SELECT json_agg(json_build_array(a1.attname, a2.attname) ORDER BY k.place)::text
   FROM unnest(con.conkey, con.confkey) WITH ORDINALITY AS k(here, there, place)
   JOIN pg_catalog.pg_attribute a1 ON a1.attrelid = con.conrelid AND a1.attnum = k.here
   JOIN pg_catalog.pg_attribute a2 ON a2.attrelid = con.confrelid AND a2.attnum = k.there),
  (EXISTS (SELECT FROM pg_catalog.pg_constraint u WHERE u.conrelid = con.conrelid AND u.contype IN ('p', 'u')
           AND u.conkey @> con.conkey AND u.conkey <@ con.conkey))::text
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c1 ON c1.oid = con.conrelid JOIN pg_catalog.pg_namespace n1 ON n1.oid = c1.relnamespace
JOIN pg_catalog.pg_class c2 ON c2.oid = con.confrelid JOIN pg_catalog.pg_namespace n2 ON n2.oid = c2.relnamespace
WHERE con.contype = 'f' AND con.conparentid = 0
ORDER BY con.conrelid, con.conname
"""

# Every primary key: junctions may be found through tables that only views show.
KEYS = """
SELECT n.nspname, c.relname, json_agg(a.attname ORDER BY k.place)::text
FROM pg_catalog.pg_constraint p JOIN pg_catalog.pg_class c ON c.oid = p.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
unnest(p.conkey) WITH ORDINALITY AS k(num, place) JOIN pg_catalog.pg_attribute a ON a.attnum = k.num
WHERE p.contype = 'p' AND a.attrelid = p.conrelid AND n.nspname <> 'pg_catalog'
GROUP BY n.nspname, c.relname
"""

# $1: exposed schemas. Functions whose arguments all have names, or that take one unnamed document.
FUNCTIONS = (
    _BASE_TYPES
    + """
SELECT n.nspname, p.proname, obj_description(p.oid, 'pg_proc'),
  (SELECT COALESCE(json_agg(json_build_array(
      COALESCE(p.proargnames[i.place], ''), pg_catalog.format_type(i.type, NULL),
      i.number <= p.pronargs - p.pronargdefaults, i.mode = 'v') ORDER BY i.place), '[]')::text
   FROM (SELECT a.place, a.type, a.mode, row_number() OVER (ORDER BY a.place) AS number
         FROM unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[]),
                     COALESCE(p.proargmodes, array_fill('i'::"char", ARRAY[p.pronargs])))
              WITH ORDINALITY AS a(type, mode, place) WHERE a.mode IN ('i', 'b', 'v')) i),
  tn.nspname, COALESCE(rc.relname, t.typname), p.proretset::text,
  (t.typtype = 'c' OR b.typtype = 'c'
   OR COALESCE(p.proargmodes::text[] && '{t,b,o}', false))::text,
  (t.oid = 'void'::regtype)::text, p.provolatile::text,
  CASE WHEN t.typtype = 'd' THEN t.typname END,
  (SELECT json_agg(s)::text FROM unnest(p.proconfig) s)
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type t ON t.oid = p.prorettype LEFT JOIN under u ON u.oid = t.oid LEFT JOIN pg_catalog.pg_type b ON b.oid = u.base
LEFT JOIN pg_catalog.pg_class rc ON rc.oid = COALESCE(NULLIF(b.typrelid, 0), t.typrelid)
JOIN pg_catalog.pg_namespace tn ON tn.oid = COALESCE(rc.relnamespace, t.typnamespace)
WHERE p.prokind = 'f' AND t.oid NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND n.nspname = ANY($1::text[])
  AND (NOT EXISTS (
      SELECT FROM unnest(COALESCE(p.proallargtypes, p.proargtypes::oid[]),
                         COALESCE(p.proargmodes, array_fill('i'::"char", ARRAY[p.pronargs])))
        WITH ORDINALITY AS a(type, mode, place)
      WHERE a.mode IN ('i', 'b', 'v') AND COALESCE(p.proargnames[a.place], '') = '')
    OR p.pronargs = 1
       AND p.proargtypes[0] IN ('json'::regtype, 'jsonb'::regtype, 'text'::regtype, 'bytea'::regtype, 'xml'::regtype))
ORDER BY n.nspname, p.proname, p.oid
"""
)

# $1: exposed schemas and the extra search path. Functions from a table's row to rows of a table.
COMPUTED_RELATIONSHIPS = """
SELECT n.nspname, p.proname, on_.nspname, oc.relname, tn.nspname, tc.relname, (NOT p.proretset OR p.prorows = 1)::text
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type ot ON ot.oid = p.proargtypes[0] JOIN pg_catalog.pg_class oc ON oc.oid = ot.typrelid
JOIN pg_catalog.pg_namespace on_ ON on_.oid = oc.relnamespace
JOIN pg_catalog.pg_type tt ON tt.oid = p.prorettype JOIN pg_catalog.pg_class tc ON tc.oid = tt.typrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
WHERE p.pronargs = 1 AND p.prokind = 'f' AND n.nspname = ANY($1::text[])
  AND oc.relkind IN ('r', 'v', 'm', 'f', 'p') AND tc.relkind IN ('r', 'v', 'm', 'f', 'p')
ORDER BY n.nspname, p.proname
"""

# Implicit casts by function between a domain and json or text.
REPRESENTATIONS = """
SELECT pg_catalog.format_type(c.castsource, NULL), pg_catalog.format_type(c.casttarget, NULL),
  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type s ON s.oid = c.castsource JOIN pg_catalog.pg_type t ON t.oid = c.casttarget
JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE c.castmethod = 'f' AND c.castcontext = 'i'
  AND (s.typtype = 'd' AND t.oid IN ('json'::regtype, 'text'::regtype)
       OR t.typtype = 'd' AND s.oid IN ('json'::regtype, 'text'::regtype))
"""

# PostGIS's function from a row to GeoJSON, which came with its version 3.
GEOJSON = """
SELECT n.nspname, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE p.proname = 'st_asgeojson' AND p.proargtypes[0] = 'record'::regtype LIMIT 1
"""

# $1: exposed schemas and the extra search path. Aggregates that end in a domain named like a media type.
HANDLERS = """
SELECT lower(t.typname), n.nspname, p.proname, an.nspname, ac.relname
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_type t ON t.oid = p.prorettype AND t.typtype = 'd'
JOIN pg_catalog.pg_type a ON a.oid = p.proargtypes[0]
LEFT JOIN pg_catalog.pg_class ac ON ac.oid = NULLIF(a.typrelid, 0) LEFT JOIN pg_catalog.pg_namespace an ON an.oid = ac.relnamespace
WHERE p.prokind = 'a' AND p.pronargs = 1 AND t.typname LIKE '%/%' AND n.nspname = ANY($1::text[])
  AND (ac.oid IS NOT NULL OR a.oid = 'anyelement'::regtype)
"""

# Settings of every role that this login may become, only those that it may set itself.
ROLES = """
SELECT r.rolname,
  (SELECT json_agg(json_build_array(substr(s, 1, strpos(s, '=') - 1), substr(s, strpos(s, '=') + 1)))::text
   FROM pg_catalog.pg_db_role_setting d, unnest(d.setconfig) s
   LEFT JOIN pg_catalog.pg_settings g ON g.name = lower(substr(s, 1, strpos(s, '=') - 1))
   WHERE d.setrole = r.oid AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
     AND (g.context IS NULL OR g.context = 'user' OR has_parameter_privilege(current_user, g.name, 'set')))
FROM pg_catalog.pg_roles r WHERE pg_has_role(current_user, r.oid, 'member')
"""

# $1: exposed schemas.
SCHEMAS = """
SELECT n.nspname, obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY($1::text[])
"""

# Who we are: a superuser would make every policy void.
LOGIN = """
SELECT current_user, r.rolsuper::text, r.rolinherit::text, r.rolbypassrls::text, current_setting('is_superuser')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""

# The rewrite rule of every view, for the keys that views pass through.
VIEWS = """
SELECT c.oid::text, n.nspname, c.relname, r.ev_action::text,
  NULL
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN'
WHERE c.relkind IN ('v', 'm') AND n.nspname = ANY($1::text[]) AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""

# The columns of everything a view may read, by oid.
ATTRIBUTES = """
SELECT c.oid::text, n.nspname, c.relname, c.relkind::text, json_object_agg(a.attnum, a.attname)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY c.oid, n.nspname, c.relname, c.relkind
"""
