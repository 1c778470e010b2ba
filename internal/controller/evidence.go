package controller

import (
	"context"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// window gathers what was seen since the last window. The first call only sets the mark. It says false when nothing can be said.
func (m *monitor) window(ctx context.Context, fleet segue.Fleet) (judge.Evidence, bool) {
	evidence := judge.Evidence{
		Service: m.service.name, Stable: m.stable, Candidate: m.candidate, Since: m.since, Until: time.Now(),
	}
	counted := map[segue.InstanceID]telemetry.Counters{}
	if m.service.balancer != nil {
		snapshot, err := m.service.balancer.Snapshot(ctx)
		if err != nil {
			m.log.WarnContext(ctx, "look at balancer", "error", err)
			return evidence, false
		}
		previous := m.previous
		m.previous = &snapshot
		if previous == nil || previous.Epoch != snapshot.Epoch {
			m.since = evidence.Until
			return evidence, false
		}
		counted = differences(*previous, snapshot)
	}
	for _, slot := range fleet.Slots {
		if slot.Instance.ID == "" || m.settings.Balanced && slot.Rotation != segue.RotationIn {
			continue
		}
		counters := counted[slot.Instance.ID]
		evidence.Servers = append(evidence.Servers, judge.ServerEvidence{
			Server: slot.Server.Name, Release: slot.Instance.Release,
			Requests: counters.Requests, Errors: counters.Errors(), Latency: counters.Latency,
			Ready: slot.Ready, Restarts: slot.Instance.Restarts,
		})
	}
	if m.witness != nil {
		evidence.Witness = m.witness.Findings(m.since)
	}
	m.since = evidence.Until
	return evidence, true
}

// differences gives what each backend did between two snapshots of one epoch.
func differences(earlier, later telemetry.Snapshot) map[segue.InstanceID]telemetry.Counters {
	before := make(map[segue.InstanceID]telemetry.Counters, len(earlier.Backends))
	for _, backend := range earlier.Backends {
		before[backend.ID] = backend.Counters
	}
	counted := make(map[segue.InstanceID]telemetry.Counters, len(later.Backends))
	for _, backend := range later.Backends {
		counted[backend.ID] = backend.Counters.Sub(before[backend.ID])
	}
	return counted
}
