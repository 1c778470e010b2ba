package controller

import (
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/lookout"
	"github.com/segue-deploy/segue/internal/operator"
)

const (
	// placeboRelease is what the server on trial is said to run.
	placeboRelease = segue.ReleaseName("placebo")
	// placeboFor is how long a trial takes: about an observation.
	placeboFor = 10 * time.Minute
	// placeboServers is how many there must be: the one on trial, and two to compare it with.
	placeboServers = 3
)

// placebo judges one stable server against the others as if it ran something new. Whatever that finds is a false alarm, or a server that is not like the
// others: the rate is that of the user's own fleet.
type placebo struct {
	settings segue.Service
	judges   func(settings segue.Service, candidate segue.ReleaseName) []judge.Judge

	mu      sync.Mutex
	now     []judge.Judge
	past    []judge.Evidence
	server  segue.ServerName
	since   time.Time
	turn    int
	alarmed bool
	tally   operator.Placebo
}

func newPlacebo(settings segue.Service, judges func(segue.Service, segue.ReleaseName) []judge.Judge) *placebo {
	return &placebo{settings: settings, judges: judges}
}

// rest ends a trial that a rollout cuts short: it counts neither way.
func (p *placebo) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now, p.alarmed = nil, false
}

// weigh takes a window in which every server runs stable.
func (p *placebo) weigh(window judge.Evidence, past *lookout.Lookout) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.settings.Judging.Placebo || p.settings.Judging.Budget <= 0 || len(window.Servers) < placeboServers {
		return
	}
	if p.now == nil || !slices.ContainsFunc(window.Servers, func(s judge.ServerEvidence) bool { return s.Server == p.server }) {
		p.begin(window, past)
	}
	window.Servers = slices.Clone(window.Servers) // they are the past's, too
	past.Fill(&window)
	window.Before, p.past = p.past, nil
	window.Stable, window.Candidate = window.Servers[0].Release, placeboRelease
	for i := range window.Servers {
		if window.Servers[i].Server == p.server {
			window.Servers[i].Release = placeboRelease
		}
	}
	window.Witness = nil
	var findings []segue.Finding
	for _, j := range p.now {
		findings = append(findings, j.Weigh(window)...)
	}
	if verdict := segue.Combine(window.Until, findings); verdict.Ruling == segue.RulingFail && !p.alarmed {
		p.alarmed = true
		p.tally.Alarms++
		for _, f := range findings {
			if f.Ruling == segue.RulingFail {
				p.tally.Last, p.tally.LastAt = f.Text, window.Until
				break
			}
		}
	}
	if window.Until.Sub(p.since) >= placeboFor {
		p.tally.Trials++
		p.now, p.alarmed = nil, false
		past.End()
	}
}

// begin puts the next server on trial.
func (p *placebo) begin(window judge.Evidence, past *lookout.Lookout) {
	p.server = window.Servers[p.turn%len(window.Servers)].Server
	p.turn++
	p.now, p.since, p.alarmed = p.judges(p.settings, placeboRelease), window.Since, false
	p.past = past.Past(window.Since, window.Servers)
	if p.tally.Since.IsZero() {
		p.tally.Since = window.Since
	}
}

// told gives what came of it so far.
func (p *placebo) told() operator.Placebo {
	p.mu.Lock()
	defer p.mu.Unlock()
	tally := p.tally
	if p.now != nil {
		tally.Server = p.server
	}
	return tally
}
