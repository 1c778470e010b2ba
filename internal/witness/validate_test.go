package witness

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
)

func TestValidateSaysEverythingAtOnce(t *testing.T) {
	j := Journey{
		Sessions: 0, Rate: 0, Before: -time.Second, Base: "shop.test", SessionCheck: SessionCheck{Login: "login", Status: Statuses{99}},
		Steps: []Step{
			{Name: "login", Path: "/login", Once: true, Method: "get", Form: map[string]string{"a": "{nope}"}, Body: "x"},
			{Name: "page", Path: "page/{order}", Capture: map[string]Extract{"uuid": {}}, Expect: Expect{Status: Statuses{700}}},
			{
				Name: "page", Path: "/{id}", Headers: map[string]string{"a b": "c"}, JSON: map[string]any{"deep": []any{"{gone}"}},
				Write: &Write{Verify: Verify{Path: "/{id}", Count: &Extract{Cookie: "c"}}},
			},
			{Path: "/x", Capture: map[string]Extract{"v": {Regexp: "("}}},
		},
		WebSocket: &WebSocket{Path: "stock", Every: -1},
	}
	var got []string
	for _, fault := range j.Faults() {
		got = append(got, fault.Path)
	}
	want := []string{
		"sessions", "rate", "before", "base", "session_check.status", "session_check.login",
		"journey[0].method", "journey[0]", "journey[0].form.a",
		"journey[1].path", "journey[1].path", "journey[1].expect.status", "journey[1].capture.uuid", "journey[1].capture.uuid",
		"journey[2].name", "journey[2].path", "journey[2].json.deep.0", "journey[2].headers.a b", "journey[2].write.id",
		"journey[2].write.verify.count", "journey[3].name", "journey[3].capture.v.regexp",
		"websocket.path", "websocket.every",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, j.Faults())
	}
	err := j.Validate()
	if segue.KindOf(err) != segue.KindInvalid || strings.Count(err.Error(), "\n") != len(got)-1 {
		t.Errorf("Validate: %v", err)
	}
	if err := journey(1, 1).Validate(); err != nil {
		t.Errorf("a good journey: %v", err)
	}
}

func TestJourneyIsReadFromJSON(t *testing.T) {
	const text = `{"sessions": 20, "rate": "300/m", "base": "http://127.0.0.1:1", "steps": [
		{"name": "a", "path": "/", "expect": {"status": 303}}, {"name": "b", "path": "/", "expect": {"status": [200, 404]}}]}`
	var j Journey
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	if j.Rate != 5 || !cmp.Equal(j.Steps[0].Expect.Status, Statuses{303}) || len(j.Steps[1].Expect.Status) != 2 {
		t.Errorf("journey: %+v", j)
	}
	again, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	var second Journey
	if err := json.Unmarshal(again, &second); err != nil || !cmp.Equal(j, second) {
		t.Errorf("after a round trip: %v, %s", err, cmp.Diff(j, second))
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{"50/s": 50, "300/m": 5, " 36 / h ": 0.01, "7": 7} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0/s", "-1/s", "x/s", "5/d", "NaN", "Inf/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		}
	}
}

func TestTemplatesCannotBreakOutOfTheirPlace(t *testing.T) {
	v := values{"x": "a/../b?c=d&e#f", "link": "/next?a=b", "evil": "http://elsewhere.test/"}
	w := &Witness{base: mustParse(t, "http://shop.test/app")}
	for path, want := range map[string]string{
		"/p/{x}":      "http://shop.test/app/p/a%2F..%2Fb%3Fc=d&e%23f",
		"/p?q={x}&r=": "http://shop.test/app/p?q=a%2F..%2Fb%3Fc%3Dd%26e%23f&r=",
		"{link}":      "http://shop.test/app/next?a=b",
	} {
		got, err := w.target(path, v)
		if err != nil || got.String() != want {
			t.Errorf("target(%q) = %v, %v; want %s", path, got, err, want)
		}
	}
	if got, err := w.target("{evil}", v); err == nil {
		t.Errorf("a captured link led to another site: %v", got)
	}
	if _, err := w.target("/{gone}", v); err == nil {
		t.Error("a path with a missing value was made")
	}
}

func TestTemplateWithoutPlaceholdersIsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z{}0-9 "$]{0,20}`).Draw(t, "text")
		parsed := parseTemplate(text)
		v := values{}
		for _, name := range parsed.names() {
			v[name] = "{" + name + "}"
		}
		if got, err := parsed.fill(v, nil); err != nil || got != text {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
	})
}

func TestExtractAndCount(t *testing.T) {
	a := &answer{body: []byte(`{"n": 2, "list": [{"id": "o-1"}, {"id": "o-1"}], "ok": true, "no": false, "nil": null, "big": 12345678901234567}`)}
	for path, want := range map[string]int{"n": 2, "list": 2, "ok": 1, "no": 0, "nil": 0, "gone": 0, "list.0.id": 1, "list.9.id": 0, "n.deep": 0} {
		if got, err := (Extract{JSON: path}).count(a, ""); err != nil || got != want {
			t.Errorf("count of %s = %d, %v; want %d", path, got, err, want)
		}
	}
	if got, err := (Extract{Regexp: `"id": "{id}"`}).count(a, "o-1"); err != nil || got != 2 {
		t.Errorf("count by pattern = %d, %v; want 2", got, err)
	}
	if got, err := (Extract{JSON: "big"}).value(a); err != nil || got != "12345678901234567" {
		t.Errorf("big number = %q, %v", got, err)
	}
	if got, err := (Extract{Regexp: `"n": (\d)`}).value(a); err != nil || got != "2" {
		t.Errorf("group = %q, %v", got, err)
	}
	for _, missing := range []Extract{{JSON: "gone"}, {Regexp: "zzz"}, {Header: "X"}, {Cookie: "c"}} {
		if got, err := missing.value(a); err == nil {
			t.Errorf("%s = %q, want an error", missing, got)
		}
	}
}

func TestReportsSubtractWithoutGoingBelowZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64Range(0, 9), 4, 4)
		draw := func(name string) Report {
			n := numbers.Draw(t, name)
			return Report{
				Run: "r", Requests: n[0], Failed: n[1], Failures: map[string]int64{"a": n[2]}, Logouts: n[:2], Moves: n[1:],
				Steps: map[string]StepCount{"s": {Done: n[3]}}, Writes: WriteCount{Lost: n[2]}, Sockets: SocketCount{Cut: n[0]},
			}
		}
		d := draw("now").Since(draw("earlier"))
		for _, n := range append([]int64{d.Requests, d.Failed, d.Failures["a"], d.Steps["s"].Done, d.Writes.Lost, d.Sockets.Cut}, append(d.Logouts, d.Moves...)...) {
			if n < 0 {
				t.Fatalf("below zero: %+v", d)
			}
		}
	})
}
