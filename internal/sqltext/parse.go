package sqltext

import (
	"slices"
	"strings"
)

// Parse reads a statement as far as planning needs it.
func Parse(dialect Dialect, sql string) Shape {
	p := newParser(dialect, sql)
	shape := Shape{Kind: KindOther, SQL: sql}
	if p.peek("with") {
		p.with()
	}
	switch word := strings.ToLower(p.token().Text); word {
	case "create":
		p.at++
		p.create(&shape)
	case "alter":
		p.at++
		p.alter(&shape)
	case "drop":
		p.at++
		p.drop(&shape)
	case "insert", "replace":
		p.insert(&shape)
	case "update":
		p.at++
		p.update(&shape)
	case "delete":
		p.at++
		p.remove(&shape)
	case "select", "table", "values":
		shape.Kind, shape.Star = KindSelect, p.star()
	default:
		p.plain(&shape, word)
	}
	return shape
}

// with goes behind the common table expressions before a statement.
func (p *parser) with() {
	p.at++
	p.take("recursive")
	for !p.done() {
		p.until(func() bool { return p.peek("as") })
		p.take("as")
		p.take("not")
		p.take("materialized")
		p.inside()
		if !p.take(",") {
			return
		}
	}
}

// plain reads statements of a word or two.
func (p *parser) plain(shape *Shape, word string) {
	p.at++
	kinds := map[string]Kind{
		"grant": KindGrant, "revoke": KindRevoke, "comment": KindComment, "set": KindSet, "reset": KindSet, "pragma": KindSet, "vacuum": KindVacuum,
		"cluster": KindVacuum, "begin": KindBegin, "start": KindBegin, "commit": KindCommit, "end": KindCommit, "rollback": KindCommit,
		"savepoint": KindCommit, "release": KindCommit, "do": KindDo,
	}
	switch {
	case word == "truncate":
		shape.Kind = KindTruncate
		p.take("table")
		shape.Only = p.take("only")
		shape.Names = p.names()
		shape.Table = shape.Names[0]
		p.until(p.word("cascade"))
		shape.Cascade = p.take("cascade")
	case word == "reindex":
		shape.Kind, shape.Action = KindReindex, p.any("index", "table", "schema", "database", "system")
		shape.Concurrently = p.take("concurrently")
		shape.Name = p.name()
	case word == "vacuum" || word == "cluster":
		shape.Kind, shape.Action = KindVacuum, word
		p.inside()
		if p.take("full") {
			shape.Action = "vacuum full"
		}
		p.any("freeze", "verbose", "analyze")
		shape.Table = p.name()
	case word == "comment":
		shape.Kind = KindComment
		p.take("on")
		shape.Action = strings.ToLower(p.identifier())
		shape.Name = p.name()
	case kinds[word] != "":
		shape.Kind = kinds[word]
	}
}

// star says whether a select list has a * that stands for columns: bare, or behind a dot, not in count(*) or a product.
func (p *parser) star() bool {
	for i, token := range p.tokens {
		if token.Text != "*" || i == 0 {
			continue
		}
		before := p.tokens[i-1]
		after := Token{}
		if i+1 < len(p.tokens) {
			after = p.tokens[i+1]
		}
		opens := before.Text == "." || before.Text == "," || slices.ContainsFunc([]string{"select", "distinct", "all", "returning"}, before.Is)
		closes := after.Text == "" || after.Text == "," || after.Text == ")" || slices.ContainsFunc([]string{"from", "where", "into", "limit", "order", "union"}, after.Is)
		if opens && (closes || before.Text == ".") {
			return true
		}
	}
	return false
}

func (p *parser) insert(shape *Shape) {
	p.at++
	shape.Kind = KindInsert
	if p.take("or") {
		p.at++
	}
	p.take("into")
	shape.Table = p.name()
	if p.take("as") {
		p.identifier()
	}
	if p.peek("(") && (p.at+1 >= len(p.tokens) || !p.tokens[p.at+1].Is("select")) {
		shape.Columns = p.columns()
	}
	p.until(func() bool { return p.peek("on", "conflict") || p.peek("on", "duplicate") || p.peek("returning") })
	if p.take("on", "conflict") || p.take("on", "duplicate") {
		shape.HasConflict = true
		if p.peek("(") {
			shape.Conflict = p.inside()
		} else if p.take("on", "constraint") {
			shape.Conflict = p.identifier()
		}
		p.until(p.word("returning"))
	}
	p.returning(shape)
}

func (p *parser) returning(shape *Shape) {
	if p.take("returning") {
		shape.Returning = p.rest()
		shape.Star = newParser(p.dialect, "select "+shape.Returning).star()
	}
}

func (p *parser) update(shape *Shape) {
	shape.Kind = KindUpdate
	if p.take("or") {
		p.at++
	}
	shape.Only = p.take("only")
	shape.Table = p.name()
	if !p.peek("set") {
		p.take("as")
		p.identifier()
	}
	p.take("set")
	for !p.done() {
		shape.Set = append(shape.Set, p.assignment())
		if !p.take(",") {
			break
		}
	}
	if p.take("from") {
		shape.From = p.until(p.word("where", "returning"))
	}
	if p.take("where") {
		shape.Where = p.until(p.word("returning"))
	}
	p.returning(shape)
}

func (p *parser) assignment() Assignment {
	var a Assignment
	if p.peek("(") {
		a.Column = "(" + p.inside() + ")"
	} else {
		a.Column = p.name().Name
	}
	p.take("=")
	a.Expr = p.until(func() bool { return p.comma() || p.word("from", "where", "returning")() })
	return a
}

func (p *parser) remove(shape *Shape) {
	shape.Kind = KindDelete
	p.take("from")
	shape.Only = p.take("only")
	shape.Table = p.name()
	if !p.peek("using") && !p.peek("where") && !p.peek("returning") && !p.done() {
		p.take("as")
		p.identifier()
	}
	if p.take("using") {
		shape.From = p.until(p.word("where", "returning"))
	}
	if p.take("where") {
		shape.Where = p.until(p.word("returning"))
	}
	p.returning(shape)
}

func (p *parser) drop(shape *Shape) {
	kinds := []struct {
		words []string
		kind  Kind
	}{
		{[]string{"table"}, KindDropTable},
		{[]string{"foreign", "table"}, KindDropTable},
		{[]string{"index"}, KindDropIndex},
		{[]string{"materialized", "view"}, KindDropView},
		{[]string{"view"}, KindDropView},
		{[]string{"type"}, KindDropType},
		{[]string{"domain"}, KindDropType},
		{[]string{"function"}, KindDropFunction},
		{[]string{"procedure"}, KindDropFunction},
		{[]string{"trigger"}, KindDropTrigger},
		{[]string{"sequence"}, KindDropSequence},
		{[]string{"schema"}, KindDropSchema},
	}
	for _, k := range kinds {
		if !p.take(k.words...) {
			continue
		}
		shape.Kind, shape.Materialized = k.kind, k.words[0] == "materialized"
		shape.Concurrently = p.take("concurrently")
		shape.IfExists = p.ifExists()
		for {
			shape.Names = append(shape.Names, p.name())
			p.inside()
			if !p.take(",") {
				break
			}
		}
		shape.Name = shape.Names[0]
		if k.kind == KindDropTable {
			shape.Table = shape.Name
		}
		if p.take("on") {
			shape.Table = p.name()
		}
		shape.Cascade = p.take("cascade")
		return
	}
}
