package jsonshape

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// kinds is a set of kinds of JSON values. Whole numbers and fractions are two, so that type "number" is both and nothing overlaps.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindWhole
	kindFraction
	kindString
	kindArray
	kindObject

	kindNumber = kindWhole | kindFraction
	kindAny    = kindNull | kindBoolean | kindNumber | kindString | kindArray | kindObject
)

// each gives the kinds that a value of a JSON type may be; whole numbers and fractions stay together.
func (k kinds) each() []kinds {
	var all []kinds
	for _, one := range []kinds{kindNull, kindBoolean, kindNumber, kindString, kindArray, kindObject} {
		if k&one != 0 {
			all = append(all, k&one)
		}
	}
	return all
}

// String lists the kinds in words: "a string or null".
func (k kinds) String() string {
	words := map[kinds]string{
		kindNull: "null", kindBoolean: "a boolean", kindNumber: "a number", kindWhole: "a whole number", kindFraction: "a number with a fraction",
		kindString: "a string", kindArray: "an array", kindObject: "an object",
	}
	if k == kindAny {
		return "anything"
	}
	var parts []string
	for _, one := range k.each() {
		parts = append(parts, words[one])
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " or " + parts[n-1]
	}
	return strings.Join(parts, "")
}

// typed gives the kinds that a schema's own type keyword allows.
func typed(s *jsonschema.Schema) kinds {
	if s.Types == nil || s.Types.IsEmpty() {
		return kindAny
	}
	var k kinds
	for _, name := range s.Types.ToStrings() {
		k |= map[string]kinds{
			"null": kindNull, "boolean": kindBoolean, "integer": kindWhole, "number": kindNumber, "string": kindString, "array": kindArray, "object": kindObject,
		}[name]
	}
	return k
}

// kindOf gives the kind of a value.
func kindOf(value any) kinds {
	switch value := value.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBoolean
	case string:
		return kindString
	case []any:
		return kindArray
	case map[string]any:
		return kindObject
	case json.Number:
		if n, ok := new(big.Rat).SetString(string(value)); ok && n.IsInt() {
			return kindWhole
		}
	}
	return kindFraction
}
