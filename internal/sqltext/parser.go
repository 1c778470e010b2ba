package sqltext

import (
	"slices"
	"strings"
)

// parser reads the tokens of one statement.
type parser struct {
	dialect Dialect
	text    string
	tokens  []Token
	at      int
}

func newParser(dialect Dialect, text string) *parser {
	return &parser{dialect: dialect, text: text, tokens: significant(dialect, text)}
}

func (p *parser) done() bool { return p.at >= len(p.tokens) }

func (p *parser) token() Token {
	if p.done() {
		return Token{Kind: TokenSymbol}
	}
	return p.tokens[p.at]
}

// peek says whether the next tokens are these words or symbols.
func (p *parser) peek(words ...string) bool {
	if p.at+len(words) > len(p.tokens) {
		return false
	}
	for i, word := range words {
		token := p.tokens[p.at+i]
		if token.Kind == TokenName || token.Kind == TokenString || !strings.EqualFold(token.Text, word) {
			return false
		}
	}
	return true
}

// take goes behind these words when they are next.
func (p *parser) take(words ...string) bool {
	if !p.peek(words...) {
		return false
	}
	p.at += len(words)
	return true
}

// any takes one of several words, and gives it.
func (p *parser) any(words ...string) string {
	for _, word := range words {
		if p.take(word) {
			return word
		}
	}
	return ""
}

func (p *parser) ifExists() bool    { return p.take("if", "exists") }
func (p *parser) ifNotExists() bool { return p.take("if", "not", "exists") }

// identifier reads one, "" when there is none.
func (p *parser) identifier() string {
	token := p.token()
	if token.Kind != TokenWord && token.Kind != TokenName {
		return ""
	}
	p.at++
	return token.Value()
}

// name reads a possibly qualified one; of three parts the last two.
func (p *parser) name() Name {
	name := Name{Name: p.identifier()}
	for p.take(".") {
		name = Name{Schema: name.Name, Name: p.identifier()}
	}
	return name
}

func (p *parser) names() []Name {
	names := []Name{p.name()}
	for p.take(",") {
		p.take("only")
		names = append(names, p.name())
	}
	return names
}

// slice is the text from one token to another, the second one left out.
func (p *parser) slice(from, to int) string {
	if from >= to || from >= len(p.tokens) {
		return ""
	}
	last := p.tokens[to-1]
	return p.text[p.tokens[from].Offset : last.Offset+len(last.Text)]
}

// until reads to the first token outside of brackets that stop knows, or to the end, and gives the text.
func (p *parser) until(stop func() bool) string {
	from, depth := p.at, 0
	for !p.done() {
		token := p.token()
		if depth == 0 && (token.Text == ")" && token.Kind == TokenSymbol || stop()) {
			break
		}
		switch {
		case token.Kind != TokenSymbol:
		case token.Text == "(" || token.Text == "[":
			depth++
		case token.Text == ")" || token.Text == "]":
			depth--
		}
		p.at++
	}
	return p.slice(from, p.at)
}

// rest reads to the end.
func (p *parser) rest() string {
	from := p.at
	p.at = len(p.tokens)
	return p.slice(from, p.at)
}

// word stops at any of these words.
func (p *parser) word(words ...string) func() bool {
	return func() bool {
		return p.token().Kind == TokenWord && slices.ContainsFunc(words, p.token().Is)
	}
}

func (p *parser) comma() bool { return p.peek(",") }

// brackets reads what stands in round brackets, cut at its commas; nil when none open here.
func (p *parser) brackets() []string {
	if !p.take("(") {
		return nil
	}
	parts := []string{}
	for !p.done() && !p.peek(")") {
		parts = append(parts, p.until(p.comma))
		if !p.take(",") {
			break
		}
	}
	p.take(")")
	return parts
}

// inside reads the text in round brackets.
func (p *parser) inside() string {
	if !p.take("(") {
		return ""
	}
	text := p.until(func() bool { return false })
	p.take(")")
	return text
}

// columns reads identifiers in round brackets.
func (p *parser) columns() []string {
	parts := p.brackets()
	for i, part := range parts {
		parts[i] = identifierOf(p.dialect, part)
	}
	return parts
}

// identifierOf is the identifier that a text is; the text itself when it is none.
func identifierOf(dialect Dialect, text string) string {
	tokens := significant(dialect, text)
	if len(tokens) == 0 {
		return text
	}
	if tokens[0].Kind == TokenWord || tokens[0].Kind == TokenName {
		return tokens[0].Value()
	}
	return text
}

// skip leaves a group of tokens in round brackets out, or one token.
func (p *parser) skip() {
	if p.peek("(") {
		p.inside()
		return
	}
	p.at++
}
