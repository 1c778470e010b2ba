package recipe

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/segue-deploy/segue/internal/migration"
	"github.com/segue-deploy/segue/internal/sqltext"
)

// maxName is PostgreSQL's limit for an identifier, in bytes.
const maxName = 63

// quote writes an identifier.
func quote(name string) string {
	return sqltext.Quote(sqltext.Postgres, name)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// plainName is the pattern of a name as it is written.
const plainName = `(?:"(?:[^"]|"")*"|[\w$]+)`

// literal writes a string.
func literal(text string) string {
	return sqltext.Literal(text)
}

// makeName joins parts to a name that the server will not cut.
func makeName(suffix string, parts ...string) string {
	stem := strings.Join(parts, "_")
	for len(stem)+1+len(suffix) > maxName {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + "_" + suffix
}

// together runs statements as one: all of them or none.
func together(statements ...string) string {
	return "DO $segue$ BEGIN " + strings.Join(statements, "; ") + "; END $segue$"
}

func action(sql, undo string) migration.Action {
	return migration.Action{SQL: sql, Undo: undo}
}

// word is a name in an expression.
type word struct {
	text       string
	start, end int
	// call is followed by a parenthesis, qualifier by a dot.
	call, qualifier bool
}

// words finds the names in an expression, folded as the server does.
func words(expr string) []word {
	tokens := slices.DeleteFunc(sqltext.Tokens(sqltext.Postgres, expr), func(t sqltext.Token) bool {
		return t.Kind == sqltext.TokenSpace || t.Kind == sqltext.TokenComment
	})
	var found []word
	for i, token := range tokens {
		if token.Kind != sqltext.TokenWord && token.Kind != sqltext.TokenName {
			continue
		}
		w := word{text: token.Value(), start: token.Offset, end: token.Offset + len(token.Text)}
		if i+1 < len(tokens) {
			w.call, w.qualifier = tokens[i+1].Text == "(" && token.Kind == sqltext.TokenWord, tokens[i+1].Text == "."
		}
		found = append(found, w)
	}
	return found
}

// mentioned gives those of the columns that an expression reads.
func mentioned(expr string, columns []string) []string {
	var found []string
	for _, w := range words(expr) {
		if !w.call && !w.qualifier && slices.Contains(columns, w.text) && !slices.Contains(found, w.text) {
			found = append(found, w.text)
		}
	}
	return found
}

// renamed writes an expression with other names for columns (or for the table that qualifies them).
func renamed(expr string, qualifier bool, from, to string) string {
	var out strings.Builder
	last := 0
	for _, w := range words(expr) {
		if w.text != from || w.call || w.qualifier != qualifier {
			continue
		}
		out.WriteString(expr[last:w.start] + quote(to))
		last = w.end
	}
	return out.String() + expr[last:]
}

// constant says whether an expression is the same for every row, for as long as the plan lasts: a literal, with or without a cast.
func constant(expr string) bool {
	return matches(`(?is)^\(*\s*(-?\s*\d+(\.\d+)?|[eb]?'([^']|'')*'|true|false|interval\s+'[^']*')\s*\)*\s*(::\s*[\w\s\[\](),."]+)?$`, expr)
}

// stable says whether a default is worked out once for all existing rows (now()); false where that is not known.
func stable(expr string) bool {
	return constant(expr) || null(expr) || matches(`(?is)^\(*(now\(\)|transaction_timestamp\(\)|statement_timestamp\(\)|current_(timestamp|date|time|user)|`+
		`localtime(stamp)?|session_user|user)\)*(\s*::\s*[\w\s]+)?$`, expr)
}

func null(expr string) bool {
	return matches(`(?is)^\(*\s*null\s*\)*\s*(::\s*[\w\s\[\](),."]+)?$`, expr)
}

func matches(pattern, text string) bool {
	return regexp.MustCompile(pattern).MatchString(strings.TrimSpace(text))
}

// findAll gives what the pattern's first group holds, for each place where it fits.
func findAll(pattern, text string) (all []string) {
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// find gives what the pattern's first group holds, "" where it does not fit.
func find(pattern, text string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); len(found) > 1 {
		return found[1]
	}
	return ""
}
