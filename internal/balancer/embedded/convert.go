package embedded

import (
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/proxy"
)

// convert gives a proxy's snapshot in the contract's words.
func convert(s proxy.Snapshot) balancer.Snapshot {
	out := balancer.Snapshot{
		At: s.At, Epoch: s.Epoch, Holding: s.Holding, Maintenance: s.Maintenance,
		Held: s.Held, HeldNow: s.HeldNow, HeldLongest: s.HeldLongest,
		Unrouted: s.Unrouted, Moves: s.Moves, Users: s.Users,
		Backends: make([]balancer.BackendStatus, 0, len(s.Backends)),
	}
	for _, b := range s.Backends {
		out.Backends = append(out.Backends, convertBackend(b))
	}
	for _, f := range s.Failures {
		out.Failures = append(out.Failures, balancer.FailedRequest(f))
	}
	return out
}

func convertRecord(r proxy.MirrorRecord) balancer.MirrorRecord {
	return balancer.MirrorRecord{
		Method: r.Method, Path: r.Path, RequestID: r.RequestID, Stable: r.Stable, Second: r.Second,
		Primary: balancer.MirrorAnswer(r.Primary), Candidate: balancer.MirrorAnswer(r.Candidate), Secondary: balancer.MirrorAnswer(r.Secondary),
		Raced: r.Raced, Lost: r.Lost,
	}
}

func convertBackend(b proxy.BackendStatus) balancer.BackendStatus {
	return balancer.BackendStatus{
		Backend:  balancer.Backend{ID: b.ID, Server: b.Server, Release: b.Release, Address: b.Address},
		Rotation: b.Rotation, Healthy: b.Healthy,
		InFlight: balancer.InFlight{Known: true, Requests: b.InFlight.Requests, Long: b.InFlight.Long},
		Counters: balancer.Counters(b.Counters), Routes: b.Routes, Mirrored: b.Mirrored,
	}
}
