package sqltext

import "strings"

func (p *parser) create(shape *Shape) {
	shape.OrReplace = p.take("or", "replace")
	p.any("global", "local")
	shape.Temporary = p.any("temporary", "temp") != ""
	p.take("unlogged")
	p.take("constraint")
	shape.Unique = p.take("unique")
	shape.Materialized = p.take("materialized")
	p.take("recursive")
	switch {
	case p.take("table"), p.take("foreign", "table"), p.take("virtual", "table"):
		p.createTable(shape)
	case p.take("index"):
		p.createIndex(shape)
	case p.take("view"):
		shape.Kind, shape.IfNotExists = KindCreateView, p.ifNotExists()
		shape.Name = p.name()
	case p.take("trigger"):
		p.createTrigger(shape)
	default:
		p.createOther(shape)
	}
}

func (p *parser) createOther(shape *Shape) {
	kinds := map[string]Kind{
		"type": KindCreateType, "domain": KindCreateDomain, "function": KindCreateFunction, "procedure": KindCreateFunction,
		"sequence": KindCreateSequence, "extension": KindCreateExt, "schema": KindCreateSchema,
	}
	kind, known := kinds[strings.ToLower(p.token().Text)]
	if !known {
		return
	}
	p.at++
	shape.Kind, shape.IfNotExists = kind, p.ifNotExists()
	shape.Name = p.name()
	if kind == KindCreateType {
		p.take("as")
		if p.take("enum") {
			shape.Action = "enum"
			shape.Elements = p.brackets()
		}
	}
}

func (p *parser) createTrigger(shape *Shape) {
	shape.Kind, shape.IfNotExists = KindCreateTrigger, p.ifNotExists()
	shape.Name = p.name()
	p.until(p.word("on"))
	if p.take("on") {
		shape.Table = p.name()
	}
}

func (p *parser) createIndex(shape *Shape) {
	shape.Kind = KindCreateIndex
	shape.Concurrently = p.take("concurrently")
	shape.IfNotExists = p.ifNotExists()
	if !p.peek("on") {
		shape.Name = p.name()
	}
	p.take("on")
	shape.Only = p.take("only")
	shape.Table = p.name()
	if p.take("using") {
		shape.Method = p.identifier()
	}
	shape.Elements = p.brackets()
	for _, element := range shape.Elements {
		if tokens := significant(p.dialect, element); len(tokens) == 1 && tokens[0].Kind != TokenSymbol {
			shape.Columns = append(shape.Columns, tokens[0].Value())
		}
	}
	if len(shape.Columns) != len(shape.Elements) {
		shape.Columns = nil
	}
	p.until(p.word("where"))
	if p.take("where") {
		shape.Where = p.rest()
	}
}

func (p *parser) createTable(shape *Shape) {
	shape.Kind, shape.IfNotExists = KindCreateTable, p.ifNotExists()
	shape.Table = p.name()
	if p.take("partition", "of") {
		shape.PartitionOf = p.name()
		return
	}
	if p.take("as") {
		shape.Kind = KindCreateTableAs
		return
	}
	if !p.take("(") {
		return
	}
	for !p.done() && !p.peek(")") {
		shape.Clauses = append(shape.Clauses, p.tableElement())
		if !p.take(",") {
			break
		}
	}
	p.take(")")
	p.until(p.word("as"))
	if p.take("as") {
		shape.Kind = KindCreateTableAs
	}
}

// tableElement reads a column or a constraint of CREATE TABLE.
func (p *parser) tableElement() Clause {
	from := p.at
	if constraint, ok := p.constraint(); ok {
		p.until(p.comma)
		clause := Clause{Kind: ClauseAddConstraint, Name: constraint.Name, SQL: p.slice(from, p.at)}
		constraint.SQL = clause.SQL
		clause.Constraints = []Constraint{constraint}
		return clause
	}
	if p.peek("like") {
		return Clause{Kind: ClauseOther, SQL: p.until(p.comma)}
	}
	clause := p.column()
	p.until(p.comma)
	clause.SQL = p.slice(from, p.at)
	return clause
}

// column reads a column's definition.
func (p *parser) column() Clause {
	clause := Clause{Kind: ClauseAddColumn, Column: p.identifier()}
	ends := func() bool {
		return p.comma() || p.word("collate", "default", "not", "null", "check", "references", "unique", "primary", "generated", "constraint", "as",
			"storage", "compression", "deferrable", "initially", "auto_increment", "comment", "first", "after", "on")()
	}
	clause.Type = p.until(ends)
	name := ""
	for !p.done() && !p.comma() && !p.peek(")") {
		if p.take("constraint") {
			name = p.identifier()
			continue
		}
		p.columnPart(&clause, name, ends)
		name = ""
	}
	return clause
}

func (p *parser) columnPart(clause *Clause, name string, ends func() bool) {
	from := p.at
	add := func(c Constraint) {
		c.Name, c.Columns, c.SQL = name, []string{clause.Column}, p.slice(from, p.at)
		clause.Constraints = append(clause.Constraints, c)
	}
	switch {
	case p.take("collate"):
		clause.Collate = p.name().Name
	case p.take("not", "null"):
		clause.NotNull = true
	case p.take("null"):
	case p.take("default"):
		clause.HasDefault = true
		clause.Default = p.defaultValue(ends)
	case p.peek("generated"), p.peek("as", "("):
		p.generated(clause)
	case p.take("check"):
		c := Constraint{Kind: ConstraintCheck, Expr: p.inside()}
		c.NotEnforced, c.NotValid = p.take("not", "enforced"), p.take("not", "valid")
		add(c)
	case p.take("unique"):
		add(Constraint{Kind: ConstraintUnique})
	case p.take("primary", "key"):
		p.any("asc", "desc")
		p.take("autoincrement")
		add(Constraint{Kind: ConstraintPrimaryKey})
	case p.take("references"):
		add(p.references())
	default:
		p.skip()
	}
}

// defaultValue reads an expression that ends where the next part of a column begins: NOT and NULL are also words of expressions.
func (p *parser) defaultValue(ends func() bool) string {
	from := p.at
	if !p.done() {
		p.skip()
		if p.peek("(") {
			p.skip()
		}
	}
	p.until(ends)
	return p.slice(from, p.at)
}

func (p *parser) generated(clause *Clause) {
	p.take("generated")
	always := p.take("always")
	if p.take("by", "default") {
		p.take("on", "null")
		clause.Identity = "by default"
	}
	p.take("as")
	if p.take("identity") {
		if always {
			clause.Identity = "always"
		}
		p.inside()
		return
	}
	clause.Expr, clause.Generated = p.inside(), "virtual"
	if p.take("stored") {
		clause.Generated = "stored"
	}
	p.take("virtual")
}

// references reads what follows REFERENCES.
func (p *parser) references() Constraint {
	c := Constraint{Kind: ConstraintForeignKey, References: p.name(), RefColumns: p.columns()}
	p.ending(&c)
	return c
}

// ending reads the words after a constraint.
func (p *parser) ending(c *Constraint) {
	for !p.done() {
		switch {
		case p.take("match"):
			p.at++
		case p.take("on", "delete"), p.take("on", "update"):
			if p.any("cascade", "restrict") == "" {
				p.at += 2 // SET NULL, SET DEFAULT, NO ACTION
			}
			if p.peek("(") {
				p.inside()
			}
		case p.take("not", "deferrable"):
		case p.take("deferrable"):
			c.Deferrable = true
		case p.take("initially"):
			p.at++
		case p.take("not", "valid"):
			c.NotValid = true
		case p.take("not", "enforced"):
			c.NotEnforced = true
		case p.take("enforced"):
		default:
			return
		}
	}
}

// constraint reads a table's constraint, with its name; ok is false when there is none here.
func (p *parser) constraint() (c Constraint, ok bool) {
	from := p.at
	if p.take("constraint") {
		c.Name = p.identifier()
	}
	switch {
	case p.take("check"):
		c.Kind, c.Expr = ConstraintCheck, p.inside()
	case p.take("foreign", "key"):
		c.Kind, c.Columns = ConstraintForeignKey, p.columns()
		p.take("references")
		c.References, c.RefColumns = p.name(), p.columns()
	case p.take("unique"), p.take("primary", "key"):
		c.Kind = ConstraintUnique
		if p.tokens[p.at-1].Is("key") {
			c.Kind = ConstraintPrimaryKey
		}
		p.take("nulls", "distinct")
		p.take("nulls", "not", "distinct")
		if p.take("using", "index") {
			c.UsingIndex = p.identifier()
		} else {
			c.Columns = p.columns()
		}
	case p.take("exclude"):
		c.Kind = ConstraintExclude
		p.until(func() bool { return p.comma() || p.word("deferrable", "initially")() })
	case p.take("not", "null"):
		c.Kind, c.Columns = ConstraintNotNull, []string{p.identifier()}
	default:
		p.at = from
		return c, false
	}
	p.ending(&c)
	c.SQL = p.slice(from, p.at)
	return c, true
}
