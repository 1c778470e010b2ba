package evidence

import "math"

// Spend gives the error rate of the server that is upgraded as the s-th (from 1), so that all of them together stay within alpha however
// many there are: alpha·6/(π²·s²). The first one gets 61 %.
func Spend(alpha float64, server int) float64 {
	s := float64(max(1, server))
	return alpha * 6 / (math.Pi * math.Pi * s * s)
}

// Budget is how the error rate of a step is shared by its judges: false rollbacks of each add up to their sum at most (union bound).
type Budget struct {
	// Logs is for log templates.
	Logs float64
	// Errors and Latency are for requests.
	Errors, Latency float64
	// Responses is for differing answers to mirrored requests.
	Responses float64
	// Severe is for the lane that acts at once, without waiting for the candidate to be warm.
	Severe float64
	// Gauges is for CPU, memory and the like.
	Gauges float64
}

// DefaultBudget shares an error rate: of 5 % in all, logs get 2 %, errors and latency 0.75 % each, responses 1 %, the severe lane 0.1 %,
// gauges 0.4 %.
func DefaultBudget(total float64) Budget {
	return Budget{
		Logs: 0.40 * total, Errors: 0.15 * total, Latency: 0.15 * total, Responses: 0.20 * total, Severe: 0.02 * total, Gauges: 0.08 * total,
	}
}
