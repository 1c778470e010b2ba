package evidence_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestDriftAtItsMargin: a shift of exactly the margin is called fine in one of twenty rollouts at most, however often one looks, when the usual
// difference is known from an hour or two alone; and no shift is called fine in most, soon.
func TestDriftAtItsMargin(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(31, 32))
	for _, past := range []float64{60, 120, 1440} {
		for _, deviation := range []float64{0.02, 0.1} {
			const lasts, runs, minutes = 0.9, 400, 240
			variance := deviation * deviation * (1 + lasts) / (1 - lasts)
			d := evidence.NewDrift(variance, past)
			margin := d.Margin(math.Log(1.25))
			fine := func(shift float64) (part, soon float64) {
				for range runs {
					mood, usual, sum := deviation*random.NormFloat64(), 0.0, 0.0
					for range int(past) {
						mood = lasts*mood + math.Sqrt(1-lasts*lasts)*deviation*random.NormFloat64()
						usual += mood / past
					}
					for minute := 1.0; minute <= minutes; minute++ {
						mood = lasts*mood + math.Sqrt(1-lasts*lasts)*deviation*random.NormFloat64()
						sum += mood - usual + shift
						if d.LogE(minute, sum/minute, margin) >= math.Log(20) {
							part += 1.0 / runs
							if minute <= 30 {
								soon += 1.0 / runs
							}
							break
						}
					}
				}
				return part, soon
			}
			false0, _ := fine(margin)
			_, right := fine(0)
			t.Logf("past %v min, moods of %v: margin %.0f %%, at it %.3f fine; no shift %.2f fine in 30 min", past, deviation, 100*math.Expm1(margin), false0, right)
			if false0 > 0.05+2*math.Sqrt(0.05*0.95/runs) || right < 0.7 {
				t.Errorf("past %v min, moods of %v: at the margin %.3f fine; no shift %.2f fine", past, deviation, false0, right)
			}
		}
	}
}

func TestDriftOfWildNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := evidence.NewDrift(rapid.Float64().Draw(t, "variance"), rapid.Float64().Draw(t, "past"))
		logE := d.LogE(rapid.Float64().Draw(t, "minutes"), rapid.Float64().Draw(t, "shift"), d.Margin(rapid.Float64().Draw(t, "margin")))
		if math.IsNaN(logE) || math.IsInf(logE, 1) {
			t.Fatalf("log E %v", logE)
		}
	})
}
