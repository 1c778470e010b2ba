// Package template turns the raw log lines of a service's servers into templates and counts them: the log judge stands on it.
//
// Lines go through four stages, each usable alone: Assembler joins what belongs together (stack traces), Parser finds severity, logger
// and message and masks what varies, Tree learns templates, Counter counts them per server and 10 s slot. Miner is all four.
//
// Nothing is configured and nothing is told which server is the candidate: templates are born, grow and merge by the pooled stream alone,
// and the same stream gives the same templates. No clock is read and nothing runs by itself: time is an argument.
package template

import (
	"fmt"
	"strconv"
	"time"
)

// ID names a template for good: a hash of the form it was born with. It is the same in every process, and outlives merges by an alias.
type ID uint64

// Overflow counts the lines that found no template and no room for one: everything kept is pinned.
const Overflow ID = 1

// String is the form that is shown and stored: 16 hexadecimal digits.
func (id ID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != 16 {
		return 0, fmt.Errorf("parse template id %q: want 16 hexadecimal digits", text)
	}
	return ID(n), nil
}

// MarshalText writes what String shows: JSON has no 64-bit numbers.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Severity is how bad a line says that it is: by its level, or by being a stack trace, an uncaught exception or an access log's line. The
// zero value, Unknown, is what a line has that does not say: it is not Info, and what its text tells of errors is not looked at.
type Severity uint8

// The severities, in order.
const (
	Unknown Severity = iota
	Debug
	Info
	Warn
	Error
	Fatal
)

// String is the severity in lower case.
func (s Severity) String() string {
	return [...]string{"unknown", "debug", "info", "warn", "error", "fatal"}[min(s, Fatal)]
}

// Kind is the shape of an event.
type Kind uint8

// The shapes.
const (
	Plain Kind = iota
	JSON
	Logfmt
	Trace
)

// String is the kind in lower case.
func (k Kind) String() string {
	return [...]string{"plain", "json", "logfmt", "trace"}[min(k, Trace)]
}

// Template is what is known of a template.
type Template struct {
	ID       ID       `json:"id"`
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	// Text is a label for people: words, with <*> for what varies. It changes as the template grows; ID does not.
	Text string `json:"text"`
	// Sample is the event that it was born with, cut at 2,000 bytes. It is a raw line: it may hold what was secret in it.
	Sample string    `json:"sample"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	// Born numbers the templates of a tree by their first appearance in the pooled stream, from 1.
	Born  int64 `json:"born"`
	Count int64 `json:"count"`
	// Pinned templates are under test: they never age out.
	Pinned bool `json:"pinned,omitempty"`
}

// Match is what became of an event.
type Match struct {
	ID ID
	// New: it is the first of its template.
	New bool
	// Returned: New, but an earlier template of that form had aged out.
	Returned bool
	Severity Severity
}
