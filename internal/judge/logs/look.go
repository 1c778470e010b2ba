package logs

import (
	"math"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// look is one window, sorted out.
type look struct {
	judge.Evidence
	rows []row
	// all and steady are the exposures of the sides, the latter without processes that have just started.
	all, steady [2]exposure
	// present counts the servers of each side, read or not.
	present [2]int
	// lossy: lines of the candidate were lost, so that it may seem to say less than it does.
	lossy bool
	tally map[*line]*tally
	order []*tally
	// news are lines that the candidate's servers said and the history has not.
	news map[segue.ServerName][]novelty
}

// novelty is a new line, in so many slots.
type novelty struct {
	line  *line
	units float64
}

// row is a server whose logs were read.
type row struct {
	judge.ServerEvidence
	*server
	side     int
	starting bool
}

// exposure is what stands behind counts: the servers and their times, now and in the history.
type exposure struct {
	servers            []segue.ServerName
	seconds, requests  float64
	past, pastRequests float64
}

func (e *exposure) add(r row, seconds float64) {
	e.servers = append(e.servers, r.Server)
	e.seconds += seconds
	e.requests += r.requests
	e.past += r.past
	e.pastRequests += r.pastRequests
}

// tally is what the sides said of a line in the window.
type tally struct {
	line        *line
	all, steady [2]float64
	events      [2]float64
}

// look sorts a window out, and notes what could not be read.
func (j *Judge) look(window judge.Evidence) *look {
	l := &look{Evidence: window, tally: map[*line]*tally{}, news: map[segue.ServerName][]novelty{}}
	for _, e := range window.Servers {
		side := others
		switch e.Release {
		case window.Candidate:
			side = candidate
		case window.Stable:
		default:
			continue
		}
		l.present[side]++
		r := row{ServerEvidence: e, server: j.server(e.Server), side: side}
		r.requests = r.requests*math.Exp(-float64(window.Length())/float64(recent)) + float64(e.Requests+e.Mirrored)
		if !j.readable(l, r) {
			continue
		}
		r.starting = !e.Started.IsZero() && window.Since.Before(e.Started.Add(warm))
		r.begin(window.Since)
		l.rows = append(l.rows, r)
		l.all[side].add(r, window.Length().Seconds())
		if !r.starting {
			l.steady[side].add(r, window.Length().Seconds())
		}
	}
	if l.all[candidate].seconds > 0 && l.all[others].seconds > 0 {
		j.compared = window.Until
		if j.since.IsZero() {
			j.since = window.Since
		}
		for side := range j.exposure {
			j.exposure[side] += l.all[side].seconds
		}
	}
	return l
}

// begin notes a process that has just started. Of a stable one that is older than the rollout the first words were not heard, so it tells nothing.
func (r *row) begin(since time.Time) {
	if !r.starting || r.started.Equal(r.Started) {
		return
	}
	r.started, r.start = r.Started, nil
	if r.side == candidate || !since.After(r.Started.Add(slot)) {
		r.start = map[*line]float64{}
	}
}

// readable tells whether a server's counts can be used. Those of a stable server that lost lines cannot: it would seem to say less than it
// does, and the candidate more.
func (j *Judge) readable(l *look, r row) bool {
	if !r.LogsRead {
		if _, ok := j.unread[r.Server]; !ok {
			j.unread[r.Server] = l.Since
		}
		return false
	}
	delete(j.unread, r.Server)
	if r.LogsLost > 0 {
		j.lost[r.Server] += r.LogsLost
		l.lossy = l.lossy || r.side == candidate
		return r.side == candidate
	}
	return true
}

// count adds up the window's counts and weighs them.
func (j *Judge) count(l *look) {
	for _, r := range l.rows {
		for _, n := range r.Logs {
			j.add(l, r, n)
		}
	}
	for _, t := range l.order {
		j.weigh(l, t)
	}
	for _, line := range j.order {
		t := l.tally[line]
		if t == nil {
			t = &tally{line: line}
		}
		if line.caveat != nil {
			line.excuse(l, t)
		}
		if line.beat != nil && !l.lossy {
			line.beat.add(l, line)
		}
	}
	j.volume.add(j, l)
	j.note(l)
	j.listen()
}

func (j *Judge) add(l *look, r row, n judge.LogCount) {
	if n.Units <= 0 {
		return
	}
	line := j.line(n.Template)
	t := l.tally[line]
	if t == nil {
		t = &tally{line: line}
		l.tally[line], l.order = t, append(l.order, t)
	}
	t.all[r.side] += float64(n.Units)
	t.events[r.side] += line.loud(n.Units, n.Events)
	line.counts[r.side][r.Server] += n.Units
	j.heard[r.side].add(line, n.Units)
	if r.side == candidate && line.first.IsZero() {
		line.first, line.unseen = l.Until, max(0, j.exposure[candidate]-l.all[candidate].seconds)
	}
	if r.side == candidate && !line.known() {
		l.news[r.Server] = append(l.news[r.Server], novelty{line, float64(n.Units)})
	}
	if !r.starting {
		t.steady[r.side] += float64(n.Units)
		return
	}
	if r.start != nil {
		r.start[line] += float64(n.Units)
	}
	if r.side == candidate {
		line.starting += n.Units
	}
}

// weigh adds what a window has of a line to its evidence. What a process says in its first minute is weighed apart, against the first minutes
// of stable's processes; errors that no start of stable had are not excused by it.
func (j *Judge) weigh(l *look, t *tally) {
	line, units, exposures := t.line, t.steady, l.steady
	line.stale = true
	if line.bad() && line.start[others] == 0 {
		units, exposures = t.all, l.all
	}
	line.more.Add(evidence.Split{
		Candidate: units[candidate], Others: units[others],
		CandidateExposure: j.ratio(line, exposures[candidate], exposures[others]) * line.excess(l.Until), OthersExposure: 1,
	})
	if !line.known() || l.lossy {
		return
	}
	line.less.Add(evidence.Split{
		Candidate: t.steady[others], Others: t.steady[candidate],
		CandidateExposure: j.ratio(line, l.steady[others], l.steady[candidate]), OthersExposure: 1,
	})
	if line.volume != nil {
		line.volume.Add(evidence.Split{
			Candidate: t.events[candidate] / line.eventPhi, Others: t.events[others] / line.eventPhi,
			CandidateExposure: j.ratioOfLines(line, l.all[candidate], l.all[others]) * line.excess(l.Until), OthersExposure: 1,
		})
	}
}

// ratio is how many times as much one side can be expected to say of a line as another: by what the same servers said before the rollout
// (difference in differences), times the change in time or traffic, whichever is more. What none of several servers said in all of the history
// is rare, so what servers differ by does not add up: equal times are an equal share. 0 when they cannot be compared.
func (j *Judge) ratio(line *line, of, to exposure) float64 {
	if of.seconds == 0 || to.seconds == 0 {
		return 0
	}
	change := of.seconds / to.seconds
	if of.past == 0 || to.past == 0 {
		return max(change, quotient(of.requests, to.requests)) * unknownMargin(len(to.servers)) / margin
	}
	if !line.known() {
		change = max(change, quotient(of.requests, to.requests))
		if len(to.servers) == 1 {
			return change * j.config.SingleOld / margin
		}
		return change / margin
	}
	odds, _ := shares(of, to, line.said(of.servers), line.said(to.servers), line.phi)
	return odds * growth(of, to)
}

// ratioOfLines is ratio for lines rather than slots: of what is in nearly all slots, these say too little of how servers differ.
func (j *Judge) ratioOfLines(line *line, of, to exposure) float64 {
	if of.past == 0 || to.past == 0 {
		return j.ratio(line, of, to)
	}
	odds, _ := shares(of, to, line.wrote(of.servers), line.wrote(to.servers), line.eventPhi)
	return odds * growth(of, to)
}

// shares gives the odds of one side's share of a line in the history: what they seem to be, which is an equal share until there is more to go by;
// and what is innocent but for the margin. That is for shares that change by themselves, and the most that the odds can be is for too short a
// history: the larger one is enough, since both at once are rare.
func shares(of, to exposure, said1, said2, phi float64) (innocent, seen float64) {
	equal := of.past / to.past
	most := min(evidence.Odds(said1, said2, phi), uneven*max(equal, (said1+0.5)/(said2+0.5)))
	prior := evenly * max(phi, 1) / (1 + equal)
	seen = (said1 + prior*equal) / (said2 + prior)
	return max(seen, most/margin), seen
}

// growth is by how much a side's time or traffic grew since the history against the other's, whichever is more.
func growth(of, to exposure) float64 {
	byTime := quotient(of.seconds, to.seconds) / (of.past / to.past)
	return max(byTime, quotient(quotient(of.requests, to.requests), quotient(of.pastRequests, to.pastRequests)))
}

func unknownMargin(others int) float64 {
	if others == 1 {
		return marginAlone
	}
	return marginUnknown
}

// quotient is 0 where there is none.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// excess is how much more than others a line may be said by its caveat, relative to one without.
func (l *line) excess(at time.Time) float64 {
	if l.caveat == nil || l.caveat.expired(at) {
		return 1
	}
	return l.caveat.margin() / margin
}

// excuse weighs the window against the usual rate of the line's caveat.
func (l *line) excuse(look *look, t *tally) {
	c := l.caveat
	if c.expired(look.Until) {
		l.usual = nil
	}
	if l.usual == nil {
		return
	}
	side := look.all[candidate]
	perMinute := c.Rate
	if n := float64(len(side.servers)); c.Share > 0 && n > 0 {
		perMinute = c.Share * side.requests / n
	}
	slots := side.seconds / slot.Seconds()
	l.stale = true
	l.usual.add(slots, t.all[candidate], perMinute*c.margin()*slot.Minutes())
}

// endStarts closes the starts that are over.
func (j *Judge) endStarts(l *look) {
	for _, r := range l.rows {
		if r.starting || r.start == nil {
			continue
		}
		if r.started.Equal(r.Started) {
			j.starts[r.side]++
			for line, units := range r.start {
				line.start[r.side] += units
			}
			for _, line := range j.order {
				line.stale = line.stale || line.start[candidate] > 0
			}
		}
		r.server.start = nil
	}
}
