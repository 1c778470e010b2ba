package proxy

import (
	"context"
	"math"
	"net"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// add makes a backend known, out of rotation. One that is known with the same address stays as it is.
func (p *Proxy) add(name string, b Backend) error {
	if b.ID == "" || len(b.ID) > 255 {
		return segue.Errorf(segue.KindInvalid, "backend id %q: it must have 1 to 255 characters", b.ID)
	}
	if host, port, err := net.SplitHostPort(b.Address); err != nil || host == "" || port == "" {
		return segue.Errorf(segue.KindInvalid, "backend %s: address %q must be host:port", b.ID, b.Address)
	}
	if b.Weight < 0 || math.IsNaN(b.Weight) || math.IsInf(b.Weight, 0) {
		return segue.Errorf(segue.KindInvalid, "backend %s: weight %v must be a positive number", b.ID, b.Weight)
	}
	return p.change(name, func(s *storedService) error {
		known := s.backend(b.ID)
		switch {
		case known == nil:
			s.Backends = append(s.Backends, storedBackend{Backend: b, Rotation: segue.RotationOut})
		case known.Address != b.Address:
			return segue.Errorf(segue.KindConflict, "backend %s is known with address %s, not %s", b.ID, known.Address, b.Address).
				WithHint("an instance's identity is never used twice: remove the old one first")
		}
		return nil
	})
}

func unknownBackend(name string, id segue.InstanceID) error {
	return segue.Errorf(segue.KindNotFound, "service %s has no backend %s", name, id)
}

// admit puts a backend in rotation; its share grows over slowStart.
func (p *Proxy) admit(name string, id segue.InstanceID, slowStart time.Duration) error {
	if slowStart < 0 {
		return segue.Errorf(segue.KindInvalid, "slow start %v: it cannot be negative", slowStart)
	}
	return p.change(name, func(s *storedService) error {
		b := s.backend(id)
		if b == nil {
			return unknownBackend(name, id)
		}
		if b.Rotation != segue.RotationIn {
			b.Rotation, b.AdmittedAt, b.SlowStart = segue.RotationIn, time.Now().Round(0), slowStart
		}
		return nil
	})
}

// drain takes a backend out of rotation. Once it returns, no request begins there.
func (p *Proxy) drain(name string, id segue.InstanceID) error {
	return p.change(name, func(s *storedService) error {
		b := s.backend(id)
		if b == nil {
			return unknownBackend(name, id)
		}
		b.Rotation, b.AdmittedAt, b.SlowStart = segue.RotationDraining, time.Time{}, 0
		return nil
	})
}

// forget removes a backend that is not admitted.
func (p *Proxy) forget(name string, id segue.InstanceID) error {
	return p.change(name, func(s *storedService) error {
		b := s.backend(id)
		if b == nil {
			return nil
		}
		if b.Rotation == segue.RotationIn {
			return segue.Errorf(segue.KindConflict, "backend %s of service %s is in rotation", id, name).WithHint("drain it first")
		}
		s.Backends = slices.DeleteFunc(s.Backends, func(b storedBackend) bool { return b.ID == id })
		return nil
	})
}

// weigh gives each release its share of new users; nil goes back to equal ones.
func (p *Proxy) weigh(name string, shares map[segue.ReleaseName]float64) error {
	if len(shares) == 0 {
		shares = nil
	}
	sum := 0.0
	for release, share := range shares {
		if !(share >= 0 && share <= 1) {
			return segue.Errorf(segue.KindInvalid, "share %v of release %s: it must be within 0 and 1", share, release)
		}
		sum += share
	}
	if shares != nil && math.Abs(sum-1) > 1e-6 {
		return segue.Errorf(segue.KindInvalid, "shares of service %s sum to %v: they must sum to 1", name, sum)
	}
	return p.change(name, func(s *storedService) error {
		s.Shares = shares
		return nil
	})
}

// hold parks new requests, each for `most` at the longest.
func (p *Proxy) hold(name string, most time.Duration) error {
	if most <= 0 {
		return segue.Errorf(segue.KindInvalid, "hold for %v: it must be positive", most)
	}
	return p.change(name, func(s *storedService) error {
		s.Hold = &storedHold{Most: most}
		return nil
	})
}

func (p *Proxy) unhold(name string) error {
	return p.change(name, func(s *storedService) error {
		s.Hold = nil
		return nil
	})
}

// maintain switches the maintenance page.
func (p *Proxy) maintain(name string, on bool, retryAfter time.Duration) error {
	if retryAfter < 0 {
		return segue.Errorf(segue.KindInvalid, "retry after %v: it cannot be negative", retryAfter)
	}
	return p.change(name, func(s *storedService) error {
		s.Maintenance = nil
		if on {
			s.Maintenance = &storedMaintenance{RetryAfter: retryAfter}
		}
		return nil
	})
}

// backend finds a backend at work.
func (p *Proxy) backend(name string, id segue.InstanceID) (*backend, error) {
	s, err := p.service(name)
	if err != nil {
		return nil, err
	}
	if b := s.find(id); b != nil {
		return b, nil
	}
	return nil, unknownBackend(name, id)
}

// settle closes the idle connections to a backend.
func (p *Proxy) settle(ctx context.Context, name string, id segue.InstanceID) error {
	b, err := p.backend(name, id)
	if err != nil {
		return err
	}
	b.echoes.settled(ctx)
	b.settle()
	return nil
}

// closeLong ends a backend's long connections one by one over a time.
func (p *Proxy) closeLong(ctx context.Context, name string, id segue.InstanceID, spread time.Duration) (int, error) {
	b, err := p.backend(name, id)
	if err != nil {
		return 0, err
	}
	closed, err := b.long.close(ctx, max(spread, 0))
	if err != nil {
		return closed, segue.Errorf(segue.KindCanceled, "close long connections of %s: %w", id, err)
	}
	return closed, nil
}
