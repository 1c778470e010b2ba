package evidence

import "math"

// Interval gives bounds of the ratio of rates that hold at all times together with probability 1-alpha: the ratios θ' that a two-sided
// mixture (alternatives from 1.02 to 64 times θ' on both sides) does not reject at 1/alpha. Without events it is (0, +Inf).
//
// It needs no memory of the bins. For ratios of exposures that stay the same it is exact; if they change, the costs of θ' are taken from
// their mean and variance, to second order.
func (p *Process) Interval(alpha float64) (low, high float64) {
	n := p.totals.Candidate + p.totals.Others
	if !(alpha > 0 && alpha < 1) || n == 0 {
		return 0, math.Inf(1)
	}
	low, high = 0, math.Inf(1)
	// Logarithms of ratios from here on. The estimate is never rejected.
	const far = 60
	estimate := math.Log((p.totals.Candidate+0.5)/(p.totals.Others+0.5)) - p.uneven
	rejected := func(u float64) bool { return p.twoSided(u) >= math.Log(1/alpha) }
	if rejected(estimate - far) {
		low = math.Exp(boundary(estimate, estimate-far, rejected))
	}
	if rejected(estimate + far) {
		high = math.Exp(boundary(estimate, estimate+far, rejected))
	}
	return low, high
}

// boundary narrows down where rejection begins, to a hundred-thousandth, and gives the far end of what is left.
func boundary(inside, outside float64, rejected func(float64) bool) float64 {
	for range 24 {
		if middle := (inside + outside) / 2; rejected(middle) {
			outside = middle
		} else {
			inside = middle
		}
	}
	return outside
}

// twoSided is log E against the ratio exp(u).
func (p *Process) twoSided(u float64) float64 {
	const low, high = 1.02, 64
	step := math.Log(float64(high)/low) / (points - 1)
	sum, base := logSum{}, p.cost(u)
	for j := range points {
		gain := math.Log(low) + float64(j)*step
		sum.add(p.totals.Candidate*gain-(p.cost(u+gain)-base), 0.5/points)
		sum.add(-p.totals.Candidate*gain-(p.cost(u-gain)-base), 0.5/points)
	}
	return sum.log()
}

// cost is Σ n·log(1+exp(u)·r) over the bins, by the mean and variance of log r.
func (p *Process) cost(u float64) float64 {
	at := u + p.uneven
	e := math.Exp(-math.Abs(at))
	return (p.totals.Candidate+p.totals.Others)*(max(at, 0)+math.Log1p(e)) + p.spread/2*e/((1+e)*(1+e))
}
