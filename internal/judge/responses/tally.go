package responses

import (
	"cmp"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/judge"
)

// Bounds of a Tally: it lives for a whole rollout.
const (
	mostPaths  = 2000
	mostRoutes = 200
)

// Noise: a path at which stable servers differ from each other in more than half of the comparisons is masked, from so many on.
const (
	noisyShare = 0.5
	noisyFrom  = 20
)

// drift is how long after the primary's answer, at most, the others were asked.
const drift = 2 * time.Second

// Kinds of rows that are about no difference.
const (
	// KindCompared tells in Compared how many requests of a route were.
	KindCompared = "compared"
	// KindLeftOut tells in Compared how many were not, or were not told one by one; the path is the reason.
	KindLeftOut = "left out"
)

// Reasons for which something is left out.
const (
	leftRaced   = "a write under the same path meanwhile"
	leftDrift   = "asked more than 2 s apart"
	leftAnswers = "no answer of stable servers to compare with"
	leftPaths   = "differences at more than 2,000 paths"
	leftRoutes  = "requests of more than 200 routes"
)

// Elsewhere is the route that stands for those beyond the first 200.
const Elsewhere = "*"

// Tally counts differences over windows, and learns over all of them which paths are noise. It is not safe for concurrent use.
type Tally struct {
	routes map[string]*routeTally
	paths  int
	// window counts since the last Window.
	window  map[row]*judge.AnswerCount
	leftOut map[string]int64
}

// routeTally is what is known of a route since the beginning.
type routeTally struct {
	compared int64
	// noise counts, by place, comparisons in which a secondary differed.
	noise map[place]int64
}

// row is what a count is of.
type row struct {
	route string
	place
	secondaries int
}

// NewTally makes an empty one.
func NewTally() *Tally {
	return &Tally{routes: map[string]*routeTally{}, window: map[row]*judge.AnswerCount{}, leftOut: map[string]int64{}}
}

// Add counts one request. Requests whose answers may rightly differ are left out, and counted as such.
func (t *Tally) Add(triple Triple) {
	if reason := unfit(triple); reason != "" {
		t.leftOut[reason]++
		return
	}
	route, known := t.route(triple)
	known.compared++
	k := len(triple.Secondaries)
	t.count(row{route, place{kind: KindCompared}, k}).Compared++
	for _, d := range Compare(triple) {
		at := place{d.Path, d.Kind}
		if _, there := known.noise[at]; !there {
			if t.paths >= mostPaths && d.Path != PathAnswer && d.Path != PathStatus {
				t.leftOut[leftPaths]++
				continue
			}
			t.paths++
			known.noise[at] = 0
		}
		if d.Stables > 0 {
			known.noise[at]++
		}
		c := t.count(row{route, at, k})
		// Only where exactly one of all servers differs is it one in so many whose it is. Where more do, nothing is told by it.
		switch {
		case d.Candidate && d.Stables == 0:
			c.Candidate++
			c.Sample = d.Sample
		case !d.Candidate && d.Stables == 1:
			c.Stable++
		}
		if c.Sample == "" {
			c.Sample = d.Sample
		}
	}
}

// unfit gives the reason for which a request is left out, "" for none.
func unfit(t Triple) string {
	if t.Primary.Failure != "" || len(t.Secondaries) == 0 {
		return leftAnswers
	}
	if t.Raced {
		return leftRaced
	}
	answered := t.Primary.At.Add(t.Primary.Took)
	for _, a := range append(slices.Clip(t.Secondaries), t.Candidate) {
		if a.At.Sub(answered).Abs() > drift {
			return leftDrift
		}
	}
	return ""
}

func (t *Tally) route(triple Triple) (string, *routeTally) {
	name := triple.Route
	if name == "" {
		name = RouteOf(triple.Method, triple.Path)
	}
	if known := t.routes[name]; known != nil {
		return name, known
	}
	if len(t.routes) >= mostRoutes {
		t.leftOut[leftRoutes]++
		name = Elsewhere
		if known := t.routes[name]; known != nil {
			return name, known
		}
	}
	known := &routeTally{noise: map[place]int64{}}
	t.routes[name] = known
	return name, known
}

func (t *Tally) count(r row) *judge.AnswerCount {
	c := t.window[r]
	if c == nil {
		c = &judge.AnswerCount{Route: r.route, Path: r.path, Kind: r.kind, Secondaries: r.secondaries}
		t.window[r] = c
	}
	return c
}

// Window gives the counts since the last call, sorted: those of compared requests by route, those of differences, and those of what was
// left out. Compared of a difference is that of its route.
func (t *Tally) Window() []judge.AnswerCount {
	rows := make([]judge.AnswerCount, 0, len(t.window)+len(t.leftOut))
	for r, c := range t.window {
		if r.kind != KindCompared {
			c.Compared = t.window[row{r.route, place{kind: KindCompared}, r.secondaries}].Compared
			c.Noisy = t.routes[r.route].noisy(r.place)
		}
		rows = append(rows, *c)
	}
	for reason, n := range t.leftOut {
		rows = append(rows, judge.AnswerCount{Path: reason, Kind: KindLeftOut, Compared: n})
	}
	slices.SortFunc(rows, func(a, b judge.AnswerCount) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Kind, b.Kind), a.Secondaries-b.Secondaries)
	})
	clear(t.window)
	clear(t.leftOut)
	return rows
}

func (r *routeTally) noisy(at place) bool {
	return r.compared >= noisyFrom && float64(r.noise[at]) > noisyShare*float64(r.compared)
}
