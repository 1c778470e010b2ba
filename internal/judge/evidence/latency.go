package evidence

import (
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	edges = 4
	// enough is how many old durations must be known before edges are laid, enoughAbove how many of a server must lie above an edge before
	// its own habit there is believed.
	enough      = 200
	enoughAbove = 20
)

// edgeQuantiles are the old quantiles at which edges lie: a shift moves the middle, a slow dependency only the tail.
func edgeQuantiles() [edges]float64 { return [edges]float64{0.50, 0.75, 0.90, 0.99} }

// Latency is evidence that the candidate is slower than the others by more than a margin (0.25 is 25 %).
//
// At four edges x it counts the candidate's durations above x·(1+margin) against the others' above x: if the candidate is slower by no more
// than the margin, the former are no more frequent, whatever the distribution and however load moves both. A margin in the ratio of counts
// would be none: 10 % more time can mean three times as many beyond p99. A server that was slower than the others before the upgrade may
// stay so: its edges are moved by that ratio (difference in differences). E is the mean over the edges.
//
// The margin is exact to a histogram bucket (3 %).
type Latency struct {
	margin, fine, phi float64
	laid              bool
	edges             [edges]edge
	candidate, others telemetry.Distribution
}

// edge is one duration and what is counted there.
type edge struct {
	// at is where the others are counted for the evidence that the candidate is slower, under for that it is not: they differ where many durations
	// are in one bucket.
	at, under time.Duration
	// slow and fine are where the candidate is counted for the two, habit is its usual ratio to the others.
	slow, fine time.Duration
	habit      float64
	slower     Process
	faster     NonInferior
}

// NewLatency takes what was seen of both sides before the upgrade. Without enough of the others (200 requests) the edges are laid by the
// first of them that Add sees, and those weigh nothing.
func NewLatency(margin float64, beforeCandidate, beforeOthers telemetry.Distribution) *Latency {
	if !(margin >= 0 && margin <= 100) {
		margin = 0.25
	}
	l := &Latency{margin: margin, fine: margin, phi: 1}
	for i := range l.edges {
		l.edges[i].slower = newProcess(Options{Null: 1, Low: 1.03, High: 8})
		l.edges[i].faster = *NewNonInferior(1)
	}
	if beforeOthers.Count >= enough {
		l.lay(beforeCandidate, beforeOthers)
	}
	return l
}

// Temper says how much more counts scatter than independent requests would, because servers have moods that last for minutes: the Dispersion
// of an old server's minute counts above its median. Counts are divided by it. Where the past is an hour or less, a server's mood then is
// easily taken for its habit: of equal releases with one other server, moods of 10 % make 4 % alarm at 1/α = 100 within two hours, with phi = 5
// 1.3 %; half a day of past makes up for it too. Twice the time is still found within 2 minutes. To be called before the first Add.
func (l *Latency) Temper(phi float64) { l.phi = max(1, positiveOr(phi, 1)) }

// Fine sets another margin for NonInferiorLogE than for LogE, a wider one: see Drift. To be called before the first Add.
func (l *Latency) Fine(margin float64) {
	l.fine = max(l.margin, min(margin, 100))
	l.layFine()
}

// lay fixes the edges, by the past alone.
func (l *Latency) lay(candidate, others telemetry.Distribution) {
	l.laid = true
	ratio := 1.0
	for i, q := range edgeQuantiles() {
		at, under := around(others, q)
		if float64(candidate.Count)*(1-q) >= enoughAbove {
			ratio = float64(max(candidate.Quantile(q), time.Microsecond)) / float64(max(others.Quantile(q), time.Microsecond))
		}
		// Each question excuses what makes it harder to answer: a server that was faster may fall back to the others without alarm, but
		// to be called fine it must be what it was.
		e := &l.edges[i]
		e.at, e.under, e.habit = at, under, ratio
		e.slow = time.Duration(float64(at) * (1 + l.margin) * max(1, ratio))
	}
	l.layFine()
}

func (l *Latency) layFine() {
	for i := range l.edges {
		e := &l.edges[i]
		e.fine = time.Duration(float64(e.under) * (1 + l.fine) * e.habit)
	}
}

// around gives the least duration that a share 1-q is above at most, and one that such a share is above at least: nearly the same, unless so many
// are in one bucket that few are above it, or none, as when all answers take the same time.
func around(d telemetry.Distribution, q float64) (at, under time.Duration) {
	at = max(d.Quantile(q), time.Microsecond)
	allowed := (1 - q) * float64(d.Count)
	// The quantile is not beyond the largest value, but its bucket counts by its middle.
	for at < 2*time.Hour && float64(d.Above(at)) > allowed {
		at += max(at/128, time.Microsecond)
	}
	if under = at; float64(d.Above(at)) < allowed/2 {
		// Under the middle of the bucket that the quantile is in.
		for under = min(under, d.Quantile(q)); under > 0 && float64(d.Above(under)) < allowed; {
			under -= max(under/128, time.Microsecond)
		}
	}
	return at, max(under, time.Microsecond)
}

// Add weighs the durations of one bin.
func (l *Latency) Add(candidate, others telemetry.Distribution) {
	merge(&l.candidate, candidate)
	merge(&l.others, others)
	if !l.laid {
		if l.others.Count >= enough {
			l.lay(telemetry.Distribution{}, l.others)
		}
		return
	}
	for i := range l.edges {
		e := &l.edges[i]
		split := Split{
			Candidate: float64(candidate.Above(e.slow)) / l.phi, CandidateExposure: float64(candidate.Count),
			Others: float64(others.Above(e.at)) / l.phi, OthersExposure: float64(others.Count),
		}
		e.slower.Add(split)
		if e.fine != e.slow {
			split.Candidate = float64(candidate.Above(e.fine)) / l.phi
		}
		if e.under != e.at {
			split.Others = float64(others.Above(e.under)) / l.phi
		}
		e.faster.Add(split)
	}
}

// merge adds to a distribution in place.
func merge(into *telemetry.Distribution, more telemetry.Distribution) {
	into.MaxMicros = max(into.MaxMicros, more.MaxMicros)
	into.SumMicros += max(0, more.SumMicros)
	for _, b := range more.Buckets {
		if b.Count <= 0 {
			continue
		}
		into.Count += b.Count
		at, there := slices.BinarySearchFunc(into.Buckets, b.Index, func(x telemetry.Bucket, index int) int { return x.Index - index })
		if !there {
			into.Buckets = slices.Insert(into.Buckets, at, telemetry.Bucket{Index: b.Index})
		}
		into.Buckets[at].Count += b.Count
	}
}

// LogE gives the natural logarithm of the current e-value for "slower by more than the margin"; 0 at the start.
func (l *Latency) LogE() float64 {
	sum := logSum{}
	for i := range l.edges {
		sum.add(l.edges[i].slower.LogE(), 1.0/edges)
	}
	return sum.log()
}

// E gives the current e-value, at most 1e300.
func (l *Latency) E() float64 { return exponent(l.LogE()) }

// Shift gives by how much the candidate is slower than it used to be beside the others, since the start: the logarithm of the ratio of durations, at
// that of the edges but the last at which it is most. It says nothing before the edges are laid.
func (l *Latency) Shift() (log float64, ok bool) {
	if !l.laid || l.candidate.Count == 0 || l.others.Count == 0 {
		return 0, false
	}
	log = math.Inf(-1)
	for i, q := range edgeQuantiles() {
		if i < edges-1 {
			mine, theirs := max(l.candidate.Quantile(q), time.Microsecond), max(l.others.Quantile(q), time.Microsecond)
			log = max(log, math.Log(float64(mine)/float64(theirs)/l.edges[i].habit))
		}
	}
	return log, true
}

// NonInferiorLogE is evidence that the candidate is slower by less than the margin at every edge, by its logarithm: the least of them.
// Promote at E >= 20, with a Drift's evidence too: moods of servers are not in the guarantee, and at the margin itself decide either way.
func (l *Latency) NonInferiorLogE() float64 {
	least := l.edges[0].faster.LogE()
	for i := range l.edges {
		least = min(least, l.edges[i].faster.LogE())
	}
	return least
}

// NonInferiorE is NonInferiorLogE as an e-value, at most 1e300.
func (l *Latency) NonInferiorE() float64 { return exponent(l.NonInferiorLogE()) }

// Seen gives all durations of the two sides since the upgrade: to show their p50 and p99. They must not be changed.
func (l *Latency) Seen() (candidate, others telemetry.Distribution) { return l.candidate, l.others }
