package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/logs"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/judge/responses"
)

const (
	// falseAlarms is the budget that the product's panel is given for a rollout: its default.
	falseAlarms = 0.05
	// kayentaLook is how often Kayenta's rule is looked at, from kayentaFrom points on.
	kayentaLook = time.Minute
	kayentaFrom = 10
	// unseen makes worlds other ones than those of the judges' own tests: what was made while looking at those is not measured by them.
	unseen = 1 << 40
)

// panelOf gives the judges that the product seats for a rollout.
func panelOf(s judgetest.Scenario) []judge.Judge {
	share := evidence.DefaultBudget(falseAlarms)
	panel := []judge.Judge{logs.New(logs.Config{Alpha: share.Logs}), metrics.New(metrics.Config{Budget: share})}
	if s.World.Mirror > 0 {
		panel = append(panel, responses.New(share.Responses))
	}
	return panel
}

// sentence is what the ways of judging made of one rollout: when they failed it, from its start; 0 for never.
type sentence struct {
	panel, naive, kayenta time.Duration
	// judge is the product's judge that failed it. held says that the panel held it at the end.
	judge string
	held  bool
	// score is Kayenta's at the one look at the end.
	score float64
}

// hearing is all ways of judging at one rollout.
type hearing struct {
	sentence
	seated        []judge.Judge
	plain         []judge.Judge
	spinnaker     *metrics.Kayenta
	start, looked time.Time
}

// sit has all ways judge one rollout, window by window, to its end; or until all of them failed it, where only the times count.
func sit(ctx context.Context, s judgetest.Scenario, times bool) (sentence, error) {
	h := hearing{seated: panelOf(s), plain: []judge.Judge{judgetest.NewNaive()}, spinnaker: metrics.NewKayenta()}
	for window := range s.World.Windows() {
		if ctx.Err() != nil {
			return h.sentence, context.Cause(ctx)
		}
		if h.start.IsZero() {
			h.start, h.looked = window.Since, window.Since
		}
		h.weigh(window)
		if times && h.panel > 0 && h.naive > 0 && h.kayenta > 0 {
			break
		}
	}
	return h.sentence, nil
}

func (h *hearing) weigh(window judge.Evidence) {
	at := window.Until.Sub(h.start)
	if h.panel == 0 {
		verdict := weighAll(h.seated, window)
		h.held = verdict.Ruling == nouns.RulingHold
		if verdict.Ruling == nouns.RulingFail {
			h.panel, h.judge = at, failedBy(verdict)
		}
	}
	if h.naive == 0 && weighAll(h.plain, window).Ruling == nouns.RulingFail {
		h.naive = at
	}
	f := h.spinnaker.Weigh(window)
	if len(f) == 0 || window.Until.Sub(h.looked) < kayentaLook {
		return
	}
	h.looked, h.score = window.Until, f[0].Value
	if h.kayenta == 0 && min(f[0].Samples, f[0].BaselineSamples) >= kayentaFrom && f[0].Value < evidence.KayentaMarginal {
		h.kayenta = at
	}
}

func weighAll(judges []judge.Judge, window judge.Evidence) nouns.Verdict {
	findings := make([]nouns.Finding, 0, len(judges))
	for _, j := range judges {
		findings = append(findings, j.Weigh(window)...)
	}
	return nouns.Combine(window.Until, findings)
}

func failedBy(verdict nouns.Verdict) string {
	for _, f := range verdict.Findings {
		if f.Ruling == nouns.RulingFail {
			return f.Judge
		}
	}
	return ""
}

// sitAll does it for many rollouts, on all cores.
func sitAll(ctx context.Context, scenarios []judgetest.Scenario, times bool) ([]sentence, error) {
	results, faults := make([]sentence, len(scenarios)), make([]error, len(scenarios))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				results[i], faults[i] = sit(ctx, scenarios[i], times)
			}
		})
	}
	for i := range scenarios {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, fault := range faults {
		if fault != nil {
			return nil, fault
		}
	}
	return results, nil
}

// alarms counts those that were false.
type alarms struct {
	rollouts, panel, held, naive, unpassed, kayenta int
}

func (a *alarms) add(r sentence) {
	for _, one := range []struct {
		n   *int
		yes bool
	}{
		{&a.rollouts, true},
		{&a.panel, r.panel > 0},
		{&a.held, r.panel == 0 && r.held},
		{&a.naive, r.naive > 0},
		{&a.unpassed, r.score < evidence.KayentaPass},
		{&a.kayenta, r.kayenta > 0},
	} {
		if one.yes {
			*one.n++
		}
	}
}

// measureFalseAlarms counts how many of so many rollouts of an equal release would be rolled back.
func measureFalseAlarms(ctx context.Context, t *Table, rollouts int) (a alarms, err error) {
	began := time.Now()
	scenarios := judgetest.AAWorlds(rollouts)
	for i := range scenarios {
		scenarios[i].World.Seed += unseen
	}
	results, err := sitAll(ctx, scenarios, false)
	if err != nil {
		return a, err
	}
	by := map[string]int{}
	for _, r := range results {
		a.add(r)
		if r.panel > 0 {
			by[r.judge]++
		}
	}
	t.Say("%d equal releases in %s: failed by the panel %d %v", rollouts, time.Since(began).Round(time.Second), a.panel, by)
	row := func(name string, n int, versus string) {
		low, high := interval(n, rollouts)
		t.Add("judges.false."+name, float64(n), fmt.Sprintf("of %d", rollouts), fmt.Sprintf("%.1f %% (95 %%: %.1f to %.1f); %s",
			100*float64(n)/float64(rollouts), 100*low, 100*high, versus))
	}
	row("segue", a.panel, fmt.Sprintf("rolled back by logs, metrics and responses; promised %.0f %%", 100*falseAlarms))
	row("segue.held", a.held, "held at the end, for a person to look")
	row("kayenta", a.unpassed, "one look after an hour, candidate against all stable servers: score below 95")
	row("kayenta.looks", a.kayenta, "a look a minute from the tenth on, score below 75 at some")
	row("naive", a.naive, "a warning or error that nobody wrote before")
	return a, nil
}

// interval is Wilson's of a share.
func interval(n, of int) (low, high float64) {
	const z = 1.96
	p, count := float64(n)/float64(of), float64(of)
	middle, spread := p+z*z/(2*count), z*math.Sqrt(p*(1-p)/count+z*z/(4*count*count))
	return max(0, (middle-spread)/(1+z*z/count)), (middle + spread) / (1 + z*z/count)
}

// measureDetection tells how late faults are found in fleets of 2, 4 and 10 servers, by those that can. Who fails equal releases too finds everything.
func measureDetection(ctx context.Context, t *Table, equal alarms, full bool) error {
	seeds := 5
	if full {
		seeds = 30
	}
	styles := judgetest.Styles()
	for _, fault := range []struct {
		name   string
		change judgetest.Change
	}{
		{"line", judgetest.Change{Kind: judgetest.NewLine, Size: 1, Severity: "error"}},
		{"errors", judgetest.Change{Kind: judgetest.MoreErrors, Size: 3}},
		{"latency", judgetest.Change{Kind: judgetest.Slow, Size: 2}},
	} {
		scenarios := make([]judgetest.Scenario, 0, 3*seeds)
		for i := range 3 * seeds {
			world := judgetest.World{
				Seed: unseen + uint64(i), Servers: []int{2, 4, 10}[i%3], Style: styles[i%len(styles)].Name, Changes: []judgetest.Change{fault.change},
			}
			scenarios = append(scenarios, judgetest.Scenario{Name: fault.name, World: world, Want: nouns.RulingFail})
		}
		results, err := sitAll(ctx, scenarios, true)
		if err != nil {
			return err
		}
		label := fmt.Sprintf("judges.found.%s.", fault.name)
		fails := func(n int) string {
			return fmt.Sprintf("%s; fails %d of %d equal ones", fault.change, n, equal.rollouts)
		}
		delay(t, label+"segue", results, fails(equal.panel), func(r sentence) time.Duration { return r.panel })
		if fault.change.Kind == judgetest.NewLine {
			delay(t, label+"naive", results, fails(equal.naive), func(r sentence) time.Duration { return r.naive })
		} else {
			delay(t, label+"kayenta", results, fails(equal.kayenta), func(r sentence) time.Duration { return r.kayenta })
		}
	}
	return nil
}

// delay puts the median time to a fail in, of those that were found.
func delay(t *Table, name string, results []sentence, note string, of func(sentence) time.Duration) {
	var found []time.Duration
	for _, r := range results {
		if d := of(r); d > 0 {
			found = append(found, d)
		}
	}
	slices.Sort(found)
	middle := 0.0
	if len(found) > 0 {
		middle = found[len(found)/2].Seconds()
	}
	t.Add(name, middle, "s", fmt.Sprintf("median; found %d of %d: %s", len(found), len(results), note))
}
