package logs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/logs"
)

func TestReadCaveats(t *testing.T) {
	t.Parallel()
	got, err := logs.ReadCaveats(strings.NewReader(`# known
caveats:
  - id: late-payments
    match: "payment provider answered late"
    service: web
    scope: v2.*
    owner: payments
    reason: their maintenance
    expires: 2026-12-31
    ceiling: 3
    rate: 0.5
  - {id: b, fingerprint: 00000000000003e8, owner: ops, reason: old, expires: 2026-01-02T03:04:05Z, share: 0.01}
`), "caveats.yaml")
	want := []logs.Caveat{
		{
			ID: "late-payments", Match: "payment provider answered late", Service: "web", Scope: "v2.*", Owner: "payments", Reason: "their maintenance",
			Expires: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), Ceiling: 3, Rate: 0.5,
		},
		{ID: "b", Fingerprint: "00000000000003e8", Owner: "ops", Reason: "old", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Share: 0.01},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, empty := range []string{"", "# nothing\n", "caveats:\n", "caveats: []\n"} {
		if got, err := logs.ReadCaveats(strings.NewReader(empty), "x"); len(got) > 0 || err != nil {
			t.Errorf("%q: %v, %v", empty, got, err)
		}
	}
}

func TestReadCaveatsReportsAllFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{`caveats:
  - id: a
    matches: x
    owner: o
    reason: ""
    expires: soon
    rate: -1
    share: many
  - id: a
    id: b
    match: [x]
    owner: o
    reason: r
    expires: 2026-01-01
    scope: "["
extra: 1
`, `c.yaml:2:5: a caveat needs a "fingerprint", a "match" or a "form" to say what it is about
c.yaml:3:5: unknown key "matches"; known: id, fingerprint, match, form, service, scope, owner, reason, ceiling, expires, rate, share
c.yaml:5:13: reason: it is empty
c.yaml:6:14: expires: "soon" is no date: write it like 2026-12-31
c.yaml:7:11: rate: "-1" is no number greater than 0
c.yaml:8:12: share: "many" is no number greater than 0
c.yaml:8:12: "rate" and "share" exclude each other
c.yaml:9:9: the id "a" is in line 2 already
c.yaml:10:5: the key "id" is here twice
c.yaml:11:12: "match" must have a single value
c.yaml:15:12: scope: syntax error in pattern
c.yaml:16:1: unknown key "extra"; known: caveats`},
		{"- a\n", `c.yaml:1:1: write a mapping with the list "caveats"`},
		{"caveats: {}\n", `c.yaml:1:10: caveats must be a list`},
		{"caveats: [1]\n", `c.yaml:1:11: a caveat must be a mapping with the keys id, fingerprint, match, form, service, scope, owner, reason, ceiling, expires, rate, share`},
	} {
		_, err := logs.ReadCaveats(strings.NewReader(test.in), "c.yaml")
		var faults logs.FaultsError
		if !errors.As(err, &faults) || segue.KindOf(err) != segue.KindInvalid {
			t.Fatalf("%q: %v", test.in, err)
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
	for _, broken := range []string{"caveats: [", "\tcaveats:", "a: &x [*x]", "caveats:\n- &a {id: *a}", "---\na: 1\n---\nb: 1", "\x00", "? {}\n: x"} {
		if _, err := logs.ReadCaveats(strings.NewReader(broken), "c.yaml"); err == nil || segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestFormatCaveat(t *testing.T) {
	t.Parallel()
	added := logs.Caveat{ID: "n", Match: "a: <*> # \"b\"", Owner: "o", Reason: "r", Expires: noon.Truncate(24 * time.Hour), Rate: 0.25}
	item := "- id: \"n\"\n  match: \"a: <*> # \\\"b\\\"\"\n  owner: \"o\"\n  reason: \"r\"\n  expires: 2026-01-02\n  rate: 0.25\n"
	indented := "  " + strings.ReplaceAll(strings.TrimSuffix(item, "\n"), "\n", "\n  ") + "\n"
	for _, test := range []struct{ in, want string }{
		{"", "caveats:\n" + indented},
		{"# ours\n", "# ours\ncaveats:\n" + indented},
		{"caveats: # all\n- {id: a, match: x, owner: o, reason: r, expires: 2026-01-01} # keep", "caveats: # all\n- {id: a, match: x, owner: o, reason: r, expires: 2026-01-01} # keep\n" + item},
	} {
		got, err := logs.FormatCaveat([]byte(test.in), added)
		if diff := cmp.Diff(test.want, string(got)); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	}
	for _, refused := range []string{
		"caveats: []\n", "caveats: [{id: a, match: x, owner: o, reason: r, expires: 2026-01-01}]\n", "a: 1\n",
		"caveats:\n- {id: n, match: x, owner: o, reason: r, expires: 2026-01-01}\n",
	} {
		if got, err := logs.FormatCaveat([]byte(refused), added); err == nil || segue.KindOf(err) != segue.KindInvalid {
			t.Errorf("%q: %s, %v", refused, got, err)
		}
	}
}

// What FormatCaveat writes, ReadCaveats reads.
func TestFormatCaveatRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[^ ]\PC{0,20}`)
		var file []byte
		var want []logs.Caveat
		for i := range rapid.IntRange(1, 4).Draw(t, "caveats") {
			c := logs.Caveat{
				ID: strings.Repeat("i", i+1), Match: text.Draw(t, "match"), Owner: text.Draw(t, "owner"), Reason: text.Draw(t, "reason"),
				Expires: noon.Add(time.Duration(rapid.IntRange(0, 1e6).Draw(t, "expires")) * time.Second), Rate: rapid.Float64Range(0.001, 1e6).Draw(t, "rate"),
			}
			if strings.TrimSpace(c.Match) == "" || strings.TrimSpace(c.Owner) == "" || strings.TrimSpace(c.Reason) == "" {
				t.Skip()
			}
			var err error
			if file, err = logs.FormatCaveat(file, c); err != nil {
				t.Fatal(err)
			}
			want = append(want, c)
		}
		got, err := logs.ReadCaveats(strings.NewReader(string(file)), "x")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatalf("%v\n%s\n%s", err, file, diff)
		}
	})
}

func TestExcuse(t *testing.T) {
	t.Parallel()
	caveats := []logs.Caveat{{ID: "c", Fingerprint: "GET /a $.total", Reason: "rounding", Share: 0.01, Expires: noon.Add(time.Hour)}}
	finding := func(share float64) []segue.Finding {
		return []segue.Finding{{
			Judge: "responses", Ruling: segue.RulingFail, Release: "v2", Fingerprint: "GET /a $.total", Unit: "count",
			Value: 1000 * share, Samples: 1000, BaselineSamples: 1000, Text: "differs",
		}}
	}
	for _, test := range []struct {
		name  string
		value float64
		at    time.Time
		want  segue.Ruling
		id    string
	}{
		{"usual", 0.01, noon, segue.RulingReport, "c"},
		{"at the ceiling", 0.05, noon, segue.RulingReport, "c"},
		{"beyond", 0.06, noon, segue.RulingFail, "c"},
		{"expired", 0.01, noon.Add(time.Hour), segue.RulingFail, ""},
	} {
		findings := finding(test.value)
		logs.Excuse(caveats, "web", test.at, findings)
		if findings[0].Ruling != test.want || findings[0].Caveat != test.id {
			t.Errorf("%s: %+v", test.name, findings[0])
		}
	}
}

// A caveat that is made of a finding excuses just that.
func TestLearnt(t *testing.T) {
	t.Parallel()
	differing := segue.Finding{Judge: "responses", Ruling: segue.RulingHold, Fingerprint: "GET /a $.total", Unit: "count", Value: 209, Samples: 209, BaselineSamples: 209}
	all := logs.Caveat{ID: "c", Fingerprint: "GET /a $.total"}
	if err := all.Learn(differing); err != nil || all.Share != 1 || all.Rate != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	findings := []segue.Finding{differing}
	if logs.Excuse([]logs.Caveat{all}, "web", noon, findings); findings[0].Ruling != segue.RulingReport {
		t.Errorf("%+v", findings[0])
	}
	var line logs.Caveat
	if err := line.Learn(segue.Finding{Judge: "logs", Unit: "per minute", Value: 5.934, Samples: 12, Template: "refund failed: timeout"}); err != nil || line.Rate != 6 || line.Form != "refund failed: timeout" || line.Match != "" {
		t.Errorf("%+v, %v", line, err)
	}
	if err := line.Learn(segue.Finding{Judge: "logs", Unit: "per minute", Value: 0, Baseline: 6}); segue.KindOf(err) != segue.KindInvalid {
		t.Errorf("a line that is gone: %v", err)
	}
}

// A caveat of a line holds when the line is learnt anew from other values, and for no other line.
func TestLearntLineIsKnownByItsForm(t *testing.T) {
	t.Parallel()
	var known segue.Finding
	seen := kind{LogTemplate: named(501, "error", "<*> payment provider <*> refused card of order <*> code <*>"), rate: 60, only: true, factor: 1}
	newWorld(1, 3, with(seen)).rollout(logs.Config{}, 15, func(_ time.Duration, findings []segue.Finding) bool {
		known, _ = about(findings, "payment provider")
		return known.Ruling != segue.RulingFail
	})
	var c logs.Caveat
	if err := c.Learn(known); err != nil || c.Rate == 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	c.ID, c.Owner, c.Reason, c.Expires, c.Fingerprint = "known", "ops", "known", noon.Add(24*time.Hour), "00000000000000aa"
	for text, excused := range map[string]bool{
		"<*> payment provider <*> refused card of order <*> code <*>":                       true,
		"<*> payment provider acme refused card of order <*> code <*>":                      true,
		"<*> payment provider globex refused card of order <*> code <*>":                    true,
		"<*> payment provider <*> lost card of order <*> code <*>":                          false,
		"<*> payment provider <*> refused card of order <*> code <*> and the money is gone": false,
		"<*> <*> <*> <*> <*> <*> <*> <*> <*> <*> <*>":                                       false,
	} {
		fresh := kind{LogTemplate: named(501, "error", text), rate: 4, only: true, factor: 1}
		failed := false
		newWorld(1, 3, with(fresh)).rollout(logs.Config{Caveats: []logs.Caveat{c}}, 15, func(_ time.Duration, findings []segue.Finding) bool {
			failed = worst(findings) == segue.RulingFail
			return !failed
		})
		if failed == excused {
			t.Errorf("%s: failed %v, excused %v", text, failed, excused)
		}
	}
}
