package evidence

import (
	"math"
	"slices"
)

// mostKinds bounds a Mix's memory; kinds beyond count as one.
const mostKinds = 500

// shrinks are how many requests of the pooled past each side's own past is mixed with: few bet on great differences, many on small ones.
func shrinks() [3]float64 { return [3]float64{50, 1000, 20000} }

// Mix tells whether the candidate's server gets another mix of routes than the others (sample ratio mismatch): then neither errors nor
// durations can be compared, and the verdict is "inconclusive" until routing is repaired.
//
// A bin with n_c and n_o requests weighs Π (q_c/q_0)^c_i·(q_o/q_0)^o_i, where q_c and q_o are the two mixes as guessed from the bins before
// and q_0 is their mean, weighted with n_c and n_o. If both sides draw from one mix in that bin, whatever it is, the expectation is at most
// 1 (Turner, Ly & Grünwald, arXiv 2106.02693). E is the mean over three ways to guess. With much traffic it finds differences that do no
// harm: look at Distance too.
type Mix struct {
	index map[string]int
	// kinds are the routes in the order in which they were seen; the first one stands for all that are not known yet.
	kinds  []kind
	totals pair
	logs   [3]float64
	// fresh are the new routes of the bin that is weighed.
	fresh []string
}

// pair is a number of requests on the candidate and on the others.
type pair struct{ candidate, others float64 }

func (p *pair) add(q pair) {
	p.candidate += q.candidate
	p.others += q.others
}

// kind is what was seen of one route before the bin that is weighed, and in it.
type kind struct{ past, now pair }

// NewMix starts with E = 1.
func NewMix() *Mix { return &Mix{index: map[string]int{}, kinds: make([]kind, 1)} }

// Add weighs one bin: requests by route. Counts that are not positive or absurd (over 1e15) are left out; a bin with a side without requests
// weighs nothing, but is learned from.
func (m *Mix) Add(candidate, others map[string]float64) {
	m.fresh = m.fresh[:0]
	for name, n := range candidate {
		m.kindOf(name).now.candidate += countOf(n)
	}
	for name, n := range others {
		m.kindOf(name).now.others += countOf(n)
	}
	var now pair
	for i := range m.kinds {
		now.add(m.kinds[i].now)
	}
	if now.candidate > 0 && now.others > 0 {
		m.weigh(now)
	}
	for i := range m.kinds {
		m.kinds[i].past.add(m.kinds[i].now)
		m.kinds[i].now = pair{}
	}
	m.totals.add(now)
	m.admit(candidate, others)
}

// countOf is a count, or 0 if it cannot be one.
func countOf(n float64) float64 {
	if n > 0 && n <= mostEvents {
		return n
	}
	return 0
}

// kindOf gives a route's kind, for a new one that of the unknown.
func (m *Mix) kindOf(name string) *kind {
	i, there := m.index[name]
	if !there && len(m.kinds)+len(m.fresh) < mostKinds {
		m.fresh = append(m.fresh, name)
	}
	return &m.kinds[i]
}

// weigh adds the bin's log likelihood ratio to each way of guessing.
func (m *Mix) weigh(now pair) {
	all, share := m.totals.candidate+m.totals.others, now.candidate/(now.candidate+now.others)
	for way, shrink := range shrinks() {
		for i := range m.kinds {
			k := &m.kinds[i]
			if k.now == (pair{}) {
				continue
			}
			pooled := (k.past.candidate + k.past.others + 0.5) / (all + 0.5*float64(len(m.kinds)))
			candidate := (k.past.candidate + shrink*pooled) / (m.totals.candidate + shrink)
			others := (k.past.others + shrink*pooled) / (m.totals.others + shrink)
			both := math.Log(share*candidate + (1-share)*others)
			m.logs[way] += k.now.candidate*(math.Log(candidate)-both) + k.now.others*(math.Log(others)-both)
		}
	}
}

// admit gives the bin's new routes kinds of their own, in an order that does not depend on the maps'.
func (m *Mix) admit(candidate, others map[string]float64) {
	if len(m.fresh) == 0 {
		return
	}
	slices.Sort(m.fresh)
	for _, name := range slices.Compact(m.fresh) {
		first := pair{countOf(candidate[name]), countOf(others[name])}
		unknown := &m.kinds[0].past
		unknown.candidate, unknown.others = max(0, unknown.candidate-first.candidate), max(0, unknown.others-first.others)
		m.index[name] = len(m.kinds)
		m.kinds = append(m.kinds, kind{past: first})
	}
}

// Distance tells how different the mixes were in all: the share of requests that would have to take another route (total variation), 0 to 1.
func (m *Mix) Distance() float64 {
	if m.totals.candidate == 0 || m.totals.others == 0 {
		return 0
	}
	sum := 0.0
	for i := range m.kinds {
		sum += math.Abs(m.kinds[i].past.candidate/m.totals.candidate - m.kinds[i].past.others/m.totals.others)
	}
	return min(1, sum/2)
}

// LogE gives the natural logarithm of the current e-value; 0 at the start.
func (m *Mix) LogE() float64 { return LogMean(m.logs[0], m.logs[1], m.logs[2]) }

// E gives the current e-value, at most 1e300.
func (m *Mix) E() float64 { return exponent(m.LogE()) }
