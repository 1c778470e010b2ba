package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	// EnoughPast is how long the history must be to tell anything of servers' habits: their moods last for minutes.
	EnoughPast = 20 * time.Minute
	// enoughPast is how many errors the history must have for servers' shares of them to be known.
	enoughPast = 20
	// mostPhi bounds what a server's moods may excuse.
	mostPhi = 10
)

// past is what one server did before the rollout.
type past struct {
	requests, errors float64
	latency          telemetry.Distribution
}

// history is what all did.
type history struct {
	// length is the time in which requests were counted: not that which nobody watched, or in which logs alone were read.
	length  time.Duration
	servers map[segue.ServerName]past
	// errorPhi and latencyPhi are how much more counts scatter over the servers than independent requests would.
	errorPhi, latencyPhi float64
	// moods is the variance that a minute adds to the sum of the logarithm of a server's durations, beside what all do.
	moods float64
}

func newHistory(before []judge.Evidence) history {
	h := history{servers: map[segue.ServerName]past{}}
	var all telemetry.Distribution
	for _, slice := range before {
		if counted := func(row judge.ServerEvidence) bool { return row.Requests > 0 }; slices.ContainsFunc(slice.Servers, counted) {
			h.length += max(0, slice.Length())
		}
		for _, row := range slice.Servers {
			p := h.servers[row.Server]
			p.requests += positive(row.Requests)
			p.errors += positive(row.Errors)
			p.latency = p.latency.Add(row.Latency)
			h.servers[row.Server] = p
			all = all.Add(row.Latency)
		}
	}
	middle := all.Quantile(0.5)
	h.errorPhi = scatter(before, func(row judge.ServerEvidence) (float64, float64) { return positive(row.Errors), positive(row.Requests) })
	h.latencyPhi = scatter(before, func(row judge.ServerEvidence) (float64, float64) {
		return positive(row.Latency.Above(middle)), positive(row.Latency.Count)
	})
	h.moods = moodsOf(before)
	return h
}

// settled is the age from which a process's durations tell of its server's moods, timed how many of them a slice must have.
const (
	settled = 3 * time.Minute
	timed   = 20
)

// moodsOf takes the logarithms of servers' medians, slice by slice, for a series in which each value resembles the one before. The resemblance
// of a short series seems smaller than it is, by (1+4ρ)/n (Kendall 1954).
func moodsOf(before []judge.Evidence) float64 {
	servers, minutes := map[segue.ServerName]int{}, 0.0
	for _, slice := range before {
		for _, row := range slice.Servers {
			servers[row.Server]++
		}
	}
	names := slices.Sorted(maps.Keys(servers))
	h, rows := habit{means: map[segue.ServerName]float64{}}, [][]float64{}
	for _, slice := range before {
		row := make([]float64, len(names))
		for _, s := range slice.Servers {
			if s.Latency.Count >= timed && (s.Started.IsZero() || slice.Since.Sub(s.Started) >= settled) {
				row[slices.Index(names, s.Server)] = math.Log(float64(max(s.Latency.Quantile(0.5), time.Microsecond)))
			}
		}
		if slice.Length() > 0 && !slices.Contains(row, 0) {
			rows, minutes = append(rows, row), minutes+slice.Length().Minutes()
		}
	}
	n := float64(len(rows))
	if len(names) < 2 || n < enoughWindows {
		return 0
	}
	for _, row := range rows {
		for i, name := range names {
			h.means[name] += row[i] / n
		}
	}
	lag, deviation := h.resemblance(names, rows)
	lag = min(max(0, lag+(1+4*lag)/n), mostResemblance)
	return deviation * deviation * minutes / n * (1 + lag) / (1 - lag)
}

// mostResemblance bounds how long moods are taken to last: 0.95 is twenty slices.
const mostResemblance = 0.95

func positive(n int64) float64 { return float64(max(0, n)) }

// scatter is the mean of (counted − expected)²/expected per degree of freedom, at least 1 and mostPhi at most: what is expected of a server in a
// slice is its part of all that was counted in that slice, by its exposure and its own rate over all. So neither day and night nor an outage of
// all makes it larger.
func scatter(before []judge.Evidence, count func(judge.ServerEvidence) (events, exposure float64)) float64 {
	events, exposures := map[segue.ServerName]float64{}, map[segue.ServerName]float64{}
	for _, slice := range before {
		for _, row := range slice.Servers {
			k, n := count(row)
			events[row.Server] += k
			exposures[row.Server] += n
		}
	}
	squares, freedom := 0.0, 1-float64(len(events))
	for _, slice := range before {
		total, expected, sides := 0.0, 0.0, 0.0
		for _, row := range slice.Servers {
			k, n := count(row)
			if usual := n * events[row.Server] / max(1, exposures[row.Server]); usual > 0 {
				total, expected, sides = total+k, expected+usual, sides+1
			}
		}
		if sides < 2 || total == 0 {
			continue
		}
		freedom += sides - 1
		for _, row := range slice.Servers {
			k, n := count(row)
			if usual := n * events[row.Server] / max(1, exposures[row.Server]) * total / expected; usual > 0 {
				squares += (k - usual) * (k - usual) / usual
			}
		}
	}
	if freedom < 1 {
		return 1
	}
	return min(max(1, squares/freedom), mostPhi)
}

// knows tells whether all servers of both sides have a history that is long enough.
func (h history) knows(mine, others side) bool {
	for _, names := range [][]segue.ServerName{mine.names, others.names} {
		for _, name := range names {
			if h.servers[name].requests == 0 {
				return false
			}
		}
	}
	return h.length >= EnoughPast
}

// lacks says why a server that has no history cannot be failed, and what to do.
func (h history) lacks() string {
	if h.length >= EnoughPast {
		return "; but a server has no history to tell whether it was always so"
	}
	return fmt.Sprintf("; but of the %.0f min of history that it takes to tell whether it was always so, servers have %.0f: decide yourself, and keep `segue serve` running before the next one",
		EnoughPast.Minutes(), math.Floor(h.length.Minutes()))
}

// sum adds up servers' requests and errors.
func (h history) sum(names []segue.ServerName) (all past) {
	for _, name := range names {
		all.requests += h.servers[name].requests
		all.errors += h.servers[name].errors
	}
	return all
}

// latency adds up servers' durations.
func (h history) latency(names []segue.ServerName) (all telemetry.Distribution) {
	for _, name := range names {
		all = all.Add(h.servers[name].latency)
	}
	return all
}

// side is what one side, or one server, did in some time.
type side struct {
	names            []segue.ServerName
	requests, errors float64
	latency          telemetry.Distribution
	routes           map[string]float64
	routeErrors      map[string]float64
}

func (s *side) add(row judge.ServerEvidence) {
	s.names = append(s.names, row.Server)
	s.requests += positive(row.Requests)
	s.errors += min(positive(row.Errors), positive(row.Requests))
	s.latency = s.latency.Add(row.Latency)
	s.routes, s.routeErrors = counted(s.routes, row.Routes), counted(s.routeErrors, row.RouteErrors)
}

func counted(into map[string]float64, more map[string]int64) map[string]float64 {
	for route, n := range more {
		if into == nil {
			into = map[string]float64{}
		}
		into[route] += positive(n)
	}
	return into
}

// exposures are the candidate's to errors, with 1 for the others. A server with a history has had its share of errors, and may keep it.
type exposures struct {
	// habit is by that share. some is the most that history allows of it at 95 %, more at 97.5 % and most at 99.9 %, each of the latter two or the margin
	// above habit; severe is three times the habit at least. All but the first are what the processes of subjects excuse.
	habit, some, more, most, severe float64
}

func (h history) exposures(candidate, others side) exposures {
	equal := candidate.requests / others.requests
	mine, theirs, margin := h.sum(candidate.names), h.sum(others.names), errorMargin
	known := h.knows(candidate, others)
	if !known {
		margin = strangerMargin
	}
	if !known || mine.errors+theirs.errors < enoughPast {
		return exposures{equal, margin * equal, margin * equal, margin * equal, severeMargin * equal}
	}
	traffic := equal * theirs.requests / mine.requests
	share := (mine.errors + 0.5) / (theirs.errors + 0.5)
	odds := max(share, evidence.Odds(mine.errors, theirs.errors, h.errorPhi))
	// Quantiles of 95 % and 97.5 % are these parts of the way to that of 99.9 %, on a logarithmic scale.
	const part, further = 1.645 / 3.09, 1.96 / 3.09
	return exposures{
		habit: share * traffic, some: share * math.Pow(odds/share, part) * traffic,
		more: max(share*math.Pow(odds/share, further), margin*share) * traffic,
		most: max(odds, margin*share) * traffic, severe: max(odds, severeMargin*share) * traffic,
	}
}
