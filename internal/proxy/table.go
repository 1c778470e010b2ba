package proxy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// table is what routing a request needs to know, immutable: a change publishes a new one.
type table struct {
	config  Config // with defaults
	trusted []netip.Prefix
	// ready are the admitted and healthy backends. When none is healthy, all admitted ones: a check may be wrong, and a
	// request that meets a dead backend waits.
	ready []*backend
	// groups are the ready backends of each release that has a share, when weighed; nil otherwise.
	groups []group
	// homes are all backends by their sticky token; those that are not ready have displaced users.
	homes map[string]home
	// hold is set while requests are parked on purpose, and says for how long at most.
	hold *time.Duration
	// maintenance is set while everything is answered with the page; it is the Retry-After.
	maintenance *time.Duration
	// superseded is closed when the next table is live.
	superseded chan struct{}
}

// group is a release's ready backends.
type group struct {
	release segue.ReleaseName
	// upTo is the sum of the shares up to this one, in (0, total].
	upTo  float64
	ready []*backend
}

// home is the backend that a sticky token stands for; nil when it is not ready.
type home struct{ ready *backend }

// pick chooses a backend that is not in tried: a release by the shares, then the less loaded of two. nil when there is none.
func (t *table) pick(tried []*backend) *backend {
	if t.groups == nil {
		return choose(t.ready, tried)
	}
	total := t.groups[len(t.groups)-1].upTo
	at := rand.Float64() * total //nolint:gosec // balance, not secrecy
	first := 0
	for first < len(t.groups)-1 && at >= t.groups[first].upTo {
		first++
	}
	for i := range t.groups { // the chosen release, then the others: those with share 0 are not among them
		if b := choose(t.groups[(first+i)%len(t.groups)].ready, tried); b != nil {
			return b
		}
	}
	return nil
}

// choose takes two at random and gives the one with less to do for its weight (power of two choices).
func choose(ready, tried []*backend) *backend {
	if len(tried) > 0 {
		ready = without(ready, tried)
	}
	switch len(ready) {
	case 0:
		return nil
	case 1:
		return ready[0]
	}
	n := uint32(len(ready)) //nolint:gosec // a fleet's size
	bits := rand.Uint64()   //nolint:gosec // balance, not secrecy
	i := uint32(uint64(uint32(bits)) * uint64(n) >> 32)
	j := uint32((bits >> 32) * uint64(n-1) >> 32)
	if j >= i {
		j++
	}
	return lighter(ready[i], ready[j])
}

// lighter compares (outstanding+1)/weight. With the same outstanding, the weights decide by chance, so that at low load, too, a slow start
// gets its share and no more.
func lighter(a, b *backend) *backend {
	busyA, busyB := a.busy.Load(), b.busy.Load()
	shareA, shareB := a.share(), b.share()
	if busyA == busyB {
		if shareA == shareB || rand.Float64()*(shareA+shareB) < shareA { //nolint:gosec // balance, not secrecy
			return a // equal ones came in random order
		}
		return b
	}
	if float64(busyA+1)*shareB <= float64(busyB+1)*shareA {
		return a
	}
	return b
}

// without gives a copy of ready that lacks those in tried.
func without(ready, tried []*backend) []*backend {
	rest := make([]*backend, 0, len(ready))
	for _, b := range ready {
		if !slices.Contains(tried, b) {
			rest = append(rest, b)
		}
	}
	return rest
}
