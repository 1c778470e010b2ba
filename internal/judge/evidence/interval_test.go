package evidence_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestIntervalHoldsTheRatioAllTheTime: in how many rollouts the true ratio is ever outside, with exposures that change.
func TestIntervalHoldsTheRatioAllTheTime(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(25, 26))
	const runs, bins, alpha = 150, 60, 0.05
	for _, ratio := range []float64{0.3, 1, 5} {
		missed, width := 0.0, 0.0
		for range runs {
			p := evidence.NewProcess(evidence.Options{})
			outside := false
			for bin := range bins {
				s := split(0, 0, 3)
				s.CandidateExposure = 0.2 + 1.8*random.Float64()
				s.Candidate, s.Others = poisson(random, 2*ratio*s.CandidateExposure), poisson(random, 6)
				p.Add(s)
				if bin%4 > 0 {
					continue
				}
				low, high := p.Interval(alpha)
				outside = outside || ratio < low || ratio > high
			}
			if outside {
				missed += 1.0 / runs
			}
			low, high := p.Interval(alpha)
			width += math.Log(high/low) / runs
		}
		t.Logf("ratio %v: %.4f ever outside (alpha %v), at the end a factor of %.2f wide", ratio, missed, alpha, math.Exp(width))
		if missed > alpha || !(math.Exp(width) < 4) {
			t.Errorf("ratio %v: %.4f ever outside (alpha %v), at the end a factor of %.2f wide", ratio, missed, alpha, math.Exp(width))
		}
	}
}

func TestIntervalOfLittle(t *testing.T) {
	t.Parallel()
	p := evidence.NewProcess(evidence.Options{})
	if low, high := p.Interval(0.05); low != 0 || !math.IsInf(high, 1) {
		t.Errorf("of nothing: [%v, %v]", low, high)
	}
	p.Add(split(0, 300, 3))
	if low, high := p.Interval(0.05); low != 0 || high > 0.2 {
		t.Errorf("none of 300: [%v, %v]", low, high)
	}
	p = evidence.NewProcess(evidence.Options{})
	p.Add(split(100, 0, 3))
	if low, high := p.Interval(0.05); low < 5 || !math.IsInf(high, 1) {
		t.Errorf("all of 100: [%v, %v]", low, high)
	}
}

// TestNonInferior: an equal candidate is soon proved fine, one at the limit rarely.
func TestNonInferior(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(27, 28))
	proved := func(ratio float64) (share float64) {
		const runs = 1000
		for range runs {
			fine := evidence.NewNonInferior(2)
			for range 60 {
				fine.Add(split(poisson(random, 1.8*ratio), poisson(random, 5.4), 3))
				if fine.E() >= 20 {
					share += 1.0 / runs
					break
				}
			}
		}
		return share
	}
	same, limit := proved(1), proved(2)
	t.Logf("proved fine within an hour: %.3f of equal ones, %.3f of those at the limit", same, limit)
	if same < 0.9 || limit > 0.05 {
		t.Errorf("proved fine: %.3f of equal ones, %.3f of those at the limit", same, limit)
	}
}

func TestSwapTwiceIsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64()
		s := evidence.Split{
			Candidate: value.Draw(t, "candidate"), Others: value.Draw(t, "others"),
			CandidateExposure: value.Draw(t, "exposure"), OthersExposure: value.Draw(t, "others' exposure"),
		}
		if s.Swap().Swap() != s {
			t.Fatalf("%+v swapped twice is %+v", s, s.Swap().Swap())
		}
	})
}

func TestLogMean(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		logs []float64
		want float64
	}{
		"nothing":     {nil, 0},
		"one":         {[]float64{3}, 3},
		"two":         {[]float64{math.Log(10), math.Log(30)}, math.Log(20)},
		"far apart":   {[]float64{5000, -5000}, 5000 - math.Ln2},
		"with a zero": {[]float64{math.Inf(-1), math.Log(8)}, math.Log(4)},
		"with a NaN":  {[]float64{math.NaN(), math.Log(8)}, math.Log(4)},
	} {
		if got := evidence.LogMean(test.logs...); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
