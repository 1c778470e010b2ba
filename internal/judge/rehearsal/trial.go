package rehearsal

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
)

// Trial is rollouts to be judged: several panels of judges look at the same windows.
type Trial struct {
	Worlds []World
	// Panels each seat judges with empty memories.
	Panels []func() []judge.Judge
	// Seen takes out of a window what would not be seen; nil for nothing.
	Seen func(*judge.Evidence)
}

// Played is a rollout with what each panel made of it.
type Played struct {
	World    World
	Outcomes []Outcome
}

// Run plays the rollouts, as many at once as there are processors, and gives them in order. told hears of each that is over, one at a
// time. When ctx is done, it gives those that were over by then, and the cause.
func (t Trial) Run(ctx context.Context, told func()) ([]Played, error) {
	all, next := make([]Played, len(t.Worlds)), make(chan int)
	var workers sync.WaitGroup
	var telling sync.Mutex
	for range min(len(all), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := range next {
				played, over := t.play(ctx, t.Worlds[i])
				if !over {
					continue
				}
				telling.Lock()
				all[i] = played
				told()
				telling.Unlock()
			}
		})
	}
	for i := range all {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return slices.DeleteFunc(all, func(p Played) bool { return p.Outcomes == nil }), context.Cause(ctx)
	}
	return all, nil
}

// play plays one; false if it was not to its end.
func (t Trial) play(ctx context.Context, w World) (Played, bool) {
	hearings := make([]*Hearing, len(t.Panels))
	for i, panel := range t.Panels {
		hearings[i] = NewHearing(panel())
	}
	var before []judge.Evidence
	start := w.defaults().Start
	for window := range w.parts() {
		if ctx.Err() != nil {
			return Played{}, false
		}
		if t.Seen != nil {
			t.Seen(&window)
		}
		if window.Since.Before(start) {
			before = append(before, window)
			continue
		}
		window.Before, before = before, nil
		open := false
		for _, h := range hearings {
			h.Weigh(window)
			open = open || h.Ruling != segue.RulingFail
		}
		if !open {
			break
		}
	}
	played := Played{World: w.defaults()}
	for _, h := range hearings {
		played.Outcomes = append(played.Outcomes, h.Outcome)
	}
	return played, true
}

// Quantile is the nearest-rank quantile of times, 0 of none. It sorts them.
func Quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times), max(1, int(math.Ceil(q*float64(len(times))))))-1]
}

// Wilson is the 95 % interval of a share that was seen n times in of: Wilson's score interval.
func Wilson(n, of int) (low, high float64) {
	if of == 0 {
		return 0, 1
	}
	const z = 1.96
	p, count := float64(n)/float64(of), float64(of)
	middle, spread := p+z*z/(2*count), z*math.Sqrt(p*(1-p)/count+z*z/(4*count*count))
	low, high = (middle-spread)/(1+z*z/count), (middle+spread)/(1+z*z/count)
	if n == 0 {
		low = 0
	}
	if n == of {
		high = 1
	}
	return low, high
}
