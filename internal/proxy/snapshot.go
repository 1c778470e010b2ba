package proxy

import (
	"time"

	"github.com/segue-deploy/segue"
)

// snapshot reports the service at this moment.
func (s *service) snapshot(epoch string, withFailures bool) Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	snap := Snapshot{
		Service: s.name, At: now, Epoch: epoch, Config: s.stored.Config, Shares: s.stored.Shares,
		Holding: s.stored.Hold != nil, Maintenance: s.stored.Maintenance != nil,
		Held: s.held.Load(), HeldNow: s.heldNow.Load(), HeldLongest: time.Duration(s.heldLongest.Load()),
		HeldAbandoned: s.abandoned.Load(),
		Unrouted:      s.unrouted.snapshot(), Moves: s.moves.Load(), Users: s.users.Load(),
		Backends: make([]BackendStatus, 0, len(s.backends)+len(s.gone)),
	}
	if withFailures {
		snap.Failures = s.failures.list()
	}
	snap.Mirror = s.mirrorCounts.snapshot()
	snap.Connections, snap.Refused = s.caps.Open()
	if s.front != nil {
		snap.Address = s.front.socket.Addr().String()
		if s.front.certificate != nil {
			if err := s.front.certificate.Err(); err != nil {
				snap.Warnings = append(snap.Warnings, err.Error())
			}
		}
	}
	names := s.routes.names()
	for _, b := range s.backends {
		status := b.status(now)
		status.Routes = b.counters.routes.snapshot(names)
		snap.Backends = append(snap.Backends, status)
	}
	for _, b := range s.gone {
		snap.Backends = append(snap.Backends, b.status(now))
	}
	return snap
}

// status reports one backend that is registered.
func (s *service) status(id segue.InstanceID) (BackendStatus, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backends {
		if b.ID == id {
			status := b.status(time.Now())
			status.Routes = b.counters.routes.snapshot(s.routes.names())
			return status, true
		}
	}
	return BackendStatus{}, false
}

func (b *backend) status(now time.Time) BackendStatus {
	rotation := b.rotation
	if rotation == "" {
		rotation = segue.RotationOut
	}
	return BackendStatus{
		Backend: b.Backend, Rotation: rotation, Removed: b.removed.Load(), Healthy: b.health.up,
		InFlight: b.inFlight(now), Counters: b.counters.snapshot(), Mirrored: b.mirrored.Load(),
	}
}
