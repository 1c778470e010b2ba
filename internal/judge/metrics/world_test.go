package metrics_test

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// world is a simulated rollout on one server among others, in virtual time. Servers differ for good (30 % in errors and durations), have moods
// that last for minutes, and share a day.
type world struct {
	seed    uint64
	others  int
	minutes int
	past    int // minutes of history
	// requests and errors per minute and server.
	requests, errors float64
	// What the candidate does: so many times the errors, the time, and so much more of the gauges' deviations.
	errorRatio, timeRatio, gaugeShift float64
	gauges                            int
	autocorrelation                   float64
	routes                            bool
	// moods is the deviation of servers' moods; 0.1 if nil.
	moods *float64
	// alike are servers without habits.
	alike bool
	// step is how many minutes after each other servers are upgraded; 0 upgrades one alone.
	step int
}

func (w world) deviation() float64 {
	if w.moods == nil {
		return 0.1
	}
	return *w.moods
}

type host struct {
	name                    segue.ServerName
	errorHabit, habit, mood float64
	gaugeHabits, gaugeMoods []float64
}

// begun is when the rollout begins.
func begun() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// windows gives the evidence of all of it, minute by minute; the first has the history.
func (w world) windows() []judge.Evidence {
	random := rand.New(rand.NewPCG(w.seed, 42))
	hosts := make([]host, w.others+1)
	for i := range hosts {
		hosts[i] = host{name: segue.ServerName(fmt.Sprintf("web-%d", i+1)), errorHabit: 0.3 * random.NormFloat64(), habit: 0.3 * random.NormFloat64(), mood: w.deviation() * random.NormFloat64()}
		for range w.gauges {
			hosts[i].gaugeHabits = append(hosts[i].gaugeHabits, 0.3*random.NormFloat64())
			hosts[i].gaugeMoods = append(hosts[i].gaugeMoods, random.NormFloat64())
		}
	}
	for i := range hosts {
		if w.alike {
			hosts[i].errorHabit, hosts[i].habit = 0, 0
			clear(hosts[i].gaugeHabits)
		}
	}
	phase := 2 * math.Pi * random.Float64()
	var before, after []judge.Evidence
	one := func(minute, length int) judge.Evidence {
		load := 1 + 0.5*math.Sin(phase+2*math.Pi*float64(minute)/180)
		at := begun().Add(time.Duration(minute) * time.Minute)
		e := judge.Evidence{Service: "shop", Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(time.Duration(length) * time.Minute)}
		for i := range hosts {
			release := segue.ReleaseName("v1")
			if minute >= 0 && (i == 0 || w.step > 0 && minute >= i*w.step && i < w.others) {
				release = "v2"
			}
			e.Servers = append(e.Servers, w.row(random, &hosts[i], load, length, release))
		}
		return e
	}
	// History is kept in slices of two minutes.
	for minute := -w.past; minute < 0; minute += 2 {
		before = append(before, one(minute, 2))
	}
	for minute := range w.minutes {
		after = append(after, one(minute, 1))
	}
	after[0].Before = before
	return after
}

// row is what one server does in some minutes.
func (w world) row(random *rand.Rand, h *host, load float64, minutes int, release segue.ReleaseName) judge.ServerEvidence {
	errorRatio, shift, gaugeShift := 1.0, 0.0, 0.0
	if release == "v2" {
		errorRatio, shift, gaugeShift = max(w.errorRatio, 1), math.Log(max(w.timeRatio, 1)), w.gaugeShift
	}
	mood := 0.0
	for range minutes {
		h.mood = wander(random, h.mood, w.deviation(), 0.9)
		mood += h.mood / float64(minutes)
	}
	load *= float64(minutes)
	row := judge.ServerEvidence{
		Server: h.name, Release: release, Ready: true, Started: begun().Add(-time.Hour),
		Latency: durationsAround(random, 20e3*math.Exp(h.habit+mood+shift), w.requests*load),
	}
	row.Requests = row.Latency.Count
	row.Errors = min(row.Requests, int64(poisson(random, w.errors*load*errorRatio*math.Exp(h.errorHabit))))
	if w.routes {
		buy := int64(poisson(random, 0.1*float64(row.Requests)))
		row.Routes = map[string]int64{"GET /": max(0, row.Requests-buy), "POST /buy": min(buy, row.Requests)}
		row.RouteErrors = map[string]int64{}
		for range row.Errors {
			if random.Int64N(row.Requests) < row.Routes["POST /buy"] {
				row.RouteErrors["POST /buy"]++
			} else {
				row.RouteErrors["GET /"]++
			}
		}
	}
	for i := range h.gaugeMoods {
		if row.Gauges == nil {
			row.Gauges = map[string]float64{}
		}
		mood := 0.0
		for range minutes {
			h.gaugeMoods[i] = wander(random, h.gaugeMoods[i], 1, w.autocorrelation)
			mood += h.gaugeMoods[i] / float64(minutes)
		}
		row.Gauges[fmt.Sprintf("gauge_%d", i)] = 100 * load / float64(minutes) * math.Exp(h.gaugeHabits[i]+0.1*(mood+gaugeShift))
	}
	return row
}

// wander is one step of an AR(1) series.
func wander(random *rand.Rand, at, deviation, resemblance float64) float64 {
	return resemblance*at + math.Sqrt(1-resemblance*resemblance)*deviation*random.NormFloat64()
}

// durationsAround draws lognormal durations, in cells of a shaken grid.
func durationsAround(random *rand.Rand, middle, requests float64) telemetry.Distribution {
	const cells, step, scatter = 28, 0.2, 0.5
	shake, all := random.Float64(), telemetry.Distribution{}
	for i := range cells {
		z := -2.7 + (float64(i)+shake)*step
		mean := requests * step * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
		n := poisson(random, mean)
		if n == 0 {
			continue
		}
		micros := uint64(middle * math.Exp(scatter*z))
		all.Count += int64(n)
		all.SumMicros += int64(n) * int64(micros)
		all.MaxMicros = max(all.MaxMicros, int64(micros))
		if last := len(all.Buckets) - 1; last >= 0 && all.Buckets[last].Index == bucketOf(micros) {
			all.Buckets[last].Count += int64(n)
			continue
		}
		all.Buckets = append(all.Buckets, telemetry.Bucket{Index: bucketOf(micros), Count: int64(n)})
	}
	return all
}

// bucketOf is telemetry's numbering: 32 buckets to a power of two.
func bucketOf(micros uint64) int {
	if micros < 64 {
		return int(micros)
	}
	shift := bits.Len64(micros) - 6
	return 64 + (shift-1)<<5 + int(micros>>shift) - 32
}

func poisson(random *rand.Rand, mean float64) int {
	if mean > 12 {
		return int(max(0, math.Round(mean+math.Sqrt(mean)*random.NormFloat64())))
	}
	n, product := 0, random.Float64()
	for limit := math.Exp(-mean); product > limit; n++ {
		product *= random.Float64()
	}
	return n
}

// course is the minute at which a lane first ruled so.
type course map[string]int

// run feeds a judge and notes when each lane first failed, held and passed; 0 is never.
func run(j judge.Judge, windows []judge.Evidence) course {
	c := course{}
	for minute, window := range windows {
		for _, f := range j.Weigh(window) {
			key := f.Judge + " " + string(f.Ruling)
			if c[key] == 0 {
				c[key] = minute + 1
			}
		}
	}
	return c
}

// some is how many of so many rollouts are played. Judges run in one goroutine: in what they compute the race detector has little to find, so that a
// part will do for it; `make test` plays all of them without it.
func some(rollouts int) int {
	if detector || testing.Short() {
		return max(5, rollouts/8)
	}
	return rollouts
}

// slack is what chance may add to a share of so few: two rollouts, and nothing where all are played.
func slack(rollouts int) float64 {
	if detector || testing.Short() {
		return 2 / float64(rollouts)
	}
	return 0
}

// share tells how many of the courses came to one of the keys.
func share(courses []course, keys ...string) float64 {
	n := 0.0
	for _, c := range courses {
		if slices.ContainsFunc(keys, func(key string) bool { return c[key] > 0 }) {
			n++
		}
	}
	return n / float64(len(courses))
}

// median tells after how many minutes; never is 1e9.
func median(courses []course, keys ...string) float64 {
	all := make([]int, 0, len(courses))
	for _, c := range courses {
		first := int(1e9)
		for _, key := range keys {
			if c[key] > 0 {
				first = min(first, c[key])
			}
		}
		all = append(all, first)
	}
	slices.Sort(all)
	return float64(all[len(all)/2])
}
