package gate

import (
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/sqltext"
)

// variants gives a normalised statement in the forms in which the server may take it again, the closest one first. The statistics put $n for every
// constant, also where the grammar has no place for a parameter (INTERVAL $1), or where its type was the constant's own ($1 || $2), or where two
// constants had to be equal (GROUP BY date_trunc($2, at)). No form changes which columns and tables are named.
func variants(t text) []string {
	repaired := retyped(t)
	if t.params == 0 {
		return []string{repaired}
	}
	plain := []string{repaired}
	for _, literal := range [...]string{"NULL", "1", "'1'"} {
		plain = append(plain, substituted(repaired, literal))
	}
	return append(plain, called(repaired))
}

// retyped writes `interval $1` as `CAST($1 AS interval)`, and the like.
func retyped(t text) string {
	var out strings.Builder
	done := 0 // in bytes of the text
	put := func(until int, replacement string, from int) {
		out.WriteString(t.sql[done:until])
		out.WriteString(replacement)
		done = from
	}
	for i := range t.tokens {
		token := t.at(i)
		if token.Kind != sqltext.TokenParam {
			continue
		}
		end := token.Offset + len(token.Text)
		if t.is(i-1, "(") && t.is(i-2, "extract") && t.is(i+1, "from") {
			put(token.Offset, "'epoch'", end)
			continue
		}
		begin, name := t.typeBefore(i)
		if name == "" {
			continue
		}
		put(t.at(begin).Offset, "CAST("+token.Text+" AS "+name+")", end)
		if name == "interval" && t.is(i+1, "year", "month", "day", "hour", "minute", "second") {
			done = t.at(i+1).Offset + len(t.at(i+1).Text)
		}
	}
	return out.String() + t.sql[done:]
}

// typeBefore finds the name of a type right before token i, where it makes a typed constant.
func (t text) typeBefore(i int) (begin int, name string) {
	begin = i - 1
	if t.is(begin, ")") && t.is(begin-2, "(") && t.at(begin-1).Kind == sqltext.TokenNumber || t.is(begin, ")") && t.is(begin-2, "(") && t.at(begin-1).Kind == sqltext.TokenParam {
		begin -= 3 // interval(3) $1
	}
	if t.is(begin, "zone") && t.is(begin-1, "time") && t.is(begin-2, "with", "without") {
		begin -= 3
		zone := " with time zone"
		if t.is(begin+1, "without") {
			zone = " without time zone"
		}
		if t.is(begin, "timestamp", "time") {
			return begin, t.at(begin).Value() + zone
		}
		return 0, ""
	}
	if !t.is(begin, "interval", "date", "time", "timestamp", "timestamptz", "timetz", "uuid", "json", "jsonb", "inet", "cidr", "bytea", "numeric", "point",
		"box", "tsquery", "tsvector", "regclass", "money", "int4range", "int8range", "daterange", "tsrange", "tstzrange", "numrange", "macaddr", "bit", "xml", "jsonpath") {
		return 0, ""
	}
	return begin, t.at(begin).Value()
}

// substituted puts a literal in place of every parameter.
func substituted(sql, literal string) string {
	var out strings.Builder
	for _, token := range sqltext.Tokens(sqltext.Postgres, sql) {
		if token.Kind == sqltext.TokenParam {
			out.WriteString(" " + literal + " ")
			continue
		}
		out.WriteString(token.Text)
	}
	return out.String()
}

// called puts a number in place of the parameters that a function is called with, and a constant of no type of its own elsewhere: generate_series($1, $2)
// is one of many functions until the first two are numbers.
func called(sql string) string {
	var out strings.Builder
	var functions []bool // one for each parenthesis that is open
	word := false        // a name stands right before
	for _, token := range sqltext.Tokens(sqltext.Postgres, sql) {
		switch {
		case token.Text == "(":
			functions = append(functions, word)
		case token.Text == ")" && len(functions) > 0:
			functions = functions[:len(functions)-1]
		case token.Kind == sqltext.TokenParam && len(functions) > 0 && functions[len(functions)-1]:
			out.WriteString(" 1 ")
			continue
		case token.Kind == sqltext.TokenParam:
			out.WriteString(" '1' ")
			continue
		}
		out.WriteString(token.Text)
		word = (token.Kind == sqltext.TokenWord || token.Kind == sqltext.TokenName) && !strings.EqualFold(token.Text, "values") && !strings.EqualFold(token.Text, "in")
	}
	return out.String()
}

// execution is what plans a prepared statement, without running it.
func execution(name string, params int) string {
	var out strings.Builder
	out.WriteString("EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) EXECUTE " + name)
	for i := range params {
		out.WriteString([]string{"(", ","}[min(i, 1)] + "NULL")
	}
	if params > 0 {
		out.WriteString(")")
	}
	return out.String()
}

func statementName(i int) string { return "segue_" + strconv.Itoa(i) }
