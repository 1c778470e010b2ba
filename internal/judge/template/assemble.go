package template

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// Bounds of an event. What is longer is cut, and says so.
const (
	// MaxLine is what is read of one line; the rest up to its end is skipped.
	MaxLine = 1 << 20
	// maxKept is what an event keeps of a line: the template of a longer one is that of its beginning.
	maxKept = 16 << 10
	// maxEvent and maxEventLines bound a joined event.
	maxEvent      = 64 << 10
	maxEventLines = 500
)

// Event is one log event: mostly a line, or the lines of a stack trace.
type Event struct {
	// Text has no newline at its end, is valid UTF-8 without control characters but tab and newline. It is valid until the next call.
	Text []byte
	// At is when its first line came.
	At    time.Time
	Lines int
	// Cut: some of it was too long and is left out.
	Cut bool
}

// Assembler joins the lines of one stream (one server's stdout, or stderr) to events. It holds the last event back until the next line
// shows that it is complete; Flush ends the wait. It is not for concurrent use.
type Assembler struct {
	partial []byte // of Write: a line without its end
	skip    bool   // of Write: the line's rest is beyond MaxLine
	pending []byte
	clean   []byte
	at      time.Time
	lines   int
	cut     bool
	state   joinState
	blanks  int
}

// Write takes raw bytes that came at that time, splits them at newlines and feeds the lines.
func (a *Assembler) Write(p []byte, at time.Time, emit func(Event)) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			a.keep(p)
			return
		}
		if len(a.partial) == 0 && !a.skip {
			a.Feed(p[:end], at, emit)
		} else {
			a.keep(p[:end])
			a.Feed(a.partial, at, emit)
			a.partial, a.skip = a.partial[:0], false
		}
		p = p[end+1:]
	}
}

func (a *Assembler) keep(p []byte) {
	room := MaxLine - len(a.partial)
	if len(p) > room {
		p, a.skip = p[:room], true
	}
	a.partial = append(a.partial, p...)
}

// Feed takes one line without its newline.
func (a *Assembler) Feed(line []byte, at time.Time, emit func(Event)) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	cut := len(line) > maxKept
	if cut {
		line = line[:maxKept]
	}
	if !safe(line) {
		a.clean = appendSafe(a.clean[:0], line)
		line = a.clean
	}
	if blank(line) {
		a.blanks++
		return
	}
	if a.lines == 0 || !a.state.joins(line, a) {
		a.flush(emit)
		a.at, a.state = at, startState(line)
	}
	a.blanks = 0
	a.add(line, cut)
}

func (a *Assembler) add(line []byte, cut bool) {
	a.lines++
	if a.lines > maxEventLines || len(a.pending)+len(line) >= maxEvent {
		a.cut = true
		return
	}
	a.cut = a.cut || cut
	if len(a.pending) > 0 {
		a.pending = append(a.pending, '\n')
	}
	a.pending = append(a.pending, line...)
}

// Flush gives what is held back: call it when the stream was silent for a second, and when it ends. A line without its newline yet is
// not given: see Close.
func (a *Assembler) Flush(emit func(Event)) { a.flush(emit) }

// Close gives all that is held back, and leaves the assembler as new: the stream ended, or begins anew.
func (a *Assembler) Close(at time.Time, emit func(Event)) {
	if len(a.partial) > 0 {
		a.Feed(a.partial, at, emit)
	}
	a.flush(emit)
	a.partial, a.skip, a.blanks = a.partial[:0], false, 0
}

func (a *Assembler) flush(emit func(Event)) {
	if a.lines == 0 {
		return
	}
	event := Event{Text: a.pending, At: a.at, Lines: a.lines, Cut: a.cut}
	a.lines, a.cut, a.state = 0, false, joinState{}
	emit(event)
	a.pending = a.pending[:0]
	if cap(a.pending) > maxEvent*2 {
		a.pending = nil
	}
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}

// safe reports whether the line can stay as it is: printable ASCII or valid UTF-8 without control characters.
func safe(line []byte) bool {
	high := false
	for _, c := range line {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
		high = high || c >= 0x80
	}
	return !high || utf8.Valid(line)
}

// appendSafe copies the line without terminal colours and zero bytes; other control characters and what is no UTF-8 become one replacement
// character a run.
func appendSafe(dst, line []byte) []byte {
	bad := false
	for i := 0; i < len(line); {
		c := line[i]
		if c == 0x1b {
			i = skipEscape(line, i)
			continue
		}
		if c == 0 {
			i++ // Text in two bytes a letter, read as one.
			continue
		}
		size := 1
		ok := c >= ' ' && c != 0x7f || c == '\t' || c == '\n'
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(line[i:])
			ok = r != utf8.RuneError || size > 1
		}
		if ok {
			dst = append(dst, line[i:i+size]...)
		} else if !bad {
			dst = append(dst, "\uFFFD"...)
		}
		bad = !ok
		i += size
	}
	return dst
}

// skipEscape gives the end of a terminal's escape sequence that starts at i.
func skipEscape(line []byte, i int) int {
	i++
	if i >= len(line) || line[i] != '[' {
		return i
	}
	for i++; i < len(line); i++ {
		if c := line[i]; c >= 0x40 && c <= 0x7e {
			return i + 1
		} else if c < 0x20 || c > 0x3f {
			return i
		}
	}
	return i
}
