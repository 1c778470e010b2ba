package evidence_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// split is a bin with equal exposure of each server.
func split(candidate, others float64, servers int) evidence.Split {
	return evidence.Split{Candidate: candidate, Others: others, CandidateExposure: 1, OthersExposure: float64(servers)}
}

// TestLinesOnlyOnCandidate: how many lines that no other server writes it takes.
func TestLinesOnlyOnCandidate(t *testing.T) {
	t.Parallel()
	wanted := []float64{20, 100, 1000, 16000}
	for _, test := range []struct {
		others int
		null   float64
		lines  [4]int
	}{
		{1, 1, [4]int{5, 8, 12, 16}},
		{1, 2, [4]int{9, 13, 19, 26}},
		{2, 1, [4]int{4, 5, 8, 10}},
		{2, 2, [4]int{5, 8, 12, 16}},
		{3, 1, [4]int{3, 4, 6, 8}},
		{3, 2, [4]int{4, 6, 9, 12}},
		{9, 1, [4]int{2, 3, 4, 5}},
		{9, 2, [4]int{3, 4, 5, 7}},
		{49, 1, [4]int{2, 2, 3, 3}},
		{49, 2, [4]int{2, 2, 3, 4}},
	} {
		t.Run(fmt.Sprintf("%d others, null %v", test.others, test.null), func(t *testing.T) {
			t.Parallel()
			for i, e := range wanted {
				p := evidence.NewProcess(evidence.Options{Null: test.null, Only: true})
				lines := 0
				for ; p.E() < e; lines++ {
					p.Add(split(1, 0, test.others))
				}
				if lines != test.lines[i] {
					t.Errorf("E >= %v after %d lines, want %d", e, lines, test.lines[i])
				}
			}
		})
	}
}

// TestExpectationUnderNull enumerates all ways a bin can fall and finds E[L] <= 1 for every true ratio up to the null, at any past.
func TestExpectationUnderNull(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		null := rapid.Float64Range(0.2, 4).Draw(t, "null")
		theta := null * rapid.Float64Range(0.01, 1).Draw(t, "true ratio of null")
		r := math.Exp(rapid.Float64Range(-5, 5).Draw(t, "log exposure ratio"))
		n := rapid.IntRange(1, 40).Draw(t, "events")
		phi := rapid.SampledFrom([]float64{1, 1, 2.5}).Draw(t, "dispersion")
		o := evidence.Options{Null: null, Only: rapid.Bool().Draw(t, "only")}
		var past []evidence.Split
		for range rapid.IntRange(0, 3).Draw(t, "bins before") {
			past = append(past, split(float64(rapid.IntRange(0, 20).Draw(t, "k")), float64(rapid.IntRange(0, 20).Draw(t, "o")), 3))
		}
		after := func(more ...evidence.Split) float64 {
			p := evidence.NewProcess(o)
			for _, s := range append(past, more...) {
				p.Add(s)
			}
			return p.LogE()
		}
		share, before, expected := theta*r/(theta*r+1), after(), 0.0
		for k := range n + 1 {
			logE := after(evidence.Split{Candidate: float64(k) / phi, Others: float64(n-k) / phi, CandidateExposure: r, OthersExposure: 1})
			expected += math.Exp(logE - before + logBinomial(n, k, share))
		}
		if expected > 1+1e-9 {
			t.Fatalf("E grows by %v on average under a ratio of %v with null %v", expected, theta, null)
		}
		if phi == 1 && theta == null && math.Abs(expected-1) > 1e-9 {
			t.Fatalf("E grows by %v on average at the null itself, want exactly 1", expected)
		}
	})
}

func logBinomial(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p)
}

func TestBinsThatCannotBeWeighedChangeNothing(t *testing.T) {
	t.Parallel()
	p := evidence.NewProcess(evidence.Options{Only: true})
	p.Add(split(3, 1, 3))
	before, totals := p.LogE(), p.Totals()
	for _, bad := range []evidence.Split{
		{},
		{Candidate: 5, CandidateExposure: 1},
		{Candidate: 5, OthersExposure: 1},
		{Candidate: math.NaN(), CandidateExposure: 1, OthersExposure: 1},
		{Candidate: math.Inf(1), CandidateExposure: 1, OthersExposure: 1},
		{Candidate: -5, Others: 9, CandidateExposure: 1, OthersExposure: 1},
		{Candidate: 5, CandidateExposure: math.NaN(), OthersExposure: 1},
		{Candidate: 5, CandidateExposure: math.Inf(1), OthersExposure: math.Inf(1)},
		{Candidate: 5, CandidateExposure: 1e-200, OthersExposure: 1e200},
		{Candidate: 5, CandidateExposure: -1, OthersExposure: -1},
		{Candidate: 1e16, CandidateExposure: 1, OthersExposure: 1},
	} {
		p.Add(bad)
		if p.LogE() != before || p.Totals() != totals {
			t.Errorf("%+v was weighed", bad)
		}
	}
	p.Add(split(0, 0, 3))
	if p.LogE() != before || p.Totals().OthersExposure != 6 {
		t.Errorf("a bin without events: log E %v -> %v, exposures %+v", before, p.LogE(), p.Totals())
	}
}

// TestWildNumbers: whatever comes in, no NaN comes out, and what has no events on the candidate never alarms.
func TestWildNumbers(t *testing.T) {
	t.Parallel()
	wild := func() *rapid.Generator[float64] {
		return rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 100),
			rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324, 1e15, 1e-12, 1e12}))
	}
	rapid.Check(t, func(t *rapid.T) {
		o := evidence.Options{Null: wild().Draw(t, "null"), Low: wild().Draw(t, "low"), High: wild().Draw(t, "high"), Only: rapid.Bool().Draw(t, "only")}
		silent := rapid.Bool().Draw(t, "no events on the candidate")
		p, fine := evidence.NewProcess(o), evidence.NewNonInferior(wild().Draw(t, "limit"))
		for range rapid.IntRange(0, 20).Draw(t, "bins") {
			s := evidence.Split{
				Candidate: wild().Draw(t, "candidate"), Others: wild().Draw(t, "others"),
				CandidateExposure: wild().Draw(t, "exposure"), OthersExposure: wild().Draw(t, "others' exposure"),
			}
			if silent {
				s.Candidate = 0
			}
			p.Add(s)
			fine.Add(s)
			low, high := p.Interval(wild().Draw(t, "alpha"))
			for name, v := range map[string]float64{"log E": p.LogE(), "E": p.E(), "fine": fine.E(), "low": low, "high": high} {
				if math.IsNaN(v) || name != "high" && math.IsInf(v, 0) {
					t.Fatalf("%s is %v after %+v", name, v, s)
				}
			}
			if low > high {
				t.Fatalf("interval [%v, %v]", low, high)
			}
			if silent && p.LogE() > 1e-9 {
				t.Fatalf("log E %v without an event on the candidate", p.LogE())
			}
		}
	})
}

// poisson draws by multiplication, or by the normal approximation for large means.
func poisson(random *rand.Rand, mean float64) float64 {
	if mean > 50 {
		return max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64()))
	}
	limit, product, k := math.Exp(-mean), random.Float64(), 0
	for ; product > limit; k++ {
		product *= random.Float64()
	}
	return float64(k)
}

// paths simulates minutes of errors at a rate per server and minute, with a load that goes up and then down, and tells in how many minutes E
// reached 1/alpha (0: it did not).
func paths(random *rand.Rand, count, minutes, servers int, o evidence.Options, rate, ratio, alpha float64) []int {
	found := make([]int, count)
	for i := range found {
		p := evidence.NewProcess(o)
		for minute := 1; minute <= minutes && found[i] == 0; minute++ {
			load := rate * (1 + 0.5*math.Sin(2*math.Pi*float64(minute)/60))
			p.Add(split(poisson(random, load*ratio), poisson(random, load*float64(servers)), servers))
			if p.LogE() >= -math.Log(alpha) {
				found[i] = minute
			}
		}
	}
	return found
}

// share tells how many of the paths alarmed.
func share(found []int) float64 {
	alarms := 0
	for _, minute := range found {
		if minute > 0 {
			alarms++
		}
	}
	return float64(alarms) / float64(len(found))
}

func TestFalseAlarmsUnderEqualRates(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const count, alpha = 3000, 0.01
	for _, servers := range []int{1, 3, 9} {
		for _, null := range []float64{1, 1.25} {
			got := share(paths(random, count, 60, servers, evidence.Options{Null: null, Only: true}, 1.8, 1, alpha))
			t.Logf("%d others, null %v: %.4f of A/A alarm (alpha %v)", servers, null, got, alpha)
			if got > alpha {
				t.Errorf("%d others, null %v: %.4f of A/A alarm", servers, null, got)
			}
		}
	}
}
