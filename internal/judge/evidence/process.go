package evidence

import "math"

// Split is one bin of a stream: events on the candidate's server and on the others, and the exposures (requests, seconds) behind them.
// Only the ratio of the exposures is used, so any common unit will do.
type Split struct {
	Candidate, Others                 float64
	CandidateExposure, OthersExposure float64
}

// Swap exchanges the roles: for events that vanish, and for non-inferiority.
func (s Split) Swap() Split {
	return Split{
		Candidate: s.Others, Others: s.Candidate,
		CandidateExposure: s.OthersExposure, OthersExposure: s.CandidateExposure,
	}
}

// Bounds of what a bin may hold: beyond them it is a fault of the counter, and likelihoods would lose their precision.
const (
	mostEvents = 1e15
	mostUneven = 1e12
)

// sound tells whether the bin can be weighed at all.
func (s Split) sound() bool {
	uneven := s.CandidateExposure / s.OthersExposure
	return s.Candidate >= 0 && s.Others >= 0 && s.Candidate+s.Others <= mostEvents &&
		s.CandidateExposure > 0 && s.OthersExposure > 0 && uneven >= 1/mostUneven && uneven <= mostUneven
}

// DefaultNull is the ratio of rates up to which a candidate is innocent, where nothing else is said.
const DefaultNull = 1.25

// Options choose what a Process tests.
type Options struct {
	// Null is θ0: up to this ratio of rates the candidate is innocent. 0 means DefaultNull.
	Null float64
	// Only adds the alternative "only on the candidate" with weight 0.2; it finds what is new fastest.
	Only bool
	// Low and High bound the alternatives, as multiples of Null: 12 ratios, geometric. 0 means 1.25 and 64.
	Low, High float64
}

const (
	// points is the number of alternatives besides "only".
	points = 12
	// onlyWeight is the share of the bet on "only", onlyRatio the ratio that stands for it.
	onlyWeight = 0.2
	onlyRatio  = 1e9
	// mostE caps what E returns, so that sums of a few stay finite.
	mostE = 1e300
)

// Process is the split e-process: evidence, bin by bin, that events come more than Null times as often on the candidate.
//
// With p(θ) = θ·x_c/(θ·x_c+x_o), k events of n on the candidate in a bin weigh L(θ) = (p(θ)/p(θ0))^k·((1-p(θ))/(1-p(θ0)))^(n-k), which is
// (θ/θ0)^k·((θ0·r+1)/(θ·r+1))^n with r = x_c/x_o; E is the weighted mean over alternatives θ of the products over bins. Under every ratio
// up to θ0 the expectation of L is at most 1, so E is a supermartingale and exceeds 1/α at any time with probability at most α (Ville).
// Given n, whatever moves both sides alike cancels (Lindon & Malek, arXiv 2011.03567). Counts may be fractions: dividing both counts by a
// dispersion takes a root of L, and roots keep the expectation below 1.
type Process struct {
	null, low, step float64
	only            bool
	// logs are the log likelihood ratios by alternative, the last one is "only".
	logs   [points + 1]float64
	totals Split
	// uneven and spread are mean and sum of squares of log r, weighted with events: all that Interval needs of the bins.
	uneven, spread float64
}

// NewProcess starts with E = 1. Options that make no sense (not positive, not finite) fall back to their defaults.
func NewProcess(o Options) *Process {
	p := newProcess(o)
	return &p
}

func newProcess(o Options) Process {
	low, high := positiveOr(o.Low, 1.25), positiveOr(o.High, 64)
	if low <= 1 || high <= low {
		low, high = 1.25, 64
	}
	return Process{null: positiveOr(o.Null, 1.25), low: math.Log(low), step: math.Log(high/low) / (points - 1), only: o.Only}
}

func positiveOr(value, fallback float64) float64 {
	if value > 1/mostUneven && value < mostUneven {
		return value
	}
	return fallback
}

// Add weighs one bin. A bin with a side without exposure, or with a number that is negative, NaN, infinite or absurd (over 1e15 events,
// exposures more than 1e12 apart), changes nothing at all. A bin without events leaves E as it is and only counts its exposures in Totals.
func (p *Process) Add(s Split) {
	if !s.sound() {
		return
	}
	p.totals.CandidateExposure += s.CandidateExposure
	p.totals.OthersExposure += s.OthersExposure
	n := s.Candidate + s.Others
	if n == 0 {
		return
	}
	r := s.CandidateExposure / s.OthersExposure
	base, gain, theta, factor := math.Log1p(p.null*r), p.low, p.null*r*math.Exp(p.low), math.Exp(p.step)
	for j := range points {
		p.logs[j] += s.Candidate*gain - n*(math.Log1p(theta)-base)
		gain += p.step
		theta *= factor
	}
	if p.only {
		p.logs[points] += s.Candidate*math.Log(onlyRatio) - n*(math.Log1p(p.null*onlyRatio*r)-base)
	}
	p.totals.Candidate += s.Candidate
	p.totals.Others += s.Others
	off := math.Log(r) - p.uneven
	p.uneven += off * n / (p.totals.Candidate + p.totals.Others)
	p.spread += n * off * (math.Log(r) - p.uneven)
}

// LogE gives the natural logarithm of the current e-value; 0 at the start.
func (p *Process) LogE() float64 {
	weight := 1.0
	if p.only {
		weight -= onlyWeight
	}
	sum := logSum{}
	for _, l := range p.logs[:points] {
		sum.add(l, weight/points)
	}
	if p.only {
		sum.add(p.logs[points], onlyWeight)
	}
	return sum.log()
}

// E gives the current e-value, at most 1e300.
func (p *Process) E() float64 { return exponent(p.LogE()) }

// Totals sums up the bins that were weighed.
func (p *Process) Totals() Split { return p.totals }

// NonInferior gathers evidence that the candidate is fine: against H0 "its rate is at least limit times that of the others". It is the
// split e-process with the roles exchanged; promote at E >= 20.
type NonInferior struct{ process Process }

// NewNonInferior tests against a ratio, say 2. Its alternatives reach from 1.1 to 16 times fewer events than the limit allows: a good
// candidate is rarely better than stable by more.
func NewNonInferior(limit float64) *NonInferior {
	return &NonInferior{process: newProcess(Options{Null: 1 / positiveOr(limit, 2), Low: 1.1, High: 16})}
}

// Add weighs one bin, in the usual roles.
func (n *NonInferior) Add(s Split) { n.process.Add(s.Swap()) }

// LogE gives the natural logarithm of the current e-value.
func (n *NonInferior) LogE() float64 { return n.process.LogE() }

// E gives the current e-value, at most 1e300.
func (n *NonInferior) E() float64 { return n.process.E() }
