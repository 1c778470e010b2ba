package jsonshape_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/migration/jsonshape"
)

// describe writes faults as certainty, place in documents, place in the schema.
func describe(faults []jsonshape.Fault) string {
	var words []string
	for _, fault := range faults {
		words = append(words, strings.Join(strings.Fields(fmt.Sprintf("%v %s %s", fault.Certainty, fault.Value, fault.Pointer)), " "))
	}
	return strings.Join(words, "; ")
}

func TestCompareBackward(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, old, new, want string }{
		{
			"an optional property more in an open schema", `{"type":"object"}`, `{"type":"object","properties":{"note":{"type":"string"}}}`,
			"open /note /properties/note",
		},
		{
			"an optional property more in a closed schema", `{"type":"object","additionalProperties":false}`,
			`{"type":"object","properties":{"note":{"type":"string"}},"additionalProperties":false}`, "",
		},
		{
			"a property less in a closed schema", `{"type":"object","properties":{"note":{"type":"string"}},"additionalProperties":false}`,
			`{"type":"object","additionalProperties":false}`, "breaks /note /additionalProperties",
		},
		{
			"closing", `{"type":"object","properties":{"a":{}}}`, `{"type":"object","properties":{"a":{}},"additionalProperties":false}`,
			"open /* /additionalProperties",
		},
		{"a required property more", `{"type":"object","properties":{"a":{}}}`, `{"type":"object","required":["a"]}`, "breaks /required"},
		{"another type", `{"type":"string"}`, `{"type":"integer"}`, "breaks /type"},
		{"a number where whole ones were", `{"type":"integer"}`, `{"type":"number"}`, ""},
		{"whole numbers where all were", `{"type":"number"}`, `{"type":"integer"}`, "breaks /type"},
		{"no longer nullable", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `{"type":"string"}`, "breaks /type"},
		{"nullable in other words", `{"oneOf":[{"type":"string"},{"type":"null"}]}`, `{"type":["null","string"]}`, ""},
		{"a type list as alternatives", `{"type":["null","string"]}`, `{"oneOf":[{"type":"string"},{"type":"null"}]}`, ""},
		{"a value more", `{"enum":["new","paid"]}`, `{"enum":["new","paid","sent"]}`, ""},
		{"a value less", `{"enum":["new","paid"]}`, `{"enum":["new"]}`, "breaks"},
		{"values for a free string", `{"type":"string"}`, `{"enum":["new"]}`, "breaks /enum"},
		{"wider bounds", `{"type":"integer","minimum":1,"maximum":3}`, `{"type":"integer","exclusiveMinimum":0,"maximum":3.5}`, ""},
		{"tighter bounds", `{"type":"number","minimum":1}`, `{"type":"number","minimum":2}`, "breaks /minimum"},
		{"a bound that is no longer part", `{"type":"number","minimum":1}`, `{"exclusiveMinimum":1}`, "breaks /exclusiveMinimum"},
		{"a property that cannot be", `{"type":"object","properties":{"a":false}}`, `{"type":"string"}`, "breaks /type"},
		{"a required property that cannot be", `{"type":"object","properties":{"a":false},"required":["a"]}`, `{"type":"string"}`, ""},
		{
			"names that two patterns may match", `{"type":"object","patternProperties":{"^a":{"type":"string"}},"additionalProperties":{"type":"integer"}}`,
			`{"patternProperties":{"1$":{"type":"integer"}}}`, "undecided /* /patternProperties/1$/type",
		},
		{"another pattern", `{"type":"string","pattern":"^a"}`, `{"type":"string","pattern":"^ab"}`, "undecided /pattern"},
		{"a new pattern", `{"type":"string"}`, `{"type":"string","pattern":"^a"}`, "breaks /pattern"},
		{"a new format", `{"type":"string"}`, `{"type":"string","format":"date"}`, "breaks /format"},
		{"shorter lists", `{"type":"array","maxItems":3}`, `{"type":"array","maxItems":2}`, "breaks /maxItems"},
		{
			"elements of another type, far down", `{"properties":{"lines":{"type":"array","items":{"$ref":"#/$defs/line"}}},"$defs":{"line":{"properties":{"price":{"type":"number"}}}}}`,
			`{"properties":{"lines":{"type":"array","items":{"properties":{"price":{"type":"string"}}}}}}`,
			"breaks /lines/*/price /properties/lines/items/properties/price/type",
		},
		{
			"a kind more", `{"oneOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"card"}}}]}`,
			`{"oneOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"card"}}},{"type":"object","required":["kind"],"properties":{"kind":{"const":"cash"}}}]}`,
			"",
		},
		{
			"a kind less",
			`{"oneOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"card"}}},{"type":"object","required":["kind"],"properties":{"kind":{"const":"cash"}}}]}`,
			`{"anyOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"card"}}},{"type":"object","required":["kind"],"properties":{"kind":{"const":"note"}}}]}`,
			"breaks /anyOf",
		},
		{
			"a tree", `{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"next":{"$ref":"#/$defs/node"},"n":{"type":"integer"}},"additionalProperties":false}}}`,
			`{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"number"}},"additionalProperties":false}`, "",
		},
		{
			"a tree with another leaf", `{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"number"}},"additionalProperties":false}`,
			`{"type":"object","properties":{"next":{"$ref":"#"},"n":{"type":"integer"}},"additionalProperties":false}`, "breaks /n /properties/n/type; breaks /next/n /properties/n/type",
		},
		{"what is ruled out", `{"type":"string"}`, `{"not":{"type":"object"}}`, ""},
		{"ruled out what was meant", `{"type":"string"}`, `{"not":{"type":"string"}}`, "breaks /not"},
		{"what only a document can tell", `{"type":"object"}`, `{"unevaluatedProperties":false}`, "undecided /unevaluatedProperties"},
		{"a circle that says nothing", `{"type":"object"}`, `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}`, "undecided"},
		{"a circle that contradicts itself", `{"not":{"$ref":"#"}}`, `{"not":true}`, "undecided"},
		{"an older draft", `{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"type":"string"}],"additionalItems":false}`, `{"prefixItems":[{"type":"string"}],"items":false}`, ""},
		{"a draft with other bounds", `{"$schema":"http://json-schema.org/draft-04/schema#","minimum":1,"exclusiveMinimum":true}`, `{"exclusiveMinimum":1}`, ""},
		{"who refers decides", `{"$dynamicRef":"#a","$dynamicAnchor":"a"}`, `{}`, "undecided"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			faults, err := jsonshape.Compare([]byte(test.old), []byte(test.new), jsonshape.ModeBackward)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, describe(faults)); diff != "" {
				t.Errorf("%s\n%v", diff, faults)
			}
		})
	}
}

func TestFaultsAreSentences(t *testing.T) {
	t.Parallel()
	old, fresh := []byte(`{"properties":{"a/b":{"type":"string"}}}`), []byte(`{"properties":{"a/b":{"type":["integer","null"]}}}`)
	faults, err := jsonshape.Compare(old, fresh, jsonshape.ModeFull)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the new release cannot read what the old one writes: /a~1b may be a string, only null or a whole number is taken (/properties/a~1b/type of its schema)",
		"the old release cannot read what the new one writes: /a~1b may be null or a whole number, only a string is taken (/properties/a~1b/type of its schema)",
	}
	var got []string
	for _, fault := range faults {
		got = append(got, fault.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"no JSON":               `{`,
		"no schema":             `{"type":"strange"}`,
		"too long":              `{"description":"` + strings.Repeat("x", 1<<20) + `"}`,
		"too deep":              strings.Repeat(`{"not":`, 70) + `true` + strings.Repeat(`}`, 70),
		"another document":      `{"$ref":"https://example.org/order.json"}`,
		"a file":                `{"$ref":"file:///etc/passwd"}`,
		"one beside it":         `{"$ref":"order.json"}`,
		"a language of its own": `{"$schema":"https://example.org/meta.json"}`,
		"a huge number":         `{"maximum":1e999999}`,
		"a broken pattern":      `{"pattern":"("}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := jsonshape.Compare([]byte(`{}`), []byte(schema), jsonshape.ModeFull); segue.KindOf(err) != segue.KindInvalid || !strings.Contains(err.Error(), "new release") {
				t.Errorf("error is %v", err)
			}
			if _, err := jsonshape.Check([]byte(schema), nil); segue.KindOf(err) != segue.KindInvalid {
				t.Errorf("error is %v", err)
			}
		})
	}
	if _, err := jsonshape.Compare(nil, nil, "sideways"); segue.KindOf(err) != segue.KindInvalid {
		t.Errorf("error is %v", err)
	}
	if faults, err := jsonshape.Compare(nil, nil, jsonshape.ModeNone); err != nil || faults != nil {
		t.Errorf("none compares: %v, %v", faults, err)
	}
}

func TestCheckCountsWithoutShowingValues(t *testing.T) {
	t.Parallel()
	schema := `{"type":"object","required":["id"],"properties":{"id":{"type":"integer"},"lines":{"type":"array","items":{"properties":{"price":{"minimum":0}}}}},
		"additionalProperties":{"type":"integer"}}`
	samples := []json.RawMessage{
		[]byte(`{"id":1}`), []byte(`{"id":"secret"}`), []byte(`{"id":"hidden"}`), []byte(`{}`), []byte(`{"id":1,"ada@secret.org":"secret"}`),
		[]byte(`{"id":1,"lines":[{},{"price":-7}]}`), []byte(`[`), []byte(`{"id":1e999999}`), []byte(`"secret"`),
	}
	got, err := jsonshape.Check([]byte(schema), samples)
	if err != nil {
		t.Fatal(err)
	}
	want := jsonshape.Report{Checked: 9, Violating: 8, Examples: []jsonshape.Example{
		{Path: "/id", Reason: "is string, must be integer", Documents: 2},
		{Path: "", Reason: "is without id", Documents: 1},
		{Path: "/*", Reason: "is string, must be integer", Documents: 1},
		{Path: "/lines/*/price", Reason: "must be at least 0", Documents: 1},
		{Path: "", Reason: "is no JSON", Documents: 1},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
