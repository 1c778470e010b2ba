package template

import "bytes"

// Classes of bytes, and at the same time what a word consists of.
const (
	other uint16 = 1 << iota // in-word punctuation: - _ . / @ # ...
	digit
	lower
	upper
	high // of a rune beyond ASCII
	space
	quote
	delim // = : , ; | ( ) [ ] { } < >
	// Of words only:
	dot
	slash
	backslash
	at
	camel // lower before upper: fooBar
	under
)

const inWord = other | digit | lower | upper | high | dot | slash | backslash | at | under

// masker cuts text into words and values. It has no state but its table.
type masker struct{ class [256]uint16 }

func newMasker() *masker {
	m := &masker{}
	for c := range 256 {
		switch {
		case c >= 0x80:
			m.class[c] = high
		case c == '=' || c == ':' || c == ',' || c == ';' || c == '|' || c == '(' || c == ')' || c == '[' || c == ']' || c == '{' || c == '}' || c == '<' || c == '>':
			m.class[c] = delim
		case c == '"' || c == '\'' || c == '`':
			m.class[c] = quote
		case c <= ' ' || c == 0x7f:
			m.class[c] = space
		case isDigit(byte(c)):
			m.class[c] = digit
		case c >= 'a' && c <= 'z':
			m.class[c] = lower
		case c >= 'A' && c <= 'Z':
			m.class[c] = upper
		default:
			m.class[c] = other
		}
	}
	m.class['.'], m.class['/'], m.class['\\'], m.class['@'], m.class['_'] = dot, slash, backslash, at, under
	return m
}

// mask appends the tokens of text[from:] to the line, whose text it is.
func (m *masker) mask(l *Line, from int) {
	m.read(l, m.header(l, from), len(l.text), from)
}

// read appends the tokens of text[i:to] to the line, of which a message begins at from.
func (m *masker) read(l *Line, i, to, from int) {
	text := l.text
	for i < to && len(l.tokens) < maxTokens {
		c := text[i]
		switch class := m.class[c]; class {
		case space:
			i++
		case quote:
			i = m.quoted(l, i)
		case delim:
			i = m.delimiter(l, i, from)
		default:
			i = m.word(l, i)
		}
	}
}

func (m *masker) delimiter(l *Line, i, from int) int {
	switch l.text[i] {
	case '=':
		if i > from && m.class[l.text[i-1]]&(inWord|space|quote|delim) != 0 && i+1 < len(l.text) && l.text[i+1] != '=' && l.text[i+1] != '>' && l.text[i-1] != '=' {
			return m.assigned(l, i+1)
		}
	case '{', '[', '(':
		return m.bracket(l, i)
	case '<':
		return m.angle(l, i)
	case ':':
		if i > from && l.text[i-1] == ' ' && i+1 < len(l.text) && l.text[i+1] == ':' && (i+2 == len(l.text) || l.text[i+2] == ' ') {
			l.value(i, i+2, false) // Any address of version 6.
			return i + 2
		}
	}
	return i + 1
}

// assigned masks the value of key=value, quoted and bracketed ones as a whole. An empty one counts too: a= b=1 is a=<*> b=<*>.
func (m *masker) assigned(l *Line, i int) int {
	text := l.text
	start := i
	for i < len(text) && text[i] == ' ' && i-start < 3 {
		i++
	}
	if i > start && m.isKey(text, i) {
		l.value(start, start, false)
		return start
	}
	end := m.valueEnd(text, i)
	if end+1 < len(text) && text[end] == ',' && m.isKey(text, end+1) {
		// a=1,b=2: as long as there are more, one value, and which comes first may change.
		for end+1 < len(text) && text[end] == ',' && m.isKey(text, end+1) {
			end = m.valueEnd(text, end+2+bytes.IndexByte(text[end+1:], '='))
		}
		if n := len(l.tokens); n > 0 && int(l.tokens[n-1].to) == start-1 {
			l.tokens[n-1].soft = true
		}
	}
	l.value(start, end, numeric(text[i:end]))
	return end
}

// isKey reports whether a key and its = start at i.
func (m *masker) isKey(text []byte, i int) bool {
	j := i
	for j < len(text) && m.class[text[j]]&inWord != 0 {
		j++
	}
	return j > i && j < len(text) && text[j] == '='
}

// valueEnd gives the end of the value at i: blank, comma, semicolon or a closing bracket outside of quotes and brackets.
func (m *masker) valueEnd(text []byte, i int) int {
	depth, limit := 0, min(len(text), i+4096)
	for ; i < limit; i++ {
		switch c := text[i]; c {
		case '"', '`':
			if end := closing(text, i); end > 0 {
				i = end - 1
			}
		case '(', '[', '{':
			if depth == 0 && balanced(text, i) == 0 {
				return i
			}
			depth++
		case ')', ']', '}':
			if depth == 0 {
				return i
			}
			depth--
		case ' ', '\t', '\n', ';', '|', ',':
			if depth == 0 && (c != ',' || !joinedDigits(text, i)) {
				return i
			}
		}
	}
	return i
}

// joinedDigits reports whether the comma at i stands within a number or list: 1,234.
func joinedDigits(text []byte, i int) bool {
	return i > 0 && i+1 < len(text) && isDigit(text[i-1]) && isDigit(text[i+1])
}

// balanced gives the end of the bracket at i, or 0 when it does not close within 2,048 bytes.
func balanced(text []byte, i int) int {
	depth := 0
	for j := i; j < len(text) && j < i+2048; j++ {
		switch text[j] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	return 0
}

// closing gives the end of the quotation that starts at i, or 0.
func closing(text []byte, i int) int {
	q := text[i]
	for j := i + 1; j < len(text) && j < i+4096; j++ {
		if text[j] == '\\' {
			j++
		} else if text[j] == q || (q == '`' && text[j] == '\'') {
			return j + 1
		}
	}
	return 0
}

// quoted masks a quotation; of an HTTP request it keeps the method.
func (m *masker) quoted(l *Line, i int) int {
	text := l.text
	if text[i] == '\'' && i > 0 && m.class[text[i-1]]&inWord != 0 {
		return i + 1
	}
	end := closing(text, i)
	if end == 0 || (text[i] == '\'' && end < len(text) && text[end] != '@' && m.class[text[end]]&inWord != 0) {
		return i + 1
	}
	inner := text[i+1 : end-1]
	if n := methodLen(inner); n > 0 {
		l.word(text, i+1, i+1+n, false)
		l.value(i+1+n, end, false)
		return end
	}
	if len(l.tokens) > 0 && l.begins() && bytes.IndexByte(inner, ' ') > 0 && (end == len(text) || end+1 < len(text) && text[end] == ' ' && m.isKey(text, end+1)) {
		m.read(l, i+1, end-1, i+1) // "Starting controller" name="endpoint"
		return end
	}
	l.value(i, end, numeric(inner))
	return end
}

func methodLen(p []byte) int {
	for n := 3; n <= 7 && n < len(p); n++ {
		if p[n] == ' ' && n+1 < len(p) && httpMethod(p[:n]) {
			return n
		}
	}
	return 0
}

func httpMethod(word []byte) bool {
	switch string(word) {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return true
	}
	return false
}

// bracket masks {...} and [...] that hold pairs, or a list of three and more; of others the inside is read like the rest.
func (m *masker) bracket(l *Line, i int) int {
	end := balanced(l.text, i)
	if end == 0 {
		return i + 1
	}
	inner := l.text[i+1 : end-1]
	if l.text[i] == '[' && (l.inHeader() && threadName(inner) || l.follows(i) && m.single(inner)) {
		l.value(i, end, false)
		return end
	}
	c := m.content(inner, l.text[i])
	value := c.isValue(l.text[i], len(inner), i > 0 && m.class[l.text[i-1]]&(lower|upper|digit|under|high) != 0)
	if value {
		l.value(i, end, false)
		return end
	}
	if l.text[i] == '[' && c.blanks > 0 && c.pairs+c.commas == 0 && !l.begins() {
		l.listed = end
	}
	return i + 1
}

// content counts what makes a list, or pairs, of what stands in a bracket.
type content struct{ pairs, commas, blanks int }

func (m *masker) content(inner []byte, open byte) (n content) {
	for j, c := range inner {
		switch c {
		case '=':
			n.pairs++
		case ':':
			if open == '{' || (j > 0 && inner[j-1] == '"') {
				n.pairs++
			}
		case ',':
			n.commas++
		case ' ':
			n.blanks++
		}
	}
	return n
}

// isValue decides about a bracket with so many bytes in it; joined: a word stands right before it.
func (n content) isValue(open byte, size int, joined bool) bool {
	switch {
	case joined:
		return open == '{' || n.pairs+n.commas > 0 || (open == '[' && n.blanks > 0)
	case open == '(':
		return false
	case size == 0, open == '{' && n.pairs > 0:
		return true
	}
	return n.commas >= 1 && n.blanks <= n.commas && size > 3
}

// single reports whether the text is one word: of 0000:00:1d.2[C] what stands in the bracket is part of the value.
func (m *masker) single(text []byte) bool {
	for _, c := range text {
		if m.class[c]&inWord == 0 {
			return false
		}
	}
	return len(text) > 0
}

// whereabouts reports whether the text ends in Class@123, or has somebody@somewhere and no blank.
func whereabouts(text []byte) bool {
	end := bytes.LastIndexByte(text, '@')
	return end > 0 && (bytes.IndexByte(text, ' ') < 0 || numeric(text[end+1:]))
}

// threadName reports whether what stands in a bracket before the message is who wrote it: main, scheduling-1, IPC Server handler 2 on 9000.
func threadName(text []byte) bool {
	if string(text) == "main" || whereabouts(text) {
		return true
	}
	blanks, name, last := 0, false, byte(' ')
	for _, c := range text {
		switch {
		case c == ' ':
			blanks++
		case isDigit(c), c >= 'A' && c <= 'Z' && isLetter(last):
			name = true
		case c == ':':
			name = true
		case !isLetter(c) && c != '-' && c != '#' && c != '_':
			return false
		}
		last = c
	}
	return blanks > 0 && name || bytes.IndexByte(text, ':') > 0 && isDigit(text[len(text)-1]) || bytes.HasSuffix(text, []byte("Thread")) || bytes.HasSuffix(text, []byte("thread"))
}

// angle masks <none>, <nil> and the like: one word in angles, or bytes in hexadecimal.
func (m *masker) angle(l *Line, i int) int {
	j := i + 1
	for j < len(l.text) && j < i+128 && (hexadecimal(l.text[j]) || l.text[j] == ' ') {
		j++
	}
	if j > i+4 && j < len(l.text) && l.text[j] == '>' {
		l.value(i, j+1, false)
		return j + 1
	}
	j = i + 1
	for j < len(l.text) && j < i+128 && m.class[l.text[j]]&(inWord|delim) != 0 && l.text[j] != '>' && l.text[j] != '<' {
		j++
	}
	if j < len(l.text) && l.text[j] == '>' && j > i+1 && severityName(l.text[i+1:j]) == Unknown {
		l.value(i, j+1, false)
		return j + 1
	}
	return i + 1
}

func hexadecimal(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
