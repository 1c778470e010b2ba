package metrics

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// mostGrowing is how many series are asked whether they grow.
	mostGrowing = 50
	// growthMargin is the part by which a series must be above all that it was before; strangerGrowth that without a history.
	growthMargin   = 0.10
	strangerGrowth = 0.25
	// lasting is how many windows in a row must be above, steady how steep the later half of the growth must be in parts of the earlier one: what
	// fills up slows down.
	lasting = 3
	steady  = 0.6
	// longestSpan is the index of the length of windows in which growth is weighed. They are shorter for series of which neighbouring ones
	// resemble each other less than mostAlike.
	longestSpan = 1
	mostAlike   = 0.6
)

// resource tells whether a series is the level of something that a process may fail to give back. Rates are none.
func resource(key string) bool {
	name, _ := cut(strings.ToLower(key))
	for _, rate := range []string{"_total", "_count", "_mean", "_max", "_limit", "_capacity"} {
		if strings.HasSuffix(name, rate) {
			return false
		}
	}
	return slices.ContainsFunc([]string{
		"memory", "mem_", "heap", "rss", "resident", "goroutine", "thread", "_fds", "file_descriptor", "handles", "connection", "conns", "sockets",
		"in_use", "inuse", "in_flight", "inflight", "pool_", "queue", "backlog", "pending",
	}, func(word string) bool { return strings.Contains(name, word) })
}

// growing is a series that may grow, and what is known of it from before the rollout.
type growing struct {
	span int
	// unit is added before logarithms are taken, so that a queue may be empty.
	unit float64
	// bases are servers' own means, linear and logarithmic; ceilings what a server never was above by its habit.
	bases    map[segue.ServerName]scales
	ceilings map[segue.ServerName]scales
}

// scales are a value as it is, and its logarithm. What is the same on all servers cancels on one of them: a leak that all have on the first, day and
// night on the second. So growth must be seen on both.
type scales [2]float64

func (g *growing) scales(value float64) scales {
	return scales{value, math.Log(max(value, 0) + g.unit)}
}

// growth is the evidence that a series of one server grows.
type growth struct {
	names []segue.ServerName
	// runs are against the set of others that is there now, former the logarithms of what former sets gave.
	runs    [2]*evidence.Growth
	former  scales
	ceiling scales
	// value is the last one's, others the mean of the others then.
	value, others float64
}

// growings draws from history what is known of each resource.
func growings(before []judge.Evidence) map[string]*growing {
	all := map[string]*growing{}
	slicesOf := historyOf(before, resource)
	for _, key := range slices.Sorted(maps.Keys(slicesOf)) {
		if len(all) == mostGrowing {
			break
		}
		for span := range longestSpan + 1 {
			if g, ok := growingOf(slicesOf[key], span); ok {
				all[key] = g
				break
			}
		}
	}
	return all
}

func growingOf(servers map[segue.ServerName][]slice, span int) (*growing, bool) {
	g := &growing{span: span, bases: map[segue.ServerName]scales{}, ceilings: map[segue.ServerName]scales{}}
	names, _ := shape(servers)
	rows := windows(names, servers, lengths()[span])
	if len(names) < 2 || len(rows) < enoughWindows {
		return nil, false
	}
	for _, row := range rows {
		for _, value := range row {
			if value < 0 {
				return nil, false
			}
			g.unit += max(value, 1e-9) / float64(len(row)*len(rows)) / 100
		}
	}
	g.settle(names, rows)
	if span < longestSpan && g.resemblance(names, rows) >= mostAlike {
		return nil, false
	}
	for i, name := range names {
		g.ceilings[name] = g.ceiling(i, name, names, rows)
	}
	return g, true
}

// settle takes servers' own means.
func (g *growing) settle(names []segue.ServerName, rows [][]float64) {
	for _, row := range rows {
		for i, name := range names {
			base, now := g.bases[name], g.scales(row[i])
			for s := range base {
				base[s] += now[s] / float64(len(rows))
			}
			g.bases[name] = base
		}
	}
}

// ceiling is above all that a server was, by as much as it ever moved: what is over it is new.
func (g *growing) ceiling(at int, name segue.ServerName, names []segue.ServerName, rows [][]float64) scales {
	low, high := scales{math.Inf(1), math.Inf(1)}, scales{math.Inf(-1), math.Inf(-1)}
	others := make([]judged, 0, len(names))
	for _, row := range rows {
		others = others[:0]
		for j, other := range names {
			if j != at {
				others = append(others, judged{other, row[j]})
			}
		}
		own, _ := g.own(row[at], others)
		for s := range own {
			low[s], high[s] = min(low[s], own[s]), max(high[s], own[s])
		}
	}
	return scales{
		high[0] + max(high[0]-low[0], growthMargin*g.bases[name][0]), high[1] + max(high[1]-low[1], math.Log1p(growthMargin)),
	}
}

// resemblance is that of neighbouring windows.
func (g *growing) resemblance(names []segue.ServerName, rows [][]float64) float64 {
	h, logs := habit{means: map[segue.ServerName]float64{}}, make([][]float64, len(rows))
	for i, name := range names {
		h.means[name] = g.bases[name][1]
		for at, row := range rows {
			logs[at] = append(logs[at], g.scales(row[i])[1])
		}
	}
	lag, _ := h.resemblance(names, logs)
	return lag
}

// judged is a server's mean in a window.
type judged struct {
	name  segue.ServerName
	value float64
}

// own is a value less what the others are off their own bases, and their mean.
func (g *growing) own(value float64, others []judged) (own scales, mean float64) {
	own = g.scales(value)
	for _, o := range others {
		now, n := g.scales(o.value), float64(len(others))
		for s := range own {
			own[s] -= (now[s] - g.bases[o.name][s]) / n
		}
		mean += o.value / n
	}
	return own, mean
}

// meet makes bases and ceilings for servers that have no history, by what they show first: the candidate may be as high as any other.
func (g *growing) meet(name segue.ServerName, value float64, others []judged) {
	if g.unit == 0 {
		g.unit = max(value, 1e-9) / 100
	}
	for _, o := range others {
		if _, there := g.bases[o.name]; !there {
			g.bases[o.name] = g.scales(o.value)
		}
	}
	if _, there := g.ceilings[name]; there {
		return
	}
	most := value
	for _, o := range others {
		most = max(most, o.value)
	}
	g.ceilings[name] = g.scales(most * (1 + strangerGrowth))
}

// add weighs a window.
func (r *growth) add(g *growing, name segue.ServerName, value float64, others []judged) {
	names := make([]segue.ServerName, len(others))
	for i, o := range others {
		names[i] = o.name
	}
	g.meet(name, value, others)
	own, mean := g.own(value, others)
	if r.runs[0] == nil || !slices.Equal(r.names, names) {
		for s := range r.runs {
			if r.runs[s] != nil {
				r.former[s] += r.runs[s].LogE()
			}
			r.runs[s] = evidence.NewGrowth()
		}
		r.names = names
	}
	r.ceiling, r.value, r.others = g.ceilings[name], value, mean
	for s := range r.runs {
		r.runs[s].Add(own[s])
	}
}

// logE is the evidence on that scale on which there is less.
func (r *growth) logE() float64 {
	least := math.Inf(1)
	for s := range r.runs {
		if r.runs[s] == nil {
			return 0
		}
		least = min(least, r.former[s]+r.runs[s].LogE())
	}
	return least
}

// lasts tells whether the last windows are above all that was usual, and growth has not slowed down since the first of them.
func (r *growth) lasts() bool {
	for s := range r.runs {
		values := r.runs[s].Values()
		n := len(values)
		if n < lasting || slices.Min(values[n-lasting:]) <= r.ceiling[s] {
			return false
		}
	}
	grown := r.grown()
	half := len(grown) / 2
	early, late := evidence.Slope(grown[:len(grown)-half]), evidence.Slope(grown[half:])
	return late > 0 && late >= steady*early
}

// grown gives the linear values since the last one that was not above the ceiling, at least those that lasts asks for.
func (r *growth) grown() []float64 {
	values := r.runs[0].Values()
	at := len(values)
	for at > 0 && values[at-1] > r.ceiling[0] {
		at--
	}
	return values[max(0, at-1):]
}

// perHour is by how much it grows.
func (r *growth) perHour(length time.Duration) float64 {
	return evidence.Slope(r.grown()) * float64(time.Hour) / float64(length)
}
