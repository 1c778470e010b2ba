package evidence

import (
	"math"
	"slices"
)

// Label is Kayenta's word for a metric.
type Label string

// The labels of Kayenta.
const (
	LabelPass   Label = "Pass"
	LabelHigh   Label = "High"
	LabelLow    Label = "Low"
	LabelNoData Label = "Nodata"
)

// Suggested scores: at KayentaPass and above a canary passes, below KayentaMarginal it fails at once.
const (
	KayentaPass     = 95
	KayentaMarginal = 75
)

// Kayenta classifies a metric as Spinnaker's NetflixACAJudge does: Mann-Whitney at 98 %, and the interval must be clear of a quarter of the
// estimate. It is for those who come from there, and for comparison. It may be asked once: asked every minute it calls 20 % of equal metrics
// High if their points depend on each other a little (AR(1) 0.6), 47 % if much (0.9).
type Kayenta struct {
	// Increase and Decrease are the directions that count; neither means both.
	Increase, Decrease bool
	// AllowedIncrease and AllowedDecrease are ratios of means that are still fine, say 1.1 and 0.9. 0 means 1.
	AllowedIncrease, AllowedDecrease float64
}

const (
	kayentaConfidence = 0.98
	kayentaTolerance  = 0.25
)

// Classify compares points of one metric. NaN points are left out, as there by default; infinite ones too.
func (k Kayenta) Classify(control, experiment []float64) Label {
	control, experiment = finiteOnly(control), finiteOnly(experiment)
	switch {
	case len(control) == 0 || len(experiment) == 0:
		return LabelNoData
	case slices.Equal(control, experiment):
		return LabelPass
	}
	test := MannWhitney(control, experiment, kayentaConfidence)
	bound, effect := kayentaTolerance*math.Abs(test.Estimate), mean(experiment)/mean(control)
	// Where a mean is 0 there is no ratio, and no gate.
	gated := !math.IsNaN(effect) && !math.IsInf(effect, 0) && effect != 0
	both := !k.Increase && !k.Decrease
	switch {
	case (k.Increase || both) && test.Low > bound && (!gated || effect >= positiveOr(k.AllowedIncrease, 1)):
		return LabelHigh
	case (k.Decrease || both) && test.High < -bound && (!gated || effect <= positiveOr(k.AllowedDecrease, 1)):
		return LabelLow
	}
	return LabelPass
}

func finiteOnly(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !finite(v) })
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Classified is one metric's label, with what its score needs.
type Classified struct {
	Group string
	Label Label
	// Critical ends it: if it does not pass, the score is 0.
	Critical bool
}

// KayentaScore sums up metrics as Kayenta does: per group the share that passes (of those with data), weighted; weights are in percent, and groups
// without one share what is left of 100. With half of the metrics without data, or a critical one that does not pass, it is 0.
func KayentaScore(metrics []Classified, weights map[string]float64) float64 {
	type count struct{ pass, all float64 }
	var order []string
	groups, missing, left := map[string]count{}, 0, 100.0
	for _, m := range metrics {
		if m.Critical && m.Label != LabelPass {
			return 0
		}
		c, there := groups[m.Group]
		if !there {
			order = append(order, m.Group)
		}
		switch m.Label {
		case LabelNoData:
			missing++
		case LabelPass:
			c.pass, c.all = c.pass+1, c.all+1
		default:
			c.all++
		}
		groups[m.Group] = c
	}
	if len(metrics) == 0 || 2*missing >= len(metrics) {
		return 0
	}
	unweighted := 0.0
	for _, group := range order {
		if _, there := weights[group]; !there {
			unweighted++
		}
	}
	for _, weight := range weights {
		left -= weight
	}
	score := 0.0
	for _, group := range order {
		weight, there := weights[group]
		if !there {
			weight = left / unweighted
		}
		if c := groups[group]; c.all > 0 {
			score += 100 * c.pass / c.all * weight / 100
		}
	}
	return score
}
