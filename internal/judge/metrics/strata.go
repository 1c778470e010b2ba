package metrics

import (
	"maps"
	"slices"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// strata compare a server with the others route by route, and put what that gives together: if it is asked for other things, errors that
// all have there are none of its own. Each route waits until both sides had a request of it: what only one of them was asked for tells nothing. Nor
// does a route where all of both sides failed: given that sum, each side's part is what it was asked for.
type strata struct {
	names []segue.ServerName
	open  map[string]*[2]tally
}

// elsewhere stands for errors whose route is not known, of all requests.
const elsewhere = ""

// pair is what both sides did on one route.
type pair struct{ mine, others side }

// add takes a bin, and gives what can be compared by now and has errors. Without routes that is the bin itself.
func (s *strata) add(mine, others side) []pair {
	if s.open == nil || !slices.Equal(s.names, others.names) {
		s.names, s.open = others.names, map[string]*[2]tally{}
	}
	rest := [2]tally{mine.unrouted(), others.unrouted()}
	for i, one := range []side{mine, others} {
		for route, requests := range one.routes {
			of := s.open[route]
			if of == nil {
				of = &[2]tally{}
				s.open[route] = of
			}
			of[i].requests += requests
			of[i].errors += min(one.routeErrors[route], requests)
		}
	}
	var ready []pair
	take := func(of [2]tally) {
		errors, requests := of[0].errors+of[1].errors, of[0].requests+of[1].requests
		if errors > 0 && errors < requests {
			ready = append(ready, pair{
				side{names: mine.names, requests: of[0].requests, errors: of[0].errors}, side{names: others.names, requests: of[1].requests, errors: of[1].errors},
			})
		}
	}
	for _, route := range slices.Sorted(maps.Keys(s.open)) {
		if of := *s.open[route]; of[0].requests > 0 && of[1].requests > 0 {
			take(of)
			delete(s.open, route)
		}
	}
	take(rest)
	return ready
}

// alone gives the errors on routes that the others were not asked for, and the route with most of them.
func (s *strata) alone() (errors float64, worst string) {
	most := 0.0
	for _, route := range slices.Sorted(maps.Keys(s.open)) {
		if of := s.open[route]; of[1].requests == 0 {
			errors += of[0].errors
			if of[0].errors > most {
				most, worst = of[0].errors, route
			}
		}
	}
	return errors, worst
}

// unrouted are all requests with the errors of those whose route is not known.
func (s *side) unrouted() tally {
	rest := tally{s.requests, s.errors}
	for route, n := range s.routeErrors {
		rest.errors -= min(n, s.routes[route])
	}
	rest.errors = max(0, rest.errors)
	return rest
}

// levelled gives the history with each server's requests as so many of the mean route: who is asked for what fails more often had more of them.
// The rate of each route is that of all servers, drawn towards the rate of all routes as by one error more. What always failed is left out.
func (h history) levelled(before []judge.Evidence) history {
	routes := map[string]tally{}
	each(before, func(_ segue.ServerName, route string, t tally) {
		sum := routes[route]
		routes[route] = tally{sum.requests + t.requests, sum.errors + t.errors}
	})
	maps.DeleteFunc(routes, func(_ string, t tally) bool { return t.errors >= t.requests })
	all := tally{}
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		all.errors += routes[route].errors
		if route != elsewhere {
			all.requests += routes[route].requests
		}
	}
	if all.requests == 0 || all.errors == 0 {
		return h
	}
	mean, servers := all.errors/all.requests, make(map[segue.ServerName]past, len(h.servers))
	each(before, func(server segue.ServerName, route string, t tally) {
		of, there := routes[route]
		if !there {
			return
		}
		rate := (of.errors + 1) / (of.requests + 1/mean)
		if route == elsewhere {
			rate = of.errors / of.requests
		}
		p := servers[server]
		p.latency = h.servers[server].latency
		p.requests, p.errors = p.requests+t.requests*rate/mean, p.errors+t.errors
		servers[server] = p
	})
	h.servers = servers
	return h
}

// each tells of each server's requests and errors by route, and of all its requests with those errors whose route is not known.
func each(before []judge.Evidence, tell func(segue.ServerName, string, tally)) {
	for _, slice := range before {
		for _, row := range slice.Servers {
			one := side{
				requests: positive(row.Requests), errors: min(positive(row.Errors), positive(row.Requests)),
				routes: counted(nil, row.Routes), routeErrors: counted(nil, row.RouteErrors),
			}
			tell(row.Server, elsewhere, one.unrouted())
			for _, route := range slices.Sorted(maps.Keys(one.routes)) {
				tell(row.Server, route, tally{one.routes[route], min(one.routeErrors[route], one.routes[route])})
			}
		}
	}
}
