package metrics

import (
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	// errorMargin is the ratio of error rates up to which a candidate is innocent, severeMargin the one that no start excuses.
	errorMargin  = evidence.DefaultNull
	severeMargin = 3.0
	// latencyMargin is the part by which it may be slower.
	latencyMargin = 0.25
	// strangerMargin is the ratio of either between servers without a history: they may always have been so. It fails a candidate only for what is
	// drastic.
	strangerMargin = 2.0
)

// subject is a server that runs the candidate, with the evidence about it.
type subject struct {
	name segue.ServerName
	// order is the rank in which it became one, from 1.
	order int
	since time.Time
	// asked are its requests since then, weighed is the time that the fast lane has seen of it.
	asked   float64
	weighed time.Duration
	// Requests and errors in that time.
	mine, theirs tally
	// stranger says that it, or one of the others, had no history.
	stranger bool
	// errors decides and suspect holds; severe decides early; ratio gives the interval.
	errors, suspect *evidence.Process
	severe, ratio   *evidence.Process
	// errors and severe go by what can be compared route by route, suspect and ratio by all.
	errorStrata, severeStrata strata
	// drastic is severe from the first request on, while more than mostExcused of all answers fail.
	drastic   drastic
	latency   chain
	gauges    map[string]*rank
	growth    map[string]*growth
	book      *evidence.Book
	routes    map[string]*routed
	routeBook *evidence.Book
}

// tally counts requests and errors.
type tally struct{ requests, errors float64 }

func (t *tally) add(s side) { t.requests, t.errors = t.requests+s.requests, t.errors+s.errors }

func (t tally) share() float64 { return t.errors / max(1, t.requests) }

func newSubject(name segue.ServerName, order int, since time.Time) *subject {
	return &subject{
		name: name, order: order, since: since,
		// Margins are in the exposures.
		errors:  evidence.NewProcess(evidence.Options{Null: 1, Only: true}),
		suspect: evidence.NewProcess(evidence.Options{Null: 1, Low: 1.5, High: 12}),
		severe:  evidence.NewProcess(evidence.Options{Null: 1, Only: true}),
		drastic: drastic{than: evidence.NewProcess(evidence.Options{Null: 1, Only: true})},
		ratio:   evidence.NewProcess(evidence.Options{Null: 1}),
	}
}

// weighSevere takes a bin in the severe lane.
func (s *subject) weighSevere(levelled history, mine, others side) {
	for _, on := range s.severeStrata.add(mine, others) {
		s.severe.Add(splitOf(on.mine, on.others, levelled.exposures(on.mine, on.others).severe, levelled.errorPhi))
	}
}

// weighDrastic takes a bin of a server of any age.
func (s *subject) weighDrastic(levelled history, mine, others side) {
	for _, on := range s.drastic.strata.add(mine, others) {
		s.drastic.than.Add(splitOf(on.mine, on.others, levelled.exposures(on.mine, on.others).severe, levelled.errorPhi))
	}
	s.drastic.mine.add(mine)
	s.drastic.theirs.add(others)
	for i, share := range drasticShares() {
		ok, failed := math.Log((1-share)/(1-mostExcused)), math.Log(share/mostExcused)
		s.drastic.shares[i] += (mine.errors*failed + (mine.requests-mine.errors)*ok) / levelled.errorPhi
	}
}

// severeLogE is the evidence of errors that nothing excuses: since the process is old enough, and from the start.
func (s *subject) severeLogE() float64 { return evidence.LogMean(s.severe.LogE(), s.drastic.logE()) }

// drastic is evidence of two things at once, that a server has severeMargin times its part of the errors, and that they are more than mostExcused
// of its answers: the lesser counts.
type drastic struct {
	than         *evidence.Process
	strata       strata
	shares       [3]float64
	mine, theirs tally
}

// mostExcused is the share of failing answers that a process may have while it starts.
const mostExcused = 0.1

// drasticShares are the shares that drastic bets on.
func drasticShares() [3]float64 { return [3]float64{0.2, 0.5, 0.95} }

func (d *drastic) logE() float64 { return min(d.than.LogE(), evidence.LogMean(d.shares[:]...)) }

// weigh takes a bin in the fast lane.
func (s *subject) weigh(h, levelled history, mine, others side, length time.Duration) {
	s.weighed += length
	s.mine.add(mine)
	s.theirs.add(others)
	s.stranger = s.stranger || !h.knows(mine, others)
	for _, on := range s.errorStrata.add(mine, others) {
		s.errors.Add(splitOf(on.mine, on.others, levelled.exposures(on.mine, on.others).more, h.errorPhi))
	}
	x := h.exposures(mine, others)
	s.suspect.Add(splitOf(mine, others, x.some, h.errorPhi))
	s.ratio.Add(splitOf(mine, others, x.habit, h.errorPhi))
	s.latency.add(h, mine, others, length)
}

func splitOf(mine, others side, exposure, phi float64) evidence.Split {
	return evidence.Split{Candidate: mine.errors / phi, Others: others.errors / phi, CandidateExposure: exposure, OthersExposure: 1}
}

// suspicion is the fast lane's evidence, by its logarithm.
func (s *subject) suspicion() float64 { return max(s.errorSuspicion(), s.latency.logE()) }

// errorSuspicion is the evidence that errors are more than usual, as long as they seem to be more than the margin allows.
func (s *subject) errorSuspicion() float64 {
	logE := s.errors.LogE()
	if s.times() >= errorMargin {
		logE = max(logE, s.suspect.LogE())
	}
	return logE
}

// times is how many times its share of errors the server seems to have.
func (s *subject) times() float64 {
	t := s.ratio.Totals()
	if t.CandidateExposure == 0 || t.OthersExposure == 0 {
		return 1
	}
	return t.Candidate / t.CandidateExposure * t.OthersExposure / max(t.Others, 0.5)
}

// chain is evidence about durations against stable servers that become fewer: edges fit one set of others, so each set has evidence of its own,
// and the product of evidence that was gathered one after the other is evidence.
type chain struct {
	names []segue.ServerName
	now   *evidence.Latency
	// stranger says that some set had no history, so that the margin is wide.
	stranger bool
	// slower and fine are the logarithms of what former sets gave, mine and theirs the durations they saw.
	slower, fine float64
	mine, theirs telemetry.Distribution
	// drift is what servers' moods may do to the set that is there now, in the minutes that it was; wide is its logarithmic margin for being fine,
	// or the widest of all sets until now.
	drift         evidence.Drift
	minutes, wide float64
}

func (c *chain) add(h history, mine, others side, length time.Duration) {
	if mine.requests == 0 || others.requests == 0 {
		return
	}
	if c.now == nil || !slices.Equal(c.names, others.names) {
		if c.now != nil {
			c.slower, c.fine = c.logE(), c.fineLogE()
			c.mine, c.theirs = c.seen()
		}
		c.names = others.names
		if h.knows(mine, others) {
			c.now = evidence.NewLatency(latencyMargin, h.latency(mine.names), h.latency(others.names))
		} else {
			c.stranger, c.now = true, evidence.NewLatency(strangerMargin-1, telemetry.Distribution{}, telemetry.Distribution{})
		}
		c.temper(h, float64(len(others.names)))
	}
	c.minutes += length.Minutes()
	c.now.Add(mine.latency, others.latency)
}

// temper prepares a new set of so many others for their moods.
func (c *chain) temper(h history, others float64) {
	// One server's mood is soon taken for a fault of the other; those of several are less than their mean.
	c.now.Temper(1 + (h.latencyPhi-1)/(others*others))
	c.minutes, c.drift = 0, evidence.NewDrift(h.moods*(1+1/others), h.length.Minutes())
	margin := math.Log1p(latencyMargin)
	if c.stranger {
		// The margin is wider than moods.
		margin, c.drift = math.Log(strangerMargin), evidence.NewDrift(0, 0)
	}
	c.wide = max(c.wide, min(c.drift.Margin(margin), math.Log(strangerMargin)))
	c.now.Fine(math.Expm1(c.wide))
}

func (c *chain) logE() float64 {
	if c.now == nil {
		return 0
	}
	return c.slower + c.now.LogE()
}

func (c *chain) fineLogE() float64 {
	if c.now == nil {
		return 0
	}
	logE := c.now.NonInferiorLogE()
	if shift, ok := c.now.Shift(); ok {
		logE = min(logE, c.drift.LogE(c.minutes, shift, c.wide))
	}
	return c.fine + logE
}

// seen gives all durations of the two sides.
func (c *chain) seen() (mine, theirs telemetry.Distribution) {
	if c.now == nil {
		return mine, theirs
	}
	mine, theirs = c.now.Seen()
	return c.mine.Add(mine), c.theirs.Add(theirs)
}

// fine is evidence that the candidate's errors are fine, over all its servers: against the hypothesis that they come at twice the rate and are more
// than a tolerated share. A service without any errors shows nothing by a ratio, and much by their absence.
type fine struct {
	ratio *evidence.NonInferior
	few   [3]float64
	// times is for the interval, low and high, as of the last bin.
	times     *evidence.Process
	low, high float64
	tally     tally
}

const (
	inferior  = 2
	tolerated = 0.002
)

// fewer are the shares that few bets on, as parts of the tolerated one.
func fewer() [3]float64 { return [3]float64{0.02, 0.1, 0.3} }

func newFine() fine {
	return fine{ratio: evidence.NewNonInferior(inferior), times: evidence.NewProcess(evidence.Options{Null: 1})}
}

// add takes a bin of all the candidate's servers, with the exposure of all by their habits.
func (f *fine) add(mine, others side, habit, phi float64) {
	f.tally.add(mine)
	f.ratio.Add(splitOf(mine, others, habit, phi))
	f.times.Add(splitOf(mine, others, habit, phi))
	if mine.errors+others.errors > 0 { // or it is what it was
		f.low, f.high = f.times.Interval(1.0 / passAt)
	}
	for i, part := range fewer() {
		// The likelihood ratio of one share against the other, over all requests of the bin.
		f.few[i] += (mine.errors*math.Log(part) + (mine.requests-mine.errors)*math.Log((1-part*tolerated)/(1-tolerated))) / phi
	}
}

func (f *fine) logE() float64 {
	return evidence.LogMean(f.ratio.LogE(), evidence.LogMean(f.few[0], f.few[1], f.few[2]))
}
