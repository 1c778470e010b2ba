package rollout

import (
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// install takes a plan on, from its first step.
func (m *machine) install(plan segue.Plan) {
	m.Plan, m.Planning, m.PlanTry = plan, false, 0
	m.Steps = make([]StepState, len(plan.Steps))
	for i := range m.Steps {
		m.Steps[i].Status = StepWaiting
	}
	if m.index == nil {
		m.ensure()
	} else {
		m.indexPlan()
	}
}

// requestPlan asks for a fresh plan to what is wanted now. Where a step that was under way has closed the way back meanwhile, a person decides.
func (m *machine) requestPlan() {
	if m.Abandoned {
		m.Turn = TurnNone
		m.overtake()
		m.end()
		return
	}
	if m.Goal == segue.GoalBack && m.Closed != "" {
		m.stay(m.Reason)
		m.Turn = TurnNone
		m.overtake()
		m.dropPlan()
		return
	}
	m.Planning, m.Turn = true, TurnNone
	m.Plans++
	m.PlanTry, m.Meanwhile = 1, nil
	m.overtake()
	m.commands = append(m.commands, m.planCommand())
}

// overtake gives the rest of the present plan up.
func (m *machine) overtake() {
	for i := range m.Steps {
		if step := &m.Steps[i]; step.Status == StepWaiting {
			step.Status, step.Waiting, step.Until = StepSkipped, "", m.at
		}
	}
	m.index.open, m.index.left = nil, 0
}

func (m *machine) planCommand() Command {
	command := Command{
		Kind: CommandPlan, Rollout: m.ID, Plan: m.Plans, Attempt: m.PlanTry, Goal: m.Goal, Servers: slices.Clone(m.Scope),
		Observed: m.Observed, Hurry: m.Hurry, Mirroring: m.Mirror,
	}
	if m.PlanTry > 1 {
		command.NotBefore = m.PlanNotBefore
	}
	if m.Goal == segue.GoalForward && len(m.Joining) > 0 {
		command.Goal, command.Servers = segue.GoalJoin, slices.Clone(m.Joining)
	}
	return command
}

// planned takes the answer to a plan command.
func (m *machine) planned(event segue.Event) {
	if !m.Planning || event.PlanNumber != m.Plans {
		return
	}
	switch {
	case event.Plan != nil:
		if event.Plan.Goal == segue.GoalJoin {
			m.Joining = nil
		}
		if event.Fleet != nil {
			m.adopt(*event.Fleet)
		}
		m.install(*event.Plan)
	case event.Failure != nil && event.Attempt == m.PlanTry:
		m.planFailed(*event.Failure)
	}
}

// adopt takes the fleet that a plan was made from for what is, and what happened since it was asked for on top of it.
func (m *machine) adopt(seen segue.Fleet) {
	fleet := cloneFleet(seen)
	fleet.Maintenance = fleet.Maintenance || m.Fleet.Maintenance
	fleet.Holding = fleet.Holding || m.Fleet.Holding
	fleet.Service, fleet.Index = m.Fleet.Service, m.Fleet.Index
	m.Fleet = fleet
	m.addSlots()
	m.dropEmptyLeavers()
	for _, event := range m.Meanwhile {
		m.reported(event)
	}
	m.Meanwhile = nil
}

// planFailed asks again, or holds: no plan is no reason to leave the fleet as it is without a word.
func (m *machine) planFailed(failure segue.Failure) {
	back := m.Goal == segue.GoalBack && len(m.Scope) == 0
	if back && m.PlanTry < attemptsBack || !back && failure.Kind.Transient() && m.PlanTry < attemptsForward {
		m.PlanNotBefore = m.at.Add(backOff(m.PlanTry))
		m.PlanTry++
		m.commands = append(m.commands, m.planCommand())
		return
	}
	m.Planning = false
	m.Reason = fmt.Sprintf("no plan can be made: %s", failure.Message)
	if back {
		m.end()
		return
	}
	m.dropPlan()
	m.Held = HoldPlan
	m.Goal, m.Scope = segue.GoalForward, nil
}

// dropPlan leaves no plan: whatever goes on next begins with a fresh one.
func (m *machine) dropPlan() {
	m.install(segue.Plan{Service: m.Service, Goal: segue.GoalJoin, MinReady: m.Plan.MinReady})
}

// stay holds a rollout whose candidate should be given up and cannot be: the way back is closed.
func (m *machine) stay(reason string) {
	m.Goal, m.Scope, m.Held = segue.GoalForward, nil, HoldClosed
	m.Reason = fmt.Sprintf("%s; %s cannot come back: %s", reason, stableName(m.State), m.Closed)
}

// abandon ends a rollout where it is, once what is under way has come to its end: there is no way back.
func (m *machine) abandon(reason string) {
	m.Abandoned, m.Goal, m.Scope, m.Joining = true, segue.GoalForward, nil, nil
	m.Held, m.Paused, m.Turn = HoldNone, false, TurnAfterSteps
	m.Reason = fmt.Sprintf("%s; %s cannot come back: %s", reason, stableName(m.State), m.Closed)
	m.Planning = false
	for _, i := range m.sortedRunning() {
		if kind := m.Plan.Steps[i].Kind; watching(kind) || kind == segue.StepAwaitReady {
			m.cancel(i)
		}
	}
}

// goBack gives the candidate up: on the servers of the scope, or on all.
func (m *machine) goBack(scope []segue.ServerName, reason string) {
	if m.Closed != "" {
		m.stay(reason)
		return
	}
	m.Goal, m.Scope, m.Reason = segue.GoalBack, scope, reason
	m.Held, m.Interrupted, m.Paused, m.Insist = HoldNone, false, false, false
	m.Observed, m.Joining, m.BakeSince = 0, nil, time.Time{}
	m.Turn = TurnAfterSteps
	if m.Planning {
		// The plan that is being made is not wanted any more; its answer is ignored by its number.
		m.Planning = false
	} else if len(scope) > 0 {
		m.Turn = TurnAfterGroups
		return
	}
	for _, i := range m.sortedRunning() {
		if kind := m.Plan.Steps[i].Kind; watching(kind) || kind == segue.StepAwaitReady {
			m.cancel(i)
		}
	}
}

// watching says whether a step changes nothing: it can be given up at any moment.
func watching(kind segue.StepKind) bool {
	return kind == segue.StepObserve || kind == segue.StepApprove
}

// keepBake remembers since when an observation ran that a fresh plan will go on with. While answers are compared there is nothing to keep: the fresh plan
// ends the mirror, and begins with another one.
func (m *machine) keepBake(i int) {
	if m.Plan.Steps[i].Kind == segue.StepObserve && m.Mirror.ID == 0 && m.Goal == segue.GoalForward {
		m.BakeSince = m.Steps[i].Since
	}
}

// joined takes a server in: it gets stable, at the next occasion.
func (m *machine) joined(server segue.Server) {
	if server.Name == "" || m.index.members[server.Name] {
		return
	}
	// Settings are read by others while steps are carried out: a new list each time.
	m.Settings.Servers = append(cloneServers(m.Settings.Servers), server)
	if i, ok := m.index.slots[server.Name]; ok {
		m.Fleet.Slots[i].Server = server
	} else {
		m.Fleet.Slots = append(m.Fleet.Slots, segue.Slot{Server: server, Rotation: segue.RotationOut})
	}
	m.indexFleet()
	if m.Goal == segue.GoalForward && m.Stable.Name != "" && m.Closed == "" && m.Settings.Strategy.Kind != segue.AllAtOnce {
		m.Joining = append(m.Joining, server.Name)
	}
	if m.Turn == TurnNone {
		m.Turn = TurnAfterGroups
	}
}

// serverLeft takes a server out of service: its steps are skipped, and what runs on it ends with a fresh plan.
func (m *machine) serverLeft(name segue.ServerName) {
	if !m.index.members[name] {
		return
	}
	is := func(s segue.ServerName) bool { return s == name }
	m.Settings.Servers = slices.DeleteFunc(cloneServers(m.Settings.Servers), func(s segue.Server) bool { return s.Name == name })
	m.Joining = slices.DeleteFunc(m.Joining, is)
	if len(m.Scope) > 0 {
		m.Scope = slices.DeleteFunc(slices.Clone(m.Scope), is)
		if len(m.Scope) == 0 {
			m.Goal, m.Held = segue.GoalForward, HoldMixed
			m.Reason = string(name) + " left while it was taken back"
		}
	}
	for i, step := range m.Plan.Steps {
		if step.Server != name {
			continue
		}
		switch m.Steps[i].Status {
		case StepRunning:
			m.cancel(i)
		case StepWaiting:
			m.finish(i, StepSkipped, true)
		case StepDone, StepFailed, StepSkipped:
		}
	}
	m.dropEmptyLeavers()
	if m.Turn == TurnNone {
		m.Turn = TurnAfterGroups
	}
}

// dropEmptyLeavers forgets slots of servers that left and run nothing.
func (m *machine) dropEmptyLeavers() {
	left := make(map[segue.ServerName]bool, len(m.Settings.Servers))
	for _, server := range m.Settings.Servers {
		left[server.Name] = true
	}
	m.Fleet.Slots = slices.DeleteFunc(m.Fleet.Slots, func(slot segue.Slot) bool { return !left[slot.Server.Name] && vacant(slot) })
	m.indexFleet()
}

func vacant(slot segue.Slot) bool {
	return slot.Instance.ID == "" && slot.Beside == nil && len(slot.Strays) == 0
}
