package sqltext

import "strings"

func (p *parser) alter(shape *Shape) {
	switch {
	case p.take("table"), p.take("foreign", "table"):
		p.alterTable(shape)
	case p.take("index"):
		shape.Kind, shape.IfExists = KindAlterIndex, p.ifExists()
		shape.Name = p.name()
		p.action(shape)
	case p.take("type"):
		p.alterType(shape)
	case p.take("domain"):
		shape.Kind, shape.Name = KindAlterDomain, p.name()
		p.action(shape)
	case p.take("sequence"):
		shape.Kind, shape.IfExists = KindAlterSequence, p.ifExists()
		shape.Name = p.name()
		p.action(shape)
	}
}

// action takes the words that say what is done, as far as they are words.
func (p *parser) action(shape *Shape) {
	var words []string
	for len(words) < 2 && p.token().Kind == TokenWord {
		words = append(words, strings.ToLower(p.identifier()))
	}
	shape.Action = strings.Join(words, " ")
	if shape.Action == "rename to" {
		shape.Action, shape.NewName = "rename", p.identifier()
	}
}

func (p *parser) alterType(shape *Shape) {
	shape.Kind, shape.Name = KindAlterType, p.name()
	switch {
	case p.take("add", "value"):
		shape.Action, shape.IfNotExists = "add value", p.ifNotExists()
		shape.Value = p.token().Text
	case p.take("rename", "value"):
		shape.Action, shape.Value = "rename value", p.token().Text
		p.at++
		p.take("to")
		shape.NewName = p.token().Text
	default:
		p.action(shape)
	}
}

func (p *parser) alterTable(shape *Shape) {
	shape.Kind, shape.IfExists = KindAlterTable, p.ifExists()
	shape.Only = p.take("only")
	shape.Table = p.name()
	p.take("*")
	for !p.done() {
		from := p.at
		clause := p.clause()
		p.until(p.comma)
		clause.SQL = p.slice(from, p.at)
		for i := range clause.Constraints {
			if clause.Kind == ClauseAddConstraint {
				clause.Constraints[i].SQL = strings.TrimSpace(strings.TrimPrefix(clause.SQL, p.slice(from, from+1)))
			}
		}
		shape.Clauses = append(shape.Clauses, clause)
		if !p.take(",") {
			break
		}
	}
}

// clause reads one subcommand of ALTER TABLE.
func (p *parser) clause() Clause {
	switch {
	case p.take("add"):
		return p.addClause()
	case p.take("drop"):
		return p.dropClause()
	case p.take("alter"):
		p.take("column")
		return p.alterColumn()
	case p.take("rename"):
		return p.renameClause()
	case p.take("validate", "constraint"):
		return Clause{Kind: ClauseValidateConstraint, Name: p.identifier()}
	case p.take("set", "schema"):
		return Clause{Kind: ClauseSetSchema, NewName: p.identifier()}
	case p.take("owner", "to"):
		return Clause{Kind: ClauseOwner, NewName: p.identifier()}
	case p.take("attach", "partition"):
		return Clause{Kind: ClauseAttachPartition, Name: p.name().Name}
	case p.take("detach", "partition"):
		clause := Clause{Kind: ClauseDetachPartition, Name: p.name().Name}
		clause.Concurrently = p.take("concurrently")
		return clause
	case p.peek("enable", "row"), p.peek("disable", "row"), p.peek("force", "row"), p.peek("no", "force"):
		return Clause{Kind: ClauseRowSecurity}
	case p.peek("set"), p.peek("reset"), p.peek("cluster"), p.peek("replica"), p.peek("inherit"), p.peek("enable"), p.peek("disable"):
		return Clause{Kind: ClauseSetOption, Name: strings.ToLower(p.token().Text)}
	default:
		return Clause{Kind: ClauseOther}
	}
}

func (p *parser) addClause() Clause {
	if constraint, ok := p.constraint(); ok {
		return Clause{Kind: ClauseAddConstraint, Name: constraint.Name, Constraints: []Constraint{constraint}}
	}
	p.take("column")
	missing := p.ifNotExists()
	clause := p.column()
	clause.IfNotExists = missing
	return clause
}

func (p *parser) dropClause() Clause {
	clause := Clause{Kind: ClauseDropColumn}
	if p.take("constraint") {
		clause.Kind = ClauseDropConstraint
	} else {
		p.take("column")
	}
	clause.IfExists = p.ifExists()
	name := p.identifier()
	if clause.Kind == ClauseDropConstraint {
		clause.Name = name
	} else {
		clause.Column = name
	}
	clause.Cascade = p.take("cascade")
	return clause
}

func (p *parser) renameClause() Clause {
	switch {
	case p.take("to"):
		return Clause{Kind: ClauseRenameTable, NewName: p.identifier()}
	case p.take("constraint"):
		clause := Clause{Kind: ClauseRenameConstraint, Name: p.identifier()}
		p.take("to")
		clause.NewName = p.identifier()
		return clause
	}
	p.take("column")
	clause := Clause{Kind: ClauseRenameColumn, Column: p.identifier()}
	p.take("to")
	clause.NewName = p.identifier()
	return clause
}

func (p *parser) alterColumn() Clause {
	clause := Clause{Kind: ClauseOther, Column: p.identifier()}
	switch {
	case p.take("set", "data", "type"), p.take("type"):
		clause.Kind = ClauseSetType
		clause.Type = p.until(func() bool { return p.comma() || p.word("collate", "using")() })
		if p.take("collate") {
			clause.Collate = p.name().Name
		}
		if p.take("using") {
			clause.Using = p.until(p.comma)
		}
	case p.take("set", "default"):
		clause.Kind, clause.HasDefault, clause.Default = ClauseSetDefault, true, p.until(p.comma)
	case p.take("drop", "default"):
		clause.Kind = ClauseDropDefault
	case p.take("set", "not", "null"):
		clause.Kind, clause.NotNull = ClauseSetNotNull, true
	case p.take("drop", "not", "null"):
		clause.Kind = ClauseDropNotNull
	case p.take("set", "expression"):
		p.take("as")
		clause.Kind, clause.Expr = ClauseSetExpression, p.inside()
	case p.take("drop", "expression"):
		clause.Kind, clause.IfExists = ClauseDropExpression, p.ifExists()
	case p.take("add"), p.peek("set", "generated"), p.peek("restart"), p.peek("drop", "identity"):
		clause.Kind = ClauseIdentity
		p.generated(&clause)
	case p.peek("set"), p.peek("reset"):
		clause.Kind = ClauseSetOption
		p.at++
		clause.Name = strings.ToLower(p.token().Text)
	}
	return clause
}
