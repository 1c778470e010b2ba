package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/rollout"
)

const (
	// confrontLeast and confrontMost bound how long stable is watched on the suspect servers.
	confrontLeast, confrontMost = 5 * time.Second, time.Minute
)

// suspects are the servers on which the candidate was found wanting.
type suspects struct {
	servers []segue.ServerName
	judges  []string
	// took is how long it was until that was found.
	took time.Duration
}

// suspects says whom a failed verdict is about; none where the test would tell nothing.
func (m *monitor) suspects() (found suspects) {
	verdict := m.present()
	if !m.settings.Judging.Second || m.settings.Judging.Budget <= 0 || verdict == nil || verdict.Ruling != segue.RulingFail {
		return found
	}
	for _, f := range verdict.Findings {
		if f.Ruling != segue.RulingFail {
			continue
		}
		found.judges = append(found.judges, f.Judge)
		if f.Server != "" && !slices.Contains(found.servers, f.Server) {
			found.servers = append(found.servers, f.Server)
		}
	}
	m.marks.Lock()
	defer m.marks.Unlock()
	for _, server := range m.upgraded {
		if len(found.servers) == 0 || len(m.upgraded) == 1 && !slices.Contains(found.servers, server) {
			found.servers = append(found.servers, server)
		}
	}
	found.took = verdict.At.Sub(m.judgedSince)
	return found
}

// confront puts stable, back on the servers on which the candidate failed, before the same judges: if it fails there too, it was the machine. It says so
// in the journal, for the receipt.
func (c *Controller) confront(ctx context.Context, m *monitor) {
	suspects := m.suspects()
	if len(suspects.servers) == 0 {
		return
	}
	fleet, fit := c.fleetAfter(ctx, m)
	if !fit || len(fleet.Slots) <= len(suspects.servers) {
		return
	}
	judges := c.options.Judges(m.settings, m.candidate)
	counts := counting{balancer: m.service.balancer}
	var verdict segue.Verdict
	ticker := time.NewTicker(c.options.Look)
	defer ticker.Stop()
	for end := time.Now().Add(min(max(2*suspects.took, confrontLeast), confrontMost)); time.Now().Before(end); {
		window, ok, err := counts.window(ctx, fleet, m.settings.Balanced)
		if err != nil {
			return
		}
		if ok {
			m.accuse(&window, suspects)
			if verdict = weighAll(judges, window); verdict.Ruling == segue.RulingFail {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	finding := m.effect(suspects, verdict)
	finding.At = time.Now()
	c.post(ctx, segue.Event{
		Kind: segue.EventVerdict, Service: m.service.name, Rollout: m.id,
		Verdict: &segue.Verdict{Ruling: segue.RulingReport, At: finding.At, Findings: []segue.Finding{finding}},
	})
}

// accuse makes a window of the fleet as it is now one in which the suspect servers seem to run the candidate.
func (m *monitor) accuse(window *judge.Evidence, suspects suspects) {
	window.Service, window.Stable, window.Candidate = m.service.name, m.stable, m.candidate
	if m.lookout != nil {
		m.lookout.Fill(window)
	}
	for i := range window.Servers {
		if slices.Contains(suspects.servers, window.Servers[i].Server) {
			window.Servers[i].Release = m.candidate
		}
	}
}

// effect says what the test came to.
func (m *monitor) effect(suspects suspects, verdict segue.Verdict) segue.Finding {
	finding := segue.Finding{Judge: "version or machine", Ruling: segue.RulingReport, Release: m.candidate, Server: suspects.servers[0]}
	for _, f := range verdict.Findings {
		if f.Ruling == segue.RulingFail && slices.Contains(suspects.judges, f.Judge) {
			finding.Text = fmt.Sprintf("the machine: with %s back on %s it was found again: %s", m.stable, suspects.servers[0], f.Text)
			return finding
		}
	}
	finding.Text = fmt.Sprintf("the version: with %s back on %s it was not found again", m.stable, suspects.servers[0])
	return finding
}

// fleetAfter is the fleet once a rollout has gone back; fit says that it did, everywhere.
func (c *Controller) fleetAfter(ctx context.Context, m *monitor) (fleet segue.Fleet, fit bool) {
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		known, ok := ledger.Services[m.service.name]
		if !ok || known.Open != nil {
			return
		}
		fleet, fit = cloneFleet(known.Fleet), true
		for _, slot := range fleet.Slots {
			fit = fit && slot.Instance.Release == m.stable
		}
	})
	return fleet, err == nil && fit
}
