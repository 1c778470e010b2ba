package sqlite

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/segue-deploy/segue/internal/sqltext"
)

// parse reads a statement as far as planning needs it.
func parse(statement string) sqltext.Shape { return sqltext.Parse(sqltext.SQLite, statement) }

// quote is the one place where an identifier gets into SQL.
func quote(name string) string { return sqltext.Quote(sqltext.SQLite, name) }

// quoteAll quotes names and puts commas between them.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, ", ")
}

// mentions gives those columns of a table that an expression reads. The table says what is a column: SQLite takes most of its keywords for names too.
func mentions(expr string, t table) []string {
	var found []string
	for _, token := range identifiers(expr) {
		if c, is := t.column(token.Value()); is {
			found = append(found, c.name)
		}
	}
	return distinct(found)
}

// renamed writes an expression with another name for a column.
func renamed(expr, was, is string) string {
	var out strings.Builder
	from := 0
	for _, token := range identifiers(expr) {
		if strings.EqualFold(token.Value(), was) {
			out.WriteString(expr[from:token.Offset] + quote(is))
			from = token.Offset + len(token.Text)
		}
	}
	return out.String() + expr[from:]
}

// identifiers are the tokens of an expression that can name a column: not what is called, and not what qualifies.
func identifiers(expr string) []sqltext.Token {
	var found []sqltext.Token
	for _, token := range sqltext.Tokens(sqltext.SQLite, expr) {
		switch token.Kind {
		case sqltext.TokenSpace, sqltext.TokenComment:
			continue
		case sqltext.TokenWord, sqltext.TokenName:
			found = append(found, token)
			continue
		default:
		}
		if n := len(found); n > 0 && (token.Text == "(" || token.Text == ".") && strings.TrimSpace(expr[found[n-1].Offset+len(found[n-1].Text):token.Offset]) == "" {
			found = found[:n-1]
		}
	}
	return found
}

// indexed gives the elements of an index and its condition: from its statement, or for one that a constraint made from the list of its columns.
func indexed(statement, list string) (elements []string, where string, err error) {
	if statement != "" {
		shape := parse(statement)
		return shape.Elements, shape.Where, nil
	}
	var columns []string
	if err := json.Unmarshal([]byte(list), &columns); err != nil {
		return nil, "", fmt.Errorf("read columns of index: %w", err)
	}
	for _, c := range columns {
		elements = append(elements, quote(c))
	}
	return elements, "", nil
}
