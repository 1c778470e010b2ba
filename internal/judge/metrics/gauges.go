package metrics

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
)

const (
	// mostOf is the part of a window that a server must have been seen in.
	mostOf = 0.8
	// mostZ bounds what a single window can say of a gauge that never moved before.
	mostZ = 50
	// seenOften is how many windows of evidence a series must have been seen in on one side, to be missed on the other.
	seenOften = 3
)

// gauges are the servers' own metrics: one value per server, series and window.
type gauges struct {
	known   map[string]habit
	order   []string
	leftOut []string
	// growing are resources, by name; unknown says that there is no history of any series, so that resources are born when they are seen.
	growing map[string]*growing
	grows   []string
	unknown bool
	spans   [4]span
	// seen counts evidence windows in which a series was seen, by side; read those in which any was.
	seen map[string]*[2]int64
	read [2]int64
}

const (
	sideCandidate = iota
	sideStable
)

// span is the window that is open, of one length.
type span struct {
	since   time.Time
	servers map[segue.ServerName]*spanned
}

// spanned is what one server showed in it.
type spanned struct {
	candidate, spoiled bool
	seconds            float64
	means              map[string]mean
}

// rank is the evidence of one series about one server.
type rank struct {
	rise, fall evidence.SoftRank
	windows    int
	// value is what it showed since, expected what it would have by its habit and what the others did.
	value, expected float64
}

func newGauges(before []judge.Evidence, since time.Time) gauges {
	g := gauges{seen: map[string]*[2]int64{}}
	g.known, g.leftOut = habits(before)
	g.order = slices.Sorted(maps.Keys(g.known))
	g.growing = growings(before)
	g.grows = slices.Sorted(maps.Keys(g.growing))
	g.unknown = len(g.known)+len(g.leftOut) == 0
	for i := range g.spans {
		g.spans[i] = span{since, map[segue.ServerName]*spanned{}}
	}
	return g
}

// begin enters the known series into the subject's book.
func (s *subject) begin(g *gauges, alpha float64) {
	// A book keeps half of its rate for births: there are none here, or nothing else.
	s.book, s.gauges, s.growth = evidence.NewBook(2*alpha), make(map[string]*rank, len(g.order)), map[string]*growth{}
	for _, key := range g.order {
		s.book.Known(key, 1)
		s.gauges[key] = &rank{}
	}
	for _, key := range g.grows {
		s.grow(g, key)
	}
}

// grow enters a resource.
func (s *subject) grow(g *gauges, key string) {
	if s.growth[key] = (&growth{}); g.unknown {
		s.book.Born(growthOf + key)
	} else {
		s.book.Known(growthOf+key, 1)
	}
}

// growthOf begins the names of streams of growth.
const growthOf = "growth of "

// admit takes resources in that nothing was known of, in order of their names whatever server has them.
func (g *gauges) admit(window judge.Evidence, subjects []*subject) {
	if !g.unknown || len(g.grows) >= mostGrowing {
		return
	}
	fresh := map[string]bool{}
	for _, row := range window.Servers {
		for key, value := range row.Gauges {
			if g.growing[key] == nil && value >= 0 && resource(key) {
				fresh[key] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fresh)) {
		if len(g.grows) >= mostGrowing {
			return
		}
		g.growing[key] = &growing{span: longestSpan, bases: map[segue.ServerName]scales{}, ceilings: map[segue.ServerName]scales{}}
		g.grows = append(g.grows, key)
		for _, s := range subjects {
			s.grow(g, key)
		}
	}
}

// add takes a window. A server that is cold, changes sides or is away for long spoils its windows.
func (g *gauges) add(window judge.Evidence, phases []phase, subjects []*subject) {
	seconds := window.Length().Seconds()
	if seconds <= 0 {
		return
	}
	g.admit(window, subjects)
	for at, row := range window.Servers {
		candidate := row.Release == window.Candidate
		for i := range g.spans {
			s := g.spans[i].servers[row.Server]
			if s == nil {
				s = &spanned{candidate: candidate, means: map[string]mean{}}
				g.spans[i].servers[row.Server] = s
			}
			s.seconds += seconds
			s.spoiled = s.spoiled || phases[at] != phaseWarm || s.candidate != candidate
		}
		if phases[at] == phaseWarm {
			g.take(row, candidate, seconds)
		}
	}
	for i, length := range lengths() {
		if window.Until.Sub(g.spans[i].since) >= length {
			g.close(i, length, subjects)
			g.spans[i] = span{window.Until, map[segue.ServerName]*spanned{}}
		}
	}
}

// take adds a server's values to the spans of their series.
func (g *gauges) take(row judge.ServerEvidence, candidate bool, seconds float64) {
	where := sideStable
	if candidate {
		where = sideCandidate
	}
	if len(row.Gauges) > 0 {
		g.read[where]++
	}
	for key, value := range row.Gauges {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			continue
		}
		if g.seen[key] == nil {
			if len(g.seen) >= 2*mostSeries {
				continue
			}
			g.seen[key] = &[2]int64{}
		}
		g.seen[key][where]++
		h, known := g.known[key]
		if known {
			g.spans[h.span].servers[row.Server].take(key, value, seconds)
		}
		if grows := g.growing[key]; grows != nil && (!known || grows.span != h.span) {
			g.spans[grows.span].servers[row.Server].take(key, value, seconds)
		}
	}
}

func (s *spanned) take(key string, value, seconds float64) {
	m := s.means[key]
	s.means[key] = mean{m.sum + value*seconds, m.seconds + seconds}
}

// weighGrowth weighs the resources of a window that is full.
func (g *gauges) weighGrowth(span int, enough float64, names []segue.ServerName, subjects []*subject) {
	servers := g.spans[span].servers
	for _, key := range g.grows {
		if g.growing[key].span != span {
			continue
		}
		whole := func(s *spanned, candidate bool) bool {
			return s != nil && s.candidate == candidate && !s.spoiled && s.means[key].seconds >= enough
		}
		var others []judged
		for _, name := range names {
			_, based := g.growing[key].bases[name]
			if s := servers[name]; whole(s, false) && (based || g.unknown) {
				others = append(others, judged{name, s.means[key].value()})
			}
		}
		for _, subject := range subjects {
			_, based := g.growing[key].ceilings[subject.name]
			if s := servers[subject.name]; whole(s, true) && len(others) > 0 && (based || g.unknown) {
				subject.growth[key].add(g.growing[key], subject.name, s.means[key].value(), others)
				subject.book.Set(growthOf+key, subject.growth[key].logE())
			}
		}
	}
}

// close weighs a window that is full.
func (g *gauges) close(span int, length time.Duration, subjects []*subject) {
	servers := g.spans[span].servers
	names := slices.Sorted(maps.Keys(servers))
	enough := mostOf * length.Seconds()
	g.weighGrowth(span, enough, names, subjects)
	for _, key := range g.order {
		h := g.known[key]
		if h.span != span {
			continue
		}
		var others []float64
		for _, name := range names {
			if s, own, ok := g.own(key, name, servers[name], enough); ok && !s.candidate {
				others = append(others, h.scale(s.means[key].value())-own)
			}
		}
		for _, subject := range subjects {
			if s, own, ok := g.own(key, subject.name, servers[subject.name], enough); ok && s.candidate && len(others) > 0 {
				subject.gauges[key].add(h, s.means[key].value(), own, others)
				subject.book.Set(key, subject.gauges[key].rise.LogE())
			}
		}
	}
}

// own gives a server's own mean, and says whether it can be compared in this window.
func (g *gauges) own(key string, name segue.ServerName, s *spanned, enough float64) (*spanned, float64, bool) {
	own, ok := g.known[key].means[name]
	return s, own, ok && s != nil && !s.spoiled && s.means[key].seconds >= enough
}

// add weighs a window: the server's value, and by how much the others are off their own means.
func (r *rank) add(h habit, value, own float64, others []float64) {
	// Own means are taken from as many windows as there were, and what they are off by stays: the more windows, the more of it adds up.
	deviation := h.deviation * math.Sqrt(1+float64(r.windows)/float64(h.windows))
	z := func(off float64) float64 { return min(max(-mostZ, off/deviation), mostZ) }
	rises, falls, change := make([]float64, len(others)), make([]float64, len(others)), 0.0
	for i, off := range others {
		rises[i], falls[i] = z(off), -z(off)
		change += off / float64(len(others))
	}
	mine := z(h.scale(value) - own)
	r.rise.Add(mine, rises)
	r.fall.Add(-mine, falls)
	r.windows++
	expected := own + change
	if h.logarithmic {
		expected = math.Exp(expected)
	}
	r.value += (value - r.value) / float64(r.windows)
	r.expected += (expected - r.expected) / float64(r.windows)
}

// oneSided gives the series that only one side has, in order.
func (g *gauges) oneSided() (candidate, stable []string) {
	if g.read[sideCandidate] < seenOften || g.read[sideStable] < seenOften {
		return nil, nil
	}
	for _, key := range slices.Sorted(maps.Keys(g.seen)) {
		switch n := g.seen[key]; {
		case n[sideStable] == 0 && n[sideCandidate] >= seenOften:
			candidate = append(candidate, key)
		case n[sideCandidate] == 0 && n[sideStable] >= seenOften:
			stable = append(stable, key)
		}
	}
	return candidate, stable
}

// strangers counts the series that both sides have and history does not.
func (g *gauges) strangers() (n int) {
	for key, seen := range g.seen {
		if _, known := g.known[key]; !known && seen[sideCandidate] > 0 && seen[sideStable] > 0 && !slices.Contains(g.leftOut, key) {
			n++
		}
	}
	return n
}
