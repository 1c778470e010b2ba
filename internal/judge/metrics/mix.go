package metrics

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// The routes differ at this evidence, if it is by more than a harmless part of the requests.
	mixAt    = 100
	harmless = 0.05
)

// mix tells whether the candidate gets the same routes as stable.
type mix struct {
	test         *evidence.Mix
	mine, theirs map[string]float64
}

func newMix() mix {
	return mix{test: evidence.NewMix(), mine: map[string]float64{}, theirs: map[string]float64{}}
}

// add takes a bin.
func (m *mix) add(mine, theirs map[string]float64) {
	m.test.Add(mine, theirs)
	for into, from := range map[*map[string]float64]map[string]float64{&m.mine: mine, &m.theirs: theirs} {
		for route, n := range from {
			const most = 500
			if _, there := (*into)[route]; there || len(*into) < most {
				(*into)[route] += n
			}
		}
	}
}

// differs says that errors and durations cannot be compared.
func (m *mix) differs() bool {
	return m.test.LogE() >= math.Log(mixAt) && m.test.Distance() >= harmless
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
