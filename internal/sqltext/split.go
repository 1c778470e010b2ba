package sqltext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Piece is one statement of a text.
type Piece struct {
	// SQL without the semicolon and without space and comments around it.
	SQL    string
	Offset int
	// Line and Column of its first letter, from 1; columns count letters.
	Line, Column int
	// Comments stand before it, each without its marks and the space around; Apart is true for one with an empty line behind it.
	Comments []Comment
}

// Comment is one comment before a statement.
type Comment struct {
	Text         string
	Line, Column int
	Apart        bool
}

// Fault is a place where a text cannot be read.
type Fault struct {
	Line, Column int
	Message      string
	Hint         string
}

// String says it with its place.
func (f Fault) String() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Message) }

// splitter cuts a text into statements.
type splitter struct {
	dialect Dialect
	text    string
	tokens  []Token
	pieces  []Piece
	faults  []Fault
	// from is the first token of the present statement, -1 before it.
	from     int
	comments []Comment
	// words of the present statement, as far as its kind needs them; depth of BEGIN ... END in a body.
	words []string
	depth int
}

// Split cuts a text into its statements. Faults are all there are.
func Split(dialect Dialect, text string) ([]Piece, []Fault) {
	s := &splitter{dialect: dialect, text: text, tokens: Tokens(dialect, text), from: -1}
	for i, token := range s.tokens {
		s.token(i, token)
	}
	s.end(len(s.tokens))
	return s.pieces, s.faults
}

func (s *splitter) place(offset int) (line, column int) {
	before := s.text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}

func (s *splitter) fault(offset int, hint, format string, args ...any) {
	line, column := s.place(offset)
	s.faults = append(s.faults, Fault{Line: line, Column: column, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (s *splitter) token(i int, token Token) {
	if token.Open {
		s.fault(token.Offset, "", "%s is not closed", map[TokenKind]string{TokenString: "this string", TokenName: "this quoted name", TokenComment: "this comment"}[token.Kind])
	}
	switch {
	case token.Kind == TokenSpace:
	case token.Kind == TokenComment && s.from < 0:
		s.comment(i, token)
	case token.Kind == TokenComment:
	case token.Text == ";" && s.depth == 0:
		s.end(i)
	case s.from < 0 && strings.HasPrefix(s.text[token.Offset:], `\`):
		s.fault(token.Offset, "write it as SQL", "this is a command of psql, not SQL")
		s.from = i
	default:
		if s.from < 0 {
			s.from = i
		}
		s.word(token)
	}
}

// word follows the bodies that have semicolons in them.
func (s *splitter) word(token Token) {
	if token.Kind != TokenWord {
		return
	}
	word := strings.ToLower(token.Text)
	if len(s.words) < 64 {
		s.words = append(s.words, word)
	}
	switch {
	case s.depth > 0 && (word == "begin" || word == "case"):
		s.depth++
	case s.depth > 0 && word == "end":
		s.depth--
	case word == "begin" && len(s.words) > 1 && s.words[0] == "create" && s.dialect != Postgres:
		s.depth = 1
	case word == "atomic" && s.words[0] == "create" && s.words[len(s.words)-2] == "begin":
		s.depth = 1
	}
}

func (s *splitter) comment(i int, token Token) {
	text := strings.TrimPrefix(token.Text, "--")
	if inside, block := strings.CutPrefix(token.Text, "/*"); block {
		text = strings.TrimSuffix(inside, "*/")
	}
	comment := Comment{Text: strings.TrimSpace(text)}
	comment.Line, comment.Column = s.place(token.Offset)
	if i+1 < len(s.tokens) && s.tokens[i+1].Kind == TokenSpace {
		comment.Apart = strings.Count(s.tokens[i+1].Text, "\n") > 1
	}
	s.comments = append(s.comments, comment)
}

// end closes the present statement before a token.
func (s *splitter) end(at int) {
	if s.from >= 0 {
		last := at - 1
		for s.tokens[last].Kind == TokenSpace || s.tokens[last].Kind == TokenComment {
			last--
		}
		first, final := s.tokens[s.from], s.tokens[last]
		piece := Piece{SQL: s.text[first.Offset : final.Offset+len(final.Text)], Offset: first.Offset, Comments: s.comments}
		piece.Line, piece.Column = s.place(first.Offset)
		if len(s.words) > 2 && s.words[0] == "copy" && s.words[len(s.words)-1] == "stdin" {
			s.fault(first.Offset, "write it as INSERT, or load the data by other means", "COPY FROM stdin has its data outside of SQL")
		}
		s.pieces = append(s.pieces, piece)
		s.comments = nil
	}
	s.from, s.words, s.depth = -1, nil, 0
}
