package metrics

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// holdAt is the evidence at which a candidate is not promoted further, passAt that for being fine.
	holdAt = 20
	passAt = 20
	// severeFrom is the age of a process from which the severe lane acts.
	severeFrom = 30 * time.Second
	// A bin is weighed once both sides had atOnce requests, once it is shortBin long and both had any, at longBin whether they had or not.
	atOnce   = 20
	shortBin = 10 * time.Second
	longBin  = time.Minute
)

// Config is what the judge of a rollout goes by. The zero value is good.
type Config struct {
	// Budget is the false-alarm rate of each lane over the whole rollout. Default: the shares of 5 %.
	Budget evidence.Budget
	// Warm is the age of a process up to which only severe faults count: caches are cold. Default 60 s.
	Warm time.Duration
}

// phase is what a server counts for, by the age of its process.
type phase int

const (
	// phaseCold counts only where errors are so many that no start excuses them.
	phaseCold phase = iota
	// phaseSevere counts in the severe lane alone.
	phaseSevere
	// phaseWarm counts everywhere.
	phaseWarm
)

// Judge weighs the requests and the metrics of one rollout's servers: each server with the candidate against all with stable, as far as those
// were alike before.
//
// Errors and latency fail a candidate at the error rate of their lanes, of which the s-th server gets 6/(π²s²), and hold it at evidence of
// 20. They pass at evidence of 20 that errors are less than twice as many, and answers less than 25 % slower, or as little as servers' moods allow
// to be shown in half an hour. Errors are weighed by route too, where the balancer tells them apart. Gauges that are higher, and resources that
// grow, hold.
//
// Moods of servers are no part of what an e-value promises. With moods of 10 % that last for ten minutes, on servers that differ by 30 % for good,
// 0.3 % of equal releases fail and 2.3 % are held (tests named EqualReleases); without moods it is less than the error rate.
type Judge struct {
	config   Config
	begun    bool
	history  history
	levelled history
	subjects []*subject
	fine     fine
	mix      mix
	gauges   gauges
	routes   routes
	bin      bin
	// since is the start of the first window, until the end of the last one; compared the time in which both sides had requests.
	since, until time.Time
	compared     time.Duration
}

// bin gathers windows until they are weighed.
type bin struct {
	length  time.Duration
	key     string
	servers []judge.ServerEvidence
	phases  []phase
}

// New makes the judge of one rollout.
func New(config Config) *Judge {
	if config.Budget == (evidence.Budget{}) {
		config.Budget = evidence.DefaultBudget(0.05)
	}
	if config.Warm <= 0 {
		config.Warm = time.Minute
	}
	return &Judge{config: config, fine: newFine()}
}

// Name is "metrics"; its findings carry the name of the lane.
func (j *Judge) Name() string { return "metrics" }

// Weigh takes the next window.
func (j *Judge) Weigh(window judge.Evidence) []segue.Finding {
	window.Servers = slices.DeleteFunc(sorted(window.Servers), func(s judge.ServerEvidence) bool {
		return s.Release != window.Candidate && s.Release != window.Stable
	})
	if !j.begun {
		j.begun, j.since = true, window.Since
		j.history = newHistory(window.Before)
		j.levelled = j.history.levelled(window.Before)
		j.gauges = newGauges(window.Before, window.Since)
		j.routes = newRoutes(window.Before, j.history)
		j.mix = newMix(window.Before)
	}
	j.until = window.Until
	phases := make([]phase, 0, len(window.Servers))
	for _, row := range window.Servers {
		phases = append(phases, j.phase(window, row))
	}
	j.gather(window, phases)
	j.gauges.add(window, phases, j.subjects)
	return j.findings(window)
}

// phase gives what a server counts for in the window, and makes it a subject if it is new as a candidate.
func (j *Judge) phase(window judge.Evidence, row judge.ServerEvidence) phase {
	if row.Release != window.Candidate {
		return phaseWarm
	}
	s := j.subject(row.Server)
	if s == nil {
		s = newSubject(row.Server, len(j.subjects)+1, window.Since)
		s.begin(&j.gauges, evidence.Spend(j.config.Budget.Gauges, s.order))
		s.beginRoutes(&j.routes, j.errorRate(s))
		j.subjects = append(j.subjects, s)
	}
	s.asked += positive(row.Requests)
	started := row.Started
	if started.IsZero() {
		started = s.since
	}
	switch age := window.Since.Sub(started); {
	case age >= j.config.Warm:
		return phaseWarm
	case age >= severeFrom:
		return phaseSevere
	}
	return phaseCold
}

// errorRate is that of the lane of errors for a server. Where errors are known by route too, routes have half of it.
func (j *Judge) errorRate(s *subject) float64 {
	rate := evidence.Spend(j.config.Budget.Errors, s.order)
	if j.routes.told() {
		rate /= 2
	}
	return rate
}

func (j *Judge) subject(name segue.ServerName) *subject {
	for _, s := range j.subjects {
		if s.name == name {
			return s
		}
	}
	return nil
}

// gather puts a window into the bin, and weighs the bin if it is full or the window does not fit it. When a bin ends depends on servers and
// requests, and never on what is weighed.
func (j *Judge) gather(window judge.Evidence, phases []phase) {
	var key strings.Builder
	for i, row := range window.Servers {
		key.WriteString(string(row.Server) + "=" + string(row.Release) + " " + strconv.Itoa(int(phases[i])) + "\n")
	}
	b := &j.bin
	if b.key != key.String() {
		j.close(window)
		*b = bin{key: key.String(), servers: slices.Clone(window.Servers), phases: phases, length: window.Length()}
	} else {
		b.length += window.Length()
		for i, row := range window.Servers {
			into := &b.servers[i]
			into.Requests += max(0, row.Requests)
			into.Errors += max(0, row.Errors)
			into.Latency = into.Latency.Add(row.Latency)
			into.Routes = addRoutes(into.Routes, row.Routes)
			into.RouteErrors = addRoutes(into.RouteErrors, row.RouteErrors)
		}
	}
	requests := map[segue.ReleaseName]int64{}
	for _, s := range b.servers {
		requests[s.Release] += max(0, s.Requests)
	}
	fewer := min(requests[window.Candidate], requests[window.Stable])
	if b.length >= longBin || b.length >= shortBin && fewer > 0 || fewer >= atOnce {
		j.close(window)
	}
}

func addRoutes(into, more map[string]int64) map[string]int64 {
	sum := make(map[string]int64, max(len(into), len(more)))
	for _, routes := range []map[string]int64{into, more} {
		for route, n := range routes {
			sum[route] += max(0, n)
		}
	}
	return sum
}

// close weighs what is in the bin, and empties it.
func (j *Judge) close(window judge.Evidence) {
	b := j.bin
	j.bin = bin{}
	var others, all side
	for _, row := range b.servers {
		if row.Release != window.Candidate {
			others.add(row)
		}
	}
	if others.requests == 0 {
		return
	}
	j.routes.admit(b.servers, j.subjects)
	exposure, asked := 0.0, map[string]float64(nil)
	for i, row := range b.servers {
		if row.Release != window.Candidate || row.Requests <= 0 {
			continue
		}
		var mine side
		mine.add(row)
		asked = counted(asked, row.Routes)
		s := j.subject(row.Server)
		s.weighDrastic(j.levelled, mine, others)
		if b.phases[i] == phaseCold {
			continue
		}
		s.weighSevere(j.levelled, mine, others)
		if b.phases[i] != phaseWarm {
			continue
		}
		s.weigh(j.history, j.levelled, mine, others, b.length)
		s.weighRoutes(&j.routes, j.history, mine, others)
		exposure += j.history.exposures(mine, others).habit
		all.add(row)
	}
	if all.requests > 0 {
		j.compared += b.length
		j.fine.add(all, others, exposure, j.history.errorPhi)
	}
	// What a server is asked for does not depend on its age.
	j.mix.add(asked, others.routes, b.servers, window.Candidate)
}
