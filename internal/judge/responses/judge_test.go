package responses_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/responses"
)

var _ judge.Judge = (*responses.Judge)(nil)

// service answers with fields that differ from server to server and from time to time, each as often as it does.
type service struct {
	random *rand.Rand
	noise  []float64
}

func newService(seed uint64, fields int) *service {
	s := &service{random: rand.New(rand.NewPCG(seed, 1))}
	for i := range fields {
		rate := []float64{0.005, 0.02, 0.1, 0.3, 0.8, 1}[i%6]
		s.noise = append(s.noise, rate)
	}
	return s
}

// answer is one server's; change is put in as it is.
func (s *service) answer(change string) responses.Answer {
	var body strings.Builder
	body.WriteString(`{"name":"lamp"`)
	for i, rate := range s.noise {
		value := 0
		if s.random.Float64() < rate {
			value = s.random.IntN(1000)
		}
		fmt.Fprintf(&body, `,"f%d":%d`, i, value)
	}
	body.WriteString(change + "}")
	a := jsonAnswer(body.String())
	if s.random.Float64() < 0.01 {
		a = responses.Answer{Failure: "timeout"}
	}
	return a
}

func (s *service) triple(route, stable, candidate string, secondaries int) responses.Triple {
	t := responses.Triple{Route: route, Primary: s.answer(stable), Candidate: s.answer(candidate)}
	for range secondaries {
		t.Secondaries = append(t.Secondaries, s.answer(stable))
	}
	return t
}

func weigh(j *responses.Judge, t *responses.Tally) segue.Verdict {
	return segue.Combine(time.Time{}, j.Weigh(judge.Evidence{Stable: "v1", Candidate: "v2", Answers: t.Window()}))
}

// A release that changes nothing is failed or held at any of many looks with probability alpha at most.
func TestNoiseNeverAlarms(t *testing.T) {
	t.Parallel()
	const alpha, worlds, looks, perLook = 0.05, 150, 10, 10
	alarms := 0
	for seed := range uint64(worlds) {
		s, tally, j := newService(seed, 18), responses.NewTally(), responses.New(alpha)
		secondaries := 1 + int(seed%3)
	world:
		for range looks {
			for i := range perLook {
				tally.Add(s.triple(fmt.Sprintf("GET /r%d", i%2), "", "", secondaries))
			}
			switch v := weigh(j, tally); v.Ruling {
			case segue.RulingFail, segue.RulingHold:
				alarms++
				t.Logf("seed %d: %v", seed, v.Findings[0].Text)
				break world
			default:
			}
		}
	}
	t.Logf("%d of %d worlds alarmed, %v allowed", alarms, worlds, alpha)
	if float64(alarms) > alpha*worlds {
		t.Errorf("%d of %d worlds alarmed, at most %v may", alarms, worlds, alpha*worlds)
	}
}

// One changed field is found within 12 comparisons in which it differs; among many fields of noise, which have a share of the error rate too,
// within 16.
func TestOneChangedFieldIsFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stable, candidate string
		ruling            segue.Ruling
		path              string
	}{
		"missing": {`,"vat":19`, ``, segue.RulingFail, "body:$.vat missing"},
		"type":    {`,"vat":19`, `,"vat":"19"`, segue.RulingFail, "body:$.vat type"},
		"value":   {`,"vat":19`, `,"vat":7`, segue.RulingHold, "body:$.vat value"},
		"extra":   {``, `,"vat":7`, segue.RulingReport, "body:$.vat extra"},
		"broken":  {``, `,`, segue.RulingFail, "body.class type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				noise := 6 * rapid.IntRange(0, 2).Draw(t, "noise")
				most := map[bool]int{true: 12, false: 16}[noise == 0]
				s := newService(rapid.Uint64().Draw(t, "seed"), noise)
				tally, j := responses.NewTally(), responses.New(0.01)
				differ := 0
				for differ < most {
					triple := s.triple("GET /items/{id}", test.stable, test.candidate, 1)
					for _, d := range responses.Compare(triple) {
						if d.Path+" "+d.Kind == test.path && d.Candidate {
							differ++
						}
					}
					tally.Add(triple)
					if f, found := find(weigh(j, tally), test.path); found {
						if f.Ruling != test.ruling || f.Sample == "" || f.Evidence < f.Threshold || f.Baseline != 0 {
							t.Fatalf("found as %+v, want %s", f, test.ruling)
						}
						return
					}
				}
				t.Fatalf("not found after %d comparisons in which it differs", differ)
			})
		})
	}
}

func find(v segue.Verdict, path string) (segue.Finding, bool) {
	for _, f := range v.Findings {
		if strings.HasSuffix(f.Fingerprint, strings.ReplaceAll(path, " ", "|")) {
			return f, true
		}
	}
	return segue.Finding{}, false
}

func TestThreeSecondariesFindItSooner(t *testing.T) {
	t.Parallel()
	took := func(secondaries int) (n int) {
		s, tally, j := newService(1, 0), responses.NewTally(), responses.New(0.01)
		for n = 1; n < 50; n++ {
			tally.Add(s.triple("GET /", `,"vat":19`, ``, secondaries))
			if weigh(j, tally).Ruling == segue.RulingFail {
				return n
			}
		}
		return n
	}
	if one, three := took(1), took(3); three >= one || three > 7 {
		t.Errorf("found after %d requests with one secondary and %d with three", one, three)
	}
}

func TestMirrorFailuresAreTheirOwnKind(t *testing.T) {
	t.Parallel()
	tally, j := responses.NewTally(), responses.New(0.01)
	fine := jsonAnswer(`{}`)
	var v segue.Verdict
	for i := range 14 { // on 14 routes: over all together it shows
		candidate := responses.Answer{Failure: "timeout"}
		if i%2 == 0 {
			candidate = responses.Answer{Status: 500}
		}
		tally.Add(responses.Triple{
			Route: fmt.Sprintf("GET /r%d", i), Primary: fine, Candidate: candidate, Secondaries: []responses.Answer{fine},
		})
		v = weigh(j, tally)
	}
	f, found := find(v, "answer mirror:")
	if v.Ruling != segue.RulingFail || !found || !strings.Contains(f.Text, "all routes, answer (mirror)") {
		t.Errorf("verdict is %+v", v)
	}
}

func TestPasses(t *testing.T) {
	t.Parallel()
	s, tally, j := newService(7, 6), responses.NewTally(), responses.New(0.01)
	if v := weigh(j, tally); v.Ruling != segue.RulingInconclusive {
		t.Errorf("nothing seen is %s", v.Ruling)
	}
	for range 90 {
		tally.Add(s.triple("GET /", "", "", 1))
	}
	if v := weigh(j, tally); v.Ruling != segue.RulingInconclusive {
		t.Errorf("too little seen is %s", v.Ruling)
	}
	for range 40 {
		tally.Add(s.triple("GET /", "", "", 1))
	}
	v := weigh(j, tally)
	if v.Ruling != segue.RulingPass {
		t.Errorf("verdict is %+v, want a pass", v)
	}
	if last := v.Findings[len(v.Findings)-1].Text; !strings.Contains(last, "GET /, body:$.f5 (value)") {
		t.Errorf("noisy places are not listed: %s", last)
	}
}

func rows(t *responses.Tally, kind string) map[string]judge.AnswerCount {
	found := map[string]judge.AnswerCount{}
	for _, r := range t.Window() {
		if r.Kind == kind {
			found[r.Route+" "+r.Path] = r
		}
	}
	return found
}

func TestTallyCountsSides(t *testing.T) {
	t.Parallel()
	tally := responses.NewTally()
	one, other := jsonAnswer(`{"a":1}`), jsonAnswer(`{"a":2}`)
	add := func(n int, candidate, secondary responses.Answer) {
		for range n {
			tally.Add(responses.Triple{
				Method: "GET", Path: "/items/1234", Primary: one, Candidate: candidate, Secondaries: []responses.Answer{secondary},
			})
		}
	}
	add(3, other, one)
	add(2, one, other)
	add(5, other, jsonAnswer(`{"a":3}`))
	add(4, one, one)
	got := rows(tally, responses.KindValue)["GET /items/{id} body:$.a"]
	want := judge.AnswerCount{
		Route: "GET /items/{id}", Path: "body:$.a", Kind: "value", Candidate: 3, Stable: 2, Compared: 14, Secondaries: 1, Sample: "1 → 2",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again := tally.Window(); len(again) != 0 {
		t.Errorf("a window without requests has %+v", again)
	}
}

func TestTallyLearnsNoise(t *testing.T) {
	t.Parallel()
	tally := responses.NewTally()
	noisy := func() bool { return rows(tally, responses.KindValue)["GET / body:$.a"].Noisy }
	for i := range 19 {
		tally.Add(responses.Triple{
			Method: "GET", Primary: jsonAnswer(`{"a":0}`), Candidate: jsonAnswer(`{"a":0}`),
			Secondaries: []responses.Answer{jsonAnswer(fmt.Sprintf(`{"a":%d}`, 1+i))},
		})
	}
	if noisy() {
		t.Error("a path is masked after 19 comparisons")
	}
	tally.Add(responses.Triple{
		Method: "GET", Primary: jsonAnswer(`{"a":0}`), Candidate: jsonAnswer(`{"a":1}`), Secondaries: []responses.Answer{jsonAnswer(`{"a":0}`)},
	})
	if !noisy() {
		t.Error("a path that differs in 19 of 20 comparisons among stable servers is not masked")
	}
}

func TestTallyLeavesOut(t *testing.T) {
	t.Parallel()
	tally := responses.NewTally()
	at := time.Unix(1000, 0)
	fine := responses.Triple{
		Route: "GET /", Primary: responses.Answer{Status: 200, At: at}, Candidate: responses.Answer{Status: 200, At: at.Add(time.Second)},
		Secondaries: []responses.Answer{{Status: 200, At: at.Add(2 * time.Second)}},
	}
	raced, late, alone, failed := fine, fine, fine, fine
	raced.Raced = true
	late.Candidate.At = at.Add(2*time.Second + 1)
	alone.Secondaries = nil
	failed.Primary = responses.Answer{Failure: "reset"}
	for _, triple := range []responses.Triple{fine, raced, late, alone, failed, fine} {
		tally.Add(triple)
	}
	got := map[string]int64{}
	for _, r := range tally.Window() {
		got[r.Kind+" "+r.Path] += r.Compared
	}
	want := map[string]int64{
		"compared ": 2, "left out a write under the same path meanwhile": 1, "left out asked more than 2 s apart": 1,
		"left out no answer of stable servers to compare with": 2,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	tally, j := responses.NewTally(), responses.New(0.01)
	word := func(i int) string { return string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676)}) }
	for i := range 300 {
		var fields []string
		for f := range 20 {
			fields = append(fields, fmt.Sprintf("%q:1", word(i*20+f)))
		}
		tally.Add(responses.Triple{
			Route: "GET /" + word(i), Primary: jsonAnswer(`{}`), Candidate: jsonAnswer("{" + strings.Join(fields, ",") + "}"),
			Secondaries: []responses.Answer{jsonAnswer(`{}`)},
		})
	}
	window := tally.Window()
	routes, left := map[string]bool{}, map[string]int64{}
	paths := 0
	for _, r := range window {
		switch r.Kind {
		case responses.KindCompared:
			routes[r.Route] = true
		case responses.KindLeftOut:
			left[r.Path] = r.Compared
		default:
			paths++
		}
	}
	if len(routes) != 201 || paths != 2000 || left["requests of more than 200 routes"] != 100 || left["differences at more than 2,000 paths"] != 4000 {
		t.Errorf("%d routes, %d paths, left out %v", len(routes), paths, left)
	}
	texts := ""
	for _, f := range j.Weigh(judge.Evidence{Candidate: "v2", Answers: window}) {
		texts += f.Text + "\n"
	}
	if !strings.Contains(texts, "left out 4000 times") {
		t.Errorf("what is left out is not told:\n%s", texts)
	}
}

func TestRouteOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/":                     "GET /",
		"/items/17/reviews":     "GET /items/{id}/reviews",
		"/v2/utf8/a1b2c3d4e5":   "GET /v2/utf8/{id}",
		"/a/b/c/d/e/f/g/h/i/j":  "GET /a/b/c/d/e/f/g/h/**",
		"/files/größe":          "GET /files/{id}",
		"/0b51d7e0-1a/download": "GET /{id}/download",
	} {
		if got := responses.RouteOf("GET", path); got != want {
			t.Errorf("route of %s is %s, want %s", path, got, want)
		}
	}
}
