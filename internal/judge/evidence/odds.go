package evidence

import "math"

// oddsZ is the normal quantile of the null's upper limit (0.1 %, one-sided).
const oddsZ = 3.09

// Odds is the null of the difference in differences: the odds that an event falls on this server rather than on the others, by what was
// seen of an old stream before the upgrade. Servers differ for good (hardware, traffic, neighbours); a server that always had more than its
// share is no worse for it. It is the upper limit of Wilson's score interval of the share, so that a short history excuses more than a long
// one; without history it excuses nearly everything.
//
// Use it as the candidate's exposure with 1 for the others, times (requests now / requests then) of each side if its traffic has changed.
// phi is the Dispersion of the old counts.
func Odds(candidateEvents, otherEvents, phi float64) float64 {
	if !(candidateEvents >= 0) || !(otherEvents >= 0) || !(candidateEvents+otherEvents <= mostEvents) {
		candidateEvents, otherEvents = 0, 0
	}
	if !(phi >= 1) {
		phi = 1
	}
	events := candidateEvents + otherEvents
	share, n := (candidateEvents+0.5)/(events+1), events/phi+1
	const z2 = oddsZ * oddsZ
	center := share + z2/(2*n)
	radius := oddsZ * math.Sqrt(share*(1-share)/n+z2/(4*n*n))
	upper := min((center+radius)/(1+z2/n), 1-1e-9)
	return upper / (1 - upper)
}

// Dispersion tells how much more counts of equal times scatter than independent events would: variance / mean, with 10 % on top because it
// is an estimate, and at least 1. Divide counts by it before they are weighed. Counts that are negative or not finite are left out.
func Dispersion(counts []float64) float64 {
	var n, mean, squares float64
	for _, c := range counts {
		if !(c >= 0 && c <= mostEvents) {
			continue
		}
		n++
		off := c - mean
		mean += off / n
		squares += off * (c - mean)
	}
	if n < 2 || mean <= 0 {
		return 1
	}
	return max(1, squares/(n-1)/mean*1.1)
}
