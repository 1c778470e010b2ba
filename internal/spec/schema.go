package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Patterns of the schema. Any value may be a variable; then its form is only known once the variable is.
const (
	variablePattern = `\$\{`
	namePattern     = `^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`
)

// schemaValue is a type that knows its own schema, because it is read in a way of its own.
type schemaValue interface{ schema() *jsonschema.Schema }

// Schema gives the JSON Schema (2020-12) of segue.yaml, made from the types that it is decoded into.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[file]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "segue.yaml"
	root.Description = "What Segue deploys, where, and how."
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		// It is made of constants alone.
		panic(fmt.Sprintf("spec: encode schema: %v", err))
	}
	return out.Bytes()
}

// schemaOf mirrors decoder.decode.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	value := reflect.New(t)
	if custom, ok := reflect.TypeAssert[schemaValue](value); ok {
		return custom.schema()
	}
	if custom, ok := reflect.TypeAssert[choice](value.Elem()); ok {
		known, _ := custom.choices()
		return oneOf(known)
	}
	if t == reflect.TypeFor[time.Duration]() {
		duration := form(`^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$`, "30s", "10m", "1h30m", "2d")
		// A bare 0 is a number to YAML.
		duration.AnyOf = append(duration.AnyOf, &jsonschema.Schema{Enum: []any{0}})
		return duration
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return objectOf(t)
	case reflect.Map:
		return &jsonschema.Schema{Type: "object", AdditionalProperties: schemaOf(t.Elem())}
	case reflect.Slice:
		return &jsonschema.Schema{Type: "array", Items: schemaOf(t.Elem())}
	case reflect.String:
		// YAML writes text without quotes, so that 8080 is text too where text is wanted.
		return &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}
	case reflect.Bool:
		return orVariable("boolean")
	case reflect.Float64:
		return orVariable("number")
	case reflect.Int, reflect.Int64:
		return orVariable("integer")
	case reflect.Interface:
		return &jsonschema.Schema{}
	default:
		panic("spec: no schema for " + t.String())
	}
}

// objectOf gives the schema of a struct: its keys with their descriptions, and no others.
func objectOf(t reflect.Type) *jsonschema.Schema {
	object := &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, f := range fieldsOf(t) {
		if f.later != "" {
			continue
		}
		structField := t.FieldByIndex(f.index)
		property := schemaOf(structField.Type)
		property.Description = structField.Tag.Get("jsonschema")
		object.Properties[f.name] = property
		object.PropertyOrder = append(object.PropertyOrder, f.name)
		if !f.optional {
			object.Required = append(object.Required, f.name)
		}
	}
	return object
}

// orVariable is a type that a variable may stand for.
func orVariable(kind string) *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{kind, "string"}, Pattern: variablePattern}
}

// form is text of a form, or a variable.
func form(pattern string, examples ...any) *jsonschema.Schema {
	return &jsonschema.Schema{
		AnyOf:    []*jsonschema.Schema{{Type: "string", Pattern: pattern}, {Type: "string", Pattern: variablePattern}},
		Examples: examples,
	}
}

func oneOf(words []string) *jsonschema.Schema {
	values := make([]any, len(words))
	for i, word := range words {
		values[i] = word
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: values}, {Type: "string", Pattern: variablePattern}}}
}

func atLeastOne() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: new(1.0), Maximum: new(float64(serverLimit))}
}

func countSchema() *jsonschema.Schema {
	whole := `^([1-9][0-9]?|100)%$`
	return &jsonschema.Schema{
		AnyOf:    []*jsonschema.Schema{atLeastOne(), {Type: "string", Pattern: whole}, {Type: "string", Pattern: variablePattern}},
		Examples: []any{1, "25%"},
	}
}

func (batch) schema() *jsonschema.Schema { return countSchema() }
func (count) schema() *jsonschema.Schema { return countSchema() }

func (percent) schema() *jsonschema.Schema { return form(`^[0-9]+(\.[0-9]+)? *%$`, "1%", "0.5%") }

func (Size) schema() *jsonschema.Schema {
	return form(`^[0-9]+(\.[0-9]+)? ?(B|[kK]B|MB|GB|[kK]iB|MiB|GiB)$`, "64KiB", "10MB")
}

func (Rate) schema() *jsonschema.Schema {
	return form(`^[0-9]+(\.[0-9]+)? */ *[smh]$`, "50/s", "300/m")
}

func (signal) schema() *jsonschema.Schema {
	known, _ := signal("").choices()
	for _, name := range slices.Clone(known) {
		known = append(known, "SIG"+name)
	}
	return oneOf(known)
}

func (servers) schema() *jsonschema.Schema {
	named := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string", Pattern: namePattern + "|" + variablePattern}, objectOf(reflect.TypeFor[server]())}}
	return &jsonschema.Schema{
		AnyOf: []*jsonschema.Schema{
			atLeastOne(),
			{Type: "string", Pattern: variablePattern},
			{Type: "array", Items: named, MinItems: new(1)},
		},
		Examples: []any{4, []any{"web-1", "web-2"}},
	}
}

func (ordered[T]) schema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", AdditionalProperties: schemaOf(reflect.TypeFor[T]()), MinProperties: new(1),
		PropertyNames: &jsonschema.Schema{Pattern: namePattern},
	}
}

func orOff(block reflect.Type) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{objectOf(block), {Enum: []any{"on", "off", true, false}}}}
}

func (errorsJudge) schema() *jsonschema.Schema  { return orOff(reflect.TypeFor[errorsBlock]()) }
func (latencyJudge) schema() *jsonschema.Schema { return orOff(reflect.TypeFor[latencyBlock]()) }
func (logsJudge) schema() *jsonschema.Schema    { return orOff(reflect.TypeFor[logsBlock]()) }
func (metricsJudge) schema() *jsonschema.Schema { return orOff(reflect.TypeFor[metricsBlock]()) }

func (toggle) schema() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: []any{"on", "off", true, false}}, {Type: "string", Pattern: variablePattern}}}
}

func (budget) schema() *jsonschema.Schema {
	share := percent(0).schema()
	share.AnyOf = append(share.AnyOf, &jsonschema.Schema{Enum: []any{"off", false}})
	share.Examples = []any{"5%", "off"}
	return share
}

func (Statuses) schema() *jsonschema.Schema {
	one := func() *jsonschema.Schema {
		return &jsonschema.Schema{Type: "integer", Minimum: new(100.0), Maximum: new(599.0)}
	}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one(), {Type: "array", Items: one()}, {Type: "string", Pattern: variablePattern}}}
}
