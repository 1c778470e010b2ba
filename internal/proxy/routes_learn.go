package proxy

import (
	"maps"
	"strings"

	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	// knownAfter is how many answers of success make a route known, and a word one that stays where others become {id}.
	knownAfter = 20
	// mostWords is how many words may follow one place of a path, and mostFirst how many may be its first segment, until more of them are {id}.
	mostWords, mostFirst = 32, 100
	// mostSprouts bounds what is learned. Beyond it, what no known route needs is forgotten.
	mostSprouts = 4096
	// idleHours is for how long a route must have had no request before another one may take its number.
	idleHours = 24
)

// sprout is a place in a path that is being learned.
type sprout struct {
	words map[string]*sprout
	id    *sprout
	open  bool
	// through counts requests that came by, hits those that ended here.
	through int
	hits    [methods]int
	routes  [methods]uint8
}

// end is where a known route ends.
type end struct {
	sprout *sprout
	method int
}

// learn takes notice of a request whose route is not known. Whoever would have to wait learns nothing: there will be other requests.
func (r *routeBook) learn(method int, path string, hour int64) {
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.grown > mostSprouts {
		r.grown = r.root.prune()
	}
	var steps [routeDepth]string
	n, depth, opened := &r.root, 0, false
	for {
		var segment string
		if segment, path = cutSegment(path); segment == "" {
			break
		}
		if depth == routeDepth {
			return
		}
		most := mostWords
		if depth == 0 {
			most = mostFirst
		}
		was := n.open
		next, name := r.step(n, segment, most)
		opened = opened || n.open != was
		steps[depth], n = name, next
		depth++
		n.through++
	}
	n.hits[method]++
	if n.hits[method] >= knownAfter && n.routes[method] == otherRoute {
		r.name(end{n, method}, steps[:depth], hour)
	} else if opened {
		r.publish()
	}
}

// step gives what follows a segment, and the segment's name in a route.
func (r *routeBook) step(n *sprout, segment string, most int) (next *sprout, name string) {
	if next = n.words[segment]; next != nil {
		return next, segment
	}
	if !n.open && len(n.words) >= most && !telemetry.Varies(segment) {
		n.close()
	}
	if n.open || telemetry.Varies(segment) {
		if n.id == nil {
			n.id = &sprout{}
			r.grown++
		}
		return n.id, telemetry.RouteID
	}
	if n.words == nil {
		n.words = map[string]*sprout{}
	}
	segment = strings.Clone(segment) // of a request that nobody holds on to
	next = &sprout{}
	n.words[segment] = next
	r.grown++
	return next, segment
}

// close makes all that follows a place one, but for words that are known well by now.
func (n *sprout) close() {
	n.open = true
	maps.DeleteFunc(n.words, func(_ string, next *sprout) bool { return next.through < knownAfter })
}

// name makes a route known, if a number is free or has not been of use for long.
func (r *routeBook) name(e end, steps []string, hour int64) {
	publish := func(route uint8) {
		r.ends[route], r.called[route] = e, methodNames()[e.method]+" /"+strings.Join(steps, "/")
		e.sprout.routes[e.method] = route
		r.seen[route].Store(hour)
		r.publish()
	}
	if r.named < mostRoutes {
		r.named++
		publish(uint8(r.named))
		return
	}
	idle := uint8(1)
	for route := range r.seen[1:] {
		if n := uint8(route + 1); r.seen[n].Load() < r.seen[idle].Load() {
			idle = n
		}
	}
	if hour-r.seen[idle].Load() < idleHours {
		return
	}
	gone := r.ends[idle]
	gone.sprout.routes[gone.method], gone.sprout.hits[gone.method] = otherRoute, 0
	r.forget(idle, func() { publish(idle) })
}

// publish makes what was learned the table that requests read.
func (r *routeBook) publish() {
	t := &routeTable{names: r.called}
	if root := r.root.known(); root != nil {
		t.root = *root
	}
	r.table.Store(t)
}

// known gives the part of what was learned that leads to known routes; nil when there is none.
func (n *sprout) known() *routeNode {
	k := &routeNode{open: n.open, routes: n.routes}
	for word, next := range n.words {
		if below := next.known(); below != nil {
			if k.words == nil {
				k.words = map[string]*routeNode{}
			}
			k.words[word] = below
		}
	}
	if n.id != nil {
		k.id = n.id.known()
	}
	if k.words == nil && k.id == nil && k.routes == [methods]uint8{} {
		return nil
	}
	return k
}

// prune forgets what no known route needs, and counts what is left.
func (n *sprout) prune() (left int) {
	maps.DeleteFunc(n.words, func(_ string, next *sprout) bool {
		kept := next.prune()
		left += kept
		return kept == 0
	})
	if n.id != nil {
		kept := n.id.prune()
		left += kept
		if kept == 0 {
			n.id = nil
		}
	}
	if left == 0 && n.routes == [methods]uint8{} {
		return 0
	}
	return left + 1
}
