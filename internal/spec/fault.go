package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// faultLimit bounds how many faults are reported; a file with more is something else altogether.
const faultLimit = 100

// Fault is one thing that is wrong with a file.
type Fault struct {
	File string `json:"file"`
	// Line and Column count from 1; columns count characters.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Message says what is wrong, Hint what to do about it ("" when that is plain).
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String gives "segue.yaml:12:5: unknown key ...; did you mean ...?".
func (f Fault) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text
}

// Faults are all that is wrong with a file, in the file's order. As an error its kind is segue.KindInvalid.
type Faults []Fault //nolint:errname // it is a list, and reads as one

// Error gives one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes segue.KindOf see KindInvalid.
func (f Faults) Unwrap() error {
	return &segue.Error{Kind: segue.KindInvalid, Message: f.Error()}
}

// position is a place in the file; the zero one means the whole file.
type position struct{ line, column int }

// faultList collects faults.
type faultList struct {
	file   string
	faults Faults
}

func (l *faultList) add(at position, hint, format string, args ...any) {
	l.faults = append(l.faults, Fault{
		File: l.file, Line: max(at.line, 1), Column: max(at.column, 1), Message: shorten(fmt.Sprintf(format, args...)), Hint: shorten(hint),
	})
}

// shorten bounds a sentence that quotes what may be of any length.
func shorten(text string) string {
	const most = 400
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// err gives the faults sorted, each once and bounded in number, or nil.
func (l *faultList) err() error {
	if len(l.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(l.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	faults := slices.Compact(l.faults)
	if more := len(faults) - faultLimit; more > 0 {
		last := faults[faultLimit]
		last.Message, last.Hint = fmt.Sprintf("and %d more faults from here on", more), "mend those above first"
		faults = append(faults[:faultLimit:faultLimit], last)
	}
	return faults
}
