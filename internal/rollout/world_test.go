package rollout_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/rollout/laws"
	"github.com/segue-deploy/segue/internal/strategy"
)

// world is a controller's part, played by a test: a ledger that is fed, commands that wait to be answered, and what really runs.
type world struct {
	ledger  rollout.Ledger
	entries []segue.Entry
	now     time.Time
	// pending are commands in the order in which they were handed out.
	pending []rollout.Command
	truth   map[segue.InstanceID]*instance
	facts   []laws.Fact
	// mirror is the instance that requests are copied to.
	mirror segue.InstanceID
	// plan is the rollout and the number of the plan that is being carried out.
	plan [2]int
	// plans lets a test doctor a plan before it is used.
	plans func(segue.Plan) segue.Plan
}

// instance is one that really runs.
type instance struct {
	segue.Instance
	partition segue.PartitionName
	ready     bool
	rotation  segue.Rotation
	stray     bool
}

func newWorld() *world {
	return &world{
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), truth: map[segue.InstanceID]*instance{},
		plans: func(p segue.Plan) segue.Plan { return p },
	}
}

// feed writes an event down and folds it. The commands that come of it wait to be answered.
func (w *world) feed(event segue.Event) []rollout.Command {
	entry := segue.Entry{Index: int64(len(w.entries) + 1), At: w.now, Event: event}
	w.entries = append(w.entries, entry)
	w.fact(laws.Fact{Kind: laws.Written, Index: entry.Index})
	var open *rollout.State
	if s := w.ledger.Services["web"]; s != nil && s.Open != nil {
		open = s.Open
	}
	ledger, commands := w.ledger.Apply(entry)
	w.ledger = ledger
	w.bounded(event)
	for _, command := range commands {
		w.decided(command)
		if command.Kind == rollout.CommandCancel {
			w.pending = slices.DeleteFunc(w.pending, func(c rollout.Command) bool { return same(c, command) })
			continue
		}
		if command.Attempt > 1 {
			w.pending = slices.DeleteFunc(w.pending, func(c rollout.Command) bool { return c.Kind == command.Kind && same(c, command) })
		}
		w.pending = append(w.pending, command)
	}
	w.told(open)
	return commands
}

// decided records that a step which takes an instance out of rotation was handed out.
func (w *world) decided(command rollout.Command) {
	settings := w.ledger.Services["web"].Settings
	leaving := command.Step.Kind == segue.StepDrain || command.Step.Kind == segue.StepStop && !settings.Balanced
	if i := w.truth[command.Step.Instance]; i != nil && leaving && command.Kind == rollout.CommandStep && command.Attempt == 1 {
		w.fact(i.fact(laws.Leaving))
	}
}

func same(a, b rollout.Command) bool {
	return a.Rollout == b.Rollout && a.Plan == b.Plan && a.Step.ID == b.Step.ID
}

func (w *world) fact(fact laws.Fact) { w.facts = append(w.facts, fact) }

// bounded records what a new plan holds to, and what it keeps in rotation.
func (w *world) bounded(event segue.Event) {
	service := w.ledger.Services["web"]
	if service == nil || service.Open == nil || len(service.Open.Plan.Steps) == 0 || event.Kind != segue.EventOpened && event.Plan == nil {
		return
	}
	plan := [2]int{int(service.Open.ID), service.Open.Plans}
	if plan == w.plan || service.Open.Planning {
		return
	}
	w.plan = plan
	w.fact(laws.Fact{Kind: laws.Bound, Count: laws.BoundOf(service.Open.Settings, service.Open.Stable, service.Open.Plan)})
	for _, id := range w.ids() {
		if i := w.truth[id]; i.rotation == segue.RotationIn || !service.Open.Settings.Balanced {
			w.fact(i.fact(laws.Staying))
		}
	}
}

// told records that a rollout has ended.
func (w *world) told(before *rollout.State) {
	service := w.ledger.Services["web"]
	if before == nil || service.Open == before || len(service.History) == 0 {
		return
	}
	for i, step := range before.Steps {
		if step.Status == rollout.StepFailed && before.Plan.Goal == segue.GoalBack {
			w.fact(laws.Fact{Kind: laws.Beyond, Server: before.Plan.Steps[i].Server})
		}
	}
	w.fact(laws.Fact{Kind: laws.Ended, End: endOf(before)})
	if n := len(service.History); service.History[n-1].Phase == segue.PhaseSucceeded {
		w.fact(laws.Fact{Kind: laws.Open, Release: service.Previous.Name})
	}
}

func endOf(state *rollout.State) *laws.End {
	end := laws.End{
		Phase: state.Phase, Sentence: rollout.EndSentence(*state), ExitCode: state.Phase.ExitCode(), Goal: state.Goal,
		Stable: state.Stable.Name, Candidate: state.Candidate.Name, Balanced: state.Settings.Balanced,
	}
	for _, server := range state.Settings.Servers {
		end.Servers = append(end.Servers, server.Name)
	}
	return &end
}

func (i *instance) fact(kind laws.FactKind) laws.Fact {
	return laws.Fact{Kind: kind, Server: i.Server, Partition: i.partition, Instance: i.ID, Release: i.Release, Stray: i.stray}
}

// act does to the world what a step does, once or again.
func (w *world) act(step segue.Step) {
	i := w.truth[step.Instance]
	if step.Kind == segue.StepMirror {
		kind := laws.MirrorOff
		if w.mirror = ""; step.On {
			kind, w.mirror = laws.MirrorOn, step.Instance
		}
		w.fact(laws.Fact{Kind: kind, Server: step.Server, Instance: step.Instance, Release: step.Release})
		return
	}
	if step.Kind == segue.StepStart && i == nil {
		i = &instance{
			Instance:  segue.Instance{ID: step.Instance, Service: "web", Server: step.Server, Release: step.Release, State: segue.InstanceRunning},
			partition: step.Partition, rotation: segue.RotationOut,
		}
		w.truth[step.Instance] = i
		w.fact(i.fact(laws.Started))
		return
	}
	if i == nil {
		return
	}
	switch step.Kind {
	case segue.StepAwaitReady:
		i.ready = true
		w.fact(i.fact(laws.Ready))
	case segue.StepAdmit:
		i.rotation = segue.RotationIn
		w.fact(i.fact(laws.Admitted))
	case segue.StepDrain:
		i.rotation = segue.RotationDraining
		w.fact(i.fact(laws.Drained))
		w.fact(i.fact(laws.Quiet))
	case segue.StepStop:
		w.fact(i.fact(laws.Stopping))
		w.fact(i.fact(laws.Stopped))
		delete(w.truth, step.Instance)
	default:
	}
}

// look is the fleet as a controller finds it: what the journal tells, corrected by what runs.
func (w *world) look() segue.Fleet {
	service := w.ledger.Services["web"].Clone()
	fleet := service.Fleet
	known := map[segue.InstanceID]bool{}
	for i := range fleet.Slots {
		slot := &fleet.Slots[i]
		known[slot.Instance.ID] = true
		slot.Strays = nil
		if real := w.truth[slot.Instance.ID]; real != nil {
			slot.Ready, slot.Rotation = real.ready, real.rotation
		} else {
			slot.Instance, slot.Ready, slot.Rotation = segue.Instance{}, false, segue.RotationOut
		}
		if slot.Beside == nil {
			continue
		}
		known[slot.Beside.Instance.ID] = true
		if real := w.truth[slot.Beside.Instance.ID]; real != nil {
			slot.Beside.Ready, slot.Beside.Rotation = real.ready, real.rotation
		} else {
			slot.Beside = nil
		}
	}
	for _, id := range w.ids() {
		if i := w.truth[id]; !known[id] {
			at := slices.IndexFunc(fleet.Slots, func(s segue.Slot) bool { return s.Server.Name == i.Server })
			if at >= 0 {
				fleet.Slots[at].Strays = append(fleet.Slots[at].Strays, i.Instance)
			}
		}
	}
	return fleet
}

func (w *world) ids() []segue.InstanceID {
	ids := make([]segue.InstanceID, 0, len(w.truth))
	for id := range w.truth {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// planned answers a plan command.
func (w *world) planned(command rollout.Command) segue.Event {
	state, ok := w.ledger.Rollout(command.Rollout)
	if !ok {
		return command.Failed("web", segue.Errorf(segue.KindConflict, "rollout %s is over", command.Rollout))
	}
	fleet := w.look()
	plan, err := strategy.Plan(strategy.Request{
		Rollout: command.Rollout, Plan: command.Plan, Service: state.Settings, Fleet: fleet, Stable: state.Stable,
		Candidate: state.Candidate, Goal: command.Goal, Servers: command.Servers, Observed: command.Observed, Hurry: command.Hurry,
		Mirroring: command.Mirroring,
	})
	if err != nil {
		return command.Failed("web", err)
	}
	return command.PlannedFrom("web", w.plans(plan), fleet)
}

// take takes a pending command out.
func (w *world) take(i int) rollout.Command {
	command := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	return command
}

// answer carries a pending command out well and feeds what comes of it.
func (w *world) answer(command rollout.Command) []rollout.Command {
	switch {
	case command.Kind == rollout.CommandPlan:
		return w.feed(w.planned(command))
	case command.Step.Kind == segue.StepObserve:
		return w.feed(command.Judged("web", segue.Verdict{Ruling: segue.RulingPass, Final: true, At: w.now}))
	default:
		w.act(command.Step)
		return w.feed(command.Done("web", segue.Outcome{Address: fmt.Sprintf("10.0.0.1:%d", command.Step.ID)}))
	}
}

// open begins a rollout of a candidate from the fleet as it is.
func (w *world) open(settings segue.Service, stable, candidate segue.Release, queued bool) ([]rollout.Command, error) {
	id := w.ledger.Next()
	plan, err := strategy.Plan(strategy.Request{
		Rollout: id, Plan: 1, Service: settings, Fleet: w.look(), Stable: stable, Candidate: candidate, Goal: segue.GoalForward,
	})
	if err != nil && !queued {
		return nil, err
	}
	return w.feed(segue.Event{Kind: segue.EventOpened, Service: "web", Rollout: id, Opening: &segue.Opening{
		Settings: settings, Stable: stable, Candidate: candidate, Fleet: w.look(), Plan: w.plans(plan), Queued: queued, By: "ann",
	}}), nil
}

// verify checks every law on what happened, with the journal found as it was written.
func (w *world) verify(balanced bool) []laws.Violation {
	facts := slices.Clone(w.facts)
	for _, entry := range w.entries {
		facts = append(facts, laws.Fact{Kind: laws.Found, Index: entry.Index})
	}
	return laws.Check(balanced, facts)
}

// befall does to the world what an event of no step tells of.
func (w *world) befall(event segue.Event) {
	i := w.truth[event.Instance]
	switch {
	case event.Kind == segue.EventStray && i == nil:
		i = &instance{Instance: segue.Instance{ID: event.Instance, Service: "web", Server: event.Server, Release: "v0", State: segue.InstanceRunning}, stray: true}
		w.truth[event.Instance] = i
		w.fact(i.fact(laws.Started))
	case i == nil:
	case event.Kind == segue.EventInstanceDown:
		i.ready = false
		w.fact(i.fact(laws.Unready))
	case event.Kind == segue.EventInstanceUp:
		i.ready = true
		w.fact(i.fact(laws.Ready))
	case event.Kind == segue.EventRotation:
		i.rotation = event.Rotation
		kind := laws.Drained
		if event.Rotation == segue.RotationIn {
			kind = laws.Admitted
		}
		w.fact(i.fact(kind))
	}
}
