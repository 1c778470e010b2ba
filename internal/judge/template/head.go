package template

import "bytes"

const (
	// maxHead is how far into a line its level is looked for.
	maxHead = 256
	// maxTags is how many "program:" may stand before it.
	maxTags = 4
	// maxCapitals is how many words in capitals may stand before it: RAS KERNEL FATAL.
	maxCapitals = 4
)

// head reads the beginning of a plain line for its level. It goes over what loggers put there (times, numbers, names, what is in brackets,
// tags with a colon) and ends where prose begins, so that an error that the text tells of is not taken for the line's level.
type head struct {
	line []byte
	i    int
	// dated: a time stood at the beginning. syslog: in a form that a host's name follows.
	dated, syslog bool
	// numbers counts the numbers that the line begins with; bare: the last token was nothing but digits.
	numbers int
	bare    bool
	// words of prose and words in capitals, since the beginning or the last tag.
	words, capitals, tags int
	// before is what separates the token from the last one: | - ; , tab or, for all else, 0.
	before byte
}

// severity gives the level, or Unknown. What a syslog server wrote before the line counts only when the line itself says nothing.
func (h *head) severity() Severity {
	priority := h.priority()
	if s := h.letter(); s != Unknown {
		return s
	}
	for h.words < 2 && h.tags <= maxTags && h.capitals <= maxCapitals && h.separate() {
		if s := h.token(); s != Unknown {
			return s
		}
	}
	return priority
}

// priority reads syslog's <34>.
func (h *head) priority() Severity {
	end := bytes.IndexByte(h.line[:min(len(h.line), 5)], '>')
	if end < 2 || h.line[0] != '<' {
		return Unknown
	}
	n, ok := number(h.line[1:end])
	if !ok || n > 191 {
		return Unknown
	}
	h.i, h.syslog = end+1, true
	if hasPrefix(h.line[h.i:], "1 ") {
		h.fields(6)
	}
	return syslogSeverity(n)
}

// fields goes over what RFC 5424 puts before a message: version, time, host, program, process and message id.
func (h *head) fields(n int) {
	h.dated = true
	for ; n > 0; n-- {
		blank := bytes.IndexByte(h.line[h.i:], ' ')
		if blank < 0 {
			return
		}
		h.i += blank + 1
	}
}

// letter reads the formats that begin with the level's letter: klog's E0102 15:04:05 and its like with a year, Ruby's "E, [2026",
// CUPS's "E [02/Jan", Android's E/Tag(12) and E/Tag:.
func (h *head) letter() Severity {
	p := h.line[h.i:]
	if len(p) < 6 {
		return Unknown
	}
	if isDigit(p[0]) {
		return redis(p)
	}
	if severityLetter(p[0]) == Unknown {
		return Unknown
	}
	digits := 1
	for digits < len(p) && isDigit(p[digits]) {
		digits++
	}
	switch {
	case (digits == 5 || digits == 7 || digits == 9) && digits+3 < len(p) && p[digits] == ' ' && isDigit(p[digits+1]) && isDigit(p[digits+2]) && p[digits+3] == ':',
		p[1] == ',' && p[2] == ' ' && p[3] == '[' && isDigit(p[4]),
		p[1] == ' ' && p[2] == '[' && isDigit(p[3]),
		androidTag(p):
		return severityLetter(p[0])
	}
	return Unknown
}

// redis reads "12:M 02 Jan 2026 03:04:05.678 # text".
func redis(p []byte) Severity {
	i := bytes.IndexByte(p[:min(len(p), 12)], ':')
	if i < 0 || i+30 > len(p) || p[i+1] < 'A' || p[i+1] > 'Z' || p[i+2] != ' ' || p[i+5] != ' ' || p[i+9] != ' ' || p[i+27] != ' ' || p[i+29] != ' ' {
		return Unknown
	}
	switch p[i+28] {
	case '.', '-':
		return Debug
	case '*':
		return Info
	case '#':
		return Warn
	}
	return Unknown
}

// androidTag reports whether E/Tag: or E/Tag( starts at p.
func androidTag(p []byte) bool {
	if len(p) < 5 || p[1] != '/' {
		return false
	}
	i := 2
	for i < len(p) && (isTypeByte(p[i]) || p[i] == '-') {
		i++
	}
	return i > 3 && i < len(p) && (p[i] == '(' || p[i] == ':')
}

// separate goes to the next token and notes what stands before it.
func (h *head) separate() bool {
	h.before = 0
	for ; h.i < len(h.line); h.i++ {
		switch c := h.line[h.i]; c {
		case ' ':
		case '\t', '|', ';', ',':
			h.before = c
		case '-', ':', '*', '=', '#', '>':
			// Alone or in a row they separate: "-", "---", "==". Before a word they are its own.
			if next := h.i + 1; next < len(h.line) && (isLetter(h.line[next]) || isDigit(h.line[next])) && c != '=' && c != ':' {
				return true
			}
			if c == '-' {
				h.before = c
			}
		default:
			return true
		}
	}
	return false
}

// token reads one token and goes behind it.
func (h *head) token() Severity {
	from := h.i
	switch c := h.line[from]; c {
	case '[', '<', '(', '{':
		return h.bracket(c)
	case '"', '\'', '`':
		h.words = 2
		return Unknown
	}
	to, class, equals := h.scan()
	tok := h.line[from:to]
	if equals > 0 {
		return h.assigned(tok, from, equals)
	}
	if isLetter(tok[0]) {
		if s := h.level(tok, to); s != Unknown {
			return s
		}
	}
	h.pass(tok, class)
	return Unknown
}

// scan finds the end of the token, what it consists of, and where in it a = stands.
func (h *head) scan() (to int, class uint16, equals int) {
	i := h.i
	for ; i < len(h.line); i++ {
		switch c := h.line[i]; {
		case c == ' ' || c == '\t' || c == '|' || c == ';' || c == ',':
			h.i = i
			return i, class, equals
		case c >= 'a' && c <= 'z':
			class |= lower
		case c >= 'A' && c <= 'Z':
			class |= upper
		case isDigit(c):
			class |= digit
		case c == '=' && equals == 0 && i > h.i:
			equals = i - h.i
		case c == '[' && class != 0:
			class |= delim
		case c == '.' || c == '_' || c == '/' || c == '$' || c == '@' || c == '-' || c == '\\':
			class |= other
		}
	}
	h.i = i
	return i, class, equals
}

// pass counts a token that is no level.
func (h *head) pass(tok []byte, class uint16) {
	last := tok[len(tok)-1]
	h.bare = class == digit && !clock(tok)
	switch {
	case last == ':' && len(tok) > 1 && (class&digit == 0 || class&delim != 0 || !clock(tok)):
		h.tag(tok, class)
	case class&digit != 0:
		if h.numbers++; clock(tok) || (h.numbers >= 2 && h.words+h.capitals+h.tags == 0) {
			h.dated = true
		}
	case dateName(tok) || dateName(bytes.TrimRight(tok, ".")):
		h.syslog = h.syslog || (h.numbers == 0 && h.words == 0)
	case class&(other|delim) != 0 && class&(lower|upper) != 0: // a name: com.example.Foo, http-nio, sshd(pam_unix)
	case class == upper:
		if !h.dated || h.capitals > 0 || len(tok) > 4 || h.words > 0 { // UTC
			h.capitals++
		}
		if string(tok) == "PHP" {
			h.capitals = 0
		}
	default:
		h.words++
	}
}

// tag takes "name:". Of the words before it a host's name may be one.
func (h *head) tag(tok []byte, class uint16) {
	host := h.words == 1 && (h.syslog || class&delim != 0 || string(tok) == "kernel:")
	if h.words > 0 && !host {
		h.words = 2
		return
	}
	h.tags++
	h.words, h.capitals = 0, 0
}

// assigned reads key=value.
func (h *head) assigned(tok []byte, from, equals int) Severity {
	key, value := tok[:equals], tok[equals+1:]
	if len(value) > 0 && value[0] == '"' {
		start := from + equals + 1
		end := closing(h.line, start)
		if end == 0 {
			h.words = 2
			return Unknown
		}
		h.i = end
		value = h.line[start+1 : end-1]
	}
	if h.words == 0 && levelKey(key) {
		return severityName(bytes.TrimRight(value, ":])}"))
	}
	return Unknown
}

// clock reports whether the token is a time or a date: 15:04, 2026-01-02, 06/01/02, 20260102-15, or seconds since 1970.
func clock(tok []byte) bool {
	marks := 0
	for i := 1; i+1 < len(tok); i++ {
		if c := tok[i]; isDigit(tok[i-1]) && isDigit(tok[i+1]) {
			if c == ':' {
				return true
			}
			if c == '-' || c == '/' || c == '.' {
				marks++
			}
		}
	}
	return marks > 1 || (len(tok) >= 10 && isDigit(tok[0]) && isDigit(tok[8]) && isDigit(tok[9]))
}
