package jsonshape

import (
	"maps"
	"math/big"
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

type pair struct{ a, b *jsonschema.Schema }

// same says whether two schemas say the same in the same words, annotations aside. It follows references; a circle is the same as itself.
func (p *prover) same(a, b *jsonschema.Schema) bool {
	if a == b {
		return true
	}
	if known, ok := p.alike[pair{a, b}]; ok {
		return known
	}
	seen := map[pair]bool{}
	equal := sameSchema(a, b, seen)
	if equal {
		for both := range seen {
			p.alike[both] = true
		}
	}
	p.alike[pair{a, b}] = equal
	return equal
}

// silent are the fields that say nothing about which values are valid.
func silent() []string {
	return []string{
		"Location", "ID", "Anchor", "Anchors", "RecursiveAnchor", "DynamicAnchor", "Title", "Description", "Default", "Comment", "ReadOnly", "WriteOnly",
		"Examples", "Deprecated",
	}
}

func sameSchema(a, b *jsonschema.Schema, seen map[pair]bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	if seen[pair{a, b}] {
		return true
	}
	seen[pair{a, b}] = true
	left, right := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range left.NumField() {
		field := left.Type().Field(i)
		if !field.IsExported() || slices.Contains(silent(), field.Name) {
			continue
		}
		if !sameField(left.Field(i).Interface(), right.Field(i).Interface(), seen) {
			return false
		}
	}
	return true
}

func sameField(a, b any, seen map[pair]bool) bool {
	switch a := a.(type) {
	case *jsonschema.Schema:
		b, ok := b.(*jsonschema.Schema)
		return ok && sameSchema(a, b, seen)
	case []*jsonschema.Schema:
		b, ok := b.([]*jsonschema.Schema)
		return ok && slices.EqualFunc(a, b, func(a, b *jsonschema.Schema) bool { return sameSchema(a, b, seen) })
	case map[string]*jsonschema.Schema:
		b, ok := b.(map[string]*jsonschema.Schema)
		return ok && maps.EqualFunc(a, b, func(a, b *jsonschema.Schema) bool { return sameSchema(a, b, seen) })
	case map[jsonschema.Regexp]*jsonschema.Schema:
		b, ok := b.(map[jsonschema.Regexp]*jsonschema.Schema)
		return ok && maps.EqualFunc(byText(a), byText(b), func(a, b *jsonschema.Schema) bool { return sameSchema(a, b, seen) })
	case map[string]any: // dependencies
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, func(a, b any) bool { return sameField(a, b, seen) })
	case jsonschema.Regexp:
		b, ok := b.(jsonschema.Regexp)
		return ok && a.String() == b.String()
	case *jsonschema.Enum:
		b, ok := b.(*jsonschema.Enum)
		return ok && (a == nil) == (b == nil) && (a == nil || reflect.DeepEqual(a.Values, b.Values))
	case *jsonschema.Format:
		b, ok := b.(*jsonschema.Format)
		return ok && (a == nil) == (b == nil) && (a == nil || a.Name == b.Name)
	case *big.Rat:
		b, ok := b.(*big.Rat)
		return ok && (a == nil) == (b == nil) && (a == nil || a.Cmp(b) == 0)
	}
	return reflect.DeepEqual(a, b)
}

// byText keys pattern properties by the pattern.
func byText(patterns map[jsonschema.Regexp]*jsonschema.Schema) map[string]*jsonschema.Schema {
	texts := make(map[string]*jsonschema.Schema, len(patterns))
	for pattern, schema := range patterns {
		texts[pattern.String()] = schema
	}
	return texts
}
