package template

import "bytes"

// joinState is what the pending event is, as far as it decides what may follow.
type joinState struct {
	language language
	// trace: frames were seen, so what looks like a trace's next part is one.
	trace bool
	// indented: the last line was.
	indented bool
	// own: the first line was indented itself, so indentation means nothing in this stream.
	own bool
}

type language uint8

const (
	anyLanguage language = iota
	python
	golang
	php
	// rust is a panic of which the text is still to come.
	rust
)

// startState looks at an event's first line.
func startState(line []byte) joinState {
	s := joinState{own: indented(line)}
	s.note(line)
	return s
}

// note keeps what the line tells about those to come.
func (s *joinState) note(line []byte) {
	switch {
	case hasPrefix(line, "Traceback (most recent call last)"):
		s.language, s.trace = python, true
	case hasPrefix(line, "panic: "), hasPrefix(line, "fatal error: "), goroutineHeader(line), servedPanic(line):
		s.language, s.trace = golang, true
	case hasPrefix(line, "thread '") && bytes.Contains(line, []byte("' panicked at ")):
		s.trace = true
		if line[len(line)-1] == ':' {
			s.language = rust
		}
	case hasPrefix(line, "PHP Fatal error: "), hasPrefix(line, "Fatal error: Uncaught "), hasPrefix(line, "Stack trace:"):
		s.language, s.trace = php, true
	case groupTraceback(line), hasPrefix(line, "** ("):
		s.trace = true
	case s.language == rust:
		s.language = anyLanguage
	case rubyFrame(line):
		s.trace = true
	case exceptionHead(line):
		s.trace = true
	}
	s.indented = indented(line)
}

// joins reports whether line goes on with the pending event, and notes it when so.
func (s *joinState) joins(line []byte, a *Assembler) bool {
	ok := s.continues(line, a)
	if ok {
		s.note(line)
	}
	return ok
}

func (s *joinState) continues(line []byte, a *Assembler) bool {
	switch {
	case groupTraceback(line), hasPrefix(line, "** ("):
		return a.blanks == 0 && !s.trace && a.bad()
	case indented(line):
		return frameLike(line) || (!s.own && a.blanks == 0) || s.trace
	case s.trace && hasPrefix(line, "at "), tracePart(line):
		return true
	case hasPrefix(line, "Traceback (most recent call last)"):
		return s.language == python || (a.blanks == 0 && a.bad())
	case s.language == python:
		return s.indented && a.blanks == 0
	case s.language == golang:
		return goTraceLine(line)
	case s.language == php:
		return line[0] == '#' && len(line) > 1 && isDigit(line[1]) || hasPrefix(line, "Stack trace:")
	case s.language == rust, s.trace && (hasPrefix(line, "stack backtrace:") || hasPrefix(line, "note: ")):
		return true
	case goName(line):
		return a.blanks == 0 && a.bad()
	case goroutineHeader(line), rubyFrame(line):
		return s.trace || a.bad()
	case exceptionHead(line):
		return a.blanks == 0 && !s.trace && a.bad()
	}
	return false
}

// tracePart reports whether the line joins the parts of a chain of exceptions.
func tracePart(line []byte) bool {
	switch line[0] {
	case 'C':
		return hasPrefix(line, "Caused by: ")
	case 'S':
		return hasPrefix(line, "Suppressed: ")
	case '-':
		return hasPrefix(line, "--- End of ")
	case 'D':
		return hasPrefix(line, "During handling of the above exception")
	case 'T':
		return hasPrefix(line, "The above exception was the direct cause")
	}
	return false
}

// bad reports whether the pending event's first line says that something failed, so that an exception right after it is its.
func (a *Assembler) bad() bool {
	first, _, _ := bytes.Cut(a.pending, []byte{'\n'})
	return severityOf(first) >= Warn
}

func indented(line []byte) bool { return len(line) > 1 && (line[0] == '\t' || line[0] == ' ') }

func hasPrefix(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && string(line[:len(prefix)]) == prefix
}

// frameLike reports whether an indented line can be nothing but part of a trace.
func frameLike(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return hasPrefix(line, "at ") || hasPrefix(line, "File \"") || hasPrefix(line, "from ") && rubyFrame(line[5:]) ||
		hasPrefix(line, "... ") && bytes.HasSuffix(line, []byte(" more"))
}

func goroutineHeader(line []byte) bool {
	return hasPrefix(line, "goroutine ") && bytes.HasSuffix(line, []byte("]:"))
}

// servedPanic reports whether the line is that of Go's HTTP server about a handler that panicked.
func servedPanic(line []byte) bool {
	at := bytes.Index(line[:min(len(line), 100)], []byte("http: panic serving "))
	return at == 0 || at > 0 && line[at-1] == ' '
}

// groupTraceback reports whether a traceback of Python's groups of exceptions begins.
func groupTraceback(line []byte) bool {
	return bytes.Contains(line[:min(len(line), 64)], []byte("Exception Group Traceback (most recent call last)"))
}

// goName reports whether the line is nothing but the name of a function of Go, as errors print it that know where they were made:
// github.com/acme/shop.(*Cart).Load.
func goName(line []byte) bool {
	dot := bytes.LastIndexByte(line, '.')
	if dot < 1 || dot+1 >= len(line) || !isLetter(line[dot+1]) || !isLetter(line[0]) || bytes.LastIndexByte(line, '/') > dot {
		return false
	}
	for _, c := range line {
		if !isTypeByte(c) && c != '/' && c != '(' && c != ')' && c != '*' && c != '-' {
			return false
		}
	}
	return true
}

// goTraceLine reports whether a line that is not indented belongs to a Go panic: name(arguments), created by, goroutine N [..]:.
func goTraceLine(line []byte) bool {
	if goroutineHeader(line) || hasPrefix(line, "created by ") || hasPrefix(line, "[signal ") || hasPrefix(line, "exit status ") ||
		hasPrefix(line, "goroutine ") {
		return true
	}
	open := bytes.IndexByte(line, '(')
	return hasPrefix(line, "panic(") || open > 0 && line[len(line)-1] == ')' && bytes.IndexByte(line[:open], ' ') < 0 && bytes.IndexByte(line[:open], '.') > 0
}

// rubyFrame reports whether the line is path:LINE:in `method'.
func rubyFrame(line []byte) bool {
	in := bytes.Index(line, []byte(":in "))
	if in < 2 || in+4 >= len(line) || (line[in+4] != '`' && line[in+4] != '\'') || line[in-1] < '0' || line[in-1] > '9' {
		return false
	}
	return bytes.IndexByte(line[:in], ' ') < 0
}

// exceptionHead reports whether the line starts with an exception's type: a.b.FooException: text, or TypeError: text.
func exceptionHead(line []byte) bool {
	end := 0
	for end < len(line) && isTypeByte(line[end]) {
		end++
	}
	return end > 5 && (end == len(line) || line[end] == ':' || line[end] == ' ') && exceptionName(line[:end])
}

func isTypeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '$'
}

// exceptionName reports whether the word is the type of an exception.
func exceptionName(word []byte) bool {
	for _, suffix := range [...]string{"Exception", "Error", "Throwable", "Failure", "Interrupt", "Fault"} {
		if len(word) > len(suffix) && string(word[len(word)-len(suffix):]) == suffix {
			before := word[len(word)-len(suffix)-1]
			return before >= 'a' && before <= 'z' || before >= '0' && before <= '9' || before >= 'A' && before <= 'Z'
		}
	}
	return false
}
