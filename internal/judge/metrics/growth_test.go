package metrics_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/metrics"
)

// shape is what a resource is on a server: by the age of its process and the time of the day, both in minutes.
type shape struct {
	name    string
	servers int
	minutes int
	// noise is by how much it wanders in parts of itself, and memory how much a minute resembles the one before; 1 is a random walk.
	noise, memory float64
	// past is the minutes of history, restart the minute of it in which the last server starts anew; 0 is never.
	past, restart int
	stable        func(age, now float64) float64
	candidate     func(age, now float64) float64
}

// rollout gives the windows, of 10 s.
func (s shape) rollout(seed uint64) (all []judge.Evidence) {
	random := rand.New(rand.NewPCG(seed, 77))
	moods, habits, phases := make([]float64, s.servers), make([]float64, s.servers), make([]float64, s.servers)
	for i := range moods {
		moods[i], habits[i], phases[i] = s.noise*random.NormFloat64(), 0.1*random.NormFloat64(), 60*random.Float64()
	}
	phase := 1440 * random.Float64()
	started := func(i, minute int) float64 {
		switch {
		case i == 0 && minute >= 0:
			return 0
		case i == s.servers-1 && s.restart > 0 && minute >= -s.restart:
			return -float64(s.restart)
		}
		return -1440
	}
	one := func(minute int, length time.Duration, part float64) judge.Evidence {
		now := float64(minute) + part
		at := begun().Add(time.Duration(now * float64(time.Minute))).Round(time.Second)
		e := judge.Evidence{Stable: "v1", Candidate: "v2", Since: at, Until: at.Add(length)}
		for i := range s.servers {
			row := judge.ServerEvidence{Requests: 100, Ready: true}
			row.Server, row.Release = segue.ServerName("web-"+string(rune('a'+i))), "v1"
			of := s.stable
			if i == 0 && minute >= 0 {
				row.Release = "v2"
				if s.candidate != nil {
					of = s.candidate
				}
			}
			row.Started = begun().Add(time.Duration(started(i, minute) * float64(time.Minute)))
			level := of(now-started(i, minute), now+phase+phases[i])
			row.Gauges = map[string]float64{"process_resident_memory_bytes": level * 4e8 * math.Exp(habits[i]+moods[i])}
			row.Gauges["container_spec_memory_limit_bytes"] = 4e9
			e.Servers = append(e.Servers, row)
		}
		return e
	}
	var before []judge.Evidence
	for minute := -s.past; minute < s.minutes; minute++ {
		for i := range moods {
			if s.memory == 1 {
				moods[i] += s.noise * random.NormFloat64()
			} else {
				moods[i] = wander(random, moods[i], s.noise, s.memory)
			}
		}
		if minute < 0 {
			before = append(before, one(minute, time.Minute, 0))
			continue
		}
		for part := range 6 {
			all = append(all, one(minute, 10*time.Second, float64(part)/6))
		}
	}
	all[0].Before = before
	return all
}

// found gives the minute in which growth was found first, 0 for never, and what was said.
func (s shape) found(seed uint64) (minute int, text string) {
	j := metrics.New(metrics.Config{})
	for i, window := range s.rollout(seed) {
		for _, f := range j.Weigh(window) {
			if f.Judge == "gauges" && strings.Contains(f.Text, "grows by") {
				return i/6 + 1, string(f.Ruling) + ": " + f.Text
			}
		}
	}
	return 0, ""
}

func flat(_, _ float64) float64 { return 1 }

// fills is a cache that fills up after a start, to as much as before.
func fills(minutes, part float64) func(age, now float64) float64 {
	return func(age, _ float64) float64 { return 1 - part*math.Exp(-age/minutes) }
}

func leaks(perMinute float64) func(age, now float64) float64 {
	return func(age, _ float64) float64 { return 1 - 0.3*math.Exp(-age/3) + perMinute*age }
}

// saw are the teeth of a garbage collector that runs every so many minutes.
func saw(minutes float64) func(age, now float64) float64 {
	return func(age, now float64) float64 { return 0.6 + 0.6*math.Mod(now+17*math.Sin(age/1e9), minutes)/minutes }
}

func day(_, now float64) float64 { return 1 + 0.9*math.Sin(2*math.Pi*now/1440) }

func TestGrowth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shape
		runs        int
		least, most float64 // share that is found
		median      int
	}{
		{shape{name: "leak of 5 % a minute", servers: 2, noise: 0.03, memory: 0.6, candidate: leaks(0.05)}, 5, 1, 1, 40},
		{shape{name: "leak of 5 % a minute", servers: 10, noise: 0.03, memory: 0.6, candidate: leaks(0.05)}, 5, 1, 1, 40},
		{shape{name: "leak of 1 % a minute", servers: 4, noise: 0.03, memory: 0.6, candidate: leaks(0.01)}, 10, 0.8, 1, 60},
		{shape{name: "leak of 5 % a minute, no history", servers: 3, noise: 0.03, memory: 0.6, candidate: leaks(0.05), past: -1}, 5, 1, 1, 50},
		{shape{name: "leak of both", servers: 4, noise: 0.03, memory: 0.6, stable: leaks(0.01)}, 8, 0, 0, 0},
		{shape{name: "noise", servers: 2, noise: 0.1, memory: 0.9}, 8, 0, 0, 0},
		{shape{name: "noise for hours", servers: 2, noise: 0.2, memory: 0.99}, 20, 0, 0.05, 0},
		{shape{name: "random walk", servers: 2, noise: 0.02, memory: 1}, 20, 0, 0.05, 0},
		{shape{name: "random walk, no history", servers: 2, noise: 0.02, memory: 1, past: -1}, 20, 0, 0.05, 0},
		{shape{name: "day", servers: 3, noise: 0.03, memory: 0.6, stable: day}, 8, 0, 0, 0},
		{shape{name: "cache of 10 minutes", servers: 3, noise: 0.01, memory: 0.6, stable: fills(10, 0.5)}, 8, 0, 0, 0},
		{shape{name: "cache of an hour", servers: 3, noise: 0.01, memory: 0.6, stable: fills(60, 0.5)}, 8, 0, 0, 0},
		{shape{name: "larger cache of 5 minutes", servers: 3, noise: 0.01, memory: 0.6, candidate: func(age, _ float64) float64 { return 2 - 1.5*math.Exp(-age/5) }}, 8, 0, 0, 0},
		{shape{name: "larger cache of 10 minutes", servers: 3, noise: 0.01, memory: 0.6, candidate: func(age, _ float64) float64 { return 2 - 1.5*math.Exp(-age/10) }}, 8, 0, 0, 0},
		{shape{name: "teeth of 4 minutes", servers: 3, noise: 0.02, memory: 0.6, stable: saw(4)}, 8, 0, 0, 0},
		{shape{name: "teeth of 45 minutes", servers: 3, noise: 0.02, memory: 0.6, stable: saw(45)}, 8, 0, 0, 0},
		{shape{name: "a server started in the history", servers: 2, noise: 0.03, memory: 0.6, restart: 20, stable: fills(3, 0.3)}, 8, 0, 0, 0},
		{shape{name: "leak where a server started in the history", servers: 2, noise: 0.03, memory: 0.6, restart: 20, stable: fills(3, 0.3), candidate: leaks(0.05)}, 5, 1, 1, 50},
		{shape{name: "leak after half an hour", servers: 4, noise: 0.03, memory: 0.6, minutes: 90, candidate: func(age, _ float64) float64 { return 1 + 0.05*max(0, age-30) }}, 5, 1, 1, 75},
	} {
		s := test.shape
		if s.minutes == 0 {
			s.minutes = 60
		}
		if s.past == 0 {
			s.past = 60
		}
		if s.past < 0 {
			s.past = 0
		}
		if s.stable == nil {
			s.stable = flat
		}
		found, minutes, said := 0.0, []int{}, ""
		runs := some(test.runs)
		for seed := range runs {
			minute, text := s.found(uint64(seed))
			if minute > 0 {
				found++
				said, minutes = text, append(minutes, minute)
			} else {
				minutes = append(minutes, 0)
			}
		}
		share := found / float64(runs)
		t.Logf("%s, %d servers: %.2f found, %v %s", s.name, s.servers, share, minutes, said)
		if share < test.least || share > test.most {
			t.Errorf("%s: %.2f found, want %v to %v", s.name, share, test.least, test.most)
		}
	}
}
