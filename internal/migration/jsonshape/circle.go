package jsonshape

import (
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// beside gives the schemas that a schema asks about the same value.
func beside(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat([]*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else}, s.AllOf, s.AnyOf, s.OneOf)
	for _, schema := range s.DependentSchemas {
		all = append(all, schema)
	}
	for _, dependency := range s.Dependencies {
		all = appendSchema(all, dependency)
	}
	return slices.DeleteFunc(all, func(one *jsonschema.Schema) bool { return one == nil })
}

// below gives those that it asks about values within it, and about their names.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	all := slices.Concat([]*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems}, s.PrefixItems)
	for _, schema := range s.Properties {
		all = append(all, schema)
	}
	for _, schema := range s.PatternProperties {
		all = append(all, schema)
	}
	for _, further := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		all = appendSchema(all, further)
	}
	return slices.DeleteFunc(all, func(one *jsonschema.Schema) bool { return one == nil })
}

// appendSchema adds what a keyword has that may be a schema, several, or something else.
func appendSchema(all []*jsonschema.Schema, value any) []*jsonschema.Schema {
	switch value := value.(type) {
	case *jsonschema.Schema:
		return append(all, value)
	case []*jsonschema.Schema:
		return append(all, value...)
	}
	return all
}

// circular says whether a schema, or one that it leads to, asks itself about the very same value. Such a schema has no meaning: whether `not` of itself
// holds depends on where one begins to read.
func circular(root *jsonschema.Schema) bool {
	const open, done = 1, 2
	state := map[*jsonschema.Schema]int{}
	queue := []*jsonschema.Schema{root}
	var circle func(s *jsonschema.Schema) bool
	circle = func(s *jsonschema.Schema) bool {
		if state[s] != 0 {
			return state[s] == open
		}
		state[s] = open
		queue = append(queue, below(s)...)
		found := slices.ContainsFunc(beside(s), circle)
		state[s] = done
		return found
	}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if circle(next) {
			return true
		}
	}
	return false
}
