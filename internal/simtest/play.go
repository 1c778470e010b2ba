package simtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/rollout/laws"
)

// Result is what came of a scenario.
type Result struct {
	// Violations are the laws that were broken; none, one hopes.
	Violations []laws.Violation
	// Ends are the ends of all rollouts, in order; Entries counts the journal's.
	Ends    []laws.End
	Entries int64
	// Kills counts the controllers that were killed.
	Kills int
	// Facts are what happened, Journal what was written.
	Facts   []laws.Fact
	Journal []segue.Entry
}

// Times of a play, virtual.
const (
	tick = 200 * time.Millisecond
	// calmAfter is when the disturbance ends.
	calmAfter = 60 * time.Second
	// settled is how long a controller gets, at the end, to put right what it can, before each look.
	settled = 7 * time.Second
	// patience is how long a rollout may take to come to its end once all is calm; retries on the way back take minutes.
	patience = 30 * time.Minute
)

// ErrStuck means that a rollout never came to its end.
var ErrStuck = errors.New("a rollout never came to its end")

// Play plays a scenario from the first deploy to the end of the last rollout. It needs virtual time: call it within a synctest bubble.
func Play(ctx context.Context, scenario Scenario, options Options) (Result, error) {
	w := NewWorld(scenario, options)
	p := &play{World: w, began: time.Now()}
	w.life = w.begin(ctx)
	err := p.run(ctx)
	var drifts []laws.Violation
	if err == nil {
		drifts = p.settle(ctx)
	}
	w.life.kill()
	w.life.bury()
	p.stopServers(context.WithoutCancel(ctx))
	result := w.result(ctx)
	result.Kills = p.deaths
	result.Violations = append(result.Violations, drifts...)
	return result, err
}

// play is a scenario that is being played.
type play struct {
	*World
	began  time.Time
	deaths int
	joined int
	done   int
}

func (p *play) run(ctx context.Context) error {
	if err := p.first(ctx); err != nil {
		return err
	}
	p.began = time.Now()
	p.disturb(true)
	p.deploy(ctx, "v2", nil)
	acts := slices.Clone(p.scenario.Acts)
	slices.SortStableFunc(acts, func(a, b Act) int { return int(a.At - b.At) })
	for {
		p.mourn(ctx)
		elapsed := time.Since(p.began)
		for len(acts) > 0 && acts[0].At <= elapsed {
			p.act(ctx, acts[0])
			acts = acts[1:]
		}
		open := p.open()
		switch {
		case len(acts) > 0:
		case open == nil && p.idle(ctx):
			return nil
		case elapsed > calmAfter:
			p.disturb(false)
			p.steer(ctx, open)
		}
		if elapsed > calmAfter+patience {
			return fmt.Errorf("%w: %s", ErrStuck, p.sentence())
		}
		pass(ctx, tick)
	}
}

// settle lets the controller put right what it can, and says what still is not as the journal has it. What crashes over and over may be
// caught in between: it is looked at a few times.
func (p *play) settle(ctx context.Context) (drifts []laws.Violation) {
	p.disturb(false)
	for range 12 {
		pass(ctx, settled)
		p.mourn(ctx)
		if drifts = p.record.drift(ctx, p.World.balancer); len(drifts) == 0 {
			return nil
		}
	}
	return drifts
}

// first deploys v1, without disturbance.
func (p *play) first(ctx context.Context) error {
	p.deploy(ctx, "v1", nil)
	for range 10_000 {
		p.mourn(ctx)
		if p.open() == nil && p.deployed() {
			return nil
		}
		pass(ctx, tick)
	}
	return fmt.Errorf("%w: first deploy: %s", ErrStuck, p.sentence())
}

func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// mourn starts a new controller where the old one was killed.
func (p *play) mourn(ctx context.Context) {
	if !p.life.gone() {
		return
	}
	p.deaths++
	p.life.bury()
	pass(ctx, 300*time.Millisecond)
	p.forget(ctx)
	p.life = p.begin(ctx)
}

// forget loses entries between two lives, where the options want that.
func (p *play) forget(ctx context.Context) {
	if p.options.Lose == nil {
		return
	}
	kept := p.journal.Clone(0)
	for entry, err := range p.journal.Entries(ctx, 1) {
		if err != nil || p.options.Lose(entry) {
			break
		}
		kept = p.journal.Clone(entry.Index)
	}
	_ = p.journal.Close()
	p.journal = kept
	p.record.reread(ctx, kept)
}

func (p *play) disturb(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disturbed = on
}

// view gives what the record's ledger says.
func (p *play) view(look func(*rollout.ServiceLedger)) {
	p.record.mu.Lock()
	defer p.record.mu.Unlock()
	if service := p.record.ledger.Services["web"]; service != nil {
		look(service)
	}
}

func (p *play) deployed() (is bool) {
	p.view(func(s *rollout.ServiceLedger) { is = len(s.History) > 0 })
	return is
}

// openRollout is what steering needs to know.
type openRollout struct {
	id    segue.RolloutID
	phase segue.Phase
	waits bool
}

func (p *play) open() (found *openRollout) {
	p.view(func(s *rollout.ServiceLedger) {
		if s.Open == nil {
			return
		}
		found = &openRollout{id: s.Open.ID, phase: s.Open.Phase}
		for _, step := range s.Open.Steps {
			found.waits = found.waits || step.Waiting != ""
		}
	})
	return found
}

func (p *play) sentence() (text string) {
	p.view(func(s *rollout.ServiceLedger) {
		if s.Open != nil {
			text = rollout.EndSentence(*s.Open)
			for i, step := range s.Open.Steps {
				if step.Waiting != "" {
					text += fmt.Sprintf(" [step %d waits: %s]", i+1, step.Waiting)
				}
			}
		}
	})
	return text
}

// idle says whether the controller has nothing left to do.
func (p *play) idle(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	open, err := p.life.controller.Open(bounded)
	return err == nil && open == 0 && !p.life.gone()
}

// steer is the operator once all is calm: who is asked decides, who waits for ever gives up.
func (p *play) steer(ctx context.Context, open *openRollout) {
	p.done++
	if open == nil || p.done%5 != 0 {
		return
	}
	verb := p.scenario.Steer
	if verb == "" {
		verb = []segue.Verb{segue.VerbPromote, segue.VerbResume, segue.VerbAbort}[p.done/5%3]
	}
	switch open.phase {
	case segue.PhaseHeld, segue.PhasePaused:
		if open.phase == segue.PhasePaused && verb == segue.VerbPromote {
			verb = segue.VerbResume
		}
		p.order(ctx, open.id, segue.Order{Verb: verb, By: "ann"})
	case segue.PhaseProgressing:
		if open.waits && p.done > 300 {
			p.order(ctx, open.id, segue.Order{Verb: segue.VerbAbort, By: "ann"})
		}
	default:
	}
	if p.done > 3000 {
		p.order(ctx, open.id, segue.Order{Verb: segue.VerbAbort, By: "ann"})
	}
}

// stopServers lets no timer of the fakes outlive the play.
func (p *play) stopServers(ctx context.Context) {
	instances, _ := p.servers.List(ctx)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, instance := range instances {
		_ = p.servers.Stop(ended, instance.ID)
	}
	pass(ctx, time.Minute)
	_ = p.servers.Close()
}

// deploy orders a release, with the servers as they are by now.
func (p *play) deploy(ctx context.Context, release segue.ReleaseName, change func(*operator.DeployRequest)) {
	req := operator.DeployRequest{
		Project: operator.Project{File: "segue.yaml", Dir: "/srv", Text: p.scenario.File(p.joined, -1)},
		Targets: []operator.Target{{Release: release}}, By: "ann",
	}
	if change != nil {
		change(&req)
	}
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for range 20 {
		reply, err := p.life.controller.Deploy(bounded, req)
		p.options.Log("deploy %s: opened %d %v %v", release, len(reply.Rollouts), reply.Notes, err)
		// Faults and kills hit a deploy, too; an operator tries again.
		if err == nil || segue.KindOf(err) != segue.KindUnavailable && segue.KindOf(err) != segue.KindCanceled && segue.KindOf(err) != segue.KindFault {
			return
		}
		p.mourn(ctx)
		pass(bounded, tick)
	}
}

func (p *play) order(ctx context.Context, id segue.RolloutID, order segue.Order) {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := p.life.controller.Order(bounded, operator.OrderRequest{Rollout: id, Order: order})
	p.options.Log("order %s %v: %v", order.Verb, order.Servers, err)
}

// result gathers what happened and checks the laws.
func (w *World) result(ctx context.Context) Result {
	w.record.mu.Lock()
	defer w.record.mu.Unlock()
	result := Result{Ends: w.record.ends, Facts: slices.Clone(w.record.facts)}
	for entry, err := range w.journal.Entries(context.WithoutCancel(ctx), 1) {
		if err != nil {
			break
		}
		result.Facts = append(result.Facts, laws.Fact{Kind: laws.Found, Index: entry.Index, Sum: sum(entry)})
		result.Journal = append(result.Journal, entry)
	}
	result.Entries = int64(len(result.Journal))
	result.Violations = laws.Check(!w.scenario.Worker, result.Facts)
	return result
}
