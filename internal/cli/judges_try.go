package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/spec"
	"github.com/segue-deploy/segue/internal/telemetry"
)

// mostTries bounds the rollouts of one command.
const mostTries = 10_000

func newJudgesTry(s *session) *cobra.Command {
	var flags worldFlags
	var runs int
	c := &cobra.Command{
		Use:   "try [SERVICE]",
		Short: "Play generated rollouts before the judges, and see what they find and when",
		Long: `Try plays rollouts with a fault of your choice, or with none, before the judges that the "judges:" block of the project's file asks for
(of the first service, unless one is named), and says how many were failed, held and passed, and after how long. Without a
project's file it takes the defaults. What the service would not see, such as compared answers without strategy parallel, the
judges do not see either.

Beside them stands the rule that one would write first: a warning or error that nobody wrote before fails the rollout. With
"--fault none" all that fails is a false alarm. A rollout that is found wanting is over; one of an hour takes about half a second.`,
		Example: `  segue judges try --fault more-errors-x3
  segue judges try --fault new-line-x1 --servers 10 --style json
  segue judges try --fault none --runs 200
  segue judges try --list`,
		Args: needs(0, 1, "one service at most"),
		RunE: func(c *cobra.Command, args []string) error {
			if flags.list {
				return s.listChoices()
			}
			world, complaints := flags.world()
			if runs < 1 || runs > mostTries {
				complaints = append(complaints, fmt.Sprintf("--runs %d: it is 1 to %s", runs, count(mostTries)))
			}
			if err := refuseFlags(c, complaints); err != nil {
				return err
			}
			return s.tryJudges(c, args, world, runs)
		},
	}
	flags.define(c, time.Hour, time.Hour)
	c.Flags().IntVar(&runs, "runs", 20, "`number` of rollouts, each with the seed after the last one's")
	return c
}

func (s *session) tryJudges(c *cobra.Command, args []string, world rehearsal.World, runs int) error {
	project, service, named, err := s.judgedService(c, args)
	if err != nil {
		return err
	}
	panel, err := s.d.Panel(project, service)
	if err != nil {
		return err
	}
	if service.Judging.Mirror != nil {
		world.Mirror = service.Judging.Mirror.Share
	}
	trial := rehearsal.Trial{
		Panels: []func() []judge.Judge{panel, func() []judge.Judge { return []judge.Judge{rehearsal.NewNaive()} }},
		Seen:   func(e *judge.Evidence) { blind(e, service) },
	}
	for i := range runs {
		trial.Worlds = append(trial.Worlds, world.With(func(w *rehearsal.World) { w.Seed += uint64(i) }))
	}
	played, err := s.playTrial(c.Context(), trial)
	if err != nil && (s.json || len(played) == 0) {
		return err
	}
	report := newTryReport(service, named, world, played)
	if s.json {
		return s.writeJSON(report)
	}
	for _, line := range report.lines(s.paint(), s.textWidth()) {
		s.print("%s", line)
	}
	return err
}

// playTrial plays the rollouts until Ctrl-C, and counts them on a terminal. What was over by then comes with the error.
func (s *session) playTrial(ctx context.Context, trial rehearsal.Trial) ([]rehearsal.Played, error) {
	ctx, stop := s.untilInterrupt(ctx)
	defer stop()
	began, drawn, over := s.d.Now(), 0, 0
	progress := func() {
		over++
		if !s.live() {
			return
		}
		left := s.d.Now().Sub(began) / time.Duration(over) * time.Duration(len(trial.Worlds)-over)
		s.redraw(drawn, []string{s.paint().faint(fmt.Sprintf("%d of %s played, %s left", over, plural(len(trial.Worlds), "rollout"), clock(left)))})
		drawn = 1
	}
	played, err := trial.Run(ctx, progress)
	s.redraw(drawn, nil)
	if err != nil {
		return played, segue.Errorf(segue.KindCanceled, "stopped after %d of %s", over, plural(len(trial.Worlds), "rollout"))
	}
	return played, nil
}

// blind takes out of a window what a service does not give its judges.
func blind(e *judge.Evidence, service spec.Service) {
	e.Service = service.Name
	for i := range e.Servers {
		one := &e.Servers[i]
		if service.Judging.Scrape == nil && service.Judging.Queries == nil {
			one.Gauges = nil
		}
		if !service.Balanced {
			one.Requests, one.Errors, one.Routes, one.RouteErrors, one.Latency = 0, 0, nil, nil, telemetry.Distribution{}
		}
	}
}

// blindness says which of the faults the service's judges cannot see.
func blindness(service spec.Service, changes []rehearsal.Change) []string {
	var notes []string
	for _, change := range changes {
		about, _ := rehearsal.FaultOf(change.Kind)
		note := ""
		switch {
		case about.Needs == "mirror" && service.Judging.Mirror == nil:
			note = "answers are compared with `strategy: {kind: parallel}` alone"
		case about.Needs == "gauges" && service.Judging.Scrape == nil && service.Judging.Queries == nil:
			note = "metrics of the instances are read with `judges: {metrics: {scrape: ...}}` or `prometheus` alone"
		case about.Needs == "requests" && !service.Balanced:
			note = "requests are counted by a balancer alone"
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("nobody sees %s: %s", flagWord(string(change.Kind)), note))
		}
	}
	return slices.Compact(notes)
}

// tryReport is what `segue judges try --json` prints.
type tryReport struct {
	Service segue.ServiceName `json:"service"`
	// Defaults is true where there was no project's file.
	Defaults bool `json:"defaults,omitempty"`
	// Candidate says what it does; Faulty is false if that should fail nothing.
	Candidate string             `json:"candidate"`
	Changes   []rehearsal.Change `json:"changes"`
	Faulty    bool               `json:"faulty"`
	Servers   int                `json:"servers"`
	Style     string             `json:"style,omitempty"`
	PerMinute float64            `json:"requests_per_minute"`
	Seconds   float64            `json:"seconds"`
	Seed      uint64             `json:"seed"`
	Budget    float64            `json:"budget"`
	Notes     []string           `json:"notes,omitempty"`
	Judges    tried              `json:"judges"`
	Naive     tried              `json:"naive"`
	// First is the finding that decided first, of the lowest seed.
	First    *firstFinding  `json:"first,omitempty"`
	Rollouts []triedRollout `json:"rollouts"`
}

// tried counts what judges made of the rollouts.
type tried struct {
	Rollouts     int    `json:"rollouts"`
	Failed       counts `json:"failed"`
	Held         counts `json:"held"`
	Passed       counts `json:"passed"`
	Inconclusive counts `json:"inconclusive"`
	// By counts the fails of each judge.
	By map[string]int `json:"by,omitempty"`
}

// counts is how many had a ruling, their share with its 95 % interval, and after how long they had it.
type counts struct {
	Rollouts int     `json:"rollouts"`
	Share    float64 `json:"share"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Median   float64 `json:"median_seconds,omitempty"`
	P90      float64 `json:"p90_seconds,omitempty"`
}

type firstFinding struct {
	Seed    uint64        `json:"seed"`
	After   float64       `json:"after_seconds"`
	Finding segue.Finding `json:"finding"`
}

type triedRollout struct {
	Seed   uint64       `json:"seed"`
	Style  string       `json:"style"`
	Ruling segue.Ruling `json:"ruling"`
	After  float64      `json:"after_seconds"`
	Naive  segue.Ruling `json:"naive"`
	Text   string       `json:"text,omitempty"`
}

func newTryReport(service spec.Service, named bool, world rehearsal.World, played []rehearsal.Played) tryReport {
	r := tryReport{
		Service: service.Name, Defaults: !named, Candidate: "does nothing else than stable", Changes: append([]rehearsal.Change{}, world.Changes...),
		Servers: world.Servers, Style: world.Style, PerMinute: world.Requests, Seconds: world.Length.Seconds(), Seed: world.Seed,
		Budget: service.Judging.Budget, Notes: blindness(service, world.Changes), Judges: countTried(played, 0), Naive: countTried(played, 1),
		Rollouts: []triedRollout{},
	}
	says := make([]string, 0, len(world.Changes))
	for _, change := range world.Changes {
		about, _ := rehearsal.FaultOf(change.Kind)
		r.Faulty = r.Faulty || !about.Decoy
		says = append(says, change.Says())
	}
	if len(says) > 0 {
		r.Candidate = strings.Join(says, ", and ")
	}
	for _, p := range played {
		o := p.Outcomes[0]
		one := triedRollout{Seed: p.World.Seed, Style: p.World.Style, Ruling: o.Ruling, After: o.After.Seconds(), Naive: p.Outcomes[1].Ruling}
		if len(o.Findings) > 0 && (o.Ruling == segue.RulingFail || o.Ruling == segue.RulingHold) {
			one.Text = o.Findings[0].Text
			if r.First == nil || o.Ruling == segue.RulingFail && r.First.Finding.Ruling != segue.RulingFail {
				r.First = &firstFinding{one.Seed, one.After, o.Findings[0]}
			}
		}
		r.Rollouts = append(r.Rollouts, one)
	}
	return r
}

// countTried counts what the panel of that number made of them.
func countTried(played []rehearsal.Played, panel int) tried {
	all := tried{Rollouts: len(played), By: map[string]int{}}
	times := map[segue.Ruling][]time.Duration{}
	for _, p := range played {
		o := p.Outcomes[panel]
		times[o.Ruling] = append(times[o.Ruling], o.After)
		if o.Ruling == segue.RulingFail && len(o.Findings) > 0 {
			all.By[o.Findings[0].Judge]++
		}
	}
	of := func(ruling segue.Ruling) counts {
		n := len(times[ruling])
		c := counts{Rollouts: n, Share: float64(n) / float64(max(1, len(played)))}
		c.Low, c.High = rehearsal.Wilson(n, len(played))
		c.Median, c.P90 = rehearsal.Quantile(times[ruling], 0.5).Seconds(), rehearsal.Quantile(times[ruling], 0.9).Seconds()
		return c
	}
	all.Failed, all.Held, all.Passed, all.Inconclusive = of(segue.RulingFail), of(segue.RulingHold), of(segue.RulingPass), of(segue.RulingInconclusive)
	return all
}
