package sqltext

import (
	"strconv"
	"strings"
)

// Quote writes an identifier so that it is read as it is, whatever is in it.
func Quote(dialect Dialect, name string) string {
	quote := `"`
	if dialect == MySQL {
		quote = "`"
	}
	return quote + strings.ReplaceAll(name, quote, quote+quote) + quote
}

// QuoteName writes a possibly qualified name.
func QuoteName(dialect Dialect, name Name) string {
	if name.Schema == "" {
		return Quote(dialect, name.Name)
	}
	return Quote(dialect, name.Schema) + "." + Quote(dialect, name.Name)
}

// Literal writes a string.
func Literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// reserved are words that are no columns in an expression.
func reserved(word string) bool {
	switch word {
	case "and", "or", "not", "null", "true", "false", "is", "in", "like", "ilike", "between", "case", "when", "then", "else", "end", "cast", "as", "distinct",
		"from", "select", "where", "exists", "any", "all", "some", "array", "row", "interval", "date", "time", "timestamp", "collate", "at", "zone", "asc", "desc",
		"isnull", "notnull", "similar", "to", "escape", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user",
		"session_user", "user", "default", "order", "by", "limit", "over", "partition", "filter", "within", "group", "union", "on", "join", "left", "right",
		"inner", "outer", "full", "cross", "using", "having", "for", "leading", "trailing", "both", "extract", "epoch", "nulls", "first", "last", "glob",
		"regexp", "match", "values", "with", "returning", "unknown", "overlaps", "symmetric":
		return true
	}
	return false
}

// columnAt says whether the i-th token of an expression is a plain column: no function, no type behind a cast, no part of a qualified name.
func columnAt(tokens []Token, i int) bool {
	token := tokens[i]
	if token.Kind != TokenName && (token.Kind != TokenWord || reserved(strings.ToLower(token.Text))) {
		return false
	}
	if i > 0 {
		before := tokens[i-1]
		if before.Text == "." || before.Text == "::" || before.Is("as") || before.Is("collate") {
			return false
		}
	}
	if i+1 < len(tokens) {
		after := tokens[i+1]
		if after.Text == "(" || after.Text == "." || after.Kind == TokenString && token.Kind == TokenWord {
			return false
		}
	}
	// The second word of a type of two ("double precision", "character varying").
	return i < 2 || tokens[i-2].Text != "::" || tokens[i-1].Kind != TokenWord
}

// Columns lists the plain columns that an expression reads, each once, in order.
func Columns(dialect Dialect, expr string) []string {
	var columns []string
	seen := map[string]bool{}
	tokens := significant(dialect, expr)
	for i, token := range tokens {
		if columnAt(tokens, i) && !seen[token.Value()] {
			seen[token.Value()] = true
			columns = append(columns, token.Value())
		}
	}
	return columns
}

// Rewrite replaces every plain column of an expression by what replace gives for it. All else stays, byte for byte.
func Rewrite(dialect Dialect, expr string, replace func(column string) string) string {
	tokens := significant(dialect, expr)
	var out strings.Builder
	from := 0
	for i, token := range tokens {
		if columnAt(tokens, i) {
			out.WriteString(expr[from:token.Offset])
			out.WriteString(replace(token.Value()))
			from = token.Offset + len(token.Text)
		}
	}
	out.WriteString(expr[from:])
	return out.String()
}

// Normalize puts placeholders in the place of constants, and one space between tokens: two runs of one statement are the same.
func Normalize(dialect Dialect, sql string) string {
	var out strings.Builder
	n := 0
	before := Token{Kind: TokenSymbol, Text: "("}
	for _, token := range significant(dialect, sql) {
		text := token.Text
		switch token.Kind {
		case TokenString, TokenNumber, TokenParam:
			n++
			text = "$" + strconv.Itoa(n)
		case TokenWord:
			text = strings.ToLower(text)
		default:
		}
		if spaced(before, token) {
			out.WriteByte(' ')
		}
		out.WriteString(text)
		before = token
	}
	return out.String()
}

// spaced says whether a space belongs between two tokens.
func spaced(before, after Token) bool {
	switch {
	case before.Text == "(" || before.Text == "." || before.Text == "::" || before.Text == "[":
		return false
	case after.Text == ")" || after.Text == "." || after.Text == "," || after.Text == "::" || after.Text == "]" || after.Text == "[" || after.Text == ";":
		return false
	case after.Text == "(":
		return before.Kind == TokenSymbol || reserved(strings.ToLower(before.Text)) || before.Is("values") || before.Is("into")
	default:
		return true
	}
}
