package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/receipt"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/strategy"
)

// world is a controller with nothing below it: the real strategies and the real machine on servers that exist in the journal alone. Every step takes
// the same time by the world's own clock, so that what is printed is the same again.
//
// It runs to rest at once (all that an order sets going is over when the call returns), or, when live, each step when it is told to.
//
// Releases behave by their names: "bad" fails its observation, "stuck" is never ready, "idle" never has enough data.
type world struct {
	mu      sync.Mutex
	live    bool
	clock   time.Time
	ledger  rollout.Ledger
	entries []segue.Entry
	due     []dueCommand
	grown   chan struct{} // closed when entries are added
	// down makes every call fail as if no controller answered.
	down bool
}

type dueCommand struct {
	at      time.Time
	command rollout.Command
}

// dawn is when the world begins.
func dawn() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func newWorld(live bool) *world {
	return &world{live: live, clock: dawn(), grown: make(chan struct{})}
}

// write appends an event and lets the machine answer it.
func (w *world) write(event segue.Event) {
	if w.live {
		w.clock = time.Now()
	}
	entry := segue.Entry{Index: int64(len(w.entries) + 1), At: w.clock, Event: event}
	w.entries = append(w.entries, entry)
	before := w.open()
	var commands []rollout.Command
	w.ledger, commands = w.ledger.Apply(entry)
	for _, command := range commands {
		if command.Kind == rollout.CommandCancel {
			w.due = slices.DeleteFunc(w.due, func(d dueCommand) bool {
				return d.command.Rollout == command.Rollout && d.command.Plan == command.Plan && d.command.Step.ID == command.Step.ID
			})
			continue
		}
		w.due = append(w.due, dueCommand{at: later(w.clock, command), command: command})
	}
	close(w.grown)
	w.grown = make(chan struct{})
	for id, name := range before {
		if _, still := w.ledger.Rollout(id); !still {
			w.account(id, name)
		}
	}
}

// open lists the rollouts that have not ended.
func (w *world) open() map[segue.RolloutID]segue.ServiceName {
	open := map[segue.RolloutID]segue.ServiceName{}
	for name, service := range w.ledger.Services {
		if service.Open != nil {
			open[service.Open.ID] = name
		}
	}
	return open
}

func later(clock time.Time, command rollout.Command) time.Time {
	took := 10 * time.Millisecond
	switch command.Step.Kind {
	case segue.StepDrain:
		took = 400 * time.Millisecond
	case segue.StepStop, segue.StepStart:
		took = 200 * time.Millisecond
	case segue.StepAwaitReady:
		took = 1100 * time.Millisecond
	case segue.StepObserve:
		took = command.Step.For
	default:
	}
	return clock.Add(took)
}

// step carries out the command that is due next; it says false when there is none.
func (w *world) step() bool {
	if len(w.due) == 0 {
		return false
	}
	next := 0
	for i, d := range w.due {
		if d.at.Before(w.due[next].at) {
			next = i
		}
	}
	d := w.due[next]
	w.due = slices.Delete(w.due, next, next+1)
	w.clock = d.at
	w.carryOut(d.command)
	return true
}

// run lets a live world go on by the clock until ctx is done.
func (w *world) run(ctx context.Context) {
	for {
		w.mu.Lock()
		grown, wait := w.grown, time.Hour
		for _, d := range w.due {
			if !w.down {
				wait = min(wait, time.Until(d.at))
			}
		}
		w.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-grown:
			timer.Stop()
			continue
		case <-timer.C:
		}
		w.mu.Lock()
		w.step()
		w.mu.Unlock()
	}
}

func (w *world) carryOut(command rollout.Command) {
	state, ok := w.ledger.Rollout(command.Rollout)
	if !ok {
		return
	}
	name := state.Service
	if command.Kind == rollout.CommandPlan {
		plan, err := strategy.Plan(strategy.Request{
			Rollout: command.Rollout, Plan: command.Plan, Service: state.Settings, Fleet: state.Fleet, Stable: state.Stable, Candidate: state.Candidate,
			Goal: command.Goal, Servers: command.Servers, Observed: command.Observed, Hurry: command.Hurry,
		})
		if err != nil {
			w.write(command.Failed(name, err))
			return
		}
		w.write(command.Planned(name, plan))
		return
	}
	switch {
	case command.Step.Kind == segue.StepObserve:
		w.write(command.Judged(name, w.judge(state.Stable.Name, state.Candidate.Name)))
	case command.Step.Kind == segue.StepAwaitReady && command.Step.Release == "stuck":
		w.write(command.Failed(name, segue.Errorf(segue.KindTimeout, "%s answered 503 until the deadline", command.Step.Server)))
	case command.Step.Kind == segue.StepStart:
		w.write(command.Done(name, segue.Outcome{Address: fmt.Sprintf("127.0.0.1:%d", 20000+len(w.entries)), Unavoidable: 200 * time.Millisecond}))
	case command.Step.Kind == segue.StepApprove:
		// Only a person ends it.
	default:
		w.write(command.Done(name, segue.Outcome{}))
	}
}

// judge gives the last verdict of an observation.
func (w *world) judge(stable, candidate segue.ReleaseName) segue.Verdict {
	f := segue.Finding{
		Judge: "errors", Ruling: segue.RulingPass, Release: candidate, Value: 0.0004, Baseline: 0.0003, Limit: 0.0103, Unit: "share",
		Samples: 2410, BaselineSamples: 7204, Needed: 100, ErrorRate: 0.001,
		Text: fmt.Sprintf("0.04 %% of answers failed on %s (0.03 %% on %s, limit 1.03 %%)", candidate, stable),
	}
	switch candidate {
	case "bad":
		f.Ruling, f.Value = segue.RulingFail, 0.052
		f.Text = fmt.Sprintf("5.20 %% of answers failed on bad (0.03 %% on %s, limit 1.03 %%)", stable)
	case "idle":
		f.Ruling, f.Value, f.Samples, f.BaselineSamples = segue.RulingInconclusive, 0, 3, 9
		f.Text = "not enough data yet: 3 and 9 requests, 100 needed on each side"
	}
	verdict := segue.Combine(w.clock, []segue.Finding{f})
	verdict.Final = true
	return verdict
}

// rest carries out everything that is due, and stops where a person is waited for. It is bounded: no rollout here has more steps.
func (w *world) rest() {
	if w.live {
		return
	}
	for range 10000 {
		if !w.step() {
			return
		}
	}
	panic("the world does not come to rest")
}

// account writes the receipt of a rollout that has ended.
func (w *world) account(id segue.RolloutID, name segue.ServiceName) {
	data, err := json.Marshal(w.receipt(id))
	if err != nil {
		panic(err)
	}
	w.write(segue.Event{Kind: segue.EventReceipt, Service: name, Rollout: id, Data: data})
}

func (w *world) receipt(id segue.RolloutID) receipt.Receipt {
	in := receipt.Input{Entries: w.entries, Rollout: id, Now: w.clock}
	if state, ok := w.ledger.Rollout(id); ok {
		in.Phase, in.Sentence = state.Phase, rollout.EndSentence(*state)
	}
	for _, service := range w.ledger.Services {
		for _, past := range service.History {
			if past.ID == id {
				in.Phase, in.Sentence, in.Ended = past.Phase, past.Sentence, past.EndedAt
			}
		}
	}
	return receipt.Build(in)
}
