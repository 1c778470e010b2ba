package rehearsal

import "github.com/segue-deploy/segue/internal/telemetry"

// route is a share of the traffic. Its latency is the World's times factor, its share of 5xx answers the World's times errors. One that is broken
// answers with nothing else, on every release.
type route struct {
	name                  string
	share, factor, errors float64
	broken                bool
}

// The routes that SlowRoute, RouteErrors and WrongField work on: one of much traffic, and one of 1 %.
const (
	busyRoute = "GET /orders/{id}"
	rareRoute = "POST /orders/{id}/refund"
)

// routes are those of the World, named as the embedded balancer names them. What is drawn from them shares the World's errors out: over all
// requests it is Errors again.
func (w World) routes() []route {
	const id = telemetry.RouteID
	all := []route{
		{name: "GET /products/" + id, share: 0.3, factor: 1, errors: 0.4},
		{name: busyRoute, share: 0.18, factor: 1.4, errors: 1},
		{name: "GET /", share: 0.16, factor: 0.5, errors: 0.1},
		{name: "GET /search", share: 0.11, factor: 3, errors: 2},
		{name: "GET /cart", share: 0.08, factor: 0.7, errors: 0.5},
		{name: "POST /cart", share: 0.06, factor: 1.2, errors: 2},
		{name: "other", share: 0.04, factor: 0.2, errors: 0.2},
		{name: "POST /orders", share: 0.03, factor: 2.5, errors: 8},
		{name: "PUT /profile", share: 0.02, factor: 1.2, errors: 1},
		{name: "GET /reports/" + id, share: 0.01, factor: 6, errors: 5},
		{name: rareRoute, share: 0.01, factor: 2, errors: 4},
	}
	mean := 0.0
	for _, r := range all {
		mean += r.share * r.errors
	}
	broken, some := 0.0, false
	for _, c := range w.Changes {
		if some = some || c.Kind == BrokenRoute || c.Kind == StrayClient; c.Kind == BrokenRoute {
			broken = c.Size
		}
	}
	for i := range all {
		all[i].errors /= mean
		all[i].share *= 1 - broken
	}
	if some {
		all = append(all, route{name: "GET /feeds/" + id, share: broken, factor: 0.5, broken: true})
	}
	return all
}

// is tells whether it is the one that a change works on.
func (r route) is(c Change) bool {
	if c.Severity == rare {
		return r.name == rareRoute
	}
	return r.name == busyRoute
}

// mix draws routes: one for each number that can be drawn.
type mix [drawn]uint8

// newMix shares requests out as routes say. A share other of them goes the other way round, to the first route what is the last one's.
func newMix(all []route, other float64) *mix {
	var m mix
	next, i := 0.0, 0
	for n, r := range all {
		for next += ((1-other)*r.share + other*all[len(all)-1-n].share) * drawn; i < drawn && (float64(i) < next || n == len(all)-1); i++ {
			m[i] = uint8(n)
		}
	}
	return &m
}
