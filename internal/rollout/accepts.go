package rollout

import (
	"fmt"

	"github.com/segue-deploy/segue"
)

// Accepts says whether an order makes sense for a rollout as it is: nil, or an error of KindConflict (KindNotFound for a server
// that the service does not have, KindInvalid for a verb that is not known), with a hint on what does.
func Accepts(state State, order segue.Order) error {
	m := machine{State: &state}
	m.ensure()
	if state.Phase.Over() {
		return conflict(state, "is over: "+string(state.Phase), "`segue deploy` begins another one")
	}
	if state.Phase == segue.PhaseQueued && order.Verb != segue.VerbAbort {
		return conflict(state, "has not begun: it waits for the rollout before it", "`segue abort` takes it out of the queue")
	}
	switch order.Verb {
	case segue.VerbPromote:
		return m.acceptsPromote(order)
	case segue.VerbApprove:
		if _, kind := m.waitingFor(); kind != segue.StepApprove || state.Goal == segue.GoalBack {
			return conflict(state, "waits for no approval", "`segue status` says what it waits for")
		}
	case segue.VerbPause:
		return m.acceptsPause()
	case segue.VerbResume:
		return m.acceptsResume()
	case segue.VerbAbort:
	case segue.VerbRollback:
		if err := m.acceptsBack(); err != nil {
			return err
		}
		return m.acceptsRollback(order)
	default:
		return segue.Errorf(segue.KindInvalid, "order %q is not known", order.Verb)
	}
	return nil
}

func conflict(state State, what, hint string) error {
	return segue.Errorf(segue.KindConflict, "rollout %s of %s %s", state.ID, state.Service, what).WithHint("%s", hint)
}

func (m *machine) acceptsPromote(order segue.Order) error {
	if m.Goal == segue.GoalBack {
		return conflict(*m.State, "is going back to "+stableName(m.State), "deploy again once it is over")
	}
	if _, kind := m.waitingFor(); kind != "" || m.Held != HoldNone || order.All {
		return nil
	}
	if m.Paused {
		return conflict(*m.State, "is paused and observes nothing", "`segue resume` goes on")
	}
	return conflict(*m.State, "waits for nobody: there is nothing to promote", "`segue promote --all` leaves out every observation to come")
}

func (m *machine) acceptsPause() error {
	switch {
	case m.Goal == segue.GoalBack:
		return conflict(*m.State, "is going back to "+stableName(m.State)+": that is not paused half-way", "wait for its end")
	case m.Paused:
		return conflict(*m.State, "is paused already", "`segue resume` goes on")
	case m.Held != HoldNone:
		return conflict(*m.State, "is held: nothing is begun anyway", "`segue status` says what it waits for")
	}
	return nil
}

func (m *machine) acceptsResume() error {
	switch {
	case m.Held == HoldGate:
		return conflict(*m.State, "is held because a gate failed: "+m.Reason, "`segue promote` overrules the gate, `segue abort` goes back")
	case m.Held != HoldNone || m.Paused:
		return nil
	}
	if _, kind := m.waitingFor(); kind == segue.StepApprove && m.Goal == segue.GoalForward {
		return conflict(*m.State, "waits for approval", "`segue promote` gives it")
	}
	return conflict(*m.State, "is not paused", "`segue status` says what it does")
}

// acceptsBack refuses a way back that is closed.
func (m *machine) acceptsBack() error {
	if m.Closed == "" {
		return nil
	}
	return segue.Errorf(segue.KindRefused, "rollout %s of %s: %s cannot come back: %s", m.ID, m.Service, stableName(m.State), m.Closed).
		WithHint("go on with `segue promote`; or `segue abort` ends it where it is, and another release may follow")
}

func (m *machine) acceptsRollback(order segue.Order) error {
	for _, server := range order.Servers {
		if !m.index.members[server] {
			return segue.Errorf(segue.KindNotFound, "%s has no server %q", m.Service, server).WithHint("`segue status` lists the servers")
		}
	}
	partial := len(order.Servers) > 0 && len(order.Servers) < len(m.Settings.Servers)
	if partial && m.Candidate.Breaking {
		return conflict(*m.State, fmt.Sprintf("carries a breaking release: %s cannot run beside %s", m.Candidate.Name, stableName(m.State)),
			"`segue abort` takes every server back")
	}
	return nil
}

func stableName(state *State) string {
	if state.Stable.Name == "" {
		return "nothing"
	}
	return string(state.Stable.Name)
}
