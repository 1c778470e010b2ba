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

// reserved are words that are never a column without quotes.
func reserved(word string) bool {
	switch word {
	case "all", "and", "any", "array", "as", "asc", "asymmetric", "between", "both", "case", "cast", "collate", "cross", "current_catalog", "current_date",
		"current_role", "current_schema", "current_time", "current_timestamp", "current_user", "default", "desc", "distinct", "else", "end", "escape",
		"except", "exists", "false", "fetch", "for", "from", "full", "glob", "group", "having", "ilike", "in", "inner", "intersect", "into", "is", "isnull",
		"join", "lateral", "leading", "left", "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null", "offset", "on", "only",
		"or", "order", "outer", "overlaps", "regexp", "returning", "right", "select", "session_user", "similar", "some", "symmetric", "table", "then", "to",
		"trailing", "true", "union", "unique", "user", "using", "values", "variadic", "when", "where", "window", "with":
		return true
	}
	return false
}

// grammar says whether a word that may be a column is one of the grammar's here: BY behind ORDER, FIRST behind NULLS, EPOCH in extract(epoch from x).
func grammar(tokens []Token, i int) bool {
	at := func(j int) Token {
		if j < 0 || j >= len(tokens) {
			return Token{Kind: TokenSymbol}
		}
		return tokens[j]
	}
	before, after := at(i-1), at(i+1)
	switch token := tokens[i]; {
	case token.Is("by"):
		return before.Is("order") || before.Is("group") || before.Is("partition")
	case token.Is("partition"):
		return after.Is("by")
	case token.Is("nulls"):
		return after.Is("first") || after.Is("last")
	case token.Is("first"), token.Is("last"):
		return before.Is("nulls")
	case token.Is("at"):
		return after.Is("time")
	case token.Is("time"):
		return after.Is("zone")
	case token.Is("zone"):
		return before.Is("time")
	case token.Is("unknown"):
		return before.Is("is") || before.Is("not")
	case before.Text == "(":
		return after.Is("from") && at(i-2).Is("extract")
	default:
		return false
	}
}

// columnAt says whether the i-th token of an expression is a plain column: no function, no type behind a cast, no part of a qualified name.
func columnAt(tokens []Token, i int) bool {
	token := tokens[i]
	if token.Kind != TokenName && (token.Kind != TokenWord || reserved(strings.ToLower(token.Text)) || grammar(tokens, i)) {
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

// briefLength is how much of a statement names it in a sentence.
const briefLength = 60

// Brief is the beginning of a statement on one line, without comments and without the strings in it: they may be somebody's data.
func Brief(dialect Dialect, text string) string {
	var out strings.Builder
	for _, token := range Tokens(dialect, text) {
		switch token.Kind {
		case TokenSpace, TokenComment:
			out.WriteByte(' ')
		case TokenString:
			out.WriteString("'…'")
		default:
			out.WriteString(token.Text)
		}
	}
	line := []rune(strings.Join(strings.Fields(out.String()), " "))
	if len(line) <= briefLength {
		return string(line)
	}
	return string(line[:briefLength-1]) + "…"
}
