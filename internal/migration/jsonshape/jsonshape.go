// Package jsonshape compares the JSON Schemas that two releases declare for a semi-structured column: whether one release can read what the other
// writes while both run. It also counts the stored documents that a schema refuses. It is pure: no file, no network, no clock.
//
// The comparison proves. A pair of schemas is compatible when every document that the writer's schema allows is shown to be allowed by the reader's;
// what cannot be shown is a fault, and what lies beyond the reasoning here (two different patterns, `not` around something large) is said to be
// undecided, never passed over.
package jsonshape

import (
	"cmp"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
)

// Mode says who must be able to read whom, in the words of schema registries.
type Mode string

// The modes.
const (
	// ModeNone compares nothing.
	ModeNone Mode = "none"
	// ModeBackward wants the new release to read all that the old one writes.
	ModeBackward Mode = "backward"
	// ModeForward wants the old release to read all that the new one writes.
	ModeForward Mode = "forward"
	// ModeFull wants both.
	ModeFull Mode = "full"
)

// Certainty says how sure a fault is.
type Certainty int

// The zero value is the most careful one.
const (
	// Undecided faults may be none: the schemas say more than is understood here.
	Undecided Certainty = iota
	// Open faults concern only properties that the writer's schema does not name and does not forbid either: whoever writes them goes beyond it.
	Open
	// Breaks faults are of plain constraints: the writer may write what the reader refuses.
	Breaks
)

// String gives the name.
func (c Certainty) String() string {
	switch c {
	case Open:
		return "open"
	case Breaks:
		return "breaks"
	case Undecided:
	}
	return "undecided"
}

// Fault is one reason why a release cannot, or might not, read what another one writes.
type Fault struct {
	// Direction is ModeBackward where the new release reads what the old one wrote, else ModeForward.
	Direction Mode
	Certainty Certainty
	// Value is the JSON Pointer of the place in documents; * stands for any index or any property that is not named. "" is the whole document.
	Value string
	// Pointer is the JSON Pointer of the keyword in the reader's schema, "" for the whole.
	Pointer string
	// Reason says what may be there and what the reader wants.
	Reason string
}

// String is the sentence.
func (f Fault) String() string {
	reader, writer := "the new release", "the old one writes"
	if f.Direction == ModeForward {
		reader, writer = "the old release", "the new one writes"
	}
	place := "the document"
	if f.Value != "" {
		place = f.Value
	}
	does := "cannot read what " + writer
	switch f.Certainty {
	case Undecided:
		does = "may not be able to read what " + writer + " (cannot be decided)"
	case Open:
		does = "cannot read what " + writer + " where that goes beyond its own schema"
	case Breaks:
	}
	return reader + " " + does + ": " + place + " " + f.Reason + " (" + cmp.Or(f.Pointer, "the whole") + " of its schema)"
}

// faultLimit bounds the faults of a direction.
const faultLimit = 200

// Compare compares the schemas of a column in the old and the new release. No fault means: what one writes the other reads, as mode wants it.
// KindInvalid for a schema that is none, or refers to another document; the error says which of the two.
func Compare(old, new []byte, mode Mode) ([]Fault, error) { //nolint:predeclared // the word for it
	if mode == ModeNone {
		return nil, nil
	}
	if mode != ModeBackward && mode != ModeForward && mode != ModeFull {
		return nil, segue.Errorf(segue.KindInvalid, "%q is no compatibility of schemas", mode).WithHint("write backward, forward, full or none")
	}
	before, err := parse("of the old release", old)
	if err != nil {
		return nil, err
	}
	after, err := parse("of the new release", new)
	if err != nil {
		return nil, err
	}
	var faults []Fault
	if mode != ModeForward {
		faults = append(faults, readable(before, after, ModeBackward)...)
	}
	if mode != ModeBackward {
		faults = append(faults, readable(after, before, ModeForward)...)
	}
	return faults, nil
}

// readable gives why the reader may refuse what the writer allows.
func readable(writer, reader *document, direction Mode) []Fault {
	if writer.equal(reader) {
		return nil
	}
	var faults []Fault
	if unclear := cmp.Or(writer.unclear, reader.unclear); unclear != "" {
		faults = []Fault{{Reason: unclear}}
	} else {
		faults = newProver().compare(writer.root, reader.root)
	}
	for i := range faults {
		faults[i].Direction = direction
	}
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Value, b.Value), strings.Compare(a.Pointer, b.Pointer), strings.Compare(a.Reason, b.Reason), int(b.Certainty-a.Certainty))
	})
	faults = slices.CompactFunc(faults, func(a, b Fault) bool { return a.Value == b.Value && a.Pointer == b.Pointer && a.Reason == b.Reason })
	if len(faults) > faultLimit {
		faults = append(faults[:faultLimit], Fault{Direction: direction, Reason: "has more faults than are listed"})
	}
	return faults
}
