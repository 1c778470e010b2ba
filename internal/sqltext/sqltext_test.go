package sqltext_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/sqltext"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	text := `-- head

-- segue: phase=contract
ALTER TABLE "a;b" DROP COLUMN c; /* between; */ INSERT INTO t VALUES ('x;''y', E'\';', $q$;$q$);
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
SELECT 1 -- tail
`
	pieces, faults := sqltext.Split(sqltext.Postgres, text)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var got []string
	for _, p := range pieces {
		got = append(got, p.SQL)
	}
	want := []string{
		`ALTER TABLE "a;b" DROP COLUMN c`, `INSERT INTO t VALUES ('x;''y', E'\';', $q$;$q$)`,
		`CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END`, `SELECT 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	comments := []sqltext.Comment{{Text: "head", Line: 1, Column: 1, Apart: true}, {Text: "segue: phase=contract", Line: 3, Column: 1}}
	if diff := cmp.Diff(comments, pieces[0].Comments); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	if pieces[0].Line != 4 || pieces[1].Column != 49 {
		t.Errorf("places %d:%d, %d:%d", pieces[0].Line, pieces[0].Column, pieces[1].Line, pieces[1].Column)
	}
}

func TestSplitTriggers(t *testing.T) {
	t.Parallel()
	pieces, faults := sqltext.Split(sqltext.SQLite, "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN 1 THEN 2 END; DELETE FROM u; END; SELECT 1;")
	if len(pieces) != 2 || len(faults) > 0 {
		t.Errorf("%d pieces, %v", len(pieces), faults)
	}
}

func TestSplitFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT 1;\nSELECT 'open": "2:8: this string is not closed", `SELECT "x`: "1:8: this quoted name is not closed", "/* never": "1:1: this comment is not closed",
		"\\i other.sql\n": "1:1: this is a command of psql, not SQL", "COPY t FROM stdin;\n": "1:1: COPY FROM stdin has its data outside of SQL",
	} {
		_, faults := sqltext.Split(sqltext.Postgres, text)
		if len(faults) != 1 || faults[0].String() != want {
			t.Errorf("%q: %v", text, faults)
		}
	}
}

// TestParseEveryKnownOperation reads the statements of the measured catalogue: each is known for what it is.
func TestParseEveryKnownOperation(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/operations.json")
	if err != nil {
		t.Fatal(err)
	}
	var operations []struct{ SQL, Kind, Clauses string }
	if err := json.Unmarshal(text, &operations); err != nil {
		t.Fatal(err)
	}
	for _, operation := range operations {
		shape := sqltext.Parse(sqltext.Postgres, operation.SQL)
		var clauses []string
		for _, clause := range shape.Clauses {
			clauses = append(clauses, string(clause.Kind))
		}
		if got := strings.Join(clauses, ", "); string(shape.Kind) != operation.Kind || got != operation.Clauses {
			t.Errorf("%s: %s [%s], want %s [%s]", operation.SQL, shape.Kind, got, operation.Kind, operation.Clauses)
		}
	}
}

func TestParseDetails(t *testing.T) {
	t.Parallel()
	shape := sqltext.Parse(sqltext.Postgres, `ALTER TABLE IF EXISTS ONLY app."Orders" ADD COLUMN a numeric(10, 2) NOT NULL DEFAULT round(1.5, 1) CONSTRAINT pos CHECK (a > 0) REFERENCES p(id) ON DELETE SET NULL,
		ALTER COLUMN b TYPE text COLLATE "C" USING b::text, ADD CONSTRAINT u UNIQUE USING INDEX i DEFERRABLE`)
	add, retype, unique := shape.Clauses[0], shape.Clauses[1], shape.Clauses[2]
	switch {
	case shape.Table != sqltext.Name{Schema: "app", Name: "Orders"}, !shape.Only, !shape.IfExists, len(shape.Clauses) != 3:
		t.Errorf("statement %+v", shape)
	case add.Column != "a" || add.Type != "numeric(10, 2)" || !add.NotNull || add.Default != "round(1.5, 1)" || len(add.Constraints) != 2 || add.Constraints[0].Name != "pos":
		t.Errorf("column %+v", add)
	case retype.Type != "text" || retype.Collate != "C" || retype.Using != "b::text":
		t.Errorf("type %+v", retype)
	case unique.Constraints[0].UsingIndex != "i" || !unique.Constraints[0].Deferrable || !strings.HasPrefix(unique.Constraints[0].SQL, "CONSTRAINT u"):
		t.Errorf("constraint %+v", unique)
	}
	update := sqltext.Parse(sqltext.Postgres, "WITH x AS (SELECT 1) UPDATE t AS u SET a = f(b, ','), \"B\" = 2 FROM p WHERE u.id = p.id RETURNING u.*")
	if diff := cmp.Diff([]sqltext.Assignment{{Column: "a", Expr: "f(b, ',')"}, {Column: "B", Expr: "2"}}, update.Set); diff != "" || update.Where != "u.id = p.id" || update.From != "p" || !update.Star {
		t.Errorf("update %+v\n%s", update, diff)
	}
	insert := sqltext.Parse(sqltext.Postgres, "INSERT INTO t (a, b) SELECT count(*), 2 FROM u ON CONFLICT (a, b) DO UPDATE SET a = 1 RETURNING id")
	if insert.Conflict != "a, b" || insert.Star || insert.Returning != "id" || len(insert.Columns) != 2 {
		t.Errorf("insert %+v", insert)
	}
	if !sqltext.Parse(sqltext.Postgres, "SELECT a.*, 2 * 3 FROM a").Star || sqltext.Parse(sqltext.Postgres, "SELECT 2 * 3, count(*) FROM a").Star {
		t.Error("stars")
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	prefix := func(column string) string { return "NEW." + sqltext.Quote(sqltext.Postgres, column) }
	for expr, want := range map[string]string{
		`split_part(name, ' name ', 1)`:                       `split_part(NEW."name", ' name ', 1)`,
		`first || ' ' || "Last"`:                              `NEW."first" || ' ' || NEW."Last"`,
		`coalesce(a::double precision, t.b, lower(c))`:        `coalesce(NEW."a"::double precision, t.b, lower(NEW."c"))`,
		`CASE WHEN x IS NULL THEN 1 ELSE cast(y AS text) END`: `CASE WHEN NEW."x" IS NULL THEN 1 ELSE cast(NEW."y" AS text) END`,
	} {
		if got := sqltext.Rewrite(sqltext.Postgres, expr, prefix); got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
	if got := sqltext.Columns(sqltext.Postgres, "a + b * a - f(c)"); cmp.Diff([]string{"a", "b", "c"}, got) != "" {
		t.Errorf("columns %v", got)
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	const want = "select a, count(*) from t where b = $1 and c in ($2, $3)"
	for _, sql := range []string{"SELECT a, count(*)\nFROM t WHERE b = 'x' AND c IN (1, 2.5)", "select a,count( * ) from t where b=$1 and c in ( $2,$3 ) -- x"} {
		if got := sqltext.Normalize(sqltext.Postgres, sql); got != want {
			t.Errorf("%q becomes %q", sql, got)
		}
	}
}

// TestTokensAreTheText puts any text's tokens together again.
func TestTokensAreTheText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab1 .,;:'\"`$()[]{}/*-\\\n\tEeUuXx&?@#üß\x00_")), 0, 60, -1).Draw(t, "text")
		for _, dialect := range []sqltext.Dialect{sqltext.Postgres, sqltext.SQLite, sqltext.MySQL} {
			var all strings.Builder
			for _, token := range sqltext.Tokens(dialect, text) {
				if token.Text == "" || token.Offset != all.Len() {
					t.Fatalf("token %+v at %d", token, all.Len())
				}
				all.WriteString(token.Text)
			}
			if all.String() != text {
				t.Fatalf("tokens of %q are %q", text, all.String())
			}
			sqltext.Parse(dialect, text)
			sqltext.Split(dialect, text)
			sqltext.Rewrite(dialect, text, strings.ToUpper)
		}
	})
}

// TestQuotedNamesComeBack reads what was quoted.
func TestQuotedNamesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 20, -1).Draw(t, "name")
		for _, dialect := range []sqltext.Dialect{sqltext.Postgres, sqltext.SQLite, sqltext.MySQL} {
			tokens := sqltext.Tokens(dialect, sqltext.Quote(dialect, name))
			if dialect != sqltext.MySQL && (len(tokens) != 1 || tokens[0].Value() != name) {
				t.Fatalf("%q comes back as %+v", name, tokens)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("ALTER TABLE t ADD COLUMN a int DEFAULT (1 + 2), DROP COLUMN b CASCADE")
	f.Add("CREATE TABLE t (a int PRIMARY KEY, CHECK (a > 0), EXCLUDE USING gist (a WITH =))")
	f.Fuzz(func(_ *testing.T, sql string) {
		for _, dialect := range []sqltext.Dialect{sqltext.Postgres, sqltext.SQLite, sqltext.MySQL} {
			sqltext.Parse(dialect, sql)
			sqltext.Split(dialect, sql)
			sqltext.Normalize(dialect, sql)
		}
	})
}

// TestNamesAreReadAsTheServerReadsThem cuts what the server cuts, and reads letters that are written by number.
func TestNamesAreReadAsTheServerReadsThem(t *testing.T) {
	t.Parallel()
	long, sharp := strings.Repeat("a", 70), strings.Repeat("a", 62)+"ß"
	for written, want := range map[string]string{
		long: long[:63], `"` + strings.ToUpper(long) + `"`: strings.ToUpper(long[:63]), sharp: strings.Repeat("a", 62), `"` + sharp + `"`: strings.Repeat("a", 62),
		`U&"d\0061t\+000061"`: "data", `u&"\\ ""x"`: `\ "x`, `U&"\00e4"`: "ä", `U&"\zz"`: `\zz`, `"Name"`: "Name", "Name": "name",
	} {
		shape := sqltext.Parse(sqltext.Postgres, "ALTER TABLE "+written+" DROP COLUMN "+written)
		if shape.Table.Name != want || len(shape.Clauses) != 1 || shape.Clauses[0].Column != want {
			t.Errorf("%s is read as %q, want %q: %+v", written, shape.Table.Name, want, shape.Clauses)
		}
	}
	if got := sqltext.Parse(sqltext.SQLite, "DROP TABLE "+long).Names; len(got) != 1 || got[0].Name != long {
		t.Errorf("SQLite cuts no names: %v", got)
	}
}

func TestBrief(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT 1": "SELECT 1", "": "", "\nUPDATE t -- all\n  SET a='secret', b = $1 /* x */ WHERE c = $x$y$x$": "UPDATE t SET a='…', b = $1 WHERE c = '…'",
		"SELECT " + strings.Repeat("ä", 70): "SELECT " + strings.Repeat("ä", 52) + "…", "SELECT 'open": "SELECT '…'",
	} {
		if got := sqltext.Brief(sqltext.Postgres, text); got != want {
			t.Errorf("%q is told as %q, want %q", text, got, want)
		}
	}
}
