package logs

import (
	"maps"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// inferior is the ratio of errors from which a candidate counts as worse for a promotion, tolerated how many slots with an error a minute
	// it must have besides.
	inferior  = 2
	tolerated = 1
	// enoughPast is how many errors the history must have for servers' shares of them to be known.
	enoughPast = 20
)

// volume is evidence that the candidate logs no more errors than stable does: against the hypothesis that it logs twice as many, and one a
// minute at least. A service without any errors shows nothing by a ratio, and much by their absence.
type volume struct {
	ratio *evidence.NonInferior
	few   *rate
	past  map[segue.ServerName]map[int]float64
}

func newVolume() volume {
	return volume{ratio: evidence.NewNonInferior(inferior), few: newRate(0.02, 0.1, 0.3), past: map[segue.ServerName]map[int]float64{}}
}

// counts tells whether the line is among the errors: those with a caveat are judged by that alone.
func (v *volume) counts(l *line) bool { return l.bad() && l.caveat == nil }

func (v *volume) remember(l *line, server segue.ServerName, slice int, units float64) {
	if !v.counts(l) {
		return
	}
	if v.past[server] == nil {
		v.past[server] = map[int]float64{}
	}
	v.past[server][slice] += units
}

// said gives the errors of servers in the history.
func (v *volume) said(servers []segue.ServerName) (units float64) {
	for _, name := range servers {
		for _, n := range v.past[name] {
			units += n
		}
	}
	return units
}

// phi is how errors scatter over the minutes of the history.
func (v *volume) phi(read watched) float64 {
	sum, servers := 0.0, 0.0
	// In order: floating-point sums depend on it.
	for _, name := range slices.Sorted(maps.Keys(v.past)) {
		past := v.past[name]
		counts := read.counts(name, func(i int) float64 { return past[i] })
		sum, servers = sum+evidence.Dispersion(counts), servers+1
	}
	if servers == 0 {
		return 1
	}
	return sum / servers
}

// add weighs a window in which all of the candidate's lines were seen.
func (v *volume) add(j *Judge, l *look) {
	if l.lossy || l.all[candidate].seconds == 0 || l.all[others].seconds == 0 {
		return
	}
	units := [2]float64{}
	for _, t := range l.order {
		if j.counts(t.line) {
			units[candidate] += t.all[candidate]
			units[others] += t.all[others]
		}
	}
	of, to := l.all[candidate], l.all[others]
	// Errors mostly come of requests: a candidate with few of them is not good for having few errors, nor one with copies of others' bad for more.
	ratio, past := of.seconds/to.seconds, quotient(of.past, to.past)
	if of.requests > 0 && to.requests > 0 {
		ratio, past = of.requests/to.requests, quotient(of.pastRequests, to.pastRequests)
	}
	if k, n := v.said(of.servers), v.said(to.servers); k+n >= enoughPast && past > 0 {
		// The least that the candidate's share can be: what it has beyond counts against it.
		ratio /= past * evidence.Odds(n, k, j.errorPhi)
	}
	v.ratio.Add(evidence.Split{
		Candidate: units[candidate] / j.errorPhi, Others: units[others] / j.errorPhi, CandidateExposure: ratio, OthersExposure: 1,
	})
	v.few.add(of.seconds/slot.Seconds()/j.errorPhi, units[candidate]/j.errorPhi, tolerated*slot.Minutes())
}

func (v *volume) logE() float64 { return evidence.LogMean(v.ratio.LogE(), v.few.logE()) }
