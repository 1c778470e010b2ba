package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

const schemaGolden = "testdata/schema.json"

func TestSchemaIsFresh(t *testing.T) {
	if *update {
		if err := os.WriteFile(schemaGolden, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaGolden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(Schema())); diff != "" {
		t.Errorf("the schema differs from %s (-want +got; -update writes it anew):\n%s", schemaGolden, diff)
	}
}

func resolved(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	var schema jsonschema.Schema
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	ready, err := schema.Resolve(nil)
	if err != nil {
		t.Fatalf("the schema is no schema: %v", err)
	}
	return ready
}

// asJSON reads YAML as an editor does: plain values, no types of ours.
func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	d := newDecoder("test.yaml")
	root := parseDocument(text, &d.faultList)
	if root == nil {
		t.Fatal(d.err())
	}
	return d.plain(root, "")
}

// Whatever Parse takes, the schema takes.
func TestSchemaTakesGoodFiles(t *testing.T) {
	schema := resolved(t)
	for _, a := range archives(t, "testdata/projects/*.txtar") {
		if err := schema.Validate(asJSON(t, a.section("segue.yaml"))); err != nil {
			t.Errorf("%s: %v", a.path, err)
		}
	}
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	schema := resolved(t)
	for _, name := range []string{"keys", "drivers", "fleet", "judges", "process", "balancer", "witness", "empty_service", "strategy"} {
		parsed := archives(t, filepath.Join("testdata", "faults", name+".txtar"))[0]
		if err := schema.Validate(asJSON(t, parsed.section("segue.yaml"))); err == nil {
			t.Errorf("the schema takes %s", parsed.path)
		}
	}
}

// Editors show a description for every key.
func TestSchemaDescribesEveryKey(t *testing.T) {
	var schema jsonschema.Schema
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	keys := 0
	var walk func(path string, s *jsonschema.Schema)
	walk = func(path string, s *jsonschema.Schema) {
		if s == nil {
			return
		}
		for name, property := range s.Properties {
			keys++
			if property.Description == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
			walk(path+"."+name, property)
		}
		walk(path+"[]", s.Items)
		walk(path+".*", s.AdditionalProperties)
		for _, other := range s.AnyOf {
			walk(path, other)
		}
	}
	walk("", &schema)
	if keys < 80 {
		t.Errorf("%d keys: the walk missed most of them", keys)
	}
}

func TestInitParses(t *testing.T) {
	schema := resolved(t)
	for name, detected := range map[string]Detected{
		"nothing":    {},
		"everything": {Project: "shop", Service: "api", Program: "./releases/{release}/shop", Arguments: []string{"-a", "{port}"}, Servers: 7, Listen: "127.0.0.1:9090"},
		"hostile":    {Project: "a b", Service: "\n", Program: "./{release}/\"\\\n'${HOME}", Arguments: []string{"", "{\"a\": 1}", "# no comment", "\u0085\ufffe", "${X:-}"}, Servers: -3},
		"no flags":   {Arguments: []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			text := Init("/srv/My Shop!", detected)
			if want := "# yaml-language-server: $schema=" + SchemaFile + "\n"; !strings.HasPrefix(string(text), want) {
				t.Errorf("it does not begin with %q", want)
			}
			project, err := Parse(text, Options{})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if err := schema.Validate(asJSON(t, text)); err != nil {
				t.Error(err)
			}
			if detected.Project != "shop" && project.Name != "My-Shop" {
				t.Errorf("project %q", project.Name)
			}
			if len(Variables(text)) != 0 {
				t.Errorf("it names variables: %v", Variables(text))
			}
		})
	}
}

func TestInitKeepsArguments(t *testing.T) {
	want := []string{"--url", "http://${HOST}/\"x\"", "{address}"}
	project, err := Parse(Init("x", Detected{Program: "./{release}/a b", Arguments: want}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{"./{release}/a b"}, want...), project.Services[0].Process.Command); diff != "" {
		t.Errorf("command differs (-want +got):\n%s", diff)
	}
}

func TestDetect(t *testing.T) {
	dir := t.TempDir()
	if got := Detect(os.DirFS(dir)); got.Program != "" {
		t.Errorf("detected %q in an empty folder", got.Program)
	}
	if err := os.MkdirAll(filepath.Join(dir, "releases", "v1", "assets"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"readme": 0o644, "shop": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, "releases", "v1", name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if got := Detect(os.DirFS(dir)); got.Program != "./releases/{release}/shop" {
		t.Errorf("detected %q", got.Program)
	}
}

// The example of the repository is what people copy.
func TestExampleIsGood(t *testing.T) {
	path := filepath.Join("..", "..", "examples", "shop", "segue.yaml")
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := resolved(t).Validate(asJSON(t, text)); err != nil {
		t.Error(err)
	}
}
