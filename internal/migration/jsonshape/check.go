package jsonshape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// exampleLimit bounds the examples of a report.
const exampleLimit = 5

// Report is how many documents a schema refuses.
type Report struct {
	Checked, Violating int
	// Examples are of the first few, each kind once. They hold no value of a document.
	Examples []Example
}

// Example is one way in which documents violate a schema.
type Example struct {
	// Path is the JSON Pointer of the place, with * for indexes and for properties that the schema does not name.
	Path string
	// Reason says what is expected there.
	Reason string
	// Documents is how many violate the schema this way first.
	Documents int
}

// Check counts the samples that violate a schema. KindInvalid for a schema that is none; a sample that is no JSON violates it.
func Check(schema []byte, samples []json.RawMessage) (Report, error) {
	document, err := parse("of the column", schema)
	if err != nil {
		return Report{}, err
	}
	var report Report
	for _, sample := range samples {
		report.Checked++
		example, ok := document.check(sample)
		if ok {
			continue
		}
		report.Violating++
		i := slices.IndexFunc(report.Examples, func(e Example) bool { return e.Path == example.Path && e.Reason == example.Reason })
		switch {
		case i >= 0:
			report.Examples[i].Documents++
		case len(report.Examples) < exampleLimit:
			example.Documents = 1
			report.Examples = append(report.Examples, example)
		}
	}
	return report, nil
}

func (d *document) check(sample json.RawMessage) (example Example, ok bool) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(sample))
	if err != nil {
		return Example{Reason: "is no JSON"}, false
	}
	if !comparable(value) {
		return Example{Reason: "has a number that is too long to check"}, false
	}
	err = d.root.Validate(value)
	if err == nil {
		return Example{}, true
	}
	invalid, is := errors.AsType[*jsonschema.ValidationError](err)
	if !is {
		return Example{Reason: "is refused"}, false
	}
	for len(invalid.Causes) > 0 {
		invalid = slices.MinFunc(invalid.Causes, func(a, b *jsonschema.ValidationError) int {
			return len(b.InstanceLocation) - len(a.InstanceLocation) // the one that says most of where
		})
	}
	return Example{Path: d.path(invalid.InstanceLocation), Reason: reason(invalid)}, false
}

// comparable says that no number in a value is too long.
func comparable(value any) bool { //nolint:predeclared // the word for it
	switch value := value.(type) {
	case json.Number:
		return readableNumber(value)
	case []any:
		return !slices.ContainsFunc(value, func(inner any) bool { return !comparable(inner) })
	case map[string]any:
		for _, inner := range value {
			if !comparable(inner) {
				return false
			}
		}
	}
	return true
}

// path names a place by the schema's own words: a property that it does not name may itself be a secret.
func (d *document) path(tokens []string) string {
	at := place{}
	for _, token := range tokens {
		if _, err := strconv.Atoi(token); err == nil || !d.names[token] {
			token = "*"
		}
		at = at.at(token)
	}
	return at.pointer
}

// reason says what a schema expects, without what there was.
func reason(invalid *jsonschema.ValidationError) string {
	switch k := invalid.ErrorKind.(type) {
	case *kind.Type:
		return "is " + k.Got + ", must be " + strings.Join(k.Want, " or ")
	case *kind.Required:
		return "is without " + strings.Join(k.Missing, ", ")
	case *kind.Dependency:
		return "is without " + strings.Join(k.Missing, ", ")
	case *kind.DependentRequired:
		return "is without " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return "has properties that the schema does not allow"
	case *kind.AdditionalItems, *kind.MaxItems:
		return "has too many elements"
	case *kind.FalseSchema:
		return "must not be there"
	case *kind.Format:
		return "must be of format " + k.Want
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.Minimum:
		return "must be at least " + k.Want.RatString()
	case *kind.Maximum:
		return "must be at most " + k.Want.RatString()
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d elements", k.Want)
	case *kind.Enum:
		return "must be one of the values that the schema lists"
	}
	words := invalid.ErrorKind.KeywordPath()
	if len(words) == 0 {
		return "is refused"
	}
	return "violates " + words[len(words)-1]
}
