package archtest

import (
	"strings"
	"testing"
)

func TestGoodSourcePasses(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"internal/proxy/drain.go", "package proxy\nimport \"time\"\nfunc f() { time.Sleep(1); go f() }\ntype t struct{}\nfunc (t) init() {}\n"},
		{"internal/rollout/machine.go", "package rollout\nimport \"time\"\nfunc f(now time.Time) time.Duration { return now.Sub(now) }\n"},
		{"internal/rollout/machine_test.go", "package rollout\nimport \"time\"\nvar now = time.Now()\nfunc f() { go f() }\n"},
		{"internal/proxy/drain_test.go", "package proxy\ntype clock struct{}\nfunc (clock) Sleep() {}\nfunc f(time clock) { time.Sleep() }\n"},
		{"long.go", "package segue\n" + strings.Repeat("\n", maxLines-1)},
	} {
		if got := checkSource(test.name, []byte(test.text)); got != nil {
			t.Errorf("%s: refused: %q", test.name, got)
		}
	}
}

func TestWrongSourceIsCaught(t *testing.T) {
	const sleep = "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"
	for _, test := range []struct {
		rule, name, text string
		want             string // part of the message
	}{
		{"too long", "long.go", "package p\n" + strings.Repeat("\n", maxLines), "501 lines, of 500"},
		{"too long, no last newline", "long.go", "package p\n" + strings.Repeat("\n", maxLines-1) + "// x", "501 lines, of 500"},
		{"too long a test", "long_test.go", "package p\n" + strings.Repeat("\n", maxLines), "501 lines, of 500"},
		{"sleep in a test", "drain_test.go", sleep, "drain_test.go:3: no time.Sleep"},
		{"sleep under another name", "drain_test.go", strings.ReplaceAll(strings.Replace(sleep, "import ", "import clock ", 1), "time.", "clock."), "no time.Sleep"},
		{"sleep passed on", "drain_test.go", "package p\nimport \"time\"\nvar pause = time.Sleep\n", "no time.Sleep"},
		{"init", "drivers.go", "package p\nfunc init() {}\n", "drivers.go:2: no init functions"},
		{"init in a test", "drivers_test.go", "package p\nfunc init() {}\n", "no init functions"},
		{"decision reads the clock", "internal/rollout/machine.go", "package p\nimport \"time\"\nvar now = time.Now()\n", "time.Now in a package that decides"},
		{"decision waits", "internal/strategy/rolling.go", "package p\nimport \"time\"\nvar c = time.After(1)\n", "time.After in a package that decides"},
		{"decision goes parallel", "internal/rollout/machine.go", "package p\nfunc f() { go f() }\n", "starts no goroutine"},
		{"not Go", "broken.go", "package", "not readable as Go"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			got := checkSource(test.name, []byte(test.text))
			if len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one violation with %q", got, test.want)
			}
		})
	}
}

func TestMissingDocIsCaught(t *testing.T) {
	if got := checkDoc(pkg{ImportPath: own("internal/spec")}); len(got) != 1 || !strings.Contains(got[0], "internal/spec has no package comment") {
		t.Errorf("without a doc: got %q", got)
	}
	if got := checkDoc(pkg{ImportPath: own("internal/spec"), Doc: "Package spec reads segue.yaml."}); got != nil {
		t.Errorf("with a doc: got %q", got)
	}
}
