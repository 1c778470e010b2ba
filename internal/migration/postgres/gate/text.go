package gate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue/internal/sqltext"
)

// text is a statement as its tokens, without space and comments. It is read by rules of thumb for what the server does not tell: whatever
// it knows better is asked of it.
type text struct {
	sql    string
	tokens []sqltext.Token
	// params is the highest $n.
	params int
	// cut is true when the statement ends in the middle of something.
	cut bool
}

func read(sql string) text {
	t := text{sql: sql}
	depth := 0
	for _, token := range sqltext.Tokens(sqltext.Postgres, sql) {
		t.cut = t.cut || token.Open
		if token.Kind == sqltext.TokenSpace || token.Kind == sqltext.TokenComment {
			continue
		}
		switch token.Text {
		case "(":
			depth++
		case ")":
			depth--
		}
		if token.Kind == sqltext.TokenParam {
			if n, err := strconv.Atoi(token.Text[1:]); err == nil {
				t.params = max(t.params, n)
			}
		}
		t.tokens = append(t.tokens, token)
	}
	t.cut = t.cut || depth != 0 || len(t.tokens) == 0
	return t
}

// at gives a token, an empty one beyond the ends.
func (t text) at(i int) sqltext.Token {
	if i < 0 || i >= len(t.tokens) {
		return sqltext.Token{}
	}
	return t.tokens[i]
}

// is says whether a token is one of some words or symbols.
func (t text) is(i int, words ...string) bool {
	token := t.at(i)
	if token.Kind == sqltext.TokenSymbol {
		return slices.Contains(words, token.Text)
	}
	return slices.ContainsFunc(words, token.Is)
}

// name says whether a token can be an identifier.
func (t text) name(i int) bool {
	kind := t.at(i).Kind
	return kind == sqltext.TokenWord || kind == sqltext.TokenName
}

// relation says whether an identifier stands where a table is named, with its schema or without: behind FROM, JOIN, INTO, UPDATE, or a comma after such a
// one; not where a column or an alias of the same name is.
func (t text) relation(i int) bool {
	if t.is(i+1, ".") {
		return false
	}
	if t.is(i-1, ".") {
		i -= 2 // "public"."a"
	}
	if !t.is(i-1, ",") {
		return t.is(i-1, "from", "join", "into", "update", "only", "table", "using")
	}
	depth := 0
	for i--; i >= 0; i-- {
		switch {
		case t.is(i, ")"):
			depth++
		case t.is(i, "("):
			if depth--; depth < 0 {
				return false
			}
		case depth == 0 && t.is(i, "from"):
			return true
		case depth == 0 && t.is(i, "select", "where", "on", "by", "having", "set", "values", "returning", "with", "distinct"):
			return false
		}
	}
	return false
}

// names says whether an identifier is anywhere in the statement, in whatever part.
func (t text) names(name string) bool {
	return slices.ContainsFunc(t.tokens, func(token sqltext.Token) bool {
		return (token.Kind == sqltext.TokenWord || token.Kind == sqltext.TokenName) && token.Value() == name
	})
}

// unquoted gives what is inside of a string.
func unquoted(token sqltext.Token) string {
	if strings.HasPrefix(token.Text, "$") {
		mark := token.Text[:strings.Index(token.Text[1:], "$")+2]
		return strings.TrimSuffix(strings.TrimPrefix(token.Text, mark), mark)
	}
	return strings.ReplaceAll(strings.Trim(token.Text, "'"), "''", "'")
}

// naming says whether a function is there that takes the name of an object as text; blind says that its parameters are not to be seen, and that a
// cast to a name, or a function of sequences, could be one as well.
func (t text) naming(blind bool) bool {
	asParameter := []string{"nextval", "setval", "currval", "regclass", "regproc", "regprocedure", "regtype"}
	return t.names("pg_get_serial_sequence") || blind && slices.ContainsFunc(asParameter, t.names)
}

// ends says whether a list of columns or values ends at i, and not only an expression that has the same words in it.
func (t text) ends(i int) bool {
	switch {
	case t.is(i, "from"):
		return !t.is(i-1, "distinct") // IS DISTINCT FROM
	case t.is(i, "when"):
		return t.is(i+1, "matched") || t.is(i+1, "not") && t.is(i+2, "matched")
	default:
		return t.is(i, "where", "returning", "union", "intersect", "except", "on", "order", "group", "having", "window", "limit", "offset", "fetch", "for", ")")
	}
}

// over gives the index behind a bracketed part that begins at i, or i where none does.
func (t text) over(i int) int {
	if !t.is(i, "(") {
		return i
	}
	depth := 0
	for ; i < len(t.tokens); i++ {
		if t.is(i, "(") {
			depth++
		} else if t.is(i, ")") {
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return i
}

// qualified reads a possibly qualified name at i, and gives the index behind it.
func (t text) qualified(i int) (schema, name string, next int) {
	if !t.name(i) {
		return "", "", i
	}
	if t.is(i+1, ".") && t.name(i+2) {
		return t.at(i).Value(), t.at(i + 2).Value(), i + 3
	}
	return "", t.at(i).Value(), i + 1
}

// planned says whether the server makes a plan for the statement, which is what can be tried.
func (t text) planned() bool {
	i := 0
	for t.is(i, "(") {
		i++
	}
	return t.is(i, "select", "insert", "update", "delete", "merge", "values", "with", "table")
}

// idle says whether a statement of the other kind cannot need anything of the schema.
func (t text) idle() bool {
	return t.is(0, "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "set", "reset", "show", "discard", "deallocate", "listen",
		"unlisten", "notify", "fetch", "close", "move", "checkpoint", "grant", "revoke", "comment", "vacuum", "analyze", "create", "alter", "drop",
		"reindex", "cluster", "load", "security", "import")
}

// inner gives the query inside of a statement that only wraps one (DECLARE ... CURSOR FOR, COPY, EXPLAIN, PREPARE ... AS), "" where there is none. What COPY
// does with a table becomes what a SELECT of the same columns does.
func (t text) inner() string {
	from := func(i int) string {
		if i >= len(t.tokens) {
			return ""
		}
		return t.sql[t.tokens[i].Offset:]
	}
	find := func(words ...string) int {
		for i := range t.tokens {
			if t.is(i, words...) {
				return i
			}
		}
		return len(t.tokens)
	}
	switch {
	case t.is(0, "declare"):
		return from(find("for") + 1)
	case t.is(0, "explain", "prepare"), t.is(0, "create") && t.names("as") && t.is(1, "table", "temp", "temporary", "unlogged", "materialized"):
		return from(find("select", "insert", "update", "delete", "merge", "values", "with"))
	case t.is(0, "copy"):
		return t.copied()
	default:
		return ""
	}
}

func (t text) copied() string {
	if t.is(1, "(") {
		end := t.over(1)
		if end-1 <= 2 || end > len(t.tokens) {
			return ""
		}
		return t.sql[t.tokens[2].Offset:t.tokens[end-1].Offset]
	}
	_, name, next := t.qualified(1)
	if name == "" {
		return ""
	}
	table := t.sql[t.tokens[1].Offset : t.tokens[next-1].Offset+len(t.tokens[next-1].Text)]
	columns := "*"
	if end := t.over(next); end > next {
		columns = t.sql[t.tokens[next+1].Offset:t.tokens[end-1].Offset]
	}
	return "SELECT " + columns + " FROM " + table
}

// insert is one INSERT of a statement, which may have several in WITH.
type insert struct {
	schema, table string
	// columns is nil for an INSERT by position.
	columns []string
	// values is how many are given, -1 where that cannot be told; defaults says for which the word DEFAULT stands.
	values   int
	defaults map[int]bool
	// star is true when what is written comes from a *.
	star bool
}

// gives says which of a relation's columns an INSERT writes; known is false where that cannot be told.
func (n insert) gives(r relation) (given map[string]bool, known bool) {
	columns := n.columns
	if columns == nil {
		if n.values < 0 {
			return nil, false
		}
		for i := range min(n.values, len(r.columns)) {
			columns = append(columns, r.columns[i].name)
		}
	}
	given = make(map[string]bool, len(columns))
	for i, name := range columns {
		given[name] = !n.defaults[i]
	}
	return given, true
}

// inserts finds the INSERTs of a statement, and what does the same: those of a MERGE, and COPY ... FROM.
func (t text) inserts() []insert {
	var found []insert
	for i := range t.tokens {
		var one insert
		next := i + 1
		switch {
		case t.is(i, "insert") && t.is(next, "into"):
			one.schema, one.table, next = t.qualified(next + 1)
		case t.is(i, "insert") && t.is(i-1, "then"):
			one.schema, one.table = t.merged()
		case t.is(i, "copy") && i == 0 && t.names("from"):
			one.schema, one.table, next = t.qualified(next)
		}
		if one.table == "" {
			continue
		}
		t.fill(&one, next)
		found = append(found, one)
	}
	return found
}

// merged gives the table of MERGE INTO.
func (t text) merged() (schemaName, table string) {
	for i := range t.tokens {
		if t.is(i, "merge") && t.is(i+1, "into") {
			if i++; t.is(i+1, "only") {
				i++
			}
			schemaName, table, _ = t.qualified(i + 1)
			return schemaName, table
		}
	}
	return "", ""
}

// fill reads what follows the table of an INSERT.
func (t text) fill(one *insert, next int) {
	if t.is(next, "as") {
		next += 2
	}
	if end := t.over(next); end > next && !t.is(next+1, "select", "with", "values") {
		for j := next + 1; j < end-1; j++ {
			// "address.city" or "tags[1]" writes a part of a column.
			if t.name(j) && t.is(j-1, "(", ",") {
				one.columns = append(one.columns, t.at(j).Value())
			}
		}
		next = end
	} else if t.is(next, "default") {
		one.columns = []string{}
	}
	if t.is(next, "overriding") {
		next += 3
	}
	one.star = t.starred(next)
	one.values, one.defaults = t.values(next)
}

// values counts what a row of VALUES, or the list of a SELECT, gives, and where any row has the word DEFAULT.
func (t text) values(i int) (count int, defaults map[int]bool) {
	for t.is(i, "(") {
		i++
	}
	defaults = map[int]bool{}
	switch {
	case t.is(i, "values") && t.is(i+1, "("):
		for i++; t.is(i, "("); i = t.over(i) + 1 {
			count = t.list(i+1, t.over(i)-1, defaults)
		}
		return count, defaults
	case t.is(i, "select") && !t.starred(i):
		return t.list(i+1, len(t.tokens), defaults), defaults
	default:
		return -1, nil
	}
}

// list counts what is between commas, and notes where the word DEFAULT is.
func (t text) list(i, end int, defaults map[int]bool) int {
	count := 1
	for ; i < end && !t.ends(i); i = max(t.over(i), i+1) {
		if t.is(i, ",") {
			count++
		} else if t.is(i, "default") {
			defaults[count-1] = true
		}
	}
	return count
}

// sets gives the columns that a statement sets by UPDATE, in any of its parts: true for those that it sets to their defaults.
func (t text) sets() map[string]bool {
	names := map[string]bool{}
	for i := range t.tokens {
		for j := i + 1; t.is(i, "set") && j < len(t.tokens) && !t.ends(j); j++ {
			from, behind := j, max(t.over(j), j+1) // a column, or several in brackets
			for j = behind; j < len(t.tokens) && !t.ends(j) && !t.is(j, ","); {
				j = max(t.over(j), j+1)
			}
			value := text{tokens: t.tokens[behind:min(j, len(t.tokens))]}
			for k := from; k < behind; k++ {
				if t.name(k) {
					names[t.at(k).Value()] = value.has("default")
				}
			}
			if t.ends(j) {
				break
			}
		}
	}
	return names
}

// has says whether a word is anywhere in a text, and not as a name in quotes.
func (t text) has(word string) bool {
	return slices.ContainsFunc(t.tokens, func(token sqltext.Token) bool { return token.Is(word) })
}

// starred says whether the query that begins at i has a * in its list.
func (t text) starred(i int) bool {
	for t.is(i, "(") {
		i++
	}
	if t.is(i, "table") {
		return true
	}
	if t.is(i, "with") { // the query behind the common table expressions
		for i < len(t.tokens) && !t.is(i, "select", "values", ")") {
			i = max(t.over(i), i+1)
		}
	}
	if !t.is(i, "select") {
		return false
	}
	for i++; i < len(t.tokens) && !t.ends(i); {
		if t.is(i, "*") && t.is(i-1, "select", "all", "distinct", ",", ".") {
			return true
		}
		i = max(t.over(i), i+1)
	}
	return false
}

// aliases gives the names under which a statement speaks of a table, its own among them.
func (t text) aliases(schema, table string) map[string]bool {
	known := map[string]bool{}
	for i := range t.tokens {
		if !t.is(i, "from", "join", "update", "into", "using", "only", ",", "table", "truncate") {
			continue
		}
		s, name, next := t.qualified(i + 1)
		if name != table || s != "" && s != schema {
			continue
		}
		known[table] = true
		if t.is(next, "*") {
			next++
		}
		if t.is(next, "as") {
			next++
		}
		if t.name(next) && !keyword(t.at(next).Value()) {
			known[t.at(next).Value()] = true
		}
	}
	return known
}

// keyword tells words that follow a table's name without being its alias.
func keyword(word string) bool {
	switch word {
	case "where", "on", "using", "set", "values", "select", "inner", "left", "right", "full", "cross", "natural", "join", "order", "group", "having", "limit",
		"offset", "fetch", "for", "union", "intersect", "except", "window", "returning", "default", "overriding", "with", "tablesample", "then", "loop", "as",
		"when", "and", "or", "into", "from", "cascade", "restrict", "do":
		return true
	default:
		return false
	}
}
