package responses_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/responses"
)

func jsonAnswer(body string) responses.Answer {
	return responses.Answer{Status: 200, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

// against compares one answer with the primary's, the secondary's being like the primary's.
func against(primary, candidate responses.Answer) []string {
	return told(responses.Compare(responses.Triple{
		Method: "GET", Path: "/items/7", Primary: primary, Candidate: candidate, Secondaries: []responses.Answer{primary},
	}))
}

func told(differences []responses.Difference) []string {
	var lines []string
	for _, d := range differences {
		line := d.Path + " " + d.Kind
		if d.Candidate {
			line += " C"
		}
		lines = append(lines, line+strings.Repeat(" S", d.Stables))
	}
	return lines
}

func TestCompareJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		primary, candidate string
		want               []string
	}{
		"the same":                           {`{"a":1,"b":[1,2]}`, `{"b":[1,2],"a":1}`, nil},
		"numbers written otherwise":          {`{"a":1.50,"b":100}`, `{"a":1.5,"b":1e2}`, nil},
		"a hair apart":                       {`{"a":0.30000000000000004}`, `{"a":0.3}`, nil},
		"long whole numbers are exact":       {`{"a":1234567890123456788}`, `{"a":1234567890123456789}`, []string{"body:$.a value C"}},
		"a value":                            {`{"a":{"b":"x"}}`, `{"a":{"b":"y"}}`, []string{"body:$.a.b value C"}},
		"a type":                             {`{"a":1}`, `{"a":"1"}`, []string{"body:$.a type C"}},
		"null is a type":                     {`{"a":1}`, `{"a":null}`, []string{"body:$.a type C"}},
		"a field is missing":                 {`{"a":1,"b":{"c":2}}`, `{"a":1}`, []string{"body:$.b missing C"}},
		"a field is new":                     {`{"a":1}`, `{"a":1,"b":{"c":2}}`, []string{"body:$.b extra C"}},
		"elements differ once":               {`[{"p":1},{"p":2},{"p":3}]`, `[{"p":4},{"p":5},{"p":3}]`, []string{"body:$[].p value C"}},
		"order":                              {`{"a":[1,2,3]}`, `{"a":[3,2,1]}`, []string{"body:$.a order C"}},
		"order of objects":                   {`[{"x":1,"y":2},{"x":3}]`, `[{"x":3},{"y":2,"x":1}]`, []string{"body:$ order C"}},
		"size":                               {`{"a":[1,2,3]}`, `{"a":[1,2]}`, []string{"body:$.a size C"}},
		"by identity":                        {`[{"id":1,"p":1},{"id":2,"p":2}]`, `[{"id":2,"p":2},{"id":1,"p":9}]`, []string{"body:$[id] order C", "body:$[id].p value C"}},
		"one of them is gone":                {`[{"id":"a","p":1},{"id":"b","p":2}]`, `[{"id":"b","p":2}]`, []string{"body:$[id] missing C"}},
		"identities that say nothing":        {`[{"id":"a","p":1}]`, `[{"id":"b","p":2}]`, []string{"body:$[].id value C", "body:$[].p value C"}},
		"keys that are data":                 {`{"u":{"100001":{"n":1},"100002":{"n":2}}}`, `{"u":{"100001":{"n":3},"100002":{"n":4}}}`, []string{"body:$.u{}.n value C"}},
		"odd keys":                           {`{"a.b":1,"":2}`, `{"a.b":2,"":3}`, []string{`body:$[""] value C`, `body:$["a.b"] value C`}},
		"no JSON any more":                   {`{"a":1}`, `{"a":1`, []string{"body.class type C"}},
		"two values are no JSON":             {`{"a":1}`, `{"a":1}{"a":1}`, []string{"body.class type C"}},
		"empty":                              {`{"a":1}`, ``, []string{"body.class type C"}},
		"nothing is told below a type":       {`{"a":{"b":1,"c":2}}`, `{"a":[1,2]}`, []string{"body:$.a type C"}},
		"nested arrays":                      {`[[1,2],[3,4]]`, `[[1,2],[3,5]]`, []string{"body:$[][] value C"}},
		"invalid JSON, both in the same way": {`{"a":`, `{"a":`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, against(jsonAnswer(test.primary), jsonAnswer(test.candidate))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareTheRest(t *testing.T) {
	t.Parallel()
	html := func(body string) responses.Answer {
		return responses.Answer{Status: 200, Header: map[string][]string{"content-type": {"text/html"}}, Body: []byte(body)}
	}
	with := func(a responses.Answer, name string, values ...string) responses.Answer {
		a.Header = maps.Clone(a.Header)
		a.Header[name] = values
		return a
	}
	page := html("<p>It is 12:01</p>")
	for name, test := range map[string]struct {
		primary, candidate responses.Answer
		want               []string
	}{
		"status":                     {page, responses.Answer{Status: 404}, []string{"status status C"}},
		"server error":               {page, responses.Answer{Status: 503}, []string{"answer mirror:5xx C"}},
		"errors of both":             {responses.Answer{Status: 500, Body: []byte("x")}, responses.Answer{Status: 500, Body: []byte("x")}, nil},
		"no answer":                  {page, responses.Answer{Failure: "timeout"}, []string{"answer mirror:timeout C"}},
		"names of fields":            {html(""), responses.Answer{Status: 200, Header: map[string][]string{"Content-Type": {"text/html"}}}, nil},
		"a field is missing":         {with(page, "Cache-Control", "no-store"), page, []string{"header:cache-control missing C"}},
		"a field is new":             {page, with(page, "X-Frame-Options", "DENY"), []string{"header:x-frame-options extra C"}},
		"content type":               {page, with(page, "content-type", "text/plain"), []string{"header:content-type value C"}},
		"dates and ids do not count": {with(page, "Date", "a"), with(with(page, "Date", "b"), "X-Request-Id", "7"), nil},
		"cookies by name":            {with(page, "Set-Cookie", "s=1; Path=/"), with(page, "Set-Cookie", "s=2; Path=/"), nil},
		"another cookie":             {with(page, "Set-Cookie", "s=1"), with(page, "Set-Cookie", "t=1"), []string{"header:set-cookie value C"}},
		"a time in a text":           {page, html("<p>It is 12:02</p>"), []string{"body.text value C"}},
		"another text":               {page, html("<p>It was 12:02</p>"), []string{"body.shape value C", "body.text value C"}},
		"bytes":                      {html("\x00\x01"), html("\x00\x02"), []string{"body value C"}},
		"text to bytes":              {page, html("\x00\x02"), []string{"body.class type C"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, against(test.primary, test.candidate)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareTellsTheSides(t *testing.T) {
	t.Parallel()
	got := told(responses.Compare(responses.Triple{
		Primary: jsonAnswer(`{"at":1,"x":1,"y":1}`), Candidate: jsonAnswer(`{"at":2,"x":2,"y":1}`),
		Secondaries: []responses.Answer{jsonAnswer(`{"at":3,"x":1,"y":2}`), jsonAnswer(`{"at":4,"x":1,"y":1}`)},
	}))
	if diff := cmp.Diff([]string{"body:$.at value C S S", "body:$.x value C", "body:$.y value S"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompareUnpacks(t *testing.T) {
	t.Parallel()
	packed := func(body string, level int) responses.Answer {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, level)
		_, _ = w.Write([]byte(body))
		_ = w.Close()
		a := jsonAnswer(out.String())
		a.Header["Content-Encoding"] = []string{"gzip"}
		return a
	}
	if got := against(packed(`{"a":1,"b":2}`, 1), packed(`{"b":2,"a":1}`, 9)); got != nil {
		t.Errorf("the same in other packing: %v", got)
	}
	if diff := cmp.Diff([]string{"body:$.a value C"}, against(packed(`{"a":1}`, 1), packed(`{"a":2}`, 1))); diff != "" {
		t.Error(diff)
	}
	bomb := packed(strings.Repeat("0", 16<<20), 9)
	if got := against(bomb, bomb); got != nil {
		t.Errorf("a bomb differs from itself: %v", got)
	}
}

func TestCompareIsBounded(t *testing.T) {
	t.Parallel()
	long := func(tail string) responses.Answer {
		return jsonAnswer(`["` + strings.Repeat("x", 10<<20) + tail + `"]`)
	}
	if got := against(long("a"), long("b")); got != nil {
		t.Errorf("bodies of 10 MB differ beyond what is looked at: %v", got)
	}
	cut := jsonAnswer(`{"a":1,"b":[1,2,`)
	cut.Truncated = true
	if got := against(cut, cut); got != nil {
		t.Errorf("a body that was cut differs from itself: %v", got)
	}
	deep := func(inner string) responses.Answer {
		return jsonAnswer(strings.Repeat(`{"a":`, 500) + inner + strings.Repeat("}", 500))
	}
	got := against(deep("1"), deep("2"))
	if len(got) != 1 || strings.Count(got[0], ".a") != 64 {
		t.Errorf("deep nesting: %v", got)
	}
	abyss := jsonAnswer(strings.Repeat("[", 1<<20))
	if got := against(abyss, jsonAnswer("[]")); !slices.Equal(got, []string{"body.class type C"}) {
		t.Errorf("a million brackets: %v", got)
	}
	var wide strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&wide, `,"f%c%c%c":1`, 'a'+i%26, 'a'+i/26%26, 'a'+i/676)
	}
	if got := against(jsonAnswer("{"+wide.String()[1:]+"}"), jsonAnswer("{}")); len(got) != 501 {
		t.Errorf("%d differences are told, want 500 and one for the rest", len(got))
	}
}

func TestSamplesShowNoSecrets(t *testing.T) {
	t.Parallel()
	differences := responses.Compare(responses.Triple{
		Primary:   jsonAnswer(`{"currency":"EUR","price":10.5000000003147,"card":4111.5,"access_token":"abc","key":"sk9f8a7s6d5f4a3s2d1","email":"a@example.org"}`),
		Candidate: jsonAnswer(`{"currency":"USD","price":99.00000000012,"card":4112.5,"access_token":"abd","key":"sk9f8a7s6d5f4a3s2d2","email":"b@example.org"}`),
	})
	samples := map[string]string{}
	for _, d := range differences {
		samples[d.Path] = d.Sample
	}
	want := map[string]string{
		"body:$.currency": `"EUR" → "USD"`, "body:$.access_token": "(5 bytes) → (5 bytes)",
		"body:$.price": "10.5 → 99", "body:$.card": "(6 bytes) → (6 bytes)",
		"body:$.key": "(21 bytes) → (21 bytes)", "body:$.email": "(15 bytes) → (15 bytes)",
	}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// document draws a JSON value.
func document(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64().AsAny(),
		rapid.Float64Range(-1e9, 1e9).AsAny(),
	)
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(
		leaf,
		rapid.MapOfN(rapid.OneOf(rapid.SampledFrom([]string{"id", "name", "price"}), rapid.String()), document(depth-1), 0, 5).AsAny(),
		rapid.SliceOfN(document(depth-1), 0, 4).AsAny(),
	)
}

// shuffled writes a value with its keys in any order and blanks here and there.
func shuffled(t *rapid.T, v any) string {
	blank := func() string { return rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "blank") }
	switch v := v.(type) {
	case map[string]any:
		var parts []string
		for _, key := range rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(t, "keys") {
			name, _ := json.Marshal(key)
			parts = append(parts, blank()+string(name)+blank()+":"+shuffled(t, v[key]))
		}
		return "{" + strings.Join(parts, ",") + blank() + "}"
	case []any:
		var parts []string
		for _, element := range v {
			parts = append(parts, shuffled(t, element))
		}
		return "[" + strings.Join(parts, ","+blank()) + "]"
	default:
		text, _ := json.Marshal(v)
		return blank() + string(text)
	}
}

func TestEqualAnswersDoNotDiffer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := document(3).Draw(t, "value")
		one, other := jsonAnswer(shuffled(t, value)), jsonAnswer(shuffled(t, value))
		if got := against(one, other); got != nil {
			t.Fatalf("%s\n%s\ndiffer: %v", one.Body, other.Body, got)
		}
	})
}

func TestDifferencesAreMutual(t *testing.T) {
	t.Parallel()
	mirrored := map[string]string{responses.KindMissing: responses.KindExtra, responses.KindExtra: responses.KindMissing}
	rapid.Check(t, func(t *rapid.T) {
		one, other := jsonAnswer(shuffled(t, document(3).Draw(t, "one"))), jsonAnswer(shuffled(t, document(3).Draw(t, "other")))
		places := func(a, b responses.Answer, turn bool) map[string]bool {
			found := map[string]bool{}
			for _, d := range responses.Compare(responses.Triple{Primary: a, Candidate: b}) {
				kind := d.Kind
				if to, there := mirrored[kind]; turn && there {
					kind = to
				}
				found[d.Path+" "+kind] = true
			}
			return found
		}
		if diff := cmp.Diff(places(one, other, false), places(other, one, true)); diff != "" {
			t.Fatalf("%s\n%s\n(-forth +back):\n%s", one.Body, other.Body, diff)
		}
	})
}

func FuzzCompare(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"id":2}]}`, "\x00\xff", "<p>1</p>", `[[[[`, "\x1f\x8b\x08"} {
		f.Add([]byte(seed), []byte(`{"a":[{"id":2},1]}`), "application/json", "gzip", false)
	}
	f.Fuzz(func(t *testing.T, a, b []byte, kind, encoding string, cut bool) {
		one := responses.Answer{Status: 200, Header: map[string][]string{"Content-Type": {kind}, "Content-Encoding": {encoding}}, Body: a}
		other := one
		other.Body, other.Truncated = b, cut
		if got := against(one, one); got != nil {
			t.Errorf("an answer differs from itself: %v", got)
		}
		for _, d := range responses.Compare(responses.Triple{Primary: one, Candidate: other, Secondaries: []responses.Answer{other}}) {
			if !d.Candidate || d.Stables != 1 {
				t.Errorf("the same answers differ in another way: %+v", d)
			}
		}
	})
}
