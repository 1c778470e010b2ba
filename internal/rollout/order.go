package rollout

import (
	"fmt"
	"slices"

	"github.com/segue-deploy/segue"
)

// order takes an operator's wish. What does not fit changes nothing: Accepts says so beforehand.
func (m *machine) order(order segue.Order) {
	if Accepts(*m.State, order) != nil {
		return
	}
	switch order.Verb {
	case segue.VerbPromote:
		m.promote(order)
	case segue.VerbApprove:
		m.approve(order)
	case segue.VerbPause:
		m.Paused, m.Reason = true, because("paused", order)
	case segue.VerbResume:
		m.resume(order)
	case segue.VerbAbort:
		switch {
		case m.Closed != "":
			m.abandon(because("aborted", order))
		case !m.goingBack():
			m.goBack(nil, because("aborted", order))
		}
	case segue.VerbRollback:
		m.rollback(order)
	}
}

// goingBack says whether the whole rollout is on its way back already.
func (m *machine) goingBack() bool { return m.Goal == segue.GoalBack && len(m.Scope) == 0 }

func (m *machine) promote(order segue.Order) {
	approval := Approval{Verb: segue.VerbPromote, By: order.By, Why: order.Why, At: m.at}
	m.Hurry = m.Hurry || order.All
	switch i, kind := m.waitingFor(); {
	case m.Held == HoldGate:
		approval.Over = m.Reason
		m.Overruled = m.Overruled || order.All
		m.GateFailed = nil
		m.release(because("the failed gate was overruled", order))
	case m.Held == HoldData:
		approval.Over = m.Reason
		m.Observed++
		m.release(because("promoted", order))
	case m.Held == HoldJudges:
		approval.Over = m.Reason
		m.Overruled = m.Overruled || order.All
		if m.Interrupted {
			m.Observed++
		}
		m.release(because("the judges were overruled", order))
	case m.Held != HoldNone:
		m.release(because("promoted", order))
	case kind == segue.StepApprove:
		m.approve(order)
		return
	case kind == segue.StepObserve:
		approval.Step = m.Plan.Steps[i].ID
		m.Observed++
		m.Reason = because("promoted before the end of the observation", order)
		m.cancel(i)
	case kind == segue.StepFinalize:
		approval.Step, approval.Over = m.Plan.Steps[i].ID, m.Steps[i].Waiting
		m.Insist = true
	}
	m.Approvals = append(m.Approvals, approval)
}

// release ends a hold; what goes on is planned afresh.
func (m *machine) release(reason string) {
	m.Held, m.Interrupted, m.Reason, m.Paused = HoldNone, false, reason, false
	if !m.Planning {
		m.Turn = TurnAfterSteps
	}
}

// waitingFor finds the step that a person can end: an approve or observe step that runs, a finalize step that is held back.
func (m *machine) waitingFor() (int, segue.StepKind) {
	for i := range m.index.running {
		if m.index.watching == 0 {
			break
		}
		if kind := m.Plan.Steps[i].Kind; watching(kind) {
			return i, kind
		}
	}
	for _, i := range m.index.open {
		if m.Plan.Steps[i].Kind == segue.StepFinalize && m.Steps[i].Waiting != "" {
			return i, segue.StepFinalize
		}
	}
	return -1, ""
}

func (m *machine) approve(order segue.Order) {
	i, kind := m.waitingFor()
	if kind != segue.StepApprove {
		return
	}
	m.Approvals = append(m.Approvals, Approval{
		Step: m.Plan.Steps[i].ID, Verb: segue.VerbApprove, By: order.By, Why: order.Why, At: m.at,
	})
	m.Reason = because("approved", order)
	m.finish(i, StepDone, true)
}

func (m *machine) resume(order segue.Order) {
	if m.Held == HoldNone {
		m.Paused, m.Reason = false, because("resumed", order)
		return
	}
	m.release(because("resumed", order))
}

func (m *machine) rollback(order segue.Order) {
	if m.goingBack() {
		return
	}
	scope := slices.Clone(order.Servers)
	if m.Goal == segue.GoalBack {
		scope = append(scope, m.Scope...)
	}
	slices.Sort(scope)
	scope = slices.Compact(scope)
	if len(scope) == len(m.Settings.Servers) {
		scope = nil
	}
	reason := because("rolled back", order)
	if len(scope) > 0 {
		reason = because(fmt.Sprintf("%s to be rolled back", list(scope)), order)
	}
	m.goBack(scope, reason)
}

// because joins what was ordered with who ordered it and why.
func because(what string, order segue.Order) string {
	if order.By != "" {
		what += " by " + order.By
	}
	if order.Why != "" {
		what += ": " + order.Why
	}
	return what
}
