package evidence_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestSoftRankOverAllOrders: whichever of the servers is the candidate, E is 1 on average.
func TestSoftRankOverAllOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-6, 6), 2, 8).Draw(t, "values")
		sum := 0.0
		for i := range values {
			s := evidence.NewSoftRank(len(values) - 1)
			s.Add(values[i], append(append([]float64{}, values[:i]...), values[i+1:]...))
			sum += s.E()
		}
		if mean := sum / float64(len(values)); math.Abs(mean-1) > 1e-9 {
			t.Fatalf("E is %v on average", mean)
		}
	})
}

func TestSoftRankAtItsFastest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ others, windows int }{{1, 7}, {3, 4}, {9, 2}, {0, 0}} {
		if got := evidence.NewSoftRank(test.others).Fastest(100); got != test.windows {
			t.Errorf("E = 100 with %d others takes %d windows at least, want %d", test.others, got, test.windows)
		}
	}
	// What is worse by 20 deviations takes one window more than the bound with 9 others, since the mean over λ costs up to a factor of 3.
	for _, test := range []struct{ others, windows int }{{1, 7}, {3, 4}, {9, 2}} {
		s, windows := evidence.NewSoftRank(test.others), 0
		for ; s.E() < 100*(1-1e-3); windows++ {
			s.Add(20, make([]float64, test.others))
		}
		if windows > test.windows+1 {
			t.Errorf("E = 100 with %d others took %d windows", test.others, windows)
		}
	}
}

func TestSoftRankFalseAlarms(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(15, 16))
	const runs, windows, alpha = 2000, 24, 0.01
	for _, others := range []int{1, 3, 9} {
		alarms, z := 0.0, make([]float64, others)
		for range runs {
			s := evidence.NewSoftRank(others)
			for range windows {
				for i := range z {
					z[i] = random.NormFloat64()
				}
				if s.Add(random.NormFloat64(), z); s.LogE() >= -math.Log(alpha) {
					alarms++
					break
				}
			}
		}
		t.Logf("%d others: %.4f of A/A alarm (alpha %v)", others, alarms/runs, alpha)
		if alarms/runs > alpha {
			t.Errorf("%d others: %.4f of A/A alarm", others, alarms/runs)
		}
	}
}

func TestSoftRankOfWildValues(t *testing.T) {
	t.Parallel()
	s := evidence.NewSoftRank(2)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		s.Add(v, []float64{1, 2})
		s.Add(5, []float64{v, v})
	}
	s.Add(5, nil)
	if s.LogE() != 0 {
		t.Errorf("what cannot be weighed weighs %v", s.LogE())
	}
	for range 100 {
		s.Add(1e300, []float64{-1e300, math.NaN()})
		s.Add(-1e300, []float64{1e300, 1e300})
	}
	if l := s.LogE(); math.IsNaN(l) || math.IsInf(l, 0) {
		t.Errorf("log E %v", l)
	}
}
