package judgetest

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
)

// Outcome is what judges made of a scenario.
type Outcome struct {
	Scenario Scenario `json:"scenario"`
	rehearsal.Outcome
}

// Right tells whether the ruling is the one that was wanted, or as good.
func (o Outcome) Right() bool {
	switch o.Scenario.Want {
	case segue.RulingFail:
		return o.Ruling == segue.RulingFail
	case segue.RulingHold:
		return o.Ruling == segue.RulingFail || o.Ruling == segue.RulingHold
	default:
		return o.Ruling != segue.RulingFail
	}
}

// Run has fresh judges weigh a scenario, to its end or to the first fail.
func Run(judges func() []judge.Judge, s Scenario) Outcome {
	return RunWindows(judges, s, s.World.Windows())
}

// RunWindows is Run on other windows than the World's own: on its Mined ones, or on what was stored of a real rollout.
func RunWindows(judges func() []judge.Judge, s Scenario, windows iter.Seq[judge.Evidence]) Outcome {
	h := rehearsal.NewHearing(judges())
	for window := range windows {
		if h.Weigh(window); h.Ruling == segue.RulingFail {
			break
		}
	}
	return Outcome{s, h.Outcome}
}

// RunAll runs scenarios, as many at once as there are processors, and gives their outcomes in order.
func RunAll(judges func() []judge.Judge, scenarios []Scenario) []Outcome {
	outcomes, next := make([]Outcome, len(scenarios)), make(chan int)
	var workers sync.WaitGroup
	for range min(len(scenarios), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				outcomes[i] = Run(judges, scenarios[i])
			}
		})
	}
	for i := range scenarios {
		next <- i
	}
	close(next)
	workers.Wait()
	return outcomes
}

// Scored is how good judges were at a suite.
type Scored struct {
	// Caught and Missed count faults, False and Quiet what was none; Held counts those of Quiet that were held.
	Caught, Missed, False, Quiet, Held int
	// Precision is the share of faults among what was failed or caught, Recall the share of faults that were caught.
	Precision, Recall float64
	// Median is the time to the ruling of those that were caught.
	Median time.Duration
}

// Score counts outcomes.
func Score(outcomes []Outcome) Scored {
	var s Scored
	var times []time.Duration
	for _, o := range outcomes {
		fault := o.Scenario.Want == segue.RulingFail || o.Scenario.Want == segue.RulingHold
		switch {
		case fault && o.Right():
			s.Caught++
			times = append(times, o.After)
		case fault:
			s.Missed++
		case !o.Right():
			s.False++
		default:
			s.Quiet++
			if o.Ruling == segue.RulingHold {
				s.Held++
			}
		}
	}
	s.Precision, s.Recall = share(s.Caught, s.False), share(s.Caught, s.Missed)
	if len(times) > 0 {
		slices.Sort(times)
		s.Median = times[len(times)/2]
	}
	return s
}

// share is a of a and b; 1 of none, since nothing was wrong.
func share(a, b int) float64 {
	if a+b == 0 {
		return 1
	}
	return float64(a) / float64(a+b)
}

// AAResult is what judges made of rollouts in which nothing changes.
type AAResult struct {
	Worlds int
	// False counts those that were failed, Held those that were held at the end, Naive those that Naive failed.
	False, Held, Naive int
	// Failed are the outcomes that were false.
	Failed []Outcome
}

// AA runs n rollouts in which nothing changes: fleets of 2, 4 and 10 servers, all styles, all hours of the day, every other one mirrored.
func AA(n int, judges func() []judge.Judge) AAResult {
	trial := rehearsal.Trial{Panels: []func() []judge.Judge{judges, func() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }}}
	scenarios := AAWorlds(n)
	for _, s := range scenarios {
		trial.Worlds = append(trial.Worlds, s.World)
	}
	played, _ := trial.Run(context.Background(), func() {}) // which nobody stops
	result := AAResult{Worlds: n}
	for i, p := range played {
		switch p.Outcomes[0].Ruling {
		case segue.RulingFail:
			result.False++
			result.Failed = append(result.Failed, Outcome{scenarios[i], p.Outcomes[0]})
		case segue.RulingHold:
			result.Held++
		default:
		}
		if p.Outcomes[1].Ruling == segue.RulingFail {
			result.Naive++
		}
	}
	return result
}

// AAWorlds gives n scenarios in which nothing changes.
func AAWorlds(n int) []Scenario {
	scenarios, servers, styles := make([]Scenario, 0, n), []int{2, 4, 10}, rehearsal.Styles()
	for i := range n {
		w := rehearsal.World{Seed: 1_000_000 + uint64(i), Servers: servers[i%len(servers)], Style: styles[i%len(styles)].Name}
		if i%2 == 1 {
			w.Mirror = 0.05
		}
		w.Start = time.Date(2026, 3, 3, i%24, 0, 0, 0, time.UTC)
		scenarios = append(scenarios, Scenario{"nothing new", w, segue.RulingPass})
	}
	return scenarios
}
