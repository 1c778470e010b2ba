package template

import "bytes"

// level reports what level the token that ends at to is: "ERROR", "error:", "ERRO[0001]", "ERROR:root:text", "E" after a time, "ERR!".
// Capitals need little around them; in lower case a word is a level only as a column of its own or before a colon.
func (h *head) level(tok []byte, to int) Severity {
	n := 0
	for n < len(tok) && (isLetter(tok[n]) || isDigit(tok[n])) {
		n++
	}
	word, after := tok[:n], byte(0)
	if n < len(tok) {
		after = tok[n]
	}
	if n == 1 {
		return h.single(tok, to)
	}
	s, capitals := severityIn(word)
	if s == Unknown {
		return h.thrown(tok, to-len(tok))
	}
	if capitals && h.capital(tok, n, after, to) || !capitals && h.small(tok, n, after, to, s) {
		return s
	}
	return Unknown
}

// capital reports whether the word of n capitals that the token begins with is a level.
func (h *head) capital(tok []byte, n int, after byte, to int) bool {
	switch after {
	case 0:
		return h.stands(tok, to)
	case ':':
		return h.words <= 1 && (n+1 < len(tok) || !empty(h.line[to:]))
	case '[', '>', '!':
		return h.words <= 1
	}
	return false
}

// small is capital for a word in lower case.
func (h *head) small(tok []byte, n int, after byte, to int, s Severity) bool {
	alone := h.words == 0 && h.capitals == 0
	switch after {
	case 0:
		return (alone && h.column(to)) || (h.words <= 1 && h.before != 0 && h.before != ',' && h.column(to)) ||
			(alone && s == Fatal && hasPrefix(h.line[to:], " error: "))
	case ':':
		return alone && n+1 == len(tok) && !empty(h.line[to:])
	case '[': // error[E0425]:
		return alone && tok[len(tok)-1] == ':'
	}
	return false
}

// stands reports whether a word in capitals that nothing is attached to is a level where it stands.
func (h *head) stands(word []byte, to int) bool {
	boxed := h.column(to)
	switch {
	case ordinary(word):
		return h.words <= 1 && (boxed || (h.dated && h.words == 0 && h.capitals > 0)) && (h.dated || h.before != 0 || h.capitals+h.words == 0)
	case h.dated:
		return h.words <= 1
	case boxed:
		return h.words <= 1 && h.capitals == 0
	}
	return h.words == 0 && h.capitals == 0 && !h.bare
}

// column reports whether the token that ends at to is a column of its own: a tab, |, ; or , follows, " - ", " :" or two blanks.
func (h *head) column(to int) bool {
	rest := h.line[to:]
	if len(rest) < 2 {
		return false
	}
	switch rest[0] {
	case '\t', '|', ';':
		return true
	case ',':
		return h.before == ',' || h.before == ';'
	}
	return (rest[1] == ' ' && (h.dated || h.before != 0)) || rest[1] == '|' || rest[1] == '\t' || (len(rest) > 2 && (rest[1] == '-' || rest[1] == ':') && (rest[2] == ' ' || rest[2] == '-'))
}

// single reads a level of one letter after times and numbers: logcat's "1702 2395 E Tag:", MongoDB's, TensorFlow's, GlusterFS's; "E>".
func (h *head) single(tok []byte, to int) Severity {
	switch {
	case len(tok) == 2 && tok[1] == '>' && h.words <= 1:
		return severityLetter(tok[0])
	case len(tok) > 4 && h.dated && h.words+h.tags == 0 && androidTag(h.line[to-len(tok):]):
		return severityLetter(tok[0])
	case len(tok) != 1 || !h.dated || h.words+h.tags+h.capitals > 0 || to+1 >= len(h.line) || h.line[to] == ',':
		return Unknown
	}
	if tok[0] == 'C' || (tok[0] == 'I' && !h.bare && pronoun(h.line[to:])) {
		return Unknown
	}
	return severityLetter(tok[0])
}

// pronoun reports whether prose goes on after an I: a word in lower case that is no name.
func pronoun(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t")
	end := bytes.IndexByte(rest, ' ')
	if end < 0 {
		end = len(rest)
	}
	return end == 0 || (rest[0] >= 'a' && rest[0] <= 'z' && !bytes.ContainsAny(rest[:end], ":/."))
}

// thrown knows the beginnings of an uncaught exception.
func (h *head) thrown(tok []byte, from int) Severity {
	if h.words > 0 || h.capitals > 0 {
		return Unknown
	}
	rest := h.line[from:]
	switch tok[0] {
	case 'T':
		if hasPrefix(rest, "Traceback (most recent call last)") {
			return Error
		}
	case 'E':
		if hasPrefix(rest, "Exception in thread ") {
			return Error
		}
	case 'U':
		if hasPrefix(rest, "Unhandled exception") || hasPrefix(rest, "Unhandled Exception") || hasPrefix(rest, "Uncaught ") && bytes.IndexByte(rest, ':') > 0 {
			return Error
		}
	case 't':
		if hasPrefix(rest, "thread '") && bytes.Contains(rest, []byte("' panicked at ")) || hasPrefix(rest, "terminate called after throwing ") {
			return Fatal
		}
	case 'S':
		if hasPrefix(rest, "Segmentation fault") {
			return Fatal
		}
	case 'h':
		if servedPanic(rest) {
			return Error
		}
	}
	return Unknown
}

// empty reports whether what follows "error:" says that there is none.
func empty(rest []byte) bool {
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	end := 0
	for end < len(rest) && end < 9 && rest[end] != ' ' && rest[end] != ',' && rest[end] != ';' && rest[end] != ')' && rest[end] != ']' {
		end++
	}
	switch string(rest[:end]) {
	case "none", "None", "null", "nil", "<nil>", "0", "no", "false", "off", "-", "disabled", "NULL", "0%":
		return true
	}
	return false
}

// bracket goes over what is in brackets, and gives the level that stands in it.
func (h *head) bracket(open byte) Severity {
	from := h.i + 1
	end := bytes.IndexByte(h.line[from:], closer(open))
	if end < 0 || (open == '{' && bytes.IndexByte(h.line[from:from+end], '"') >= 0) {
		h.words = 2
		return Unknown
	}
	inner := bytes.Trim(h.line[from:from+end], " ")
	h.i = from + end + 1
	h.bare = false
	if clock(inner) {
		h.dated = true
	}
	if len(inner) == 0 || h.words > 1 || open == '{' {
		return Unknown
	}
	if s, _ := severityIn(inner); s != Unknown {
		return s
	}
	switch {
	case len(inner) == 1 && open == '<' && inner[0] >= '0' && inner[0] <= '7' && h.words+h.capitals == 0:
		return syslogSeverity(int(inner[0] - '0'))
	case len(inner) == 1 && open == '[':
		if c := inner[0]; c == 'E' || c == 'W' || c == 'I' || c == 'D' || c == 'F' {
			return severityLetter(c)
		}
	case len(inner) == 2 && open == '(' && inner[0] == inner[1]: // X.Org's (EE)
		return severityLetter(inner[0])
	case open == '[':
		return bracketed(inner)
	}
	return Unknown
}

func closer(open byte) byte {
	switch open {
	case '[':
		return ']'
	case '<':
		return '>'
	case '(':
		return ')'
	}
	return '}'
}

// bracketed finds the level among several things in one bracket: core:error, 10:02:03 ERR, 2026-01-02 10:02:03: ERROR/Main, level=error.
func bracketed(inner []byte) Severity {
	for i := 0; i < len(inner); {
		if !isLetter(inner[i]) {
			i++
			continue
		}
		from := i
		for i < len(inner) && (isLetter(inner[i]) || isDigit(inner[i])) {
			i++
		}
		if s, capitals := severityIn(inner[from:i]); s != Unknown && among(inner, from, i, capitals) {
			return s
		}
	}
	return Unknown
}

// among reports whether the level's name at [from, to) is one, by its neighbours in the bracket.
func among(inner []byte, from, to int, capitals bool) bool {
	before, after := byte(0), byte(0)
	if from > 0 {
		before = inner[from-1]
	}
	if to < len(inner) {
		after = inner[to]
	}
	timed := from > 0 && clock(inner[:from])
	switch {
	case before == '=':
		key := inner[:from-1]
		return levelKey(key[bytes.LastIndexByte(key, ' ')+1:])
	case !capitals:
		return (after == 0 && (before == ':' || (before == ' ' && timed))) || (before == 0 && after == '#')
	case ordinary(inner[from:to]) || (after != 0 && bytes.IndexByte([]byte(" :/|#"), after) < 0):
		return false
	}
	return before == 0 || (timed && (before == ' ' || before == ':')) || (after == 0 && before == ':')
}
