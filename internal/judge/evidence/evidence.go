// Package evidence is the statistics that judges decide by. All of it may be looked at as often as one likes: evidence is measured in
// e-values, of which a false one reaches 1/α with probability at most α over the whole time, not per look.
//
// Process is the engine (counts on the candidate against counts on the others), Latency and SoftRank carry it over to durations and gauges,
// Growth finds resources that leak, Drift says what servers' moods leave open, Book decides over many streams at once, Mix tells whether the two
// sides are comparable at all, Forecast says how long a finding takes. Kayenta classifies the way Spinnaker's judge does, for comparison.
//
// Everything is pure and deterministic. No input panics, makes a NaN or an alarm: what cannot be weighed is left out.
package evidence

import "math"

// logSum adds numbers that are given by their logarithms, without overflow.
type logSum struct{ most, rest float64 }

// add adds weight·exp(log).
func (s *logSum) add(log, weight float64) {
	switch {
	case weight <= 0 || math.IsInf(log, -1) || math.IsNaN(log):
	case s.rest == 0:
		s.most, s.rest = log, weight
	case log <= s.most:
		s.rest += weight * math.Exp(log-s.most)
	default:
		s.most, s.rest = log, s.rest*math.Exp(s.most-log)+weight
	}
}

// log gives the logarithm of the sum; of nothing, minus infinity.
func (s *logSum) log() float64 { return s.most + math.Log(s.rest) }

// LogMean gives the logarithm of the mean of e-values that are given by their logarithms, which is an e-value again whatever they have to do
// with each other: for a merged template, or for one question asked in several ways. Of nothing it is 0.
func LogMean(logE ...float64) float64 {
	if len(logE) == 0 {
		return 0
	}
	sum := logSum{}
	for _, l := range logE {
		sum.add(l, 1/float64(len(logE)))
	}
	return sum.log()
}

// exponent is exp, capped.
func exponent(logE float64) float64 { return min(math.Exp(logE), mostE) }
