package process

import (
	"context"
	"sync"

	"github.com/segue-deploy/segue"
)

// subscriber is one caller of Watch: it holds the newest state of each instance that it was not sent yet.
type subscriber struct {
	wake chan struct{} // has a value when there is something to send

	mu      sync.Mutex
	pending map[segue.InstanceID]segue.Instance
	order   []segue.InstanceID
}

func (s *subscriber) put(instance segue.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waiting := s.pending[instance.ID]; !waiting {
		s.order = append(s.order, instance.ID)
	}
	s.pending[instance.ID] = instance
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *subscriber) next() (segue.Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return segue.Instance{}, false
	}
	id := s.order[0]
	s.order = s.order[1:]
	instance := s.pending[id]
	delete(s.pending, id)
	return instance, true
}

// Watch implements workload.Driver. It begins with the state of every instance there is, so that nothing is missed between a
// List and a Watch.
func (d *Driver) Watch(ctx context.Context) (<-chan segue.Instance, error) {
	ids, err := d.folders()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := d.track(ctx, id); err != nil {
			d.log.WarnContext(ctx, "instance cannot be watched", "instance", id, "error", err)
		}
	}
	s := &subscriber{wake: make(chan struct{}, 1), pending: map[segue.InstanceID]segue.Instance{}}
	out := make(chan segue.Instance)
	d.mu.Lock()
	defer d.mu.Unlock()
	sending := d.run(ctx, func(closing context.Context) {
		defer close(out)
		defer func() {
			d.mu.Lock()
			delete(d.subscribers, s)
			d.mu.Unlock()
		}()
		send(ctx, closing, s, out)
	})
	if !sending {
		return nil, errClosed()
	}
	d.subscribers[s] = struct{}{}
	for _, t := range d.tracked {
		if v, _ := t.read(); v.known {
			s.put(t.instance())
		}
	}
	return out, nil
}

// send passes on what the subscriber holds until one of the two is done.
func send(ctx, closing context.Context, s *subscriber, out chan<- segue.Instance) {
	for {
		instance, ok := s.next()
		if !ok {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			case <-closing.Done():
				return
			}
		}
		select {
		case out <- instance:
		case <-ctx.Done():
			return
		case <-closing.Done():
			return
		}
	}
}

// publish passes an instance's state on to all who watch.
func (d *Driver) publish(instance segue.Instance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.subscribers {
		s.put(instance)
	}
}
