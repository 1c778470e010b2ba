package gate

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestRetyped gives back to the server what its statistics have made unreadable.
func TestRetyped(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"SELECT interval $1":                             "SELECT CAST($1 AS interval)",
		"SELECT now() - interval(3) $1 day":              "SELECT now() - CAST($1 AS interval)",
		"SELECT date $1, timestamp with time zone $2":    "SELECT CAST($1 AS date), CAST($2 AS timestamp with time zone)",
		"SELECT at < time without time zone $1 FROM t":   "SELECT at < CAST($1 AS time without time zone) FROM t",
		"SELECT extract($1 FROM at) FROM t":              "SELECT extract('epoch' FROM at) FROM t",
		"SELECT id FROM t WHERE a = $1 -- interval $2":   "SELECT id FROM t WHERE a = $1 -- interval $2",
		`SELECT "date", 'interval $1' FROM t LIMIT $1`:   `SELECT "date", 'interval $1' FROM t LIMIT $1`,
		"UPDATE t SET at = $1::date + INTERVAL $2 MONTH": "UPDATE t SET at = $1::date + CAST($2 AS interval)",
	} {
		if got := variants(read(sql))[0]; got != want {
			t.Errorf("%s\n  gives %s\n  want  %s", sql, got, want)
		}
	}
}

func TestReadingOfInserts(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]insert{
		"INSERT INTO t VALUES ($1, f(a, b), DEFAULT)":                             {table: "t", values: 3, defaults: map[int]bool{2: true}},
		`INSERT INTO "S"."T" AS x ("A", b) VALUES ($1, $2)`:                       {schema: "S", table: "T", columns: []string{"A", "b"}, values: 2, defaults: map[int]bool{}},
		"INSERT INTO t (a) OVERRIDING SYSTEM VALUE SELECT x.* FROM x":             {table: "t", columns: []string{"a"}, values: -1, star: true},
		"INSERT INTO t DEFAULT VALUES":                                            {table: "t", columns: []string{}, values: -1},
		"INSERT INTO t TABLE u":                                                   {table: "t", values: -1, star: true},
		"INSERT INTO t (SELECT a, (SELECT b, c FROM y) FROM x)":                   {table: "t", values: 2, defaults: map[int]bool{}},
		"INSERT INTO t SELECT a IS DISTINCT FROM b, c FROM x":                     {table: "t", values: 2, defaults: map[int]bool{}},
		"INSERT INTO t SELECT 1, 2 ON CONFLICT (a, b) DO UPDATE SET c = 3, d = 4": {table: "t", values: 2, defaults: map[int]bool{}},
		"COPY t (a, b) FROM STDIN":                                                {table: "t", columns: []string{"a", "b"}, values: -1},
		"INSERT INTO t (c.d, e[1]) VALUES (1, 2)":                                 {table: "t", columns: []string{"c", "e"}, values: 2, defaults: map[int]bool{}},
		"WITH x AS (SELECT 1) INSERT INTO t WITH y AS (SELECT 2) SELECT * FROM y": {table: "t", values: -1, star: true},
	} {
		found := read(sql).inserts()
		if diff := cmp.Diff([]insert{want}, found, cmp.AllowUnexported(insert{})); diff != "" {
			t.Errorf("%s\n%s", sql, diff)
		}
	}
}

func TestReadingOfSets(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"UPDATE t SET a = 1, b = f(x, y), c = (SELECT d FROM e) WHERE g = 1":                                                "a b c",
		"UPDATE t SET (a, b) = (SELECT c, d FROM e), f = 2 FROM g":                                                          "a b f",
		`UPDATE t SET "A b" = excluded."C"`:                                                                                 "A b",
		"INSERT INTO t (x) VALUES (1) ON CONFLICT (y) DO UPDATE SET a = 1, b = CASE WHEN true THEN 1 END RETURNING z":       "a b",
		"UPDATE t SET a = CASE WHEN x THEN 1 END, b = y IS DISTINCT FROM z, c = 1 FROM u, v WHERE d = 1":                    "a b c",
		"MERGE INTO t USING u ON true WHEN MATCHED AND a > 1 THEN UPDATE SET b = 1, c = 2 WHEN NOT MATCHED THEN DO NOTHING": "b c",
		"SELECT a FROM t": "",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(read(sql).sets())), " "); got != want {
			t.Errorf("%s sets %q, want %q", sql, got, want)
		}
	}
}

// TestReadingNeverFails reads whatever there is, whole or cut off.
func TestReadingNeverFails(t *testing.T) {
	t.Parallel()
	words := []string{
		"INSERT INTO ", "t ", "(", ")", ", ", "SELECT ", "* ", "VALUES ", "$1 ", "$$", "'", `"`, "--", "/*", "SET ", "a ", "= ", "COPY ", "FROM ", "WITH ", "AS ", ". ",
		"extract", "interval ", "DO ", "ON CONFLICT ", "MERGE ", "THEN ", "TABLE ", "DEFAULT ", "OVERRIDING ", "DECLARE ", "FOR ", "\x00", "é",
	}
	rapid.Check(t, func(t *rapid.T) {
		sql := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 25).Draw(t, "words"), "")
		for _, form := range variants(read(sql))[1:] {
			if again := read(form); again.params != 0 {
				t.Fatalf("%q has parameters as %q", sql, form)
			}
		}
		s := read(sql)
		s.inserts()
		s.sets()
		s.inner()
		s.aliases("", "t")
		own(sql)
		looksUp(sql, nil)
	})
}

func TestLooksUp(t *testing.T) {
	t.Parallel()
	tables := map[string]bool{"a": true, "class": true, "name": true, "orders": true}
	for sql, want := range map[string]bool{
		"SELECT a.attname AS name, $1::regclass AS class FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid": true,
		`SELECT dealloc FROM "public"."pg_stat_statements_info"`:                                                    true,
		"SELECT c.oid, c.name FROM pg_class c, pg_namespace n WHERE n.name = c.name":                                true,
		"SELECT relname FROM pg_class c, a":                                                                         false,
		"SELECT relname FROM pg_class c, public.a WHERE true":                                                       false,
		"SELECT relname FROM pg_class c JOIN orders ON true":                                                        false,
		"SELECT relname FROM pg_class WHERE EXISTS (SELECT FROM a)":                                                 false,
		"SELECT (SELECT max(id) FROM orders) FROM pg_class":                                                         false,
		"WITH x AS (INSERT INTO orders VALUES (1) RETURNING 1) SELECT FROM pg_class":                                false,
		"WITH x AS (DELETE FROM ONLY a) SELECT FROM pg_class":                                                       false,
		"SELECT 1 FROM orders": false,
		"SELECT now()":         false,
	} {
		if got := looksUp(sql, tables); got != want {
			t.Errorf("%s: %t", sql, got)
		}
	}
}
