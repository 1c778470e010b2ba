package responses

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// needed is how many compared requests a pass takes.
const needed = 100

// suspicious is the evidence from which on a path may not pass yet, though it does not decide: 20 to 1.
const suspicious = 20

// entered is how many requests must have told a place's two sides apart before it is entered in the book. Nothing can be decided below, and what
// seldom differs must not take a share of the error rate from what always does. It counts both sides alike, as it has to.
const entered = 4

// known are the places that are tested over all routes together from the start; everything else is entered when it is first seen to differ.
// Each has at most one event per request.
func known() []place {
	return []place{{PathAnswer, KindMirror}, {PathStatus, KindStatus}, {pathType, KindValue}, {PathClass, KindType}}
}

// Judge weighs the differences of one rollout. For each route, path and kind it keeps a split e-process of "only the candidate differs" against
// "only a second stable server does", at exposures 1 to as many second servers as were asked: exact, whatever the noise. A book decides over
// all of them at the error rate.
//
// What it means: no answer, another status, a missing field and another type fail; another value, size, text or header holds, since only
// people know whether it was meant; new fields and another order are reported.
type Judge struct {
	alpha    float64
	book     *evidence.Book
	streams  map[stream]*tested
	compared int64
	leftOut  map[string]int64
}

// stream is what is tested.
type stream struct {
	route string
	place
}

func (s stream) id() string { return s.route + "|" + s.path + "|" + s.kind }

// tested is a stream with its evidence.
type tested struct {
	stream
	process           *evidence.Process
	candidate, stable int64
	compared          int64
	noisy             bool
	sample            string
}

// New makes the judge of one rollout, which fails or holds one that changes nothing with probability alpha at most.
func New(alpha float64) *Judge {
	j := &Judge{alpha: alpha, book: evidence.NewBook(alpha), streams: map[stream]*tested{}, leftOut: map[string]int64{}}
	for _, at := range known() {
		s := stream{Elsewhere, at}
		j.streams[s] = newTested(s)
		j.book.Known(s.id(), 1)
	}
	return j
}

func newTested(s stream) *tested {
	return &tested{stream: s, process: evidence.NewProcess(evidence.Options{Null: 1, Only: true})}
}

// Name is "responses".
func (j *Judge) Name() string { return "responses" }

// Weigh takes the next window.
func (j *Judge) Weigh(window judge.Evidence) []segue.Finding {
	rows := slices.Clone(window.Answers)
	// Those with most events are entered first, since the first have the largest share of the error rate; whose events they are plays no part.
	slices.SortStableFunc(rows, func(a, b judge.AnswerCount) int { return cmp.Compare(b.Candidate+b.Stable, a.Candidate+a.Stable) })
	for _, r := range rows {
		j.add(r)
	}
	rejected := map[string]bool{}
	for _, id := range j.book.Rejected() {
		rejected[id] = true
	}
	var findings []segue.Finding
	decided := false
	for _, t := range j.sorted() {
		if rejected[t.id()] && !j.covered(t, rejected) {
			f := j.finding(t, window)
			f.Threshold = finite(j.book.Threshold(t.id()) / float64(len(rejected))) // of several that are decided together
			findings = append(findings, f)
			decided = decided || t.ruling() != segue.RulingReport
		}
	}
	if !decided {
		findings = append(findings, j.overall(window))
	}
	return append(findings, j.reports(window)...)
}

func (j *Judge) add(r judge.AnswerCount) {
	switch r.Kind {
	case KindCompared:
		j.compared += r.Compared
		return
	case KindLeftOut:
		j.leftOut[r.Path] += r.Compared
		return
	}
	s := stream{r.Route, place{r.Path, r.Kind}}
	t := j.streams[s]
	if t == nil {
		t = newTested(s)
		j.streams[s] = t
	}
	t.noisy = r.Noisy
	t.add(r)
	if t.candidate+t.stable >= entered {
		j.book.Set(s.id(), t.process.LogE())
	}
	pooled := place{r.Path, r.Kind}
	if strings.HasPrefix(r.Kind, KindMirror) {
		pooled.kind = KindMirror
	}
	if all := j.streams[stream{Elsewhere, pooled}]; all != nil && all != t {
		all.add(r)
		j.book.Set(all.id(), all.process.LogE())
	}
}

// add weighs one row. A noisy path is weighed no further: that only takes evidence away, from either side alike.
func (t *tested) add(r judge.AnswerCount) {
	t.compared += r.Compared
	if r.Noisy || r.Candidate < 0 || r.Stable < 0 {
		return
	}
	t.candidate += r.Candidate
	t.stable += r.Stable
	if r.Sample != "" && (r.Candidate > 0 || t.sample == "") {
		t.sample = r.Sample
	}
	t.process.Add(evidence.Split{
		Candidate: float64(r.Candidate), Others: float64(r.Stable), CandidateExposure: 1, OthersExposure: float64(max(1, r.Secondaries)),
	})
}

// sorted gives the streams with the strongest evidence first.
func (j *Judge) sorted() []*tested {
	all := make([]*tested, 0, len(j.streams))
	for _, t := range j.streams {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *tested) int {
		return cmp.Or(cmp.Compare(b.process.LogE(), a.process.LogE()), cmp.Compare(a.id(), b.id()))
	})
	return all
}

// covered says that a place over all routes needs no finding, since one of its routes has one.
func (j *Judge) covered(t *tested, rejected map[string]bool) bool {
	if t.route != Elsewhere {
		return false
	}
	for s := range j.streams {
		if s.route != Elsewhere && s.path == t.path && strings.HasPrefix(s.kind, t.kind) && rejected[s.id()] {
			return true
		}
	}
	return false
}

// overall passes once enough was compared and nothing is suspicious.
func (j *Judge) overall(window judge.Evidence) segue.Finding {
	f := segue.Finding{
		Judge: j.Name(), Ruling: segue.RulingInconclusive, Release: window.Candidate, Unit: "requests",
		Value: float64(j.compared), Samples: j.compared, BaselineSamples: j.compared, Needed: needed, ErrorRate: j.alpha,
	}
	var worst *tested
	for _, t := range j.streams {
		if t.ruling() != segue.RulingReport && t.process.LogE() >= math.Log(suspicious) && (worst == nil || t.process.LogE() > worst.process.LogE()) {
			worst = t
		}
	}
	switch {
	case j.compared < needed:
		f.Text = fmt.Sprintf("not enough data yet: answers to %d requests were compared, %d needed", j.compared, needed)
	case worst != nil:
		f.Text = fmt.Sprintf("answers of %s may differ at %s, which is not certain yet", window.Candidate, worst.where())
	default:
		f.Ruling = segue.RulingPass
		f.Text = fmt.Sprintf("answers of %s to %d requests differ from those of %s no more than stable servers' do",
			window.Candidate, j.compared, stableName(window))
	}
	return f
}

// ruling is what a difference means, once it is certain.
func (t *tested) ruling() segue.Ruling {
	switch t.kind {
	case KindStatus, KindMissing, KindType:
		if strings.HasPrefix(t.path, pathHeader) {
			return segue.RulingHold
		}
		return segue.RulingFail
	case KindExtra, KindOrder:
		return segue.RulingReport
	default:
		if strings.HasPrefix(t.kind, KindMirror) {
			return segue.RulingFail
		}
		return segue.RulingHold
	}
}

func (t *tested) where() string {
	route := t.route
	if route == Elsewhere {
		route = "all routes"
	}
	return fmt.Sprintf("%s, %s (%s)", route, t.path, strings.TrimSuffix(t.kind, ":"))
}

func (j *Judge) finding(t *tested, window judge.Evidence) segue.Finding {
	low, high := t.process.Interval(j.alpha)
	return segue.Finding{
		Judge: j.Name(), Ruling: t.ruling(), Release: window.Candidate, Unit: "count",
		Value: float64(t.candidate), Baseline: float64(t.stable), Samples: t.compared, BaselineSamples: t.compared, ErrorRate: j.alpha,
		Text: fmt.Sprintf("%s: only %s differs from %s in %d requests, only a second stable server in %d (%d compared)",
			t.where(), window.Candidate, stableName(window), t.candidate, t.stable, t.compared),
		Fingerprint: t.id(), Sample: t.sample, Evidence: t.process.E(),
		Low: low, High: finite(high),
	}
}

// finite is 0 for infinity, which JSON has no word for.
func finite(v float64) float64 {
	if math.IsInf(v, 0) {
		return 0
	}
	return v
}

// reports tell what was not looked at.
func (j *Judge) reports(window judge.Evidence) []segue.Finding {
	const shownPaths = 5
	var findings []segue.Finding
	report := func(n int64, text string) {
		findings = append(findings, segue.Finding{
			Judge: j.Name(), Ruling: segue.RulingReport, Release: window.Candidate, Unit: "count", Value: float64(n), Samples: j.compared, Text: text,
		})
	}
	var noisy []string
	for _, t := range j.streams {
		if t.noisy {
			noisy = append(noisy, t.where())
		}
	}
	if n := len(noisy); n > 0 {
		slices.Sort(noisy)
		places := "1 place"
		if n > 1 {
			places = fmt.Sprintf("%d places", n)
		}
		text := strings.Join(noisy[:min(n, shownPaths)], "; ")
		if more := n - shownPaths; more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
		report(int64(n), fmt.Sprintf("not compared at %s, where stable servers differ from each other: %s", places, text))
	}
	for _, reason := range slices.Sorted(maps.Keys(j.leftOut)) {
		report(j.leftOut[reason], fmt.Sprintf("left out %d times: %s", j.leftOut[reason], reason))
	}
	return findings
}

func stableName(window judge.Evidence) string { return cmp.Or(string(window.Stable), "stable") }
