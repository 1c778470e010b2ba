package rollout

import (
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// change changes a slot and keeps the sums right.
func (m *machine) change(i int, change func(*segue.Slot)) {
	m.count(i, -1)
	change(&m.Fleet.Slots[i])
	m.count(i, +1)
}

// handedOut tells the fleet what a step may do from now on, done or not.
func (m *machine) handedOut(step segue.Step) {
	switch step.Kind {
	case segue.StepMaintenance:
		m.Fleet.Maintenance = m.Fleet.Maintenance || step.On
	case segue.StepHold:
		m.Fleet.Holding = true
	case segue.StepMirror:
		if step.On {
			m.Mirror = step
		}
	default:
	}
	i, ok := m.index.slots[step.Server]
	if !ok {
		return
	}
	if m.leaves(step) {
		m.count(i, -1)
		m.index.leaving[step.Instance] = true
		m.count(i, +1)
	}
	if step.Kind == segue.StepStart {
		m.change(i, func(slot *segue.Slot) { m.place(slot, step) })
	}
}

// settleLeaving ends what handedOut began for a drain.
func (m *machine) settleLeaving(step segue.Step) {
	if !m.index.leaving[step.Instance] || !m.leaves(step) {
		return
	}
	i, ok := m.index.slots[step.Server]
	if !ok {
		delete(m.index.leaving, step.Instance)
		return
	}
	m.count(i, -1)
	delete(m.index.leaving, step.Instance)
	m.count(i, +1)
}

// place puts a new instance on a server: in charge where nothing else is that the plan still has to stop, else beside.
func (m *machine) place(slot *segue.Slot, step segue.Step) {
	instance := segue.Instance{
		ID: step.Instance, Service: m.Service, Server: step.Server, Release: step.Release, State: segue.InstanceStarting, StartedAt: m.at,
	}
	if slot.Instance.ID != "" && slot.Instance.ID != step.Instance && m.index.stops[slot.Instance.ID] {
		slot.Beside = &segue.Occupant{Instance: instance, Rotation: segue.RotationOut}
		return
	}
	slot.Instance, slot.Rotation, slot.Ready = instance, segue.RotationOut, false
}

// took tells the fleet what a step has done.
func (m *machine) took(step segue.Step, outcome *segue.Outcome) {
	switch step.Kind {
	case segue.StepMaintenance:
		m.Fleet.Maintenance = step.On
	case segue.StepUnhold:
		m.Fleet.Holding = false
	case segue.StepMirror:
		if !step.On {
			m.Mirror = segue.Step{}
		}
	default:
	}
	i, ok := m.index.slots[step.Server]
	if !ok {
		return
	}
	m.change(i, func(slot *segue.Slot) { effect(slot, step, outcome) })
	if step.Kind == segue.StepStop && !m.index.members[step.Server] && vacant(m.Fleet.Slots[i]) {
		m.dropEmptyLeavers()
	}
}

// effect is what a step that went well does to a server.
func effect(slot *segue.Slot, step segue.Step, outcome *segue.Outcome) {
	if step.Kind == segue.StepStop {
		remove(slot, step.Instance)
		return
	}
	instance, rotation, ready := occupant(slot, step.Instance)
	if instance == nil {
		return
	}
	switch step.Kind {
	case segue.StepStart:
		if outcome != nil {
			instance.Address = outcome.Address
		}
	case segue.StepAwaitReady:
		*ready, instance.State = true, segue.InstanceRunning
	case segue.StepAdmit:
		*rotation = segue.RotationIn
		takeCharge(slot, step.Instance)
	case segue.StepDrain:
		*rotation = segue.RotationDraining
	default:
	}
}

// spoilt is what a step that was given up may have left behind: the worse of what is possible.
func (m *machine) spoilt(step segue.Step) {
	i, ok := m.index.slots[step.Server]
	if !ok {
		return
	}
	m.change(i, func(slot *segue.Slot) {
		instance, rotation, ready := occupant(slot, step.Instance)
		if instance == nil {
			return
		}
		switch step.Kind {
		case segue.StepStart:
			*ready, instance.State = false, segue.InstanceExited
		case segue.StepAwaitReady, segue.StepStop:
			*ready = false
		case segue.StepDrain:
			*rotation = segue.RotationDraining
		default:
		}
	})
}

// occupant finds an instance on a server: in charge or beside.
func occupant(slot *segue.Slot, id segue.InstanceID) (*segue.Instance, *segue.Rotation, *bool) {
	switch {
	case id == "":
		return nil, nil, nil
	case slot.Instance.ID == id:
		return &slot.Instance, &slot.Rotation, &slot.Ready
	case slot.Beside != nil && slot.Beside.Instance.ID == id:
		return &slot.Beside.Instance, &slot.Beside.Rotation, &slot.Beside.Ready
	default:
		return nil, nil, nil
	}
}

// takeCharge puts the instance beside in charge, and the one in charge beside.
func takeCharge(slot *segue.Slot, id segue.InstanceID) {
	if slot.Beside == nil || slot.Beside.Instance.ID != id {
		return
	}
	old := segue.Occupant{Instance: slot.Instance, Rotation: slot.Rotation, Ready: slot.Ready}
	slot.Instance, slot.Rotation, slot.Ready = slot.Beside.Instance, slot.Beside.Rotation, slot.Beside.Ready
	slot.Beside = nil
	if old.Instance.ID != "" {
		slot.Beside = &old
	}
}

// remove takes an instance that ended off a server.
func remove(slot *segue.Slot, id segue.InstanceID) {
	switch {
	case slot.Beside != nil && slot.Beside.Instance.ID == id:
		slot.Beside = nil
	case slot.Instance.ID == id && slot.Beside != nil:
		slot.Instance, slot.Rotation, slot.Ready = slot.Beside.Instance, slot.Beside.Rotation, slot.Beside.Ready
		slot.Beside = nil
	case slot.Instance.ID == id:
		slot.Instance, slot.Rotation, slot.Ready = segue.Instance{}, segue.RotationOut, false
	}
	slot.Strays = slices.DeleteFunc(slot.Strays, func(stray segue.Instance) bool { return stray.ID == id })
}

// instance takes the news that an instance went down or came up again.
func (m *machine) instance(event segue.Event) {
	i, ok := m.index.slots[event.Server]
	if !ok {
		return
	}
	crashed := event.Kind == segue.EventInstanceDown && m.crashed(i, event.Instance)
	m.change(i, func(slot *segue.Slot) { report(slot, event) })
	if !crashed {
		m.lostOnTheWayBack(event)
		return
	}
	m.Crashes++
	if m.Crashes <= m.Settings.Limits.Crashes {
		return
	}
	failure := segue.Failure{Kind: segue.KindUnhealthy, Message: crashReason(event, m.Crashes, m.Settings.Limits.Crashes)}
	if event.Failure != nil {
		failure.Kind, failure.Hint = event.Failure.Kind, event.Failure.Hint
	}
	m.gate(failure)
}

// lostOnTheWayBack plans afresh when an instance dies on the way back that no step of the plan will wait for: others may not be spared before
// it is back, and somebody has to wait for it, or to give it up.
func (m *machine) lostOnTheWayBack(event segue.Event) {
	if event.Kind != segue.EventInstanceDown || m.Goal != segue.GoalBack || m.Planning || m.Turn != TurnNone {
		return
	}
	for i, step := range m.Plan.Steps {
		waits := step.Kind == segue.StepAwaitReady && step.Server == event.Server || step.Instance == event.Instance
		if status := m.Steps[i].Status; waits && (status == StepWaiting || status == StepRunning) {
			return
		}
	}
	if m.index.left > 1 {
		m.Turn = TurnAfterGroups
	}
}

// crashed says whether the death of an instance counts against the candidate: it was ready and nobody was ending it.
func (m *machine) crashed(i int, id segue.InstanceID) bool {
	instance, rotation, ready := occupant(&m.Fleet.Slots[i], id)
	return instance != nil && *ready && *rotation != segue.RotationDraining && !m.index.leaving[id] &&
		instance.Release == m.Candidate.Name && m.Candidate.Name != m.Stable.Name && m.Goal == segue.GoalForward
}

// reported takes what an event outside steps tells of a server. A stray on a server that nobody knows, or knows any more, brings that
// server back as one that left and still runs something: the next plan ends it.
func (m *machine) reported(event segue.Event) {
	i, ok := m.index.slots[event.Server]
	if !ok && event.Kind == segue.EventStray && event.Server != "" {
		i, ok = len(m.Fleet.Slots), true
		m.index.slots[event.Server] = i
		m.Fleet.Slots = append(m.Fleet.Slots, emptySlot(event))
	}
	if ok {
		m.change(i, func(slot *segue.Slot) { report(slot, event) })
	}
}

func emptySlot(event segue.Event) segue.Slot {
	return segue.Slot{Server: segue.Server{Name: event.Server, Partition: event.Partition}, Rotation: segue.RotationOut}
}

// report is what an event outside steps does to a server: an instance down or up, a stray, a rotation by hand.
func report(slot *segue.Slot, event segue.Event) {
	instance, rotation, ready := occupant(slot, event.Instance)
	switch {
	case event.Kind == segue.EventStray:
		known := slices.ContainsFunc(slot.Strays, func(s segue.Instance) bool { return s.ID == event.Instance })
		if instance == nil && !known && event.Instance != "" {
			stray := segue.Instance{ID: event.Instance, Service: event.Service, Server: event.Server, State: segue.InstanceRunning}
			slot.Strays = append(slot.Strays, stray)
		}
	case event.Kind == segue.EventRotation && event.Instance == "":
		slot.Rotation = event.Rotation
	case instance == nil:
	case event.Kind == segue.EventInstanceDown:
		*ready, instance.State = false, segue.InstanceBackOff
		instance.Restarts = max(instance.Restarts, event.Restarts)
	case event.Kind == segue.EventInstanceUp:
		*ready, instance.State = true, segue.InstanceRunning
		instance.Restarts = max(instance.Restarts, event.Restarts)
		if event.Outcome != nil && event.Outcome.Address != "" {
			instance.Address = event.Outcome.Address // it was brought back after a reboot, on another port
		}
	case event.Kind == segue.EventRotation:
		*rotation = event.Rotation
	}
}

// tellMixed keeps the account of how long more than one release ran.
func (m *machine) tellMixed() {
	running := 0
	for _, count := range m.index.releases {
		if count > 0 {
			running++
		}
	}
	switch {
	case running > 1 && m.MixedSince.IsZero():
		m.MixedSince = m.at
	case running <= 1 && !m.MixedSince.IsZero():
		m.MixedFor += max(0, m.at.Sub(m.MixedSince))
		m.MixedSince = time.Time{}
	}
}
