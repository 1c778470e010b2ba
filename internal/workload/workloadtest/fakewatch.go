package workloadtest

import (
	"context"
	"sync"

	"github.com/segue-deploy/segue"
)

// fakeWatch is one caller of Watch: the newest state of each instance that it was not sent yet.
type fakeWatch struct {
	wake   chan struct{} // has a value when there is something to send
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	pending map[segue.InstanceID]segue.Instance
	order   []segue.InstanceID
}

func (w *fakeWatch) end() { w.once.Do(func() { close(w.closed) }) }

func (w *fakeWatch) put(instance segue.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waiting := w.pending[instance.ID]; !waiting {
		w.order = append(w.order, instance.ID)
	}
	w.pending[instance.ID] = instance
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *fakeWatch) next() (segue.Instance, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return segue.Instance{}, false
	}
	id := w.order[0]
	w.order = w.order[1:]
	instance := w.pending[id]
	delete(w.pending, id)
	return instance, true
}

// Watch implements workload.Driver. It begins with the state of every instance there is.
func (f *Fake) Watch(ctx context.Context) (<-chan segue.Instance, error) {
	w := &fakeWatch{wake: make(chan struct{}, 1), closed: make(chan struct{}), pending: map[segue.InstanceID]segue.Instance{}}
	out := make(chan segue.Instance)
	f.mu.Lock()
	defer f.mu.Unlock()
	present := make([]segue.Instance, 0, len(f.instances))
	for _, i := range f.instances {
		present = append(present, i.Instance)
	}
	segue.SortInstances(present)
	for _, instance := range present {
		w.put(instance)
	}
	f.subscribers[w] = struct{}{}
	f.background.Go(func() {
		defer close(out)
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			delete(f.subscribers, w)
		}()
		w.send(ctx, out)
	})
	return out, nil
}

func (w *fakeWatch) send(ctx context.Context, out chan<- segue.Instance) {
	for {
		instance, ok := w.next()
		if !ok {
			select {
			case <-w.wake:
				continue
			case <-ctx.Done():
				return
			case <-w.closed:
				return
			}
		}
		select {
		case out <- instance:
		case <-ctx.Done():
			return
		case <-w.closed:
			return
		}
	}
}
