package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
)

// FuzzParse: never a panic, always exactly one of project and faults, every fault with a place within the file, and the same again.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/faults/*.txtar", "testdata/projects/*.txtar"} {
		for _, a := range archivesOf(f, pattern) {
			f.Add(a.section("segue.yaml"))
		}
	}
	f.Add(Init("shop", Detected{}))
	f.Fuzz(func(t *testing.T, text []byte) {
		lookup := func(name string) (string, bool) { return "value of " + name, !strings.HasPrefix(name, "M") }
		project, err := Parse(text, Options{Lookup: lookup})
		if (project == nil) == (err == nil) {
			t.Fatalf("project %v, error %v", project, err)
		}
		Variables(text)
		if err != nil {
			checkFaults(t, text, err)
			return
		}
		if _, err := json.Marshal(project); err != nil {
			t.Fatalf("encode project: %v", err)
		}
		if again, err := Parse(text, Options{Lookup: lookup}); err != nil || again.Digest() != project.Digest() {
			t.Fatalf("parsed again, it differs: %v", err)
		}
	})
}

func checkFaults(t *testing.T, text []byte, err error) {
	t.Helper()
	faults, ok := errors.AsType[Faults](err)
	if !ok || len(faults) == 0 || segue.KindOf(err) != segue.KindInvalid {
		t.Fatalf("error %T of kind %s", err, segue.KindOf(err))
	}
	// YAML knows more line ends than \n: no fault may lie beyond as many lines as there could be.
	lines := 2 + strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + strings.Count(string(text), "\u0085") +
		strings.Count(string(text), "\u2028") + strings.Count(string(text), "\u2029")
	for _, fault := range faults {
		if fault.Line < 1 || fault.Line > lines || fault.Column < 1 || fault.Message == "" || !utf8.ValidString(fault.String()) {
			t.Fatalf("fault %+v in a file of %d lines", fault, lines)
		}
	}
}

// wish is a project as a test draws it, and what it is written as.
type wish struct {
	servers, maxUnavailable int
	bake                    string
	batches                 []segue.Batch
	approve, surge          bool
	argument                string
	env                     map[string]string
}

func draw(t *rapid.T) wish {
	w := wish{
		servers:  rapid.IntRange(1, 50).Draw(t, "servers"),
		bake:     rapid.SampledFrom([]string{"0s", "1m0s", "1h30m0s", "250ms"}).Draw(t, "bake"),
		approve:  rapid.Bool().Draw(t, "approve"),
		surge:    rapid.Bool().Draw(t, "surge"),
		argument: rapid.StringOf(rapid.RuneFrom([]rune("ab \"'\\:#,[]${}&*%é\n-"))).Filter(plainBraces).Draw(t, "argument"),
		env: rapid.MapOfN(rapid.StringMatching(`[A-Z_][A-Z0-9_]{0,8}`), rapid.StringOf(rapid.RuneFrom([]rune("x1 :$'\""))), 0, 4).
			Draw(t, "env"),
	}
	w.maxUnavailable = rapid.IntRange(1, w.servers).Draw(t, "max unavailable")
	last := 0
	for range rapid.IntRange(1, 4).Draw(t, "batches") {
		last = rapid.IntRange(max(last, 1), w.servers).Draw(t, "batch")
		w.batches = append(w.batches, segue.Batch{Servers: last})
	}
	w.batches = append(w.batches, segue.Batch{Percent: 100})
	return w
}

// plainBraces keeps out what looks like a placeholder: that has a meaning of its own.
func plainBraces(text string) bool { return !braces.MatchString(text) }

func (w wish) yaml() string {
	var batches []string
	for _, b := range w.batches {
		if b.Percent > 0 {
			batches = append(batches, fmt.Sprintf("%d%%", b.Percent))
		} else {
			batches = append(batches, fmt.Sprint(b.Servers))
		}
	}
	var env strings.Builder
	for name, value := range w.env {
		fmt.Fprintf(&env, "        %s: %s\n", name, quote(value))
	}
	return fmt.Sprintf(`project: shop
services:
  web:
    workload:
      driver: process
      servers: %d
      command: ["./{release}", %s]
      env:
        LAST: x
%s    strategy: {batches: [%s], bake: %s, approve: %t, surge: %t, max_unavailable: %d}
`, w.servers, quote(w.argument), env.String(), strings.Join(batches, ", "), w.bake, w.approve, w.surge, w.maxUnavailable)
}

// What is written down is what is read.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		project, err := Parse([]byte(w.yaml()), Options{})
		if err != nil {
			t.Fatalf("%v\n%s", err, w.yaml())
		}
		s := project.Services[0]
		strategy := s.Strategy
		if len(s.Servers) != w.servers || strategy.MaxUnavailable != w.maxUnavailable || strategy.Bake.String() != w.bake ||
			strategy.Approve != w.approve || strategy.Surge != w.surge || fmt.Sprint(strategy.Batches) != fmt.Sprint(w.batches) {
			t.Fatalf("%+v became %+v", w, s.Service)
		}
		if s.Process.Command[1] != w.argument {
			t.Fatalf("argument %q became %q", w.argument, s.Process.Command[1])
		}
		for name, value := range w.env {
			if s.Process.Env[name] != value {
				t.Fatalf("%s=%q became %q", name, value, s.Process.Env[name])
			}
		}
		if want := w.servers - w.maxUnavailable; !w.surge && s.MinReady != want {
			t.Fatalf("min_ready %d, want %d", s.MinReady, want)
		}
	})
}
