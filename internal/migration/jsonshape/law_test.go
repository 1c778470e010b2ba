package jsonshape_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/migration/jsonshape"
)

// releases makes the schemas of two releases: one is the other with a few changes, mostly.
func releases(t *rapid.T) (before, after any) {
	before = rootOf(t)
	after = before
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		after = changed(t, after, 3)
	}
	if s, ok := after.(map[string]any); !ok || s["$defs"] == nil {
		after = rootOf(t)
	}
	if rapid.Bool().Draw(t, "swap") {
		before, after = after, before
	}
	return before, after
}

func compare(t *rapid.T, before, after []byte, mode jsonshape.Mode) []jsonshape.Fault {
	faults, err := jsonshape.Compare(before, after, mode)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// What is said to be compatible is: whatever document is valid for the writer is valid for the reader.
func TestCompatibleMeansThatEveryDocumentIsTaken(t *testing.T) {
	t.Parallel()
	compatible, tried := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before, after := releases(t)
		old, fresh := encode(t, before), encode(t, after)
		if len(compare(t, old, fresh, jsonshape.ModeBackward)) > 0 {
			return
		}
		compatible++
		writer, reader := compile(t, old), compile(t, fresh)
		for range 12 {
			document := meant(t, before, before, 4)
			if writer.Validate(document) != nil {
				continue
			}
			tried++
			if err := reader.Validate(document); err != nil {
				t.Fatalf("no fault was found, but %s\nis valid under %s\nand not under %s:\n%v", encode(t, document), old, fresh, err)
			}
		}
	})
	t.Logf("%d pairs were compatible, %d documents tried on them", compatible, tried)
}

// The same with few keywords at a time, which then meet each other more often.
func TestCompatibleMeansThatEveryDocumentIsTakenByFamily(t *testing.T) {
	t.Parallel()
	for name, family := range map[string][]string{
		"numbers": {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum"},
		"strings": {"type", "minLength", "maxLength", "pattern", "format", "enum"},
		"objects": {
			"properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties", "propertyNames", "dependentRequired",
		},
		"patterns": {"patternProperties", "additionalProperties", "properties"},
		"arrays":   {"prefixItems", "items", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"},
		"choices":  {"type", "if", "then", "else", "not", "anyOf", "oneOf", "enum"},
		"branches": {"if", "then", "else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				defs := map[string]any{"d": map[string]any{"type": []any{"integer", "null"}}, "e": map[string]any{"type": "object"}}
				before := map[string]any{"$defs": defs}
				for _, keyword := range family {
					if rapid.IntRange(0, 2).Draw(t, "has "+keyword) > 0 {
						before[keyword] = makers()[keyword](t, 1)
					}
				}
				after := maps.Clone(before)
				for range rapid.IntRange(1, 3).Draw(t, "changes") {
					keyword := rapid.SampledFrom(family).Draw(t, "keyword")
					delete(after, keyword)
					if rapid.Bool().Draw(t, "again") {
						after[keyword] = makers()[keyword](t, 1)
					}
				}
				old, fresh := encode(t, before), encode(t, after)
				if len(compare(t, old, fresh, jsonshape.ModeBackward)) > 0 {
					return
				}
				writer, reader := compile(t, old), compile(t, fresh)
				for range 12 {
					if document := documentOf(t, 2); writer.Validate(document) == nil && reader.Validate(document) != nil {
						t.Fatalf("no fault was found, but %s\nis valid under %s\nand not under %s", encode(t, document), old, fresh)
					}
				}
			})
		})
	}
}

func TestSchemaIsCompatibleWithItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		schema := rootOf(t)
		text := encode(t, schema)
		if faults := compare(t, text, text, jsonshape.ModeFull); len(faults) > 0 {
			t.Fatalf("%s: %v", text, faults)
		}
		again := map[string]any{"title": "An order", "$ref": "#/$defs/whole", "$defs": schema.(map[string]any)["$defs"]}
		again["$defs"] = maps.Clone(again["$defs"].(map[string]any))
		again["$defs"].(map[string]any)["whole"] = schema
		if strings.Contains(string(text), `"$ref":"#"`) {
			return // it is another one that is referred to
		}
		faults := slices.DeleteFunc(compare(t, text, encode(t, again), jsonshape.ModeFull), func(f jsonshape.Fault) bool {
			return strings.Contains(f.Reason, "asks itself") // it means nothing
		})
		if len(faults) > 0 {
			t.Fatalf("%s is not the same at another place: %v", text, faults)
		}
	})
}

func TestBackwardOneWayIsForwardTheOther(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		before, after := releases(t)
		old, fresh := encode(t, before), encode(t, after)
		backward, forward := compare(t, old, fresh, jsonshape.ModeBackward), compare(t, fresh, old, jsonshape.ModeForward)
		for i := range forward {
			forward[i].Direction = jsonshape.ModeBackward
		}
		if diff := cmp.Diff(backward, forward); diff != "" {
			t.Fatal(diff)
		}
		full := compare(t, old, fresh, jsonshape.ModeFull)
		if want := len(backward) + len(compare(t, old, fresh, jsonshape.ModeForward)); len(full) != want {
			t.Fatalf("full finds %d faults, its halves %d", len(full), want)
		}
	})
}
