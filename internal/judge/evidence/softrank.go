package evidence

import (
	"math"
)

// lambdas are the tempers of SoftRank: gentle ones see small lasting shifts, sharp ones great shifts at once.
func lambdas() [3]float64 { return [3]float64{0.5, 1, 2} }

// SoftRank is the slow lane: one value per server and window, of any distribution (CPU, memory, queue length). If the candidate's server is
// exchangeable with the n others, e = (n+1)·exp(λ·z_c)/Σ exp(λ·z_j) has expectation 1; E is the mean over λ of the products over windows.
//
// A window weighs n+1 at most, so few others make it slow, and windows must be long enough to be nearly independent: servers that wander
// for longer than a window break it. Let it hold a step; do not let it roll back alone below E = 1000.
type SoftRank struct {
	servers int
	logs    [3]float64
}

// NewSoftRank starts with E = 1; servers is the number of other servers.
func NewSoftRank(servers int) *SoftRank { return &SoftRank{servers: max(0, servers)} }

// Add weighs one window: each server's mean, less its own mean before the upgrade, by the pooled standard deviation before. Infinite and NaN
// values of other servers are left out; without any other, or without a finite value of the candidate, the window changes nothing.
func (s *SoftRank) Add(candidate float64, others []float64) {
	if !finite(candidate) {
		return
	}
	for i, lambda := range lambdas() {
		sum, n := logSum{}, 1.0
		sum.add(lambda*candidate, 1)
		for _, z := range others {
			if finite(z) {
				sum.add(lambda*z, 1)
				n++
			}
		}
		s.logs[i] += math.Log(n) + lambda*candidate - sum.log()
	}
}

func finite(v float64) bool { return math.Abs(v) <= mostE }

// LogE gives the natural logarithm of the current e-value; 0 at the start.
func (s *SoftRank) LogE() float64 { return LogMean(s.logs[0], s.logs[1], s.logs[2]) }

// E gives the current e-value, at most 1e300.
func (s *SoftRank) E() float64 { return exponent(s.LogE()) }

// Fastest gives the fewest windows in which E can reach a value, however bad the candidate; 0 if it never can.
func (s *SoftRank) Fastest(e float64) int {
	if s.servers == 0 || !(e > 1 && e <= mostE) {
		return 0
	}
	return int(math.Ceil(math.Log(e)/math.Log(float64(s.servers+1)) - 1e-9))
}
