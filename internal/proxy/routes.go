package proxy

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

const (
	// mostRoutes bounds the routes of a service that are told apart.
	mostRoutes = 200
	// otherRoute stands for all the rest, under the name otherName.
	otherRoute = 0
	otherName  = "other"
	// routeDepth is how many segments of a path are looked at. What lies deeper belongs to no route.
	routeDepth = 12
)

// routeBook tells a service's requests apart by route: a method and a path in which whatever varies is {id}. It learns them from what backends
// answer. Requests read a table that is never changed; who meets something new adds to what is learned, beside, and may publish another
// table.
type routeBook struct {
	table atomic.Pointer[routeTable]
	// seen is the hour of each route's latest request: one that has had none for a day gives its number up when all are taken.
	seen [mostRoutes + 1]atomic.Int64

	mu     sync.Mutex
	root   sprout
	grown  int // sprouts, at most
	named  int // numbers given so far
	ends   [mostRoutes + 1]end
	called [mostRoutes + 1]string
	forget func(route uint8, then func())
}

// routeTable is what is known. Numbers begin at 1.
type routeTable struct {
	root  routeNode
	names [mostRoutes + 1]string
}

// routeNode is a place in a path.
type routeNode struct {
	words map[string]*routeNode
	// id is what follows a segment that varies, or, where open, any that is none of the words.
	id     *routeNode
	open   bool
	routes [methods]uint8 // that end here, by method
}

// methods is how many methods routes are told apart by; requests with others are other.
const methods = 7

func methodNames() [methods]string {
	return [methods]string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

func methodOf(name string) (method int, ok bool) {
	for method, known := range methodNames() {
		if name == known {
			return method, true
		}
	}
	return 0, false
}

// start makes the book ready for use. forget is called when a number is taken from a route that is gone: it forgets what was counted under it, and
// calls then while nobody reads the counters.
func (r *routeBook) start(forget func(route uint8, then func())) {
	r.called[otherRoute], r.forget = otherName, forget
	r.table.Store(&routeTable{names: r.called})
}

// of gives the number of a request's route. Only answers of success are learned from: what backends do not know is answered with 404, or
// refused, whatever somebody asks for. A status of 0 stands for no answer.
func (r *routeBook) of(req *http.Request, status int, at time.Time) uint8 {
	method, ok := methodOf(req.Method)
	if !ok {
		return otherRoute
	}
	hour := at.Unix() / 3600
	route := r.table.Load().find(method, req.URL.Path)
	if route == otherRoute && status > 0 && status < http.StatusBadRequest {
		r.learn(method, req.URL.Path, hour)
	}
	if r.seen[route].Load() < hour {
		r.seen[route].Store(hour)
	}
	return route
}

// names gives the names of all numbers; "" stands for one that is free.
func (r *routeBook) names() *[mostRoutes + 1]string { return &r.table.Load().names }

// find gives the number of a route.
func (t *routeTable) find(method int, path string) uint8 {
	n := &t.root
	for {
		var segment string
		segment, path = cutSegment(path)
		if segment == "" {
			return n.routes[method]
		}
		next := n.words[segment]
		if next == nil {
			if next = n.id; next == nil || !n.open && !telemetry.Varies(segment) {
				return otherRoute
			}
		}
		n = next
	}
}

// cutSegment gives the first segment of a path and what follows; "" when there is none.
func cutSegment(path string) (segment, rest string) {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// routeCounters count a backend's requests by route.
type routeCounters [mostRoutes + 1]struct{ requests, errors atomic.Int64 }

func (c *routeCounters) add(route uint8, failed bool) {
	c[route].requests.Add(1)
	if failed {
		c[route].errors.Add(1)
	}
}

func (c *routeCounters) forget(route uint8) {
	c[route].requests.Store(0)
	c[route].errors.Store(0)
}

// snapshot gives what was counted, by name; nil when nothing was.
func (c *routeCounters) snapshot(names *[mostRoutes + 1]string) map[string]telemetry.RouteCounts {
	var counts map[string]telemetry.RouteCounts
	for route, name := range names {
		if n := c[route].requests.Load(); n > 0 && name != "" {
			if counts == nil {
				counts = map[string]telemetry.RouteCounts{}
			}
			counts[name] = telemetry.RouteCounts{Requests: n, Errors: c[route].errors.Load()}
		}
	}
	return counts
}
