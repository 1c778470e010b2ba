package spec

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
)

const small = `project: shop
services:
  web:
    workload: {driver: process, servers: 2, command: ["./releases/{release}/shop"], env: {URL: "x${SECRET}y", B: "${B:-b}"}}
    balancer: {driver: embedded, listen: ":8080"}
`

func secretly(name string) (string, bool) {
	if name == "SECRET" {
		return "hunter2-hunter2", true
	}
	return "", false
}

func mustParse(t *testing.T, text string, options Options) *Project {
	t.Helper()
	project, err := Parse([]byte(text), options)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestSecretsStayOutOfWhatIsShown(t *testing.T) {
	project := mustParse(t, small, Options{Lookup: secretly})
	if got := project.Services[0].Process.Env["URL"]; got != "xhunter2-hunter2y" {
		t.Fatalf("URL = %q", got)
	}
	if string(project.Redacted()) != small {
		t.Errorf("Redacted differs from the file:\n%s", project.Redacted())
	}
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	logger.Info("parsed", "project", project, "service", project.Services[0])
	fmt.Fprintf(&out, "%v %+v %s %v %+v", project, project, project, project.Services[0], project.Services[0])
	out.WriteString(string(project.Digest()) + string(project.Services[0].Digest()))
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret is shown: %s", out.String())
	}
}

func TestDigestFollowsTheConfiguration(t *testing.T) {
	first := mustParse(t, small, Options{Lookup: secretly})
	same := mustParse(t, strings.ReplaceAll(small, "project:", "# a comment\nproject:"), Options{Lookup: secretly})
	if first.Digest() != same.Digest() || first.Services[0].Digest() != same.Services[0].Digest() {
		t.Error("a comment changed the digest")
	}
	other := mustParse(t, small, Options{Lookup: func(string) (string, bool) { return "z", true }})
	if first.Services[0].Digest() == other.Services[0].Digest() {
		t.Error("another value of a variable left the digest as it was")
	}
	if !strings.HasPrefix(string(first.Digest()), "sha256:") || len(first.Digest()) != 71 {
		t.Errorf("digest %q", first.Digest())
	}
}

func TestVariables(t *testing.T) {
	text := small + "witness: {sessions: 1, rate: 1/s, journey: [{name: a, path: /, body: '${Z}${A}$${NOT}${A:-d}'}]} # ${COMMENT}\n"
	if got, want := Variables([]byte(text)), []string{"A", "B", "SECRET", "Z"}; !slices.Equal(got, want) {
		t.Errorf("Variables = %v, want %v", got, want)
	}
	if got := Variables([]byte("a: [")); got != nil {
		t.Errorf("Variables of broken YAML = %v", got)
	}
}

func TestChecksAreShownWhereTheyBelong(t *testing.T) {
	_, err := Parse([]byte(small), Options{File: "dir/a.yaml", Lookup: secretly, Checks: []func(*Project) []Complaint{
		func(p *Project) []Complaint {
			return []Complaint{
				{Path: "services.web.balancer.listen", Message: "taken", Hint: "use another"},
				{Path: "services.web.workload.env.URL", Message: p.Services[0].Process.Env["URL"] + " is wrong"},
				{Path: "services.web.nowhere.at[3].all", Message: "odd"},
			}
		},
	}})
	want := `dir/a.yaml:4:5: services.web.nowhere.at[3].all: odd
dir/a.yaml:4:96: services.web.workload.env.URL: x${SECRET}y is wrong
dir/a.yaml:5:42: services.web.balancer.listen: taken; use another`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestArtifactOfRelease(t *testing.T) {
	project := mustParse(t, small+"    releases: {v3: {artifact: /srv/v3}}\n", Options{Lookup: secretly})
	service, ok := project.Service("web")
	if _, other := project.Service("api"); !ok || other {
		t.Fatal("Service does not find what is there")
	}
	for release, want := range map[segue.ReleaseName]string{"v2": "./releases/v2", "v3": "/srv/v3"} {
		if got := service.Artifact(release); got != want {
			t.Errorf("Artifact(%s) = %q, want %q", release, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("SECRET", "abc")
	path := filepath.Join(t.TempDir(), "segue.yaml")
	if _, err := Load(path); segue.KindOf(err) != segue.KindNotFound || segue.HintOf(err) == "" {
		t.Errorf("Load of nothing = %v", err)
	}
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	project, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if project.Dir != filepath.Dir(path) || project.Services[0].Process.Env["URL"] != "xabcy" {
		t.Errorf("Dir %q, URL %q", project.Dir, project.Services[0].Process.Env["URL"])
	}
}

// Files that were made to exhaust their reader get an answer soon, and few faults.
func TestHugeAndOddFiles(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, text := range map[string]string{
		"too large":        "project: " + strings.Repeat("x", sizeLimit),
		"deep flow":        strings.Repeat("[", 100_000),
		"deep pairs":       strings.Repeat("{a: ", 5_000) + strings.Repeat("}", 5_000),
		"deep block":       deepBlock(2_000),
		"many keys":        manyLines(20_000, "key%d: 1\n"),
		"many duplicates":  strings.Repeat("a: 1\n", 50_000),
		"many services":    "project: x\nservices:\n" + manyLines(20_000, "  s%d: {}\n"),
		"long key":         long + ": 1\n",
		"long name":        "project: " + long + "\n",
		"many variables":   "project: \"" + strings.Repeat("${X}", 100_000) + "\"\n",
		"open variables":   "project: \"" + strings.Repeat("${", 200_000) + "\"\n",
		"growing variable": "project: \"" + strings.Repeat("${BIG}", 900) + "\"\n",
		"braces":           "project: " + strings.Repeat("{", 300_000),
		"dollars":          "project: " + strings.Repeat("$", 500_000) + "{",
		"merges":           manyMerges(),
		"only tabs":        strings.Repeat("\t", 1000),
		"carriage returns": "project: a\rservices: {}\r",
		"bom":              "\ufeffproject: a\n",
		"utf-16":           "\xff\xfep\x00r\x00",
		"surrogate":        "project: \xed\xa0\x80",
		"directive":        "%YAML 9.9\n---\nproject: a\n",
		"end marker":       "...\n",
		"only document":    "---\n",
		"anchor on root":   "&a {b: *a}",
		"tagged":           "project: !!binary aGVsbG8=\nservices: !foo {}\n",
		"complex key":      "? [a, b]\n: c\n",
		"noncharacters":    "project: \ufdd0\ufdd1\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			project, err := Parse([]byte(text), Options{Lookup: func(name string) (string, bool) { return long, name == "BIG" }})
			if err == nil || project != nil {
				t.Fatalf("Parse gave %v, %v", project, err)
			}
			if segue.KindOf(err) != segue.KindInvalid {
				t.Errorf("kind %s", segue.KindOf(err))
			}
			if n := strings.Count(err.Error(), "\n"); n > faultLimit {
				t.Errorf("%d lines of faults", n)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func deepBlock(n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(strings.Repeat(" ", min(i, 400)) + "a:\n")
	}
	return out.String()
}

func manyLines(n int, format string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, format, i)
	}
	return out.String()
}

// manyMerges doubles a mapping with each line.
func manyMerges() string {
	out := "a0: &a0 {x: 1}\n"
	for i := 1; i < 40; i++ {
		out += fmt.Sprintf("a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i-1, i-1)
	}
	return out
}
