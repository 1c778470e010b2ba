package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// The routes differ at this evidence, if it is by more than a harmless part of the requests.
	mixAt    = 100
	harmless = 0.05
	// enoughOfMix are the requests from which on a server's mix is no chance.
	enoughOfMix = 200
)

// mix tells whether the candidate gets the same routes as stable.
type mix struct {
	test         *evidence.Mix
	mine, theirs map[string]float64
	// stable are the routes of each stable server, usual how different from the rest one of them is, now or in the past before the rollout: where users
	// stay with their server, each has a mix of its own, and that alone is no reason not to compare.
	stable      map[segue.ServerName]map[string]float64
	past, usual float64
}

// newMix begins with what the servers were asked before the rollout.
func newMix(before []judge.Evidence) mix {
	past := map[segue.ServerName]map[string]float64{}
	for _, slice := range before {
		for _, row := range slice.Servers {
			past[row.Server] = counted(past[row.Server], row.Routes)
		}
	}
	return mix{
		test: evidence.NewMix(), mine: map[string]float64{}, theirs: map[string]float64{}, stable: map[segue.ServerName]map[string]float64{},
		past: widest(past),
	}
}

// add takes a bin, in which rows are all servers.
func (m *mix) add(mine, theirs map[string]float64, rows []judge.ServerEvidence, candidate segue.ReleaseName) {
	m.test.Add(mine, theirs)
	for _, row := range rows {
		if row.Release != candidate {
			m.stable[row.Server] = counted(m.stable[row.Server], row.Routes)
		}
	}
	m.usual = max(m.past, widest(m.stable))
	for into, from := range map[*map[string]float64]map[string]float64{&m.mine: mine, &m.theirs: theirs} {
		for route, n := range from {
			const most = 500
			if _, there := (*into)[route]; there || len(*into) < most {
				(*into)[route] += n
			}
		}
	}
}

// limit is how different a mix may be: somewhat more than those of servers that run the same release.
func (m *mix) limit() float64 { return max(harmless, 1.5*m.usual) }

// differs says that errors and durations cannot be compared.
func (m *mix) differs() bool {
	return m.test.LogE() >= math.Log(mixAt) && m.test.Distance() >= m.limit()
}

// widest is the greatest distance of any server's routes from those of the rest (total variation, 0 to 1), beyond what chance alone makes of so
// few requests: its mean and two deviations. 0 with fewer than two servers.
func widest(servers map[segue.ServerName]map[string]float64) float64 {
	all, sum, sums := map[string]float64{}, 0.0, map[segue.ServerName]float64{}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		for _, route := range slices.Sorted(maps.Keys(servers[name])) {
			n := servers[name][route]
			all[route] += n
			sums[name] += n
			sum += n
		}
	}
	most := 0.0
	for name, routes := range servers {
		own, rest := sums[name], sum-sums[name]
		if own < enoughOfMix || rest < enoughOfMix {
			continue
		}
		distance, mean, variance := 0.0, 0.0, 0.0
		for _, route := range slices.Sorted(maps.Keys(all)) {
			distance += math.Abs(routes[route]/own - (all[route]-routes[route])/rest)
			off := all[route] / sum * (1 - all[route]/sum) * (1/own + 1/rest) // squared; its sign does not count
			mean += math.Sqrt(2 / math.Pi * off)
			variance += (1 - 2/math.Pi) * off
		}
		most = max(most, (distance-mean-2*math.Sqrt(variance))/2)
	}
	return most
}

// describe names the routes whose shares differ most.
func (m *mix) describe() string {
	const shown = 3
	share := func(of map[string]float64, route string) float64 {
		sum := 0.0
		for _, name := range slices.Sorted(maps.Keys(of)) {
			sum += of[name]
		}
		return 100 * of[route] / max(1, sum)
	}
	all := maps.Clone(m.mine)
	maps.Copy(all, m.theirs)
	routes := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		off := func(route string) float64 { return math.Abs(share(m.mine, route) - share(m.theirs, route)) }
		return cmp.Or(cmp.Compare(off(b), off(a)), cmp.Compare(a, b))
	})
	parts := make([]string, 0, shown)
	for _, route := range routes[:min(shown, len(routes))] {
		parts = append(parts, fmt.Sprintf("%s %.1f %% of requests instead of %.1f %%", route, share(m.mine, route), share(m.theirs, route)))
	}
	return strings.Join(parts, ", ")
}
