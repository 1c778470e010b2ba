package jsonshape_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// A small world: few names, few values, so that documents often meet what schemas say.

func names() []string { return []string{"a", "b", "kind", "x-1"} }

func scalars() []any {
	return []any{
		nil, true, false, json.Number("0"), json.Number("1"), json.Number("1.0"), json.Number("2"), json.Number("3"), json.Number("-1"), json.Number("0.5"),
		json.Number("1.5"), "", "a", "b", "ab", "abc", "2026-01-02", "x-1",
	}
}

func documentOf(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 5).Draw(t, "document")
	switch {
	case depth > 0 && kind == 0:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			list = append(list, documentOf(t, depth-1))
		}
		return list
	case depth > 0 && kind <= 3:
		object := map[string]any{}
		for _, name := range append(names(), "other") {
			if rapid.Bool().Draw(t, "has "+name) {
				object[name] = documentOf(t, depth-1)
			}
		}
		return object
	}
	return rapid.SampledFrom(scalars()).Draw(t, "scalar")
}

// meant makes a document that a schema has in mind; it need not be valid.
func meant(t *rapid.T, schema, root any, depth int) any {
	s, ok := schema.(map[string]any)
	if !ok || depth <= 0 || rapid.IntRange(0, 9).Draw(t, "astray") == 0 {
		return documentOf(t, min(depth, 1))
	}
	if ref, ok := s["$ref"].(string); ok {
		target := root
		if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
			defs, _ := root.(map[string]any)["$defs"].(map[string]any)
			target = defs[name]
		}
		return meant(t, target, root, depth-1)
	}
	for _, keyword := range []string{"anyOf", "oneOf", "allOf"} {
		if all, ok := s[keyword].([]any); ok {
			return meant(t, rapid.SampledFrom(all).Draw(t, keyword), root, depth)
		}
	}
	if list, ok := s["enum"].([]any); ok {
		return rapid.SampledFrom(list).Draw(t, "listed")
	}
	if value, ok := s["const"]; ok {
		return value
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		object := map[string]any{}
		for _, name := range append(names(), "other") {
			inner, named := properties[name]
			if !named {
				inner = s["additionalProperties"]
			}
			if rapid.IntRange(0, 2).Draw(t, "has "+name) > 0 && inner != false && (named || rapid.Bool().Draw(t, "further")) {
				object[name] = meant(t, inner, root, depth-1)
			}
		}
		return object
	}
	if items, ok := s["items"]; ok {
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			list = append(list, meant(t, items, root, depth-1))
		}
		return list
	}
	return documentOf(t, depth-1)
}

// schemaOf makes a schema that may refer to the definitions d and e, and to itself.
func schemaOf(t *rapid.T, depth int) any {
	if depth <= 0 || rapid.IntRange(0, 11).Draw(t, "plain") == 0 {
		return rapid.SampledFrom([]any{
			true,
			map[string]any{"type": "string"},
			map[string]any{"type": "integer"},
			map[string]any{"type": "number"},
			map[string]any{"type": "null"},
			map[string]any{"type": []any{"string", "null"}},
			false,
			map[string]any{"$ref": "#/$defs/d"},
			map[string]any{"$ref": "#/$defs/e"},
		}).Draw(t, "leaf")
	}
	s := map[string]any{}
	for range rapid.IntRange(1, 4).Draw(t, "keywords") {
		addKeyword(t, s, depth)
	}
	return s
}

func small(t *rapid.T) json.Number {
	return rapid.SampledFrom([]json.Number{"-1", "0", "0.5", "1", "1.5", "2", "3"}).Draw(t, "bound")
}

func count(t *rapid.T) json.Number {
	return rapid.SampledFrom([]json.Number{"0", "1", "2", "3"}).Draw(t, "count")
}

func some(t *rapid.T) []any {
	list := []any{}
	for _, name := range names() {
		if rapid.IntRange(0, 2).Draw(t, "some") == 0 {
			list = append(list, name)
		}
	}
	return list
}

func several(t *rapid.T, depth int) []any {
	list := []any{}
	for range rapid.IntRange(1, 3).Draw(t, "several") {
		list = append(list, schemaOf(t, depth-1))
	}
	return list
}

func byName(t *rapid.T, keys []string, depth int) map[string]any {
	all := map[string]any{}
	for _, name := range keys {
		if rapid.Bool().Draw(t, "named "+name) {
			all[name] = schemaOf(t, depth-1)
		}
	}
	return all
}

// makers make the values of keywords.
func makers() map[string]func(t *rapid.T, depth int) any {
	number := func(t *rapid.T, _ int) any { return small(t) }
	amount := func(t *rapid.T, _ int) any { return count(t) }
	schema := func(t *rapid.T, depth int) any { return schemaOf(t, depth-1) }
	list := func(t *rapid.T, depth int) any { return several(t, depth) }
	value := func(t *rapid.T, _ int) any { return rapid.SampledFrom(scalars()).Draw(t, "value") }
	return map[string]func(t *rapid.T, depth int) any{
		"type": func(t *rapid.T, _ int) any {
			all := rapid.SliceOfNDistinct(rapid.SampledFrom([]any{"null", "boolean", "integer", "number", "string", "array", "object"}), 1, 3, rapid.ID)
			return all.Draw(t, "types")
		},
		"minimum": number, "maximum": number, "exclusiveMinimum": number, "exclusiveMaximum": number, "minLength": amount, "maxLength": amount,
		"minItems": amount, "maxItems": amount, "minProperties": amount, "maxProperties": amount, "const": value, "items": schema,
		"additionalProperties": schema, "not": schema, "contains": schema, "propertyNames": schema, "anyOf": list, "oneOf": list, "allOf": list, "prefixItems": list,
		"if": schema, "then": schema, "else": schema, "minContains": amount, "maxContains": amount, "unevaluatedProperties": schema, "unevaluatedItems": schema,
		"uniqueItems": func(*rapid.T, int) any { return true },
		"multipleOf": func(t *rapid.T, _ int) any {
			return rapid.SampledFrom([]json.Number{"0.5", "1", "2", "3"}).Draw(t, "multiple")
		},
		"pattern": func(t *rapid.T, _ int) any { return rapid.SampledFrom([]string{"^a", "b$", "^x-"}).Draw(t, "pattern") },
		"format": func(t *rapid.T, _ int) any {
			return rapid.SampledFrom([]string{"date", "uuid", "no-such"}).Draw(t, "format")
		},
		"enum": func(t *rapid.T, _ int) any {
			return rapid.SliceOfN(rapid.SampledFrom(scalars()), 1, 4).Draw(t, "enum")
		},
		"required":          func(t *rapid.T, _ int) any { return some(t) },
		"properties":        func(t *rapid.T, depth int) any { return byName(t, names(), depth) },
		"patternProperties": func(t *rapid.T, depth int) any { return byName(t, []string{"^x-", "^a", "1$"}, depth) },
		"dependentSchemas":  func(t *rapid.T, depth int) any { return byName(t, []string{"a", "kind"}, depth) },
		"dependentRequired": func(t *rapid.T, _ int) any { return map[string]any{"a": some(t)} },
		"$ref": func(t *rapid.T, _ int) any {
			return rapid.SampledFrom([]string{"#/$defs/d", "#/$defs/e", "#"}).Draw(t, "ref")
		},
	}
}

func addKeyword(t *rapid.T, s map[string]any, depth int) {
	all := makers()
	common := []string{"type", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "enum", "minimum", "maximum"}
	keyword := rapid.SampledFrom(append(slices.Sorted(maps.Keys(all)), append(common, common...)...)).Draw(t, "keyword")
	s[keyword] = all[keyword](t, depth)
}

// rootOf makes a whole schema.
func rootOf(t *rapid.T) any {
	s, ok := schemaOf(t, 3).(map[string]any)
	if !ok {
		s = map[string]any{}
	}
	s["$defs"] = map[string]any{"d": schemaOf(t, 2), "e": schemaOf(t, 2)}
	return s
}

// changed is a schema with a change somewhere, as a release makes it.
func changed(t *rapid.T, schema any, depth int) any {
	s, ok := schema.(map[string]any)
	if !ok || len(s) == 0 {
		return schemaOf(t, min(depth, 1))
	}
	s = maps.Clone(s)
	keyword := rapid.SampledFrom(slices.Sorted(maps.Keys(s))).Draw(t, "where")
	switch rapid.IntRange(0, 8).Draw(t, "change") {
	case 0:
		addKeyword(t, s, 1)
	case 1:
		if keyword != "$defs" {
			delete(s, keyword)
		}
	case 2:
		if remake, ok := makers()[keyword]; ok {
			s[keyword] = remake(t, 1)
		}
	case 3:
		return beside(t, s)
	case 4, 5, 6, 7, 8:
		s[keyword] = changedInside(t, keyword, s[keyword], depth)
	}
	return s
}

// beside puts a schema under or beside another one, where it means the same or less or more.
func beside(t *rapid.T, s map[string]any) any {
	defs := s["$defs"]
	inner := maps.Clone(s)
	delete(inner, "$defs")
	outer := map[string]any{rapid.SampledFrom([]string{"anyOf", "oneOf", "allOf"}).Draw(t, "beside"): []any{inner, schemaOf(t, 1)}}
	if defs != nil {
		outer["$defs"] = defs
	}
	return outer
}

func changedInside(t *rapid.T, keyword string, value any, depth int) any {
	switch value := value.(type) {
	case map[string]any:
		if keyword == "properties" || keyword == "patternProperties" || keyword == "$defs" || keyword == "dependentSchemas" {
			value = maps.Clone(value)
			name := rapid.SampledFrom(append(slices.Sorted(maps.Keys(value)), "b")).Draw(t, "property")
			if keyword == "$defs" || rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
				value[name] = changed(t, value[name], depth-1)
			} else {
				delete(value, name)
			}
			return value
		}
		if keyword == "dependentRequired" {
			return value
		}
		return changed(t, value, depth-1)
	case []any:
		if len(value) == 0 {
			return value
		}
		value = slices.Clone(value)
		i := rapid.IntRange(0, len(value)-1).Draw(t, "index")
		switch {
		case keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf" || keyword == "prefixItems":
			value[i] = changed(t, value[i], depth-1)
		case len(value) > 1:
			value = slices.Delete(value, i, i+1)
		}
		return value
	case bool:
		if keyword == "additionalProperties" || keyword == "items" {
			return !value
		}
	}
	return value
}

func encode(t *rapid.T, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compile(t interface{ Fatal(args ...any) }, text []byte) *jsonschema.Schema {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("test:///schema", value); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("test:///schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
