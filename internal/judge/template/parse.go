package template

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Parser finds severity, logger and message of an event and masks it. It is not for concurrent use.
type Parser struct {
	mask *masker
	// inner is the text of a message within a message: JSON's string, unescaped.
	inner  []byte
	logger []byte
}

// NewParser needs nothing.
func NewParser() *Parser { return &Parser{mask: newMasker()} }

// Parse fills the line. The event's text is copied as far as needed.
func (p *Parser) Parse(event []byte, l *Line) {
	l.reset()
	p.logger = p.logger[:0]
	p.body(event, l, 0)
	l.root = hashBytes(p.logger)
	l.seal()
}

func (p *Parser) body(event []byte, l *Line, depth int) {
	event = bytes.TrimLeft(event, " \t")
	switch {
	case unreadable(event):
		l.text = append(l.text, event...)
		l.value(0, len(l.text), false)
		return
	case bytes.IndexByte(event, '\n') >= 0 && p.trace(event, l):
		return
	case len(event) > 1 && event[0] == '{' && depth < 3 && p.json(event, l, depth):
		return
	case logfmtStart(event) && !auditRecord(event) && p.logfmt(event, l, depth):
		return
	}
	if l.Severity == Unknown {
		l.Severity = severityOf(event)
	}
	if depth == 0 && p.prefixed(event, l) {
		return
	}
	from := len(l.text)
	l.text = append(l.text, event...)
	if auditRecord(event) {
		kind, _, _ := bytes.Cut(event[len("type="):], []byte{' '})
		p.logger = append(append(p.logger, 0), kind...)
	}
	p.mask.mask(l, from)
}

// unreadable reports whether the text is mostly none: of what is replaced, there is one in eight letters and more. All such lines are alike.
func unreadable(text []byte) bool {
	replaced := bytes.Count(text, []byte("\uFFFD"))
	return replaced > 2 && 8*replaced >= utf8.RuneCount(text)
}

// prefixed reads JSON or logfmt with a message behind what Kubernetes, Docker or syslog put before it. Behind prose it is what the prose is about:
// order accepted {"id":7}.
func (p *Parser) prefixed(event []byte, l *Line) bool {
	if open := bytes.IndexByte(event, '{'); open > 0 && open < 100 && open+1 < len(event) && event[open+1] == '"' && event[open-1] != '=' && event[len(event)-1] == '}' {
		var f fields
		return !prose(event[:open]) && eachPair(event[open:], func(key, value []byte) bool {
			p.take(&f, key, value)
			return true
		}) && p.finish(&f, l, JSON, 1)
	}
	equals := bytes.IndexByte(event[:min(len(event), 160)], '=')
	if equals < 0 || !bytes.Contains(event, []byte("msg=")) && !bytes.Contains(event, []byte("message=")) || bytes.Contains(event, []byte("msg=audit(")) {
		return false
	}
	key := bytes.LastIndexByte(event[:equals], ' ') + 1
	return key > 0 && !prose(event[:key]) && logfmtStart(event[key:]) && p.logfmt(event[key:], l, 1)
}

// prose reports whether there are more words than before a message: stdout F, a host, a level.
func prose(text []byte) bool {
	words := 0
	for word := range bytes.FieldsSeq(text) {
		if isLetter(word[0]) && !hasDigits(word) && word[len(word)-1] != ':' {
			words++
		}
	}
	return words > 3
}

// auditRecord reports whether the line is the kernel's: type=CWD msg=audit(1700000000.123:45): cwd="/". Its msg is no message.
func auditRecord(line []byte) bool {
	return hasPrefix(line, "type=") && bytes.Contains(line[:min(len(line), 64)], []byte(" msg=audit("))
}

// field is what a structured line's key is good for.
type field uint8

const (
	plainField field = iota
	messageField
	levelField
	scaleField
	loggerField
	errorField
)

func fieldOf(key []byte) field {
	switch string(key) {
	case "msg", "message", "log", "@message", "text", "MESSAGE", "@m", "@mt", "short_message", "Message", "Msg", "textPayload", "event", "body", "Body":
		return messageField
	case "s", "levelno", "severityNumber", "severity_number", "SeverityNumber", "priority", "PRIORITY", "syslog_severity":
		return scaleField
	case "logger", "logger_name", "loggerName", "log.logger", "component", "module", "LoggerName", "SourceContext":
		return loggerField
	case "error", "err", "exception", "Exception", "@x", "stack", "stack_trace", "stacktrace", "exc_info", "error.message", "error.stack_trace", "error.type":
		return errorField
	}
	if levelKey(key) {
		return levelField
	}
	return plainField
}

// levelKey reports whether a pair's key is that of its level.
func levelKey(key []byte) bool {
	switch string(key) {
	case "level", "lvl", "severity", "loglevel", "logLevel", "LogLevel", "log.level", "log_level", "levelname", "level_name", "@level", "@l", "Level", "LEVEL",
		"Severity", "SEVERITY", "severity_text", "severityText", "SeverityText", "sev", "log_severity":
		return true
	}
	return false
}

// fields collects what a structured line has.
type fields struct {
	message, failure []byte
	severity         Severity
	// transport is what carried the message says: journald's PRIORITY is that of the stream, so the message knows better.
	transport Severity
	keys      int
}

// take files one pair away, its value as it stands in the line: the first message wins over a later one, an error is added.
func (p *Parser) take(f *fields, key, value []byte) {
	f.keys++
	kind := fieldOf(key)
	if len(value) > 1 && value[0] == '{' && (kind == messageField || kind == levelField || string(key) == "record") {
		if value = p.nested(f, kind, value); len(value) == 0 {
			return
		}
	}
	value = p.jsonValue(value)
	switch kind {
	case messageField:
		if len(f.message) == 0 || (string(key) != "event" && string(key) != "body") {
			f.message = value
		}
	case levelField:
		if s := severityName(value); s != Unknown {
			f.severity = s
		}
	case scaleField:
		f.scale(key, value)
	case loggerField:
		if len(value) < 128 && !hasDigits(value) {
			p.logger = append(append(p.logger, 0), value...)
		}
	case errorField:
		if len(f.failure) == 0 || bytes.IndexByte(value, '\n') >= 0 {
			f.failure = value
		}
	case plainField:
	}
}

// scale reads a level whose scale its key names.
func (f *fields) scale(key, value []byte) {
	s := Unknown
	switch string(key) {
	case "s": // MongoDB's
		if len(value) == 0 || len(value) > 2 || value[0] > 'Z' || isDigit(value[0]) {
			return
		}
		s = severityName(value)
	case "levelno":
		s = severityScale(value, 20, 30, 40, 50)
	case "severityNumber", "severity_number", "SeverityNumber":
		s = severityScale(value, 9, 13, 17, 21)
	default:
		if f.transport = severityName(value); len(value) > 1 && !isDigit(value[0]) {
			s = f.transport
		}
	}
	if f.severity == Unknown {
		f.severity = s
	}
}

// nested reads the object that stands where a message or a level is expected: "log":{"level":"error"}, "level":{"name":"ERROR","no":40}.
// It gives the text in it, if any.
func (p *Parser) nested(f *fields, kind field, object []byte) (text []byte) {
	eachPair(object, func(key, value []byte) bool {
		inner := fieldOf(key)
		switch {
		case inner == levelField, kind == levelField && string(key) == "name":
			if len(value) > 1 && value[0] == '{' {
				p.nested(f, levelField, value)
			} else if s := severityName(value); s != Unknown {
				f.severity = s
			}
		case kind == messageField && (inner == messageField || string(key) == "stringValue") && len(value) > 0 && value[0] == '"':
			text = p.jsonValue(value)
		}
		return true
	})
	return text
}

// eachPair visits the keys and raw values of an object until see says no, and reports whether it was one as far as it goes.
func eachPair(object []byte, see func(key, value []byte) bool) bool {
	for i := 1; i < len(object); {
		i = skipBlanks(object, i)
		if i >= len(object) || object[i] == '}' {
			break
		}
		if object[i] != '"' {
			return false
		}
		keyEnd := stringEnd(object, i)
		if keyEnd == 0 {
			break
		}
		key := object[i+1 : keyEnd-1]
		i = skipBlanks(object, keyEnd)
		if i >= len(object) || object[i] != ':' {
			return false
		}
		i = skipBlanks(object, i+1)
		end := jsonEnd(object, i)
		if end <= i || !see(key, object[i:end]) {
			break
		}
		i = skipBlanks(object, end)
		if i < len(object) && object[i] == ',' {
			i++
		}
	}
	return true
}

func hasDigits(p []byte) bool {
	return slices.ContainsFunc(p, isDigit)
}

// finish masks what was collected; false: there is no message, so the line is read as plain text.
func (p *Parser) finish(f *fields, l *Line, kind Kind, depth int) bool {
	if len(f.message) == 0 && len(f.failure) == 0 {
		return false
	}
	if f.severity != Unknown {
		l.Severity = f.severity
	}
	if len(f.message) > 0 {
		p.body(f.message, l, depth+1)
	}
	if len(f.failure) > 0 && l.Kind != Trace {
		at := len(l.tokens)
		p.body(f.failure, l, depth+1)
		if l.Kind == Trace && at > 0 {
			return true
		}
	}
	if l.Severity == Unknown {
		l.Severity = f.transport
	}
	if l.Kind != Trace {
		l.Kind = kind
	}
	return true
}

// json reads one object without building it.
func (p *Parser) json(event []byte, l *Line, depth int) bool {
	var f fields
	whole := eachPair(event, func(key, value []byte) bool {
		p.take(&f, key, value)
		return true
	})
	if !whole {
		return false
	}
	if f.keys == 0 {
		return false
	}
	if p.finish(&f, l, JSON, depth) {
		return true
	}
	return p.keysOnly(event, &f, l)
}

// keysOnly makes the keys the template of an object without a message.
func (p *Parser) keysOnly(event []byte, f *fields, l *Line) bool {
	l.Kind = JSON
	if f.severity != Unknown {
		l.Severity = f.severity
	}
	from := len(l.text)
	l.text = append(l.text, event...)
	text := l.text
	for i := from + 1; i < len(text) && len(l.tokens) < maxTokens; {
		if text[i] != '"' {
			i++
			continue
		}
		end := stringEnd(text, i)
		if end == 0 {
			break
		}
		next := skipBlanks(text, end)
		if next < len(text) && text[next] == ':' {
			l.word(text, i+1, end-1, true)
			next = skipBlanks(text, next+1)
			l.value(next, next, false)
			end = max(jsonEnd(text, next), end)
		}
		i = end
	}
	return true
}

func skipBlanks(p []byte, i int) int {
	for i < len(p) && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n') {
		i++
	}
	return i
}

// stringEnd gives the end of the string that starts at i, or 0.
func stringEnd(p []byte, i int) int {
	for j := i + 1; j < len(p); j++ {
		switch p[j] {
		case '\\':
			j++
		case '"':
			return j + 1
		}
	}
	return 0
}

// jsonEnd gives the end of the value that starts at i; a value that was cut off ends with the line.
func jsonEnd(p []byte, i int) int {
	depth := 0
	for ; i < len(p); i++ {
		switch p[i] {
		case '"':
			end := stringEnd(p, i)
			if end == 0 {
				return len(p)
			}
			i = end - 1
			if depth == 0 {
				return end
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// jsonValue strips a string's quotes and escapes; an escaped one is good until the next event but two.
func (p *Parser) jsonValue(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	value = value[1:]
	if value[len(value)-1] == '"' {
		value = value[:len(value)-1]
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value
	}
	if len(p.inner) > maxEvent*2 {
		p.inner = nil
	}
	from := len(p.inner)
	if cap(p.inner)-from < len(value) {
		// What was given out before stays where it is.
		p.inner, from = make([]byte, 0, maxEvent+len(value)), 0
	}
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '\\' && i+1 < len(value) {
			i++
			switch c = value[i]; c {
			case 'n':
				c = '\n'
			case 't', 'r', 'b', 'f':
				c = ' '
			case 'u':
				i = min(i+4, len(value)-1)
				c = '?'
			}
		}
		p.inner = append(p.inner, c)
	}
	return p.inner[from:]
}

// logfmtStart reports whether the line begins with key=.
func logfmtStart(line []byte) bool {
	i := 0
	for i < len(line) && i < 40 && (isTypeByte(line[i]) || line[i] == '-' || line[i] == '@') {
		i++
	}
	return i > 0 && i < len(line) && line[i] == '=' && bytes.Count(line, []byte{'='}) > 1
}

func (p *Parser) logfmt(event []byte, l *Line, depth int) bool {
	if depth > 1 {
		return false
	}
	var f fields
	for i := 0; i < len(event); {
		i = skipBlanks(event, i)
		from := i
		for i < len(event) && event[i] != '=' && event[i] != ' ' {
			i++
		}
		if i >= len(event) || event[i] == ' ' {
			continue
		}
		key := event[from:i]
		i++
		start := i
		if i < len(event) && event[i] == '"' {
			if end := stringEnd(event, i); end > 0 {
				p.take(&f, key, event[start:end])
				i = end
				continue
			}
		}
		for i < len(event) && event[i] != ' ' {
			i++
		}
		p.take(&f, key, event[start:i])
	}
	return f.keys > 1 && len(f.message) > 0 && p.finish(&f, l, Logfmt, depth)
}
