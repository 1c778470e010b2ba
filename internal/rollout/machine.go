package rollout

import (
	"time"

	"github.com/segue-deploy/segue"
)

// machine is one application of an event: the state that it changes, the time, and the commands that come of it.
type machine struct {
	*State
	at       time.Time
	commands []Command
}

// Open begins a rollout. A queued one waits; any other is handed its first steps.
func Open(id segue.RolloutID, opening segue.Opening, at time.Time) (State, []Command) {
	state := State{
		ID: id, Service: opening.Settings.Name, Settings: opening.Settings, Stable: opening.Stable, Candidate: opening.Candidate,
		By: opening.By, Goal: segue.GoalForward, OpenedAt: at,
	}
	state.Settings.Servers = cloneServers(opening.Settings.Servers)
	state.Fleet = cloneFleet(opening.Fleet)
	state.addSlots()
	m := machine{State: &state, at: at}
	if opening.Queued {
		state.Phase = segue.PhaseQueued
		state.Reason = "waits for the rollout before it"
		m.ensure()
		return state, nil
	}
	state.Plans = 1
	m.install(opening.Plan)
	m.settle()
	return state, m.commands
}

// Begin starts a queued rollout when its turn has come: from what is stable by then, with a plan that is yet to be made.
func Begin(state State, stable segue.Release, fleet segue.Fleet, at time.Time) (State, []Command) {
	if state.Phase != segue.PhaseQueued {
		return state, nil
	}
	state.Stable, state.Fleet, state.index = stable, fleet, nil
	state.addSlots()
	state.Phase, state.Reason = segue.PhaseProgressing, "its turn has come"
	m := machine{State: &state, at: at}
	m.ensure()
	m.requestPlan()
	m.settle()
	return state, m.commands
}

// Apply folds one event and says what is to be done now. Events that do not fit (of another plan or attempt, of a step that is over,
// orders that make no sense now) change nothing: twice is once. It uses up the state that it is given.
func Apply(state State, event segue.Event, at time.Time) (State, []Command) {
	if state.Phase.Over() || event.Rollout != 0 && event.Rollout != state.ID {
		return state, nil
	}
	m := machine{State: &state, at: at}
	m.ensure()
	if state.Phase == segue.PhaseQueued {
		m.queued(event)
		return state, nil
	}
	m.event(event)
	m.settle()
	return state, m.commands
}

// queued takes what may happen to a rollout that has not begun.
func (m *machine) queued(event segue.Event) {
	if event.Kind == segue.EventOrder && event.Order != nil && event.Order.Verb == segue.VerbAbort {
		m.Reason = because("aborted before it began", *event.Order)
		m.Phase, m.EndedAt = segue.PhaseRolledBack, m.at
	}
}

func (m *machine) event(event segue.Event) {
	if m.Planning && event.Server != "" && outside(event.Kind) {
		m.Meanwhile = append(m.Meanwhile, event)
	}
	switch event.Kind {
	case segue.EventPlanned:
		m.planned(event)
	case segue.EventStepDone:
		if i, ok := m.match(event); ok {
			m.stepDone(i, event.Outcome)
		}
	case segue.EventStepFailed:
		if i, ok := m.match(event); ok && event.Failure != nil {
			m.stepFailed(i, *event.Failure)
		}
	case segue.EventVerdict:
		if event.Verdict != nil {
			m.verdict(event)
		}
	case segue.EventOrder:
		if event.Order != nil {
			m.order(*event.Order)
		}
	case segue.EventInstanceDown, segue.EventInstanceUp:
		m.instance(event)
	case segue.EventServerJoined:
		m.joined(segue.Server{Name: event.Server, Partition: event.Partition})
	case segue.EventServerLeft:
		m.serverLeft(event.Server)
	case segue.EventStray, segue.EventRotation:
		m.reported(event)
	default:
	}
}

// settle brings the state to rest: hands out what can be, turns to a fresh plan, ends what is complete.
func (m *machine) settle() {
	for !m.Phase.Over() && !m.Planning {
		if m.Turn != TurnAfterSteps && m.handOut() {
			continue
		}
		if !m.turn() && !m.complete() && !m.giveUpBlocked() {
			break
		}
	}
	m.tellMixed()
	if !m.Phase.Over() {
		m.Phase = m.phase()
	}
}

// turn gives the present plan up for a fresh one when that is wanted and nothing is in the way any more.
func (m *machine) turn() bool {
	if m.Turn == TurnNone || m.index.busy() > 0 {
		return false
	}
	for _, i := range m.sortedRunning() {
		m.keepBake(i)
		m.cancel(i)
	}
	m.requestPlan()
	return true
}

// complete looks whether the plan has come to its end, and acts on it.
func (m *machine) complete() bool {
	if m.index.left > 0 {
		return false
	}
	switch m.Plan.Goal {
	case segue.GoalBack:
		return m.completeBack()
	case segue.GoalForward:
		if m.Goal == segue.GoalForward && m.Held == HoldNone && m.Turn == TurnNone {
			m.end()
			return true
		}
	case segue.GoalJoin:
	}
	// A plan that was an interlude is over: on with what was wanted before, when nobody holds it.
	if m.Held == HoldNone && !m.Paused {
		m.requestPlan()
		return true
	}
	return false
}

func (m *machine) completeBack() bool {
	switch {
	case m.Goal == segue.GoalBack && len(m.Scope) == 0:
		m.end()
		return true
	case m.Goal == segue.GoalBack:
		m.Goal, m.Held = segue.GoalForward, HoldMixed
		m.Reason = m.backReason()
		m.Scope = nil
		return true
	case m.Held == HoldNone && !m.Paused:
		m.requestPlan()
		return true
	}
	return false
}

// end ends the rollout in the phase that the fleet is in.
func (m *machine) end() {
	m.tellMixed()
	m.Phase, m.EndedAt = endPhase(m.State), m.at
	if !m.MixedSince.IsZero() {
		// It goes on being mixed; what is counted is this rollout's share.
		m.MixedFor += max(0, m.at.Sub(m.MixedSince))
		m.MixedSince = time.Time{}
	}
}

// phase derives where a rollout that goes on stands.
func (m *machine) phase() segue.Phase {
	busy := m.Planning || m.index.busy() > 0
	switch {
	case m.Goal == segue.GoalBack:
		return segue.PhaseRollingBack
	case m.Held != HoldNone || m.index.approving > 0:
		return segue.PhaseHeld
	case m.Paused && !busy:
		return segue.PhasePaused
	case m.index.watching > 0 && !busy:
		return segue.PhaseObserving
	default:
		return segue.PhaseProgressing
	}
}

// Outstanding lists everything that was handed out and not answered, as it was handed out: after a restart it is carried out again.
func Outstanding(state State) []Command {
	if state.Phase.Over() || state.Phase == segue.PhaseQueued {
		return nil
	}
	m := machine{State: &state}
	m.ensure()
	var commands []Command
	for _, i := range m.sortedRunning() {
		if m.Plan.Steps[i].Kind != segue.StepApprove {
			commands = append(commands, m.command(i))
		}
	}
	if m.Planning {
		commands = append(commands, m.planCommand())
	}
	return commands
}

// addSlots gives every server in service a slot.
func (s *State) addSlots() {
	known := make(map[segue.ServerName]bool, len(s.Fleet.Slots))
	for _, slot := range s.Fleet.Slots {
		known[slot.Server.Name] = true
	}
	for _, server := range s.Settings.Servers {
		if !known[server.Name] {
			s.Fleet.Slots = append(s.Fleet.Slots, segue.Slot{Server: server, Rotation: segue.RotationOut})
		}
	}
}

func cloneServers(servers []segue.Server) []segue.Server {
	return append(make([]segue.Server, 0, len(servers)), servers...)
}
