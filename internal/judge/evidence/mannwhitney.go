package evidence

import (
	"math"
	"slices"
)

// RankTest is what MannWhitney finds: how much more the experiment's values are than the control's (Hodges-Lehmann), the interval of that,
// and the two-sided p-value.
type RankTest struct{ Estimate, Low, High, P float64 }

// MannWhitney is the rank sum test in its normal approximation with correction for ties and continuity. Its interval is
// that of R's wilcox.test(exact = FALSE, conf.int = TRUE), and the estimate that of Kayenta (corrected too, other than R's), down to the search
// for roots: those are exact to 1e-4 in the unit of the values, which shows in values that are smaller than that or mostly the same. Values must be finite; with an empty side there is no test, and P is 1.
func MannWhitney(control, experiment []float64, confidence float64) RankTest {
	if len(control) == 0 || len(experiment) == 0 || !(confidence > 0 && confidence < 1) {
		return RankTest{P: 1}
	}
	r := ranking{control: slices.Sorted(slices.Values(control)), experiment: slices.Sorted(slices.Values(experiment))}
	quantile := math.Sqrt2 * math.Erfinv(confidence)
	return RankTest{
		Estimate: r.shift(0), Low: r.shift(quantile), High: r.shift(-quantile),
		P: min(1, 2*phi(-math.Abs(r.z(0)))),
	}
}

// ranking holds the two samples, sorted.
type ranking struct{ control, experiment []float64 }

// shift tells by how much the experiment must be moved down for z to fall to a quantile.
func (r ranking) shift(quantile float64) float64 {
	low := r.experiment[0] - r.control[len(r.control)-1]
	high := r.experiment[len(r.experiment)-1] - r.control[0]
	return brent(low, high, func(mu float64) float64 { return r.z(mu) - quantile })
}

// z is the standardised rank sum of the experiment when it is moved down by mu; 0 if all values are the same then.
func (r ranking) z(mu float64) float64 {
	m, n := float64(len(r.experiment)), float64(len(r.control))
	var above, ties float64
	for i, j := 0, 0; i < len(r.experiment) || j < len(r.control); {
		value := math.Inf(1)
		if i < len(r.experiment) {
			value = r.experiment[i] - mu
		}
		if j < len(r.control) {
			value = min(value, r.control[j])
		}
		below, mine, theirs := float64(j), 0.0, 0.0
		for ; i < len(r.experiment) && r.experiment[i]-mu <= value; i++ {
			mine++
		}
		for ; j < len(r.control) && r.control[j] <= value; j++ {
			theirs++
		}
		above += mine * (below + theirs/2)
		same := mine + theirs
		ties += same*same*same - same
	}
	off := above - m*n/2
	sigma := math.Sqrt(m * n / 12 * max(0, m+n+1-ties/((m+n)*(m+n-1))))
	if sigma == 0 || off == 0 {
		return 0
	}
	return (off - math.Copysign(0.5, off)) / sigma
}

// brent finds the root of a falling function, or the end that is nearest to it: Brent's zeroin with R's tolerance.
func brent(low, high float64, f func(float64) float64) float64 {
	const tolerance, epsilon = 1e-4, 0x1p-52
	// b is the best guess, a the one before, c the last one on the other side of the root.
	a, b, c := low, high, low
	fa, fb := f(a), f(b)
	if fa <= 0 {
		return low
	}
	if fb >= 0 {
		return high
	}
	fc := fa
	for range 1000 {
		last := b - a
		if math.Abs(fc) < math.Abs(fb) {
			a, b, c = b, c, b
			fa, fb, fc = fb, fc, fb
		}
		least := 2*epsilon*math.Abs(b) + tolerance/2
		step := (c - b) / 2
		if math.Abs(step) <= least || fb == 0 {
			return b
		}
		if math.Abs(last) >= least && math.Abs(fa) > math.Abs(fb) {
			step = interpolate(point{a, fa}, point{b, fb}, point{c, fc}, least)
		}
		if math.Abs(step) < least {
			step = math.Copysign(least, step)
		}
		a, fa = b, fb
		b += step
		fb = f(b)
		if fb > 0 == (fc > 0) {
			c, fc = a, fa
		}
	}
	return b
}

type point struct{ x, y float64 }

// interpolate gives the step from b to where a line (or an inverse parabola) through the points has its root, if that lies well between b and
// c; else half the way to c.
func interpolate(a, b, c point, least float64) float64 {
	var p, q float64
	way, ratio := c.x-b.x, b.y/a.y
	if a.x == c.x {
		p, q = way*ratio, 1-ratio
	} else {
		ac, bc := a.y/c.y, b.y/c.y
		p = ratio * (way*ac*(ac-bc) - (b.x-a.x)*(bc-1))
		q = (ac - 1) * (bc - 1) * (ratio - 1)
	}
	if p > 0 {
		q = -q
	} else {
		p = -p
	}
	if p < 0.75*way*q-math.Abs(least*q)/2 && p < math.Abs((b.x-a.x)*q/2) {
		return p / q
	}
	return way / 2
}
