package logs_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// kind is a line of the world: how often it comes on a server, in bursts per minute, or by the clock.
type kind struct {
	judge.LogTemplate
	rate, period float64
	// atStart lines are said once in a process's first seconds.
	atStart bool
	// factor multiplies the rate on the candidate; never and only say that one side alone has it.
	factor float64
	only   bool
	sides  float64 // rate on stable after the rollout's beginning, as a multiple
}

// world is a fleet in virtual time.
type world struct {
	*rand.Rand
	kinds   []kind
	names   []segue.ServerName
	quirk   map[segue.ServerName][]float64
	started map[segue.ServerName]time.Time
	burst   int
	// rolling replaces another server every ten minutes.
	rolling bool
	shape   func(time.Time) float64
	told    map[string]bool
	now     time.Time
	// candidates run the candidate.
	candidates map[segue.ServerName]bool
}

// newWorld is a fleet whose servers differ by 30 % in how often they say each line.
func newWorld(seed uint64, stable int, kinds []kind) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 1)), kinds: kinds, quirk: map[segue.ServerName][]float64{}, started: map[segue.ServerName]time.Time{},
		burst: 1, shape: func(time.Time) float64 { return 1 }, told: map[string]bool{}, now: noon, candidates: map[segue.ServerName]bool{},
	}
	for i := range stable + 1 {
		name := segue.ServerName(fmt.Sprintf("web-%d", i+1))
		w.names = append(w.names, name)
		for range kinds {
			w.quirk[name] = append(w.quirk[name], math.Exp(0.3*w.NormFloat64()))
		}
		w.started[name] = noon.Add(-48 * time.Hour)
	}
	return w
}

// mixed is what a service logs: rare and frequent lines of all severities, timers, and what is said at the start.
func mixed(n int) []kind {
	var kinds []kind
	for i := range n {
		k := kind{rate: 1.0 / 600, factor: 1, sides: 1}
		if i >= n/3 {
			k.rate = math.Exp(math.Log(1.0/60) + float64(i%17)/16*math.Log(300))
		}
		severity := []string{"error", "info", "warn", "info", "debug"}[i%5]
		k.LogTemplate = named(i, severity, fmt.Sprintf("thing %d happened <*>", i))
		kinds = append(kinds, k)
	}
	for i, period := range []float64{30, 60, 300} {
		kinds = append(kinds, kind{LogTemplate: named(n+i, "info", fmt.Sprintf("heartbeat number%d <*>", i)), period: period, factor: 1, sides: 1})
	}
	for i := range 12 {
		kinds = append(kinds, kind{LogTemplate: named(n+10+i, "info", fmt.Sprintf("starting module%d <*>", i)), atStart: true, factor: 1, sides: 1})
	}
	return kinds
}

func named(i int, severity, text string) judge.LogTemplate {
	return judge.LogTemplate{
		ID: fmt.Sprintf("%016x", i+1000), Severity: severity, Text: text, Sample: text, Born: int64(i + 1),
	}
}

// before gives the history of an hour.
func (w *world) before() []judge.Evidence {
	var all []judge.Evidence
	w.now = noon.Add(-time.Hour)
	for range 60 {
		all = append(all, w.window(time.Minute))
	}
	return all
}

// replace puts the candidate on a server, now.
func (w *world) replace(name segue.ServerName) {
	w.candidates[name], w.started[name] = true, w.now
}

// window lets time pass and gives what was logged.
func (w *world) window(length time.Duration) judge.Evidence {
	e := judge.Evidence{Service: "web", Stable: "v1", Candidate: "v2", Since: w.now, Until: w.now.Add(length)}
	for _, name := range w.names {
		e.Servers = append(e.Servers, w.server(name, e))
	}
	said := map[string]bool{}
	for _, s := range e.Servers {
		for _, n := range s.Logs {
			said[n.Template] = true
		}
	}
	for _, k := range w.kinds {
		if said[k.ID] && !w.told[k.ID] {
			w.told[k.ID] = true
			e.Templates = append(e.Templates, k.LogTemplate)
		}
	}
	w.now = e.Until
	return e
}

func (w *world) server(name segue.ServerName, e judge.Evidence) judge.ServerEvidence {
	s := judge.ServerEvidence{Server: name, Release: "v1", Started: w.started[name], LogsRead: true, Requests: int64(600 * e.Length().Minutes())}
	if w.candidates[name] {
		s.Release = "v2"
	}
	for i, k := range w.kinds {
		if n := w.say(name, i, k, e); n.Units > 0 {
			s.Logs = append(s.Logs, n)
		}
	}
	return s
}

// say counts a line in a window by slots.
func (w *world) say(name segue.ServerName, i int, k kind, e judge.Evidence) judge.LogCount {
	n := judge.LogCount{Template: k.ID}
	last := int64(0)
	at := func(seconds float64) {
		if moment := e.Since.Add(time.Duration(seconds * float64(time.Second))); moment.Before(e.Until) {
			n.Events++
			if number := moment.Unix() / 10; number > last {
				n.Units, last = n.Units+1, number
			}
		}
	}
	factor := k.sides
	if e.Since.Before(noon) {
		factor = 1
	}
	if w.candidates[name] {
		factor = k.factor
	} else if k.only {
		factor = 0
	}
	switch {
	case k.atStart:
		if off := w.started[name].Sub(e.Since); off >= 0 && off < e.Length() && factor > 0 {
			at(off.Seconds() + 20*w.Float64())
		}
	case k.period > 0:
		phase := float64(len(name)*7+i*3) + float64(name[len(name)-1])
		first := math.Ceil((float64(e.Since.Unix())-phase)/k.period)*k.period + phase - float64(e.Since.Unix())
		for t := first; t < e.Length().Seconds() && factor > 0; t += k.period {
			at(t)
		}
	case k.rate > 0:
		mean := k.rate * factor * w.quirk[name][i] * w.shape(e.Since) * e.Length().Minutes()
		for t := w.ExpFloat64() / mean; mean > 0 && t < 1; t += w.ExpFloat64() / mean {
			moment := t * e.Length().Seconds()
			for range w.burst {
				at(moment)
				moment += w.ExpFloat64()
			}
		}
	}
	return n
}
