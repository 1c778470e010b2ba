package evidence_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestMixExpectation enumerates two requests on each side over three routes (one of them new) and finds E[L] <= 1 for any common mix, at
// any past.
func TestMixExpectation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.01, 1), 3, 3).Draw(t, "mix")
		sum := weights[0] + weights[1] + weights[2]
		past := rapid.SliceOfN(rapid.Float64Range(0, 300), 4, 4).Draw(t, "past")
		make2 := func() *evidence.Mix {
			m := evidence.NewMix()
			m.Add(map[string]float64{"0": past[0], "1": past[1]}, map[string]float64{"0": past[2], "1": past[3]})
			return m
		}
		expected := 0.0
		for way := range 81 {
			candidate, others, chance := map[string]float64{}, map[string]float64{}, 1.0
			for i, rest := 0, way; i < 4; i, rest = i+1, rest/3 {
				chance *= weights[rest%3] / sum
				if side := candidate; i < 2 {
					side[fmt.Sprint(rest%3)]++
				} else {
					others[fmt.Sprint(rest%3)]++
				}
			}
			m := make2()
			m.Add(candidate, others)
			expected += chance * m.E()
		}
		if expected > 1+1e-9 {
			t.Fatalf("E is %v on average", expected)
		}
	})
}

func TestMixes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(17, 18))
	// run gives E after an hour of 600 requests a minute over 20 routes, one of which the candidate gets more of.
	run := func(others int, more float64) *evidence.Mix {
		m := evidence.NewMix()
		for minute := range 60 {
			candidate, rest := map[string]float64{}, map[string]float64{}
			for route := range 20 {
				name := fmt.Sprintf("GET /%d", route)
				rate := 600 / 3.6 / float64(route+1) * (1 + 0.5*math.Sin(float64(minute+route)))
				mine := rate
				if route == 2 {
					mine *= more
				}
				candidate[name] = poisson(random, mine)
				rest[name] = poisson(random, rate*float64(others))
			}
			m.Add(candidate, rest)
		}
		return m
	}
	alarms := 0
	for range 200 {
		if run(3, 1).E() >= 100 {
			alarms++
		}
	}
	if alarms > 2 {
		t.Errorf("the same mix was called another in %d of 200", alarms)
	}
	for _, others := range []int{1, 3, 9} {
		if m := run(others, 1.5); m.E() < 100 || m.Distance() < 0.02 || m.Distance() > 0.12 {
			t.Errorf("half as much again of one route in ten, %d others: E %v, distance %v", others, m.E(), m.Distance())
		}
	}
}

func TestMixIsTheSameAgain(t *testing.T) {
	t.Parallel()
	run := func() float64 {
		random, m := rand.New(rand.NewPCG(19, 20)), evidence.NewMix()
		for bin := range 30 {
			candidate, others := map[string]float64{}, map[string]float64{}
			for range 40 {
				candidate[fmt.Sprint(random.IntN(20*(bin+1)))]++
				others[fmt.Sprint(random.IntN(20*(bin+1)))]++
			}
			m.Add(candidate, others)
		}
		return m.LogE()
	}
	first := run()
	for range 5 {
		if again := run(); again != first {
			t.Fatalf("log E %v, then %v: the order of maps shows", first, again)
		}
	}
}

func TestMixOfWildCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := evidence.NewMix()
		count := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, 1e15, math.NaN(), math.Inf(1), -3}))
		bin := rapid.MapOfN(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}), count, 0, 5)
		for range rapid.IntRange(0, 6).Draw(t, "bins") {
			m.Add(bin.Draw(t, "candidate"), bin.Draw(t, "others"))
			if l, d := m.LogE(), m.Distance(); math.IsNaN(l) || math.IsInf(l, 0) || !(d >= 0 && d <= 1) {
				t.Fatalf("log E %v, distance %v", l, d)
			}
		}
	})
	m := evidence.NewMix()
	for i := range 2000 {
		m.Add(map[string]float64{fmt.Sprint("route ", i): 1}, map[string]float64{"x": 1})
	}
	if l := m.LogE(); math.IsNaN(l) {
		t.Errorf("log E %v after more routes than are kept", l)
	}
}
