package controller

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// counting turns a balancer's counters into windows, each from where the one before ended.
type counting struct {
	balancer balancer.Driver // nil for workers
	previous *telemetry.Snapshot
	since    time.Time
}

// window gives what each server did since the last call. It says false when nothing can be said: at the first call, which only sets the mark, when the
// balancer does not answer, and when it was started anew. balanced leaves out what is not in rotation.
func (c *counting) window(ctx context.Context, fleet segue.Fleet, balanced bool) (window judge.Evidence, ok bool, err error) {
	window = judge.Evidence{Since: c.since, Until: time.Now()}
	counted := map[segue.InstanceID]difference{}
	if c.balancer != nil {
		snapshot, err := c.balancer.Snapshot(ctx)
		if err != nil {
			return window, false, err
		}
		previous := c.previous
		c.previous = &snapshot
		if previous == nil || previous.Epoch != snapshot.Epoch {
			c.since = window.Until
			return window, false, nil
		}
		counted = differences(*previous, snapshot)
	}
	for _, slot := range fleet.Slots {
		if slot.Instance.ID == "" || balanced && slot.Rotation != segue.RotationIn {
			continue
		}
		done := counted[slot.Instance.ID]
		window.Servers = append(window.Servers, judge.ServerEvidence{
			Server: slot.Server.Name, Release: slot.Instance.Release,
			Requests: done.Requests, Errors: done.Errors(), Latency: done.Latency,
			Routes: done.routes, RouteErrors: done.errors, Mirrored: done.mirrored,
			Ready: slot.Ready, Restarts: slot.Instance.Restarts, Started: slot.Instance.StartedAt,
		})
	}
	first := c.since.IsZero()
	c.since = window.Until
	return window, !first || c.balancer == nil, nil
}

// window gathers what was seen since the last window. The first call only sets the mark. It says false when nothing can be said.
func (m *monitor) window(ctx context.Context, fleet segue.Fleet) (judge.Evidence, bool) {
	since := m.counts.since
	window, ok, err := m.counts.window(ctx, fleet, m.settings.Balanced)
	if err != nil {
		m.log.WarnContext(ctx, "look at balancer", "error", err)
	}
	if !ok {
		return window, false
	}
	window.Service, window.Stable, window.Candidate = m.service.name, m.stable, m.candidate
	if m.lookout != nil {
		m.lookout.See(watchedOf(fleet))
		window.Servers = append(window.Servers, beside(fleet, m.candidate)...)
		m.lookout.Fill(&window)
	}
	window.Answers = m.mirror.take()
	if m.witness != nil {
		window.Witness = m.witness.Findings(since)
	}
	window.Before, m.past = m.past, nil
	onTheWall(&window)
	return window, true
}

// onTheWall leaves out what the clocks of this process alone tell: what is judged is exactly what is stored of it.
func onTheWall(window *judge.Evidence) {
	window.Since, window.Until = window.Since.Round(0), window.Until.Round(0)
	for i := range window.Servers {
		window.Servers[i].Started = window.Servers[i].Started.Round(0)
	}
	for i := range window.Templates {
		window.Templates[i].First = window.Templates[i].First.Round(0)
	}
	for i := range window.Before {
		onTheWall(&window.Before[i])
	}
}

// beside lists candidates that run beside stable and have no traffic of their own yet: what they write counts.
func beside(fleet segue.Fleet, candidate segue.ReleaseName) []judge.ServerEvidence {
	var rows []judge.ServerEvidence
	for _, slot := range fleet.Slots {
		if b := slot.Beside; b != nil && b.Instance.Release == candidate && slot.Instance.Release != candidate && b.Ready {
			rows = append(rows, judge.ServerEvidence{
				Server: besideName(slot.Server.Name), Release: candidate, Ready: true, Restarts: b.Instance.Restarts, Started: b.Instance.StartedAt,
			})
		}
	}
	return rows
}

// besideName tells the second instance of a server from the first.
func besideName(server segue.ServerName) segue.ServerName { return server + " (beside)" }

// difference is what a backend did between two snapshots.
type difference struct {
	telemetry.Counters
	// routes and errors count its requests and errors by route; nil where the balancer tells none apart.
	routes, errors map[string]int64
	mirrored       int64
}

// differences gives what each backend did between two snapshots of one epoch.
func differences(earlier, later telemetry.Snapshot) map[segue.InstanceID]difference {
	before := make(map[segue.InstanceID]telemetry.BackendStatus, len(earlier.Backends))
	for _, backend := range earlier.Backends {
		before[backend.ID] = backend
	}
	counted := make(map[segue.InstanceID]difference, len(later.Backends))
	for _, backend := range later.Backends {
		was := before[backend.ID]
		done := difference{Counters: backend.Counters.Sub(was.Counters), mirrored: max(0, backend.Mirrored-was.Mirrored)}
		for route, now := range backend.Routes {
			since := now.Since(was.Routes[route])
			note(&done.routes, route, since.Requests)
			note(&done.errors, route, since.Errors)
		}
		counted[backend.ID] = done
	}
	return counted
}

// note enters a count that is one into a map that is made for the first.
func note(counts *map[string]int64, name string, n int64) {
	if n <= 0 {
		return
	}
	if *counts == nil {
		*counts = map[string]int64{}
	}
	(*counts)[name] = n
}
