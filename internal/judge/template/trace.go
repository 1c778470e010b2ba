package template

import "bytes"

// topFrames is how many frames make a trace's fingerprint, with the exceptions' types.
const topFrames = 5

// trace reads a stack trace: its template is the exceptions' types and the top frames, without lines, addresses and generated numbers.
// False: the event has several lines but no frame.
func (p *Parser) trace(event []byte, l *Line) bool {
	from := len(l.text)
	var f found
	f.innermostLast = bytes.Contains(event, []byte("\n  File \"")) || hasPrefix(event, "  File \"") || groupTraceback(event)
	for line := range bytes.SplitSeq(event, []byte{'\n'}) {
		first := f.lines == 0
		f.lines++
		if at, ok := p.frame(line, l, first); ok {
			f.frame(at)
		} else if at, ok := p.exceptionType(line, l); ok {
			f.types[min(f.typeCount, len(f.types)-1)] = at
			f.typeCount = min(f.typeCount+1, len(f.types))
		}
	}
	if f.frameCount == 0 {
		l.text = l.text[:from]
		return false
	}
	l.Kind = Trace
	if l.Severity == Unknown {
		l.Severity = max(Error, severityOf(event[:min(len(event), 200)]))
	}
	// The fingerprint stands alone: a trace in a message is that trace, whoever logged it.
	l.tokens = l.tokens[:0]
	p.logger = p.logger[:0]
	for _, at := range f.types[:f.typeCount] {
		l.word(l.text, int(at[0]), int(at[1]), false)
	}
	for _, at := range f.frames[:f.frameCount] {
		l.word(l.text, int(at[0]), int(at[1]), false)
	}
	return true
}

// found is what a trace consists of, each a place in the line's text.
type found struct {
	lines, frameCount, typeCount int
	frames                       [topFrames][2]int32
	types                        [3][2]int32
	innermostLast                bool // as Python has it
}

func (f *found) frame(at [2]int32) {
	switch {
	case f.frameCount < topFrames:
		f.frames[f.frameCount] = at
		f.frameCount++
	case f.innermostLast:
		copy(f.frames[:], f.frames[1:])
		f.frames[topFrames-1] = at
	}
}

// frame appends the frame's name to the line's text: what is called, without where.
func (p *Parser) frame(line []byte, l *Line, first bool) (at [2]int32, ok bool) {
	trimmed := bytes.TrimLeft(line, " \t|")
	var name, file []byte
	switch {
	case first && !rubyFrame(trimmed):
		return at, false
	case hasPrefix(line, "#") || numbered(trimmed):
		name = numberedName(trimmed)
	case hasPrefix(trimmed, "(") && bytes.Contains(trimmed, []byte(") ")) && bytes.Contains(trimmed, []byte(": ")):
		name = trimmed[bytes.LastIndex(trimmed, []byte(": "))+2:] // (shop 0.1.0) lib/cart.ex:12: Shop.Cart.load/1
	case hasPrefix(trimmed, "at /rustc/"), hasPrefix(trimmed, "at ./") && bytes.Contains(trimmed, []byte(".rs:")): // of the frame above
		return at, false
	case hasPrefix(trimmed, "at ") && len(trimmed) > 3 && len(trimmed) < len(line)+1:
		name = callName(trimmed[3:])
	case hasPrefix(trimmed, "File \""):
		end := bytes.IndexByte(trimmed[6:], '"')
		if end < 0 {
			return at, false
		}
		file = base(trimmed[6 : 6+end])
		if in := bytes.LastIndex(trimmed, []byte(", in ")); in > 0 {
			name = trimmed[in+5:]
		}
	case rubyFrame(bytes.TrimPrefix(trimmed, []byte("from "))):
		trimmed = bytes.TrimPrefix(trimmed, []byte("from "))
		in := bytes.Index(trimmed, []byte(":in "))
		file = base(trimmed[:in])
		name = trimmed[in+5:]
		if end := bytes.LastIndexByte(name, '\''); end >= 0 {
			name = name[:end]
		}
	case !indented(line) && goTraceLine(line) && line[len(line)-1] == ')' && !hasPrefix(line, "panic(") && !hasPrefix(line, "runtime."):
		open := bytes.LastIndexByte(line, '(')
		name = line[:open]
	case !indented(line) && goName(line) && !hasPrefix(line, "runtime."):
		name = line
	default:
		return at, false
	}
	if len(name) == 0 && len(file) == 0 {
		return at, false
	}
	from := len(l.text)
	if len(file) > 0 {
		l.text = appendName(l.text, withoutLine(file))
		l.text = append(l.text, '#')
	}
	l.text = appendName(l.text, name)
	return [2]int32{int32(from), int32(len(l.text))}, len(l.text) > from
}

// numbered reports whether the line is a frame of Rust: 2: app::load.
func numbered(line []byte) bool {
	i := 0
	for i < len(line) && isDigit(line[i]) {
		i++
	}
	return i > 0 && hasPrefix(line[i:], ": ")
}

// numberedName is what "2: app::load" and "#0 /srv/cart.php(12): Cart->load(3)" call; nothing for what panics by itself.
func numberedName(line []byte) []byte {
	separator := ": "
	if line[0] == '#' {
		separator = "): "
	}
	_, name, _ := bytes.Cut(line, []byte(separator))
	if line[0] == '#' {
		name, _, _ = bytes.Cut(name, []byte{'('})
	}
	if hasPrefix(name, "rust_begin_unwind") || hasPrefix(name, "core::panicking") || hasPrefix(name, "std::") {
		return nil
	}
	return name
}

// callName is what "at NAME(where)", "at NAME in file:line N" and "at file:1:2" call.
func callName(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("async "))
	text = bytes.TrimPrefix(text, []byte("new "))
	if open := bytes.IndexByte(text, '('); open > 0 {
		return bytes.TrimRight(text[:open], " ")
	}
	if in := bytes.Index(text, []byte(" in ")); in > 0 {
		return text[:in]
	}
	return withoutLine(base(text))
}

func base(path []byte) []byte {
	return path[bytes.LastIndexAny(path, `/\`)+1:]
}

func withoutLine(file []byte) []byte {
	if colon := bytes.IndexByte(file, ':'); colon > 0 {
		return file[:colon]
	}
	return file
}

// appendName copies a name up to 200 bytes without the numbers that compilers and proxies put into it: lambda$main$0, Foo$$abc123.
func appendName(dst, name []byte) []byte {
	name = name[:min(len(name), 200)]
	if generated := bytes.Index(name, []byte("$$")); generated > 0 {
		name = name[:generated]
	}
	for _, c := range name {
		if isDigit(c) {
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// exceptionType finds the type that a line of a trace names, and appends it to the line's text.
func (p *Parser) exceptionType(line []byte, l *Line) (at [2]int32, ok bool) {
	from := len(l.text)
	line = line[:min(len(line), 1000)]
	switch {
	case hasPrefix(line, "panic: "), hasPrefix(line, "fatal error: "), servedPanic(line), hasPrefix(line, "thread '"):
		p.panicText(line, l)
		return [2]int32{int32(from), int32(len(l.text))}, true
	case hasPrefix(line, "Error: "), hasPrefix(line, "Uncaught Error: "):
		l.text = append(l.text, "Error"...)
		return [2]int32{int32(from), int32(len(l.text))}, true
	}
	for i := 0; i < len(line); i++ {
		if !isLetter(line[i]) || (i > 0 && isTypeByte(line[i-1])) {
			continue
		}
		end := i
		for end < len(line) && isTypeByte(line[end]) {
			end++
		}
		if exceptionName(line[i:end]) {
			l.text = append(l.text, line[i:end]...)
			return [2]int32{int32(from), int32(len(l.text))}, true
		}
		i = end
	}
	return at, false
}

// panicText appends the words of a panic: without a type, they are what it is known by.
func (p *Parser) panicText(line []byte, l *Line) {
	var masked Line
	masked.text = line
	p.mask.mask(&masked, 0)
	l.text = append(l.text, masked.String()...)
}
