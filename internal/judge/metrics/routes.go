package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

// mostRoutes is how many routes are judged by themselves, those of the history with most requests first.
const mostRoutes = 200

// someRequests is how many of a route each side must have had for a bin.
const someRequests = 3

// routes are the errors by route, where the balancer tells them apart: what fails on one route of little traffic is lost among all requests.
type routes struct {
	// order are the routes in which all subjects know them; the first known of them are from history.
	order []string
	known int
	past  map[string]history
}

// told says that errors by route are judged.
func (r *routes) told() bool { return r.known > 0 }

func newRoutes(before []judge.Evidence, all history) routes {
	r, requests := routes{past: map[string]history{}}, map[string]float64{}
	errors, named := 0.0, 0.0
	for _, slice := range before {
		for _, row := range slice.Servers {
			errors += positive(row.Errors)
			named += float64(len(row.RouteErrors))
			for route, n := range row.Routes {
				h, there := r.past[route]
				if !there {
					h = history{length: all.length, servers: map[segue.ServerName]past{}, errorPhi: all.errorPhi, latencyPhi: all.latencyPhi}
					r.past[route] = h
				}
				p := h.servers[row.Server]
				p.requests += positive(n)
				p.errors += min(positive(row.RouteErrors[route]), positive(n))
				h.servers[row.Server] = p
				requests[route] += positive(n)
			}
		}
	}
	r.order = slices.SortedFunc(maps.Keys(r.past), func(a, b string) int {
		return cmp.Or(cmp.Compare(requests[b], requests[a]), cmp.Compare(a, b))
	})
	r.order = r.order[:min(mostRoutes, len(r.order))]
	if errors == 0 || named > 0 { // otherwise the balancer does not tell
		r.known = len(r.order)
	}
	return r
}

// of gives the history of a route.
func (r *routes) of(route string, all history) history {
	if h, there := r.past[route]; there {
		return h
	}
	return history{length: all.length, errorPhi: all.errorPhi, latencyPhi: all.latencyPhi}
}

// admit takes in routes that were not there before, in an order that is blind to who served them.
func (r *routes) admit(servers []judge.ServerEvidence, subjects []*subject) {
	if !r.told() || len(r.order) >= mostRoutes {
		return
	}
	fresh := map[string]bool{}
	for _, row := range servers {
		for route := range row.Routes {
			fresh[route] = true
		}
	}
	for _, route := range r.order {
		delete(fresh, route)
	}
	for _, route := range slices.Sorted(maps.Keys(fresh)) {
		if len(r.order) >= mostRoutes {
			return
		}
		r.order = append(r.order, route)
		for _, s := range subjects {
			s.routeBook.Born(route)
		}
	}
}

// begin enters the routes into the subject's book.
func (s *subject) beginRoutes(r *routes, alpha float64) {
	s.routeBook, s.routes = evidence.NewBook(alpha), map[string]*routed{}
	for i, route := range r.order {
		if i < r.known {
			s.routeBook.Known(route, 1)
		} else {
			s.routeBook.Born(route)
		}
	}
}

// routed is the evidence about one route of a server.
type routed struct {
	errors       *evidence.Process
	mine, theirs tally
	// open is what was not weighed yet, since one of the sides had no request: mine and the others'.
	open     [2]side
	stranger bool
}

// weighRoutes takes a bin.
func (s *subject) weighRoutes(r *routes, h history, mine, others side) {
	for _, route := range r.order {
		m, o := mine.of(route), others.of(route)
		if m.requests+o.requests == 0 {
			continue
		}
		of := s.routes[route]
		if of == nil {
			of = &routed{errors: evidence.NewProcess(evidence.Options{Null: 1, Only: true})}
			s.routes[route] = of
		}
		of.add(r.of(route, h), m, o)
		s.routeBook.Set(route, of.errors.LogE())
	}
}

// of gives what is of one route.
func (s *side) of(route string) side {
	requests := s.routes[route]
	return side{names: s.names, requests: requests, errors: min(s.routeErrors[route], requests)}
}

// add weighs the route as soon as both sides had some requests of it: of single ones, hardly a bin tells how traffic is shared. When that is does
// not depend on errors.
func (r *routed) add(h history, mine, others side) {
	if slices.Equal(r.open[1].names, others.names) {
		mine.requests, mine.errors = mine.requests+r.open[0].requests, mine.errors+r.open[0].errors
		others.requests, others.errors = others.requests+r.open[1].requests, others.errors+r.open[1].errors
	}
	if r.open = [2]side{mine, others}; min(mine.requests, others.requests) < someRequests {
		return
	}
	r.open = [2]side{}
	r.mine.add(mine)
	r.theirs.add(others)
	r.stranger = r.stranger || !h.knows(mine, others)
	r.errors.Add(splitOf(mine, others, h.exposures(mine, others).most, h.errorPhi))
}

// failingRoutes gives a finding for each route of a server that has more errors than its part. Other shares of routes do not matter here.
func (v view) failingRoutes(s *subject) []segue.Finding {
	var findings []segue.Finding
	rejected := s.routeBook.Rejected()
	rate := v.errorRate(s)
	for _, route := range v.Judge.routes.order {
		of := s.routes[route]
		if of == nil {
			continue
		}
		logE, fails := of.errors.LogE(), slices.Contains(rejected, route)
		// To hold takes 20 where to fail takes 1/rate, for the same part of the rate.
		if hold := s.routeBook.Threshold(route) * rate * holdAt; !fails && logE < math.Log(hold) {
			continue
		}
		f := v.blank("error rate", rate)
		f.Server, f.Fingerprint, f.Unit, f.Limit = s.name, route, "share", errorMargin*of.theirs.share()
		f.Value, f.Baseline = of.mine.share(), of.theirs.share()
		f.Samples, f.BaselineSamples = int64(of.mine.requests), int64(of.theirs.requests)
		f.Evidence, f.Threshold = exponent(logE), min(s.routeBook.Threshold(route)/float64(max(1, len(rejected))), mostE)
		f.Text = fmt.Sprintf("%s: %s errors on %s, %s on the others%s; evidence %s of %s needed", route, percent(f.Value), s.name,
			percent(f.Baseline), v.before(route, s.name), thousands(f.Evidence), thousands(f.Threshold))
		f.Ruling = segue.RulingFail
		switch {
		case v.stable == 0:
			f.Ruling, f.Text = segue.RulingHold, f.Text+"; no server is left to compare with"
		case of.stranger:
			f.Ruling, f.Text = segue.RulingHold, f.Text+v.history.lacks()
		case !fails:
			f.Ruling = segue.RulingHold
		}
		if f.Ruling == segue.RulingHold {
			f.ErrorRate = 1.0 / holdAt
		}
		findings = append(findings, f)
	}
	slices.SortStableFunc(findings, func(a, b segue.Finding) int {
		return cmp.Or(order(a.Ruling)-order(b.Ruling), cmp.Compare(b.Evidence, a.Evidence))
	})
	return findings[:min(len(findings), mostNamed)]
}

// mostNamed is how many routes of a server are shown.
const mostNamed = 5

// before says what a route's errors on the server were before the rollout, where that is known.
func (v view) before(route string, server segue.ServerName) string {
	p := v.Judge.routes.past[route].servers[server]
	if p.requests == 0 {
		return ""
	}
	return fmt.Sprintf(" and %s on it before", percent(p.errors/p.requests))
}
