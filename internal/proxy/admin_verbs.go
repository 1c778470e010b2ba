package proxy

import (
	"net/http"
	"time"

	"github.com/segue-deploy/segue"
)

// The admin verbs: each reads its request, does one thing and gives the answer's body, nil for none.

func nameOf(r *http.Request) string              { return r.PathValue("service") }
func backendOf(r *http.Request) segue.InstanceID { return segue.InstanceID(r.PathValue("id")) }

func (p *Proxy) getHealth(*http.Request) (any, error) {
	answer := healthAnswer{Epoch: p.epoch, Services: []string{}, Stopping: p.stopping.Load()}
	for _, s := range p.list() {
		answer.Services = append(answer.Services, s.name)
	}
	return answer, nil
}

func (p *Proxy) getServices(*http.Request) (any, error) {
	services := p.list()
	all := make([]Snapshot, 0, len(services))
	for _, s := range services {
		all = append(all, s.snapshot(p.epoch, false))
	}
	return all, nil
}

func (p *Proxy) getService(r *http.Request) (any, error) {
	s, err := p.service(nameOf(r))
	if err != nil {
		return nil, err
	}
	return s.snapshot(p.epoch, true), nil
}

func (p *Proxy) putService(r *http.Request) (any, error) {
	var config Config
	if err := decode(r, &config); err != nil {
		return nil, err
	}
	return nil, p.configure(r.Context(), nameOf(r), config)
}

func (p *Proxy) deleteService(r *http.Request) (any, error) {
	return nil, p.remove(r.Context(), nameOf(r))
}

func (p *Proxy) postBackend(r *http.Request) (any, error) {
	var b Backend
	if err := decode(r, &b); err != nil {
		return nil, err
	}
	return nil, p.add(nameOf(r), b)
}

func (p *Proxy) getBackend(r *http.Request) (any, error) {
	s, err := p.service(nameOf(r))
	if err != nil {
		return nil, err
	}
	if status, known := s.status(backendOf(r)); known {
		return status, nil
	}
	return nil, unknownBackend(s.name, backendOf(r))
}

func (p *Proxy) getInFlight(r *http.Request) (any, error) {
	b, err := p.backend(nameOf(r), backendOf(r))
	if err != nil {
		return nil, err
	}
	return b.inFlight(time.Now()), nil
}

func (p *Proxy) postAdmit(r *http.Request) (any, error) {
	var body admitRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return nil, p.admit(nameOf(r), backendOf(r), body.SlowStart)
}

func (p *Proxy) postDrain(r *http.Request) (any, error) {
	return nil, p.drain(nameOf(r), backendOf(r))
}

func (p *Proxy) postSettle(r *http.Request) (any, error) {
	return nil, p.settle(r.Context(), nameOf(r), backendOf(r))
}

func (p *Proxy) postCloseLong(r *http.Request) (any, error) {
	var body closeLongRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	closed, err := p.closeLong(r.Context(), nameOf(r), backendOf(r), body.Spread)
	if err != nil {
		return nil, err
	}
	return closeLongAnswer{closed}, nil
}

func (p *Proxy) deleteBackend(r *http.Request) (any, error) {
	return nil, p.forget(nameOf(r), backendOf(r))
}

func (p *Proxy) putWeights(r *http.Request) (any, error) {
	var body weighRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return nil, p.weigh(nameOf(r), body.Shares)
}

func (p *Proxy) putHold(r *http.Request) (any, error) {
	var body holdRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return nil, p.hold(nameOf(r), body.Most)
}

func (p *Proxy) deleteHold(r *http.Request) (any, error) { return nil, p.unhold(nameOf(r)) }

func (p *Proxy) putMaintenance(r *http.Request) (any, error) {
	var body maintenanceRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return nil, p.maintain(nameOf(r), true, body.RetryAfter)
}

func (p *Proxy) deleteMaintenance(r *http.Request) (any, error) {
	return nil, p.maintain(nameOf(r), false, 0)
}
