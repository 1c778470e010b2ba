package evidence_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestGrowthOfNothing: values that are exchangeable reach 1/α in α of the series at most, whatever their distribution and however long one looks.
func TestGrowthOfNothing(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(41, 42))
	const runs, long, alpha = 1000, 60, 0.05
	for name, draw := range map[string]func() float64{
		"normal":   random.NormFloat64,
		"heavy":    func() float64 { return math.Tan(3 * (random.Float64() - 0.5)) },
		"integers": func() float64 { return float64(random.IntN(3)) },
		"constant": func() float64 { return 7 },
	} {
		alarms := 0.0
		for range runs {
			g := evidence.NewGrowth()
			for range long {
				if g.Add(draw()); g.E() >= 1/alpha {
					alarms++
					break
				}
			}
		}
		t.Logf("%s: %.4f reach %v", name, alarms/runs, 1/alpha)
		if alarms/runs > alpha+2*math.Sqrt(alpha*(1-alpha)/runs) {
			t.Errorf("%s: %.4f reach %v", name, alarms/runs, 1/alpha)
		}
	}
}

// TestGrowthIsFound: in how many values, from the start and late.
func TestGrowthIsFound(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(43, 44))
	for _, test := range []struct {
		name          string
		late          int
		step          float64 // in deviations
		least, atMost int
	}{{"at once", 0, 5, 6, 10}, {"through noise", 0, 0.5, 8, 30}, {"late", 30, 5, 33, 42}} {
		var all []int
		for range 50 {
			g := evidence.NewGrowth()
			n := 0
			for n < 200 && g.E() < 1000 {
				g.Add(random.NormFloat64() + test.step*float64(max(0, n-test.late)))
				n++
			}
			all = append(all, n)
		}
		slices.Sort(all)
		t.Logf("%s: %d values (median)", test.name, all[25])
		if all[25] < test.least || all[25] > test.atMost {
			t.Errorf("%s: %d values, want %d to %d", test.name, all[25], test.least, test.atMost)
		}
	}
}

func TestGrowthOfWildNumbers(t *testing.T) {
	t.Parallel()
	number := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1), 1e308, -1e308}))
	rapid.Check(t, func(t *rapid.T) {
		g := evidence.NewGrowth()
		for _, v := range rapid.SliceOfN(number, 0, 300).Draw(t, "values") {
			g.Add(v)
		}
		if e := g.E(); math.IsNaN(e) || math.IsInf(e, 0) || math.IsNaN(g.LogE()) {
			t.Fatalf("E %v", e)
		}
	})
	g := evidence.NewGrowth()
	for i := range 3000 {
		g.Add(float64(i))
	}
	if e := g.E(); !(e > 1e200) || len(g.Values()) != 2000 {
		t.Errorf("E %v after %d values", e, len(g.Values()))
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []float64
		slope  float64
	}{{nil, 0}, {[]float64{3}, 0}, {[]float64{1, 3}, 2}, {[]float64{1, 2, 3, 99, 5, 6}, 1}, {[]float64{5, 5, 5}, 0}} {
		if got := evidence.Slope(test.values); got != test.slope {
			t.Errorf("%v: slope %v, want %v", test.values, got, test.slope)
		}
	}
}
