package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	nouns "github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/app"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/evidence"
	"github.com/segue-deploy/segue/internal/judge/judgetest"
	"github.com/segue-deploy/segue/internal/judge/metrics"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/spec"
)

const (
	// kayentaLook is how often Kayenta's rule is looked at, from kayentaFrom points on.
	kayentaLook = time.Minute
	kayentaFrom = 10
	// unseen makes worlds other ones than those of the judges' own tests: what was made while looking at those is not measured by them.
	unseen = 1 << 40
)

// defaultProject has judges by default, with metrics of the instances.
const defaultProject = `project: bench
services:
  web:
    workload: {driver: process, servers: 2, artifact: "./{release}", command: ["{artifact}", --listen, "{address}"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
    judges: {metrics: {scrape: {}}}
`

// defaultSettings are those of a service that says nothing of judges but that its instances have metrics.
func defaultSettings() (nouns.Service, error) {
	project, err := spec.Parse([]byte(defaultProject), spec.Options{})
	if err != nil {
		return nouns.Service{}, err
	}
	return project.Services[0].Service, nil
}

// sentence is what the ways of judging made of one rollout: when they failed it, from its start; 0 for never. The panel is the product's judges of
// evidence, limits the plain ones beside them.
type sentence struct {
	panel, limits, naive, kayenta time.Duration
	// judge is the product's judge that failed it. held says that the panel held it at the end.
	judge string
	held  bool
	// score is Kayenta's at the one look at the end.
	score float64
}

// hearing is all ways of judging at one rollout.
type hearing struct {
	panel, limits, naive *rehearsal.Hearing
	spinnaker            *metrics.Kayenta
	start, looked        time.Time
	kayenta              time.Duration
	score                float64
}

// sit has all ways judge one rollout, window by window, to its end; or until all of them failed it, where only the times count.
func sit(ctx context.Context, w rehearsal.World, settings nouns.Service, times bool) (sentence, error) {
	if w.Mirror > 0 {
		settings.Judging.Mirror = &nouns.Mirror{Share: w.Mirror}
	}
	plain := settings
	plain.Judging.Budget, settings.Limits = 0, nouns.Limits{MinSamples: settings.Limits.MinSamples}
	h := hearing{
		panel: rehearsal.NewHearing(app.Panel(settings, rehearsal.Candidate)), limits: rehearsal.NewHearing(app.Panel(plain, rehearsal.Candidate)),
		naive:     rehearsal.NewHearing([]judge.Judge{rehearsal.NewNaive()}),
		spinnaker: metrics.NewKayenta(),
	}
	for window := range w.Windows() {
		if ctx.Err() != nil {
			return sentence{}, context.Cause(ctx)
		}
		h.weigh(window)
		if times && h.kayenta > 0 && failedAfter(h.panel) > 0 && failedAfter(h.naive) > 0 {
			break
		}
	}
	s := sentence{
		panel: failedAfter(h.panel), limits: failedAfter(h.limits), naive: failedAfter(h.naive), kayenta: h.kayenta, score: h.score,
		held: h.panel.Ruling == nouns.RulingHold,
	}
	if s.panel > 0 {
		s.judge = h.panel.Findings[0].Judge
	}
	return s, nil
}

func failedAfter(h *rehearsal.Hearing) time.Duration {
	if h.Ruling != nouns.RulingFail {
		return 0
	}
	return h.After
}

func (h *hearing) weigh(window judge.Evidence) {
	if h.start.IsZero() {
		h.start, h.looked = window.Since, window.Since
	}
	h.panel.Weigh(window)
	h.limits.Weigh(window)
	h.naive.Weigh(window)
	f := h.spinnaker.Weigh(window)
	if len(f) == 0 || window.Until.Sub(h.looked) < kayentaLook {
		return
	}
	h.looked, h.score = window.Until, f[0].Value
	if h.kayenta == 0 && min(f[0].Samples, f[0].BaselineSamples) >= kayentaFrom && f[0].Value < evidence.KayentaMarginal {
		h.kayenta = window.Until.Sub(h.start)
	}
}

// sitAll does it for many rollouts, on all cores.
func sitAll(ctx context.Context, worlds []rehearsal.World, times bool) ([]sentence, error) {
	settings, err := defaultSettings()
	if err != nil {
		return nil, fmt.Errorf("read defaults: %w", err)
	}
	results, faults := make([]sentence, len(worlds)), make([]error, len(worlds))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				results[i], faults[i] = sit(ctx, worlds[i], settings, times)
			}
		})
	}
	for i := range worlds {
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
	rollouts, panel, held, limits, naive, unpassed, kayenta int
}

func (a *alarms) add(r sentence) {
	for _, one := range []struct {
		n   *int
		yes bool
	}{
		{&a.rollouts, true},
		{&a.panel, r.panel > 0},
		{&a.held, r.panel == 0 && r.held},
		{&a.limits, r.limits > 0},
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
	worlds := make([]rehearsal.World, 0, rollouts)
	for _, s := range judgetest.AAWorlds(rollouts) {
		worlds = append(worlds, s.World.With(func(w *rehearsal.World) { w.Seed += unseen }))
	}
	results, err := sitAll(ctx, worlds, false)
	if err != nil {
		return a, err
	}
	by := map[string]int{}
	for i, r := range results {
		a.add(r)
		if r.panel > 0 {
			by[r.judge]++
			t.Say("  failed by %s after %s: seed %d, %d servers, %s", r.judge, r.panel, worlds[i].Seed, worlds[i].Servers, worlds[i].Style)
		}
	}
	t.Say("%d equal releases in %s: failed by the panel %d %v", rollouts, time.Since(began).Round(time.Second), a.panel, by)
	budget, err := defaultSettings()
	if err != nil {
		return a, err
	}
	row := func(name string, n int, versus string) {
		low, high := rehearsal.Wilson(n, rollouts)
		t.Add("judges.false."+name, float64(n), fmt.Sprintf("of %d", rollouts), fmt.Sprintf("%.1f %% (95 %%: %.1f to %.1f); %s",
			100*float64(n)/float64(rollouts), 100*low, 100*high, versus))
	}
	row("segue", a.panel, fmt.Sprintf("rolled back by the judges of evidence; promised %.0f %%", 100*budget.Judging.Budget))
	row("segue.held", a.held, "held at the end, for a person to look")
	row("limits", a.limits, "rolled back by the plain limits, which have no budget")
	row("kayenta", a.unpassed, "one look after an hour, candidate against all stable servers: score below 95")
	row("kayenta.looks", a.kayenta, "a look a minute from the tenth on, score below 75 at some")
	row("naive", a.naive, "a warning or error that nobody wrote before")
	return a, nil
}
