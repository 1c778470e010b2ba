package segue

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what the caller can do about them. It is turned into an HTTP status and an exit code in one table at
// the edge. Every error has one: the innermost *Error in its chain, else KindFault.
type Kind int

// Do not reorder: kinds are written to the journal by name, but documents list them in this order.
const (
	// KindFault is anything unforeseen; the zero value.
	KindFault Kind = iota
	// KindInvalid is wrong usage or configuration; doing it again will not help.
	KindInvalid
	// KindNotFound means that what was named does not exist.
	KindNotFound
	// KindConflict means that the request does not fit the present state: another rollout runs, the plan is stale.
	KindConflict
	// KindRefused means that a gate said no: a third release, a breaking change in a rolling plan.
	KindRefused
	// KindUnavailable means that something outside did not answer; doing it again may help.
	KindUnavailable
	// KindTimeout means that a deadline of the plan passed.
	KindTimeout
	// KindCanceled means that the caller gave up.
	KindCanceled
	// KindCorrupt means that stored state cannot be read as what it should be.
	KindCorrupt
	// KindUnsupported means that a driver cannot do this; see its capabilities.
	KindUnsupported
	// KindUnhealthy means that an instance does not do what it must: exits, never ready, fails its check.
	KindUnhealthy
)

var kindNames = [...]string{
	"fault", "invalid", "not_found", "conflict", "refused", "unavailable",
	"timeout", "canceled", "corrupt", "unsupported", "unhealthy",
}

// String gives the kind's name in JSON and the journal.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "fault"
	}
	return kindNames[k]
}

// MarshalText writes the kind by name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a name; an unknown one, from a newer version, is a fault.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	*k = KindFault
	return nil
}

// Transient says whether trying the same again may succeed.
func (k Kind) Transient() bool { return k == KindUnavailable || k == KindTimeout || k == KindFault }

// Error is an error with a kind and, where there is one, a hint on what to do next. Its message stands for itself.
type Error struct {
	Kind    Kind
	Message string
	// Hint is one sentence on what to do next; "" when nothing useful can be said.
	Hint string
	// Cause is the wrapped error, or nil.
	Cause error
}

// Error gives the message and the cause, without the hint: faces print that on a line of its own.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	if e.Message == "" {
		return e.Cause.Error()
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an *Error. A %w in the format wraps its argument.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	if cause := errors.Unwrap(err); cause != nil {
		// The formatted text holds the cause's text already; keep it once, and the chain too.
		return &Error{Kind: kind, Cause: wrapped{text: err.Error(), cause: cause}}
	}
	return &Error{Kind: kind, Message: err.Error()}
}

// WithHint returns e with the hint set.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

type wrapped struct {
	text  string
	cause error
}

func (w wrapped) Error() string { return w.text }
func (w wrapped) Unwrap() error { return w.cause }

// KindOf gives the kind of the outermost *Error in err's chain, KindFault without one.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindFault
}

// HintOf gives the first hint in err's chain, "" without one.
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}
