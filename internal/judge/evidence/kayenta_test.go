package evidence_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// TestMannWhitneyByHand: with 1, 2, 3, 4 against 10, 20, 30, 40 all 16 pairs differ upwards: the rank sum is 8 over its mean, its deviation
// √12; moved down by 19 to 26 half of the pairs still do. Too few for 95 %, so the interval is all there is.
func TestMannWhitneyByHand(t *testing.T) {
	t.Parallel()
	got := evidence.MannWhitney([]float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, 0.95)
	if z := 7.5 / math.Sqrt(12); math.Abs(got.P-math.Erfc(z/math.Sqrt2)) > 1e-12 {
		t.Errorf("P = %v, want that of z = %v", got.P, z)
	}
	if math.Abs(got.Estimate-22.5) > 1e-3 || got.Low != 6 || got.High != 39 {
		t.Errorf("%+v, want 22.5 in [6, 39]", got)
	}
	flat := evidence.MannWhitney([]float64{5, 5, 5}, []float64{5, 5, 5}, 0.98)
	if flat.P != 1 || flat.Estimate != 0 {
		t.Errorf("all the same: %+v", flat)
	}
	if none := evidence.MannWhitney(nil, []float64{1}, 0.98); none.P != 1 {
		t.Errorf("nothing: %+v", none)
	}
}

// TestMannWhitneyCovers: the interval of a shift holds it as often as it says.
func TestMannWhitneyCovers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(21, 22))
	const runs = 400
	covered, off := 0, 0.0
	for range runs {
		control, experiment := make([]float64, 40), make([]float64, 50)
		for i := range control {
			control[i] = random.NormFloat64()
		}
		for i := range experiment {
			experiment[i] = 3 + random.NormFloat64()
		}
		got := evidence.MannWhitney(control, experiment, 0.9)
		if got.Low <= 3 && 3 <= got.High {
			covered++
		}
		off += (got.Estimate - 3) / runs
	}
	if share := float64(covered) / runs; share < 0.86 || share > 0.95 || math.Abs(off) > 0.05 {
		t.Errorf("covered %v of 0.9, estimates off by %v", share, off)
	}
}

func TestKayentaLabels(t *testing.T) {
	t.Parallel()
	steps := func(from float64) []float64 {
		values := make([]float64, 20)
		for i := range values {
			values[i] = from + float64(i)
		}
		return values
	}
	flat := func(v float64) []float64 {
		values := make([]float64, 20)
		for i := range values {
			values[i] = v
		}
		return values
	}
	for name, test := range map[string]struct {
		kayenta             evidence.Kayenta
		control, experiment []float64
		want                evidence.Label
	}{
		"the same":                     {evidence.Kayenta{}, steps(10), steps(10), evidence.LabelPass},
		"nothing":                      {evidence.Kayenta{}, nil, steps(10), evidence.LabelNoData},
		"only NaN":                     {evidence.Kayenta{}, []float64{math.NaN()}, steps(10), evidence.LabelNoData},
		"higher":                       {evidence.Kayenta{}, steps(10), steps(40), evidence.LabelHigh},
		"lower":                        {evidence.Kayenta{}, steps(40), steps(10), evidence.LabelLow},
		"lower is fine":                {evidence.Kayenta{Increase: true}, steps(40), steps(10), evidence.LabelPass},
		"higher is fine":               {evidence.Kayenta{Decrease: true}, steps(10), steps(40), evidence.LabelPass},
		"a little higher is no matter": {evidence.Kayenta{Increase: true}, steps(10), steps(11), evidence.LabelPass},
		"higher within what is said":   {evidence.Kayenta{Increase: true, AllowedIncrease: 3}, steps(10), steps(40), evidence.LabelPass},
		"two flat lines":               {evidence.Kayenta{}, flat(10), flat(11), evidence.LabelHigh},
		"the same flat line":           {evidence.Kayenta{}, flat(10), flat(10)[:19], evidence.LabelPass},
		"from zero there is no ratio":  {evidence.Kayenta{AllowedIncrease: 3}, flat(0), steps(10), evidence.LabelHigh},
	} {
		if got := test.kayenta.Classify(test.control, test.experiment); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestKayentaScore(t *testing.T) {
	t.Parallel()
	metric := func(group string, label evidence.Label) evidence.Classified {
		return evidence.Classified{Group: group, Label: label}
	}
	critical := evidence.Classified{Group: "errors", Label: evidence.LabelHigh, Critical: true}
	pass, high, none := evidence.LabelPass, evidence.LabelHigh, evidence.LabelNoData
	for name, test := range map[string]struct {
		metrics []evidence.Classified
		weights map[string]float64
		want    float64
	}{
		"nothing":               {nil, nil, 0},
		"all pass":              {[]evidence.Classified{metric("a", pass), metric("b", pass)}, nil, 100},
		"one of four":           {[]evidence.Classified{metric("a", pass), metric("a", pass), metric("a", pass), metric("a", high)}, nil, 75},
		"weights":               {[]evidence.Classified{metric("a", pass), metric("b", high)}, map[string]float64{"a": 70, "b": 30}, 70},
		"what is left":          {[]evidence.Classified{metric("a", high), metric("b", pass), metric("c", pass)}, map[string]float64{"a": 40}, 60},
		"critical":              {[]evidence.Classified{metric("a", pass), critical}, nil, 0},
		"half without data":     {[]evidence.Classified{metric("a", pass), metric("a", none)}, nil, 0},
		"a third without data":  {[]evidence.Classified{metric("a", pass), metric("a", pass), metric("a", none)}, nil, 100},
		"critical without data": {[]evidence.Classified{metric("a", pass), metric("a", pass), {Label: none, Critical: true}}, nil, 0},
	} {
		if got := evidence.KayentaScore(test.metrics, test.weights); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestKayentaAskedEveryMinute shows why it is no default: on equal metrics with a memory, it alarms sooner or later.
func TestKayentaAskedEveryMinute(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(23, 24))
	const runs = 60
	series := func() []float64 {
		values, v := make([]float64, 60), random.NormFloat64()
		for i := range values {
			v = 0.9*v + math.Sqrt(1-0.81)*random.NormFloat64()
			values[i] = 100 + 10*v
		}
		return values
	}
	high := 0
	for range runs {
		control, experiment := series(), series()
		for now := 10; now <= 60; now += 2 {
			if (evidence.Kayenta{Increase: true}).Classify(control[:now], experiment[:now]) == evidence.LabelHigh {
				high++
				break
			}
		}
	}
	t.Logf("%d of %d equal metrics were High at some time", high, runs)
	if high < runs/4 {
		t.Errorf("%d of %d equal metrics were High at some time; the warning in the documentation would be wrong", high, runs)
	}
}

// TestKayentaOfWildPoints: no points, however broken, make a panic.
func TestKayentaOfWildPoints(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.SliceOfN(rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1, 1), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1)})), 0, 12)
		control, experiment := points.Draw(t, "control"), points.Draw(t, "experiment")
		k := evidence.Kayenta{AllowedIncrease: rapid.Float64().Draw(t, "allowed")}
		if label := k.Classify(control, experiment); label == evidence.LabelHigh || label == evidence.LabelLow {
			if back := k.Classify(control, control); back != evidence.LabelPass {
				t.Fatalf("%s, and the control against itself %s", label, back)
			}
		}
	})
}
