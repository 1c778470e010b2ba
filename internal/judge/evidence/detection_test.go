package evidence_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// quantile tells after how many minutes a share of the paths had alarmed; never is 1e9.
func quantile(found []int, q float64) float64 {
	sorted := slices.Clone(found)
	for i, minute := range sorted {
		if minute == 0 {
			sorted[i] = 1e9
		}
	}
	slices.Sort(sorted)
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}

// near allows a minute, or a part of the wanted.
func near(got, want, part float64) bool { return math.Abs(got-want) <= max(1, part*want) }

// TestDetectionDelay: 1.8 errors a minute and server, looked at each minute, alpha 1 %.
func TestDetectionDelay(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, test := range []struct {
		servers             int
		null, ratio         float64
		wantMedian, wantP90 float64
	}{
		{1, 1, 2, 16, 30},
		{1, 1, 3, 6, 10},
		{1, 1, 5, 3, 4},
		{1, 1, 10, 1, 2},
		{3, 1, 2, 11, 19},
		{3, 1, 3, 4, 7},
		{3, 1, 5, 2, 3},
		{3, 1, 10, 1, 1},
		{9, 1, 2, 9, 16},
		{9, 1, 3, 3, 6},
		{9, 1, 5, 2, 3},
		{9, 1, 10, 1, 1},
		{3, 1.25, 2, 21, 58},
		{3, 1.25, 3, 6, 11},
		{3, 1.25, 5, 2, 4},
		{3, 1.25, 10, 1, 1},
	} {
		found := paths(random, 1000, 60, test.servers, evidence.Options{Null: test.null, Only: true}, 1.8, test.ratio, 0.01)
		median, p90 := quantile(found, 0.5), quantile(found, 0.9)
		t.Logf("%d others, null %v, x%v: median %v, p90 %v min (want %v, %v)",
			test.servers, test.null, test.ratio, median, p90, test.wantMedian, test.wantP90)
		if !near(median, test.wantMedian, 0.2) || !near(min(p90, 60), test.wantP90, 0.25) {
			t.Errorf("%d others, null %v, x%v: median %v, p90 %v min, want about %v, %v",
				test.servers, test.null, test.ratio, median, p90, test.wantMedian, test.wantP90)
		}
	}
}

// TestForecastKeepsItsWord: of simulated rollouts, about as many find the fault in the forecast time as was said.
func TestForecastKeepsItsWord(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for _, r := range []evidence.ForecastRequest{
		{Rate: 1.8, Others: 1, Null: 1, Ratio: 2, Power: 0.5},
		{Rate: 1.8, Others: 3, Null: 1, Ratio: 2, Power: 0.9},
		{Rate: 1.8, Others: 3, Ratio: 3, Power: 0.5},
		{Rate: 1.8, Others: 3, Ratio: 3, Power: 0.9},
		{Rate: 0.2, Others: 3, Ratio: 5, Power: 0.9},
		{Rate: 30, Others: 9, Ratio: 1.6, Power: 0.9},
		{Rate: 5, Others: 1, Ratio: 2.5, Power: 0.8, Only: true, Alpha: 0.001},
		{Rate: 0.5, Others: 49, Ratio: 10, Power: 0.9},
		{Rate: 600, Others: 3, Ratio: 1.4, Power: 0.9},
		{Rate: 0.05, Others: 9, Ratio: 20, Power: 0.95},
	} {
		t.Run(fmt.Sprintf("%v per minute, %d others, x%v", r.Rate, r.Others, r.Ratio), func(t *testing.T) {
			outlook := evidence.Forecast(r)
			if !outlook.Found {
				t.Fatal("not found")
			}
			const count, bins = 500, 40
			found, alpha, null := 0, r.Alpha, r.Null
			if alpha == 0 {
				alpha = 0.01
			}
			for range count {
				p := evidence.NewProcess(evidence.Options{Null: null, Only: r.Only})
				each := outlook.Minutes / bins
				for range bins {
					p.Add(split(poisson(random, r.Rate*r.Ratio*each), poisson(random, r.Rate*float64(r.Others)*each), r.Others))
					if p.LogE() >= -math.Log(alpha) {
						found++
						break
					}
				}
			}
			power := float64(found) / count
			t.Logf("%.1f min for a power of %v; simulated %v", outlook.Minutes, r.Power, power)
			if math.Abs(power-r.Power) > 0.12 {
				t.Errorf("%.1f min for a power of %v; simulated %v", outlook.Minutes, r.Power, power)
			}
			back := r
			back.Ratio, back.Minutes = 0, outlook.Minutes
			if inverse := evidence.Forecast(back); !inverse.Found || math.Abs(inverse.Ratio/r.Ratio-1) > 0.02 {
				t.Errorf("found within %.1f min: %+v, want a ratio of %v", outlook.Minutes, inverse, r.Ratio)
			}
		})
	}
}

func TestForecastOfWhatCannotBeFound(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]evidence.ForecastRequest{
		"within the null":  {Rate: 10, Others: 3, Ratio: 1.2},
		"no other server":  {Rate: 10, Ratio: 3},
		"no events":        {Others: 3, Ratio: 3},
		"rate is NaN":      {Rate: math.NaN(), Others: 3, Ratio: 3},
		"too rare":         {Rate: 1e-7, Others: 3, Ratio: 2},
		"no time":          {Rate: 1, Others: 3},
		"time is negative": {Rate: 1, Others: 3, Minutes: -3},
		"ratio is NaN":     {Rate: 1, Others: 3, Ratio: math.NaN()},
	} {
		if got := evidence.Forecast(r); got.Found {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestForecastOfWildRequests(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 100), rapid.SampledFrom([]float64{0, 0.5, 1, math.NaN(), math.Inf(1)}))
		r := evidence.ForecastRequest{
			Rate: value.Draw(t, "rate"), Others: rapid.IntRange(-3, 1000).Draw(t, "others"), Null: value.Draw(t, "null"),
			Only: rapid.Bool().Draw(t, "only"), Ratio: value.Draw(t, "ratio"), Minutes: value.Draw(t, "minutes"),
			Alpha: value.Draw(t, "alpha"), Power: value.Draw(t, "power"),
		}
		if got := evidence.Forecast(r); got.Found && !(got.Minutes > 0 && !math.IsInf(got.Minutes, 0) && got.Ratio > 0 && !math.IsInf(got.Ratio, 0)) {
			t.Fatalf("%+v of %+v", got, r)
		}
	})
}
