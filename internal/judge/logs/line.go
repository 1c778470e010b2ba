package logs

import (
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// margin is the ratio of rates that is taken for noise; twice that of what stable servers were never seen with, since then nothing tells
	// how much servers differ.
	margin        = evidence.DefaultNull
	marginUnknown = 2
	marginAlone   = 3
	// uneven is how far a server's usual share of a rare line may be from an equal one: servers that differ by 30 % (one standard deviation,
	// in logs) differ by less than that nearly always.
	uneven = 4
	// evenly is how many events of the history weigh as much as the guess that shares are equal.
	evenly = 10
)

// line is a kind of log line, and all that is known of it.
type line struct {
	judge.LogTemplate
	// logMore and logLess are the evidence as of the last change; stale: something changed since.
	logMore, logLess float64
	stale            bool
	// entered: it has its place in the books; old: before the rollout, or as it began.
	entered, old bool
	caveat       *Caveat
	// past is what each server said before the rollout, by the minute.
	past map[segue.ServerName][]minute
	// sums are what each said in all of that.
	sums map[segue.ServerName]minute
	// phi and eventPhi are how its slots, and its lines, scatter over the minutes.
	phi, eventPhi float64
	// more is evidence that the candidate says it more often, less that it does so less often; usual is for a rated caveat.
	more, less *evidence.Process
	usual      *rate
	// volume weighs every line rather than slots, since slots say nothing of what is in all of them.
	volume *evidence.Process
	// loudest is how many lines a slot had at most before the rollout.
	loudest float64
	beat    *beat
	start   [2]float64 // units in starts, by side
	// merged are logs of e-values of lines that this one took in, which stand still since.
	mergedMore, mergedLess []float64
	// counts are slots of the rollout in which a server said it, by side.
	counts [2]map[segue.ServerName]int64
	// starting is what of them the candidate said in its starts.
	starting int64
	first    time.Time // on the candidate
	// unseen is the candidate's exposure until then.
	unseen float64
}

// minute is what a server said of a line in a slice of history.
type minute struct {
	slice         int
	units, events float64
}

// The sides of a comparison.
const (
	candidate = iota
	others
)

func newLine(t judge.LogTemplate) *line {
	return &line{
		LogTemplate: t, past: map[segue.ServerName][]minute{}, sums: map[segue.ServerName]minute{}, phi: 1,
		counts: [2]map[segue.ServerName]int64{{}, {}},
		more:   evidence.NewProcess(evidence.Options{Null: margin, Only: true}),
		less:   evidence.NewProcess(evidence.Options{Null: margin, Only: true}),
	}
}

func (l *line) bad() bool {
	return l.Trace || l.Severity == "error" || l.Severity == "fatal"
}

// grave lines can fail a candidate by themselves.
func (l *line) grave() bool { return l.bad() || l.Severity == "warn" }

// weight is the line's part of the error rate.
func (l *line) weight() float64 {
	switch {
	case l.bad():
		return 8
	case l.Severity == "warn":
		return 2
	}
	return 1
}

// said sums up what servers said before the rollout.
func (l *line) said(servers []segue.ServerName) (units float64) {
	for _, name := range servers {
		units += l.sums[name].units
	}
	return units
}

// wrote sums up the lines of servers before the rollout.
func (l *line) wrote(servers []segue.ServerName) (events float64) {
	for _, name := range servers {
		events += l.sums[name].events
	}
	return events
}

// remember takes what a server said in slices of the history.
func (l *line) remember(server segue.ServerName, minutes []minute) {
	l.past[server] = add(l.past[server], minutes)
	sum := l.sums[server]
	for _, m := range minutes {
		sum.units += m.units
		sum.events += m.events
	}
	l.sums[server] = sum
}

// units is in how many slots of the rollout a side said it.
func (l *line) units(side int) (n int64) {
	for _, count := range l.counts[side] {
		n += count
	}
	return n
}

// known: it was said before the rollout.
func (l *line) known() bool { return len(l.past) > 0 }

// update computes the evidence anew if something changed.
func (l *line) update(starts [2]float64) {
	if l.stale {
		l.stale, l.logMore, l.logLess = false, l.weighMore(starts), l.weighLess()
	}
}

// weighMore gives the evidence for "more often", as a logarithm.
func (l *line) weighMore(starts [2]float64) float64 {
	e := l.more.LogE()
	if l.start[candidate] > 0 && starts[candidate] > 0 && starts[others] > 0 {
		p := evidence.NewProcess(evidence.Options{Null: margin, Only: true})
		p.Add(evidence.Split{
			Candidate: l.start[candidate], Others: l.start[others], CandidateExposure: starts[candidate], OthersExposure: starts[others],
		})
		e = evidence.LogMean(e, p.LogE())
	}
	if l.usual != nil {
		e = min(e, l.usual.logE())
	}
	return evidence.LogMean(append(slices.Clone(l.mergedMore), e)...)
}

// weighLess gives the evidence for "less often".
func (l *line) weighLess() float64 {
	e := l.less.LogE()
	if l.beat != nil {
		e = evidence.LogMean(e, l.beat.empty.logE())
	}
	return evidence.LogMean(append(slices.Clone(l.mergedLess), e)...)
}

// take makes the other line part of this one: they are one template from now on.
func (l *line) take(other *line, starts [2]float64) {
	other.update(starts)
	l.stale = true
	l.mergedMore = append(l.mergedMore, other.logMore)
	l.mergedLess = append(l.mergedLess, other.logLess)
	for server, minutes := range other.past {
		l.remember(server, minutes)
	}
	for side := range l.counts {
		for server, n := range other.counts[side] {
			l.counts[side][server] += n
		}
		l.start[side] += other.start[side]
	}
	l.starting += other.starting
	l.loudest = max(l.loudest, other.loudest)
	if l.first.IsZero() || !other.first.IsZero() && other.first.Before(l.first) {
		l.first, l.unseen = other.first, other.unseen
	}
	if l.caveat == nil {
		l.caveat, l.usual = other.caveat, other.usual
	}
}

// add sums up two histories; both go up by slice.
func add(a, b []minute) []minute {
	sum := slices.Concat(a, b)
	slices.SortStableFunc(sum, func(x, y minute) int { return x.slice - y.slice })
	kept := sum[:0]
	for _, m := range sum {
		if last := len(kept) - 1; last >= 0 && kept[last].slice == m.slice {
			kept[last].units += m.units
			kept[last].events += m.events
		} else {
			kept = append(kept, m)
		}
	}
	return kept
}

// rate is evidence against a known rate of slots: the slots that have the line are more (multiples over 1) or fewer (below 1) than at most,
// or at least, 1-exp(-mean) of all.
type rate struct{ multiples, logs []float64 }

func newRate(multiples ...float64) *rate {
	return &rate{multiples: multiples, logs: make([]float64, len(multiples))}
}

// add weighs slots, of which some have the line, for a mean of events per slot at the limit.
func (r *rate) add(slots, having, mean float64) {
	if !(mean > 0) || math.IsInf(mean, 0) {
		return
	}
	for i, m := range r.multiples {
		// log(q/p) of a slot that has it, log((1-q)/(1-p)) of one that has it not, with 1-p = exp(-mean) and 1-q = (1-p)^m.
		r.logs[i] += having*math.Log(math.Expm1(-m*mean)/math.Expm1(-mean)) - (slots-having)*(m-1)*mean
	}
}

func (r *rate) logE() float64 { return evidence.LogMean(r.logs...) }
