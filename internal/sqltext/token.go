package sqltext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenKind sorts tokens.
type TokenKind int

// The kinds of tokens. TokenWord is a keyword or a plain identifier, TokenName a quoted identifier, TokenParam a placeholder.
const (
	TokenSpace TokenKind = iota
	TokenComment
	TokenWord
	TokenName
	TokenString
	TokenNumber
	TokenParam
	TokenSymbol
)

// Token is a piece of a text: Text[Offset:Offset+len].
type Token struct {
	Kind   TokenKind
	Text   string
	Offset int
	// Open is true for a string, name or comment that the text ends in the middle of.
	Open bool
	// limit is how many bytes of an identifier count, 0 for all.
	limit int
}

// longestName is how many bytes of an identifier PostgreSQL keeps; it cuts off the rest, and only says so.
const longestName = 63

// Is says whether a token is a word, whatever its case.
func (t Token) Is(word string) bool { return t.Kind == TokenWord && strings.EqualFold(t.Text, word) }

// Value is an identifier as the dialect reads it: a quoted one as it is inside, a plain one in small letters, cut where the server cuts it.
func (t Token) Value() string {
	value := t.whole()
	if t.limit == 0 || len(value) <= t.limit {
		return value
	}
	end := t.limit
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

func (t Token) whole() string {
	switch {
	case t.Kind == TokenName && t.Text[0] != '"' && strings.HasPrefix(t.Text[1:], `&"`) && len(t.Text) >= 4:
		return unescaped(strings.ReplaceAll(t.Text[3:len(t.Text)-1], `""`, `"`))
	case t.Kind == TokenName && len(t.Text) >= 2:
		quote := t.Text[:1]
		inside := t.Text[1 : len(t.Text)-1]
		if quote == "[" {
			return inside
		}
		return strings.ReplaceAll(inside, quote+quote, quote)
	case t.Kind == TokenWord:
		return strings.ToLower(t.Text)
	default:
		return t.Text
	}
}

// unescaped reads what U&"..." writes by number: \0061 and \+000061, and \\ for itself.
func unescaped(text string) string {
	var out strings.Builder
	for at := 0; at < len(text); {
		digits, skip := 4, 1
		switch rest := text[at:]; {
		case strings.HasPrefix(rest, `\\`):
			out.WriteByte('\\')
			at += 2
			continue
		case strings.HasPrefix(rest, `\+`):
			digits, skip = 6, 2
		case rest[0] != '\\':
			out.WriteByte(rest[0])
			at++
			continue
		}
		end := min(at+skip+digits, len(text))
		number, err := strconv.ParseInt(text[min(at+skip, end):end], 16, 32)
		if err != nil {
			return text // the server refuses it
		}
		out.WriteRune(rune(number))
		at = end
	}
	return out.String()
}

// Tokens cuts a text into tokens; put together again they are the text, byte for byte.
func Tokens(dialect Dialect, text string) []Token {
	var tokens []Token
	for at := 0; at < len(text); {
		token := next(dialect, text[at:])
		token.Offset = at
		if dialect == Postgres && (token.Kind == TokenWord || token.Kind == TokenName) {
			token.limit = longestName
		}
		tokens = append(tokens, token)
		at += len(token.Text)
	}
	return tokens
}

// significant are the tokens that are neither space nor comment.
func significant(dialect Dialect, text string) []Token {
	var tokens []Token
	for _, token := range Tokens(dialect, text) {
		if token.Kind != TokenSpace && token.Kind != TokenComment {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// next reads the token that a text begins with.
func next(dialect Dialect, text string) Token {
	first, size := utf8.DecodeRuneInString(text)
	switch {
	case unicode.IsSpace(first):
		return Token{Kind: TokenSpace, Text: text[:len(text)-len(strings.TrimLeftFunc(text, unicode.IsSpace))]}
	case strings.HasPrefix(text, "--"), dialect == MySQL && first == '#':
		end := strings.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		return Token{Kind: TokenComment, Text: text[:end]}
	case strings.HasPrefix(text, "/*"):
		return blockComment(dialect, text)
	case first == '\'':
		return quoted(text, 0, '\'', TokenString, dialect == MySQL)
	case first == '"':
		return quoted(text, 0, '"', TokenName, false)
	case first == '`' && dialect != Postgres:
		return quoted(text, 0, '`', TokenName, false)
	case first == '[' && dialect == SQLite:
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return Token{Kind: TokenName, Text: text, Open: true}
		}
		return Token{Kind: TokenName, Text: text[:end+1]}
	case first == '$':
		return dollar(dialect, text)
	case first == '?' && dialect != Postgres, (first == ':' || first == '@') && dialect != Postgres && len(text) > 1 && wordRune(rune(text[1])):
		return Token{Kind: TokenParam, Text: text[:1+wordLength(text[1:])]}
	case first >= '0' && first <= '9', first == '.' && len(text) > 1 && text[1] >= '0' && text[1] <= '9':
		return Token{Kind: TokenNumber, Text: text[:numberLength(text)]}
	case wordStart(first):
		return word(text)
	}
	for _, symbol := range [...]string{"::", "<=", ">=", "<>", "!=", "||", "->>", "->", ":="} {
		if strings.HasPrefix(text, symbol) {
			return Token{Kind: TokenSymbol, Text: symbol}
		}
	}
	return Token{Kind: TokenSymbol, Text: text[:size]}
}

// word reads an identifier, or a string that begins with letters (E'...', U&'...', X'...').
func word(text string) Token {
	n := wordLength(text)
	head := strings.ToLower(text[:n])
	if n < len(text) && text[n] == '\'' && (head == "e" || head == "b" || head == "x" || head == "n") {
		return quoted(text, n, '\'', TokenString, head == "e")
	}
	if head == "u" && strings.HasPrefix(text[n:], "&'") {
		return quoted(text, n+1, '\'', TokenString, false)
	}
	if head == "u" && strings.HasPrefix(text[n:], `&"`) {
		return quoted(text, n+1, '"', TokenName, false)
	}
	return Token{Kind: TokenWord, Text: text[:n]}
}

// quoted reads to the closing quote; a doubled one stands for itself, with escapes a backslash does so for what follows it.
func quoted(text string, from int, quote byte, kind TokenKind, escapes bool) Token {
	for i := from + 1; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return Token{Kind: kind, Text: text[:i+1]}
		}
	}
	return Token{Kind: kind, Text: text, Open: true}
}

// blockComment reads a comment; PostgreSQL's nest.
func blockComment(dialect Dialect, text string) Token {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "/*") && (dialect == Postgres || depth == 0):
			depth++
			i++
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			if depth == 0 {
				return Token{Kind: TokenComment, Text: text[:i+2]}
			}
			i++
		}
	}
	return Token{Kind: TokenComment, Text: text, Open: true}
}

// dollar reads $1, or a string between dollar quotes.
func dollar(dialect Dialect, text string) Token {
	if n := wordLength(text[1:]); dialect != Postgres || n > 0 && text[1] >= '0' && text[1] <= '9' {
		if n == 0 {
			return Token{Kind: TokenSymbol, Text: "$"}
		}
		return Token{Kind: TokenParam, Text: text[:1+n]}
	}
	end := strings.IndexByte(text[1:], '$')
	if end < 0 || strings.ContainsFunc(text[1:1+end], func(r rune) bool { return !wordRune(r) }) {
		return Token{Kind: TokenSymbol, Text: "$"}
	}
	tag := text[:end+2]
	end = strings.Index(text[len(tag):], tag)
	if end < 0 {
		return Token{Kind: TokenString, Text: text, Open: true}
	}
	return Token{Kind: TokenString, Text: text[:end+2*len(tag)]}
}

func wordStart(r rune) bool { return r == '_' || unicode.IsLetter(r) }

func wordRune(r rune) bool { return wordStart(r) || r == '$' || unicode.IsDigit(r) }

func wordLength(text string) int {
	for i, r := range text {
		if !wordRune(r) || r == utf8.RuneError {
			return i
		}
	}
	return len(text)
}

func numberLength(text string) int {
	for i := range len(text) {
		c := text[i]
		exponent := i > 0 && (c == '+' || c == '-') && (text[i-1] == 'e' || text[i-1] == 'E')
		if c != '.' && c != '_' && !exponent && !wordRune(rune(c)) {
			return i
		}
	}
	return len(text)
}
