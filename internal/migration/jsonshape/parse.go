package jsonshape

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/segue-deploy/segue"
)

// Limits of a schema.
const (
	sizeLimit  = 1 << 20
	depthLimit = 64
	// numberLimit bounds the characters of a number, and its exponent by what big.Rat reads.
	numberLimit = 1000
)

// location is the address that a schema has for itself. Nothing is ever read from there.
const location = "segue:///schema"

// document is a schema that was read.
type document struct {
	text any
	root *jsonschema.Schema
	// unclear says why the schema cannot be reasoned about, "" where it can.
	unclear string
	// names are those of all properties that the schema speaks of.
	names map[string]bool
}

// parse reads a schema. whose ends the sentence "schema ..." in errors.
func parse(whose string, text []byte) (*document, error) {
	if len(text) > sizeLimit {
		return nil, segue.Errorf(segue.KindInvalid, "schema %s has %d bytes, of %d at most", whose, len(text), sizeLimit)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read schema %s: is no JSON: %w", whose, err)
	}
	d := &document{text: value, names: map[string]bool{}}
	if err := d.scan(value, 0); err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read schema %s: %w", whose, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(closed{})
	compiler.AssertFormat()
	if err := compiler.AddResource(location, value); err != nil {
		return nil, segue.Errorf(segue.KindInvalid, "read schema %s: %w", whose, err)
	}
	if d.root, err = compiler.Compile(location); err != nil {
		if errors.Is(err, errRemote) {
			return nil, segue.Errorf(segue.KindInvalid, "schema %s refers to another document", whose).
				WithHint("copy what $ref and $schema name into $defs of the schema itself: nothing is fetched")
		}
		return nil, segue.Errorf(segue.KindInvalid, "read schema %s: %w", whose, err)
	}
	if circular(d.root) {
		d.unclear = "is described by a schema that asks itself about the same value"
	}
	return d, nil
}

// scan holds a schema to its limits, and remembers names.
func (d *document) scan(value any, depth int) error {
	if depth > depthLimit {
		return segue.Errorf(segue.KindInvalid, "is nested more than %d levels deep", depthLimit)
	}
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if name == "$dynamicRef" || name == "$recursiveRef" {
				d.unclear = "is described by " + name + ", whose meaning depends on who refers to it"
			}
			d.names[name] = true
			if err := d.scan(inner, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, inner := range value {
			if err := d.scan(inner, depth+1); err != nil {
				return err
			}
		}
	case json.Number:
		if !readableNumber(value) {
			return segue.Errorf(segue.KindInvalid, "has a number that is too long")
		}
	}
	return nil
}

// readableNumber says whether a number can be compared without filling the memory.
func readableNumber(n json.Number) bool {
	if len(n) > numberLimit {
		return false
	}
	mantissa, exponent, found := strings.Cut(strings.ToLower(string(n)), "e")
	if found && len(strings.Trim(exponent, "+-0")) > 3 {
		return false
	}
	_, ok := new(big.Rat).SetString(mantissa)
	return ok
}

func (d *document) equal(other *document) bool { return reflect.DeepEqual(d.text, other.text) }

var errRemote = errors.New("nothing is fetched")

// closed loads nothing.
type closed struct{}

// Load implements jsonschema.URLLoader.
func (closed) Load(string) (any, error) { return nil, errRemote }
