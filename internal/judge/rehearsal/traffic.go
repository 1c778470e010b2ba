package rehearsal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/segue-deploy/segue/internal/telemetry"
)

// A latency is a place on a ladder whose rungs are 1 % apart, from 100 µs up. Drawing one takes a look into two tables, since a thousand rollouts
// have hundreds of millions.
const (
	rungs     = 1500
	rung      = 0.01
	lowest    = 100.0
	drawBits  = 12
	drawn     = 1 << drawBits
	tailShare = 0.01
)

// ladder is what a value on each rung is, and which bucket of a histogram it falls in.
type ladder struct {
	micros  [rungs]int64
	bucket  [rungs]int
	buckets int
	// base are the rungs of a request of the median 1 ms, for each number that can be drawn.
	base [drawn]int
}

func newLadder() *ladder {
	l := &ladder{}
	var h telemetry.Histogram
	for i := range l.micros {
		l.micros[i] = int64(lowest * math.Exp(rung*float64(i)))
		h.Observe(time.Duration(l.micros[i]) * time.Microsecond)
	}
	i := 0
	for _, b := range h.Distribution().Buckets {
		for range b.Count {
			l.bucket[i] = b.Index
			i++
		}
		l.buckets = b.Index + 1
	}
	for i := range l.base {
		q := (float64(i) + 0.5) / drawn
		z := 0.5 * math.Sqrt2 * math.Erfinv(2*q-1)
		if q > 1-tailShare {
			z += math.Log(4)
		}
		l.base[i] = int(math.Round((z + math.Log(1000/lowest)) / rung))
	}
	return l
}

// answered is the traffic of a server in some time.
type answered struct {
	requests, errors int64
	// routes and failed count requests and errors by route.
	routes, failed []int64
	latency        telemetry.Distribution
}

// traffic is what a balancer sees of a server. It is asked step by step, in order.
type traffic struct {
	World
	*process
	*ladder
	lots
	all []route
	// asked is how requests share out among routes, and among those of the candidate.
	asked, candidates *mix
	// stray draws what a single client asks for.
	stray  lots
	offset float64
	usual  float64
	mood   mood
	counts []int64
}

// mood is noise that lasts: AR(1) by the minute.
type mood struct {
	*rand.Rand
	lasts, sigma, value float64
	minute              int64
}

func newMood(r *rand.Rand, lasts, sigma float64) mood {
	return mood{Rand: r, lasts: lasts, sigma: sigma, value: sigma * r.NormFloat64()}
}

func (m *mood) at(t time.Time) float64 {
	if now := t.Unix() / 60; now != m.minute {
		m.minute = now
		m.value = m.lasts*m.value + math.Sqrt(1-m.lasts*m.lasts)*m.sigma*m.NormFloat64()
	}
	return m.value
}

func newTraffic(w World, p *process, l *ladder) *traffic {
	all, other := w.routes(), 0.0
	for _, c := range w.Changes {
		if c.Kind == OtherMix {
			other = c.Size
		}
	}
	t := &traffic{
		World: w, process: p, ladder: l, lots: lots{w.random("traffic", p.server)}, all: all, asked: newMix(all, 0), candidates: newMix(all, other),
		stray: lots{w.random("stray client", p.server)}, counts: make([]int64, l.buckets),
	}
	t.offset = w.Noise * t.NormFloat64()
	t.usual = math.Exp(0.5 * w.Spread * t.NormFloat64())
	t.mood = newMood(w.random("mood", p.server), 0.9, w.Noise)
	return t
}

// effect is what changes do to the requests of a route.
type effect struct {
	shift  int
	errors float64
}

// effects gives what holds for each route at a time.
func (t *traffic) effects(at time.Time) []effect {
	slow, errors := t.offset+t.mood.at(at)+math.Log(float64(t.Latency)/float64(time.Millisecond)), t.Errors*t.usual
	if age := at.Sub(t.started(at)); age >= 0 {
		slow += math.Log1p(math.Exp(-age.Seconds() / 45))
	}
	all := make([]effect, len(t.all))
	for i, r := range t.all {
		delay, share := slow+math.Log(r.factor), errors*r.errors
		for _, c := range t.Changes {
			if !t.active(c, at) {
				continue
			}
			switch {
			case c.Kind == Slow, c.Kind == SlowRoute && r.is(c):
				delay += math.Log(c.Size)
			case c.Kind == MoreErrors:
				share *= c.Size
			case c.Kind == RouteErrors && r.is(c):
				share = c.Size
			case c.Kind == Incident:
				share = 0.05
			}
		}
		if r.broken {
			share = 1
		}
		all[i] = effect{int(math.Round(delay / rung)), share}
	}
	return all
}

// mixed is how requests share out at a time, strays how many a single client adds, of what is broken.
func (t *traffic) mixed(at time.Time) (m *mix, strays int) {
	m = t.asked
	for _, c := range t.Changes {
		switch {
		case !t.active(c, at):
		case c.Kind == OtherMix:
			m = t.candidates
		case c.Kind == StrayClient:
			strays += t.stray.poisson(c.Size * step.Minutes())
		}
	}
	return m, strays
}

// step adds the step that begins at a time.
func (t *traffic) step(at time.Time, sum *answered) {
	effects := t.effects(at)
	if t.down(at) {
		return
	}
	if sum.routes == nil {
		sum.routes, sum.failed = make([]int64, len(t.all)), make([]int64, len(t.all))
	}
	mix, strays := t.mixed(at)
	for range t.poisson(t.Requests * step.Minutes() * t.load(at)) {
		draw := t.Uint64()
		r := mix[draw%drawn]
		t.answer(sum, draw, int(r), effects[r])
	}
	for range strays {
		last := len(t.all) - 1
		t.answer(sum, t.stray.Uint64(), last, effects[last])
	}
}

// answer counts the answer to one request, by a number that was drawn for it.
func (t *traffic) answer(sum *answered, draw uint64, route int, e effect) {
	i := min(max(0, t.base[draw>>drawBits%drawn]+e.shift), rungs-1)
	t.counts[t.bucket[i]]++
	sum.latency.Count++
	sum.latency.SumMicros += t.micros[i]
	sum.latency.MaxMicros = max(sum.latency.MaxMicros, t.micros[i])
	sum.requests++
	sum.routes[route]++
	if float64(draw>>(2*drawBits)) < e.errors*(1<<(64-2*drawBits)) {
		sum.errors++
		sum.failed[route]++
	}
}

// end closes the sum: what was counted since the last.
func (t *traffic) end(sum *answered) {
	sum.latency.Buckets = make([]telemetry.Bucket, 0, 96)
	for i, n := range t.counts {
		if n > 0 {
			sum.latency.Buckets = append(sum.latency.Buckets, telemetry.Bucket{Index: i, Count: n})
		}
	}
	sum.latency.Buckets = slices.Clip(sum.latency.Buckets)
	clear(t.counts)
}

// byRoute names counts, of routes that have some.
func (t *traffic) byRoute(counts []int64) map[string]int64 {
	named := make(map[string]int64, len(counts))
	for i, n := range counts {
		if n > 0 {
			named[t.all[i].name] = n
		}
	}
	return named
}

// gauges are a server's own metrics.
type gauges struct {
	World
	*process
	offsets []float64
	noise   []mood
}

func gaugeNames() []string {
	return []string{
		"process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines", "gc_pause_seconds", "queue_depth",
		`db_pool_in_use{pool="main"}`,
	}
}

func newGauges(w World, p *process) *gauges {
	g := &gauges{World: w, process: p}
	r := w.random("gauges", p.server)
	for i := range gaugeNames() {
		g.offsets = append(g.offsets, w.Noise*r.NormFloat64())
		g.noise = append(g.noise, newMood(w.random(fmt.Sprint("gauge", i), p.server), 0.6, w.Noise))
	}
	return g
}

// at gives the values of the step that begins at a time. It is asked in order.
func (g *gauges) at(t time.Time) map[string]float64 {
	values := make(map[string]float64, len(g.offsets))
	load := g.load(t)
	usual := [...]float64{400e6, 0.4 * load, 120 * load, 0.004, 3 * load, 12 * load}
	age := t.Sub(g.started(t))
	for i, name := range gaugeNames() {
		calm := 1.0
		if i == 0 {
			calm = 0.3 // memory wanders less than the rest
		}
		values[name] = usual[i] * math.Exp(calm*(g.offsets[i]+g.noise[i].at(t)))
	}
	memory := gaugeNames()[0]
	values[memory] *= 1 - 0.3*math.Exp(-age.Minutes()/3)
	for _, c := range g.Changes {
		if c.Kind == Leak && g.active(c, t) {
			values[memory] += c.Size * usual[0] * min(age, t.Sub(g.Start.Add(c.After))).Minutes()
		}
	}
	return values
}
