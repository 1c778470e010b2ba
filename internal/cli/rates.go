package cli

import (
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// rate is a release's traffic between two looks.
type rate struct {
	release  segue.ReleaseName
	backends int
	// perSecond and errors are of the time between; share is in [0,1].
	perSecond, errors, share float64
	inFlight                 int
	p99                      time.Duration
}

// rates turns the balancer's counters into traffic.
type rates struct {
	at     time.Time
	before map[segue.ServiceName][]api.ReleaseTraffic
	now    map[segue.ServiceName][]rate
}

// rateLeast is the shortest time that rates are taken over.
const rateLeast = 900 * time.Millisecond

// take notes a look.
func (r *rates) take(status api.Status, at time.Time) {
	seconds := at.Sub(r.at).Seconds()
	if !r.at.IsZero() && at.Sub(r.at) < rateLeast {
		return
	}
	fresh, now := map[segue.ServiceName][]api.ReleaseTraffic{}, map[segue.ServiceName][]rate{}
	for _, service := range status.Services {
		fresh[service.Name] = service.Traffic
		if !r.at.IsZero() {
			now[service.Name] = between(r.before[service.Name], service.Traffic, seconds)
		}
	}
	r.at, r.before, r.now = at, fresh, now
}

// between gives the traffic of each release. Counters of servers that came and went begin anew: what would be negative is counted from zero.
func between(before, after []api.ReleaseTraffic, seconds float64) []rate {
	known := map[segue.ReleaseName]api.ReleaseTraffic{}
	for _, traffic := range before {
		known[traffic.Release] = traffic
	}
	all := make([]rate, 0, len(after))
	var sum float64
	for _, traffic := range after {
		earlier := known[traffic.Release]
		if traffic.Requests < earlier.Requests || traffic.Errors < earlier.Errors {
			earlier = api.ReleaseTraffic{}
		}
		each := rate{
			release: traffic.Release, backends: traffic.Backends, inFlight: traffic.InFlight, p99: traffic.P99,
			perSecond: float64(traffic.Requests-earlier.Requests) / seconds, errors: float64(traffic.Errors-earlier.Errors) / seconds,
		}
		sum += each.perSecond
		all = append(all, each)
	}
	for i := range all {
		if sum > 0 {
			all[i].share = all[i].perSecond / sum
		}
	}
	return all
}
