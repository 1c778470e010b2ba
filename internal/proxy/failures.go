package proxy

import "sync"

// keptFailures is how many failed requests are remembered.
const keptFailures = 1000

// ring keeps the latest failed requests. The zero value is ready.
type ring struct {
	mu    sync.Mutex
	kept  []FailedRequest
	start int // of the oldest, once full
}

func (r *ring) add(f FailedRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < keptFailures {
		r.kept = append(r.kept, f)
		return
	}
	r.kept[r.start] = f
	r.start = (r.start + 1) % keptFailures
}

// list gives them, oldest first.
func (r *ring) list() []FailedRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]FailedRequest, 0, len(r.kept))
	list = append(list, r.kept[r.start:]...)
	return append(list, r.kept[:r.start]...)
}
