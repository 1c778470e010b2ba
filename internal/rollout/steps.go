package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
)

// A step is tried this often before it is given up. On the way back there is nothing better to do than to try again.
const (
	attemptsForward = 6
	attemptsBack    = 20
)

const (
	backOffFirst = 200 * time.Millisecond
	backOffMost  = 10 * time.Second
)

// backOff is the pause after that many failed attempts: 200 ms, doubling, at most 10 s.
func backOff(failed int) time.Duration {
	if failed > 6 {
		return backOffMost
	}
	return min(backOffFirst<<(failed-1), backOffMost)
}

// match finds the running step that an event is about: same plan, same attempt.
func (m *machine) match(event segue.Event) (int, bool) {
	i := int(event.Step) - 1
	if _, running := m.index.running[i]; !running || m.Planning {
		return 0, false
	}
	return i, event.PlanNumber == m.Plans && event.Attempt == m.Steps[i].Attempt
}

// handOut hands out what can be handed out now, and says whether that changed what can be.
func (m *machine) handOut() bool {
	progress := false
	for _, i := range slices.Clone(m.index.open) {
		if m.Steps[i].Status != StepWaiting || !m.allowed(i) {
			continue
		}
		if why := m.heldBack(i); why != "" {
			m.Steps[i].Waiting = why
			continue
		}
		progress = m.hand(i) || progress
	}
	return progress
}

// allowed says whether pause, hold or a turn let a step begin: the steps of a server that has begun always may, so that it is not left
// in between.
func (m *machine) allowed(i int) bool {
	step := m.Plan.Steps[i]
	if m.Turn == TurnNone && (m.Plan.Goal != segue.GoalForward || !m.Paused && m.Held == HoldNone) {
		return true
	}
	return step.Group != "" && m.index.begun[step.Group]
}

// heldBack says in a clause why a step must wait although nothing comes before it any more; "" when it need not.
func (m *machine) heldBack(i int) string {
	step := m.Plan.Steps[i]
	switch {
	case m.leaves(step):
		if m.carriesNow(step) && m.index.carrying-1 < m.Plan.MinReady {
			return fmt.Sprintf("capacity: %d ready in rotation, %d needed without %s", m.index.carrying, m.Plan.MinReady, step.Server)
		}
	case step.Kind == segue.StepFinalize && m.Plan.Goal == segue.GoalForward && !m.Insist:
		if m.index.settled < len(m.index.members) {
			return m.unsettled()
		}
	}
	return ""
}

// carriesNow says whether a step's instance bears load.
func (m *machine) carriesNow(step segue.Step) bool {
	i, ok := m.index.slots[step.Server]
	if !ok {
		return false
	}
	slot := m.Fleet.Slots[i]
	if slot.Instance.ID == step.Instance {
		return m.carries(step.Instance, slot.Ready, slot.Rotation)
	}
	return slot.Beside != nil && slot.Beside.Instance.ID == step.Instance && m.carries(step.Instance, slot.Beside.Ready, slot.Beside.Rotation)
}

// unsettled names the first server that keeps finalize waiting.
func (m *machine) unsettled() string {
	for _, slot := range m.Fleet.Slots {
		if m.index.members[slot.Server.Name] && !m.carries(slot.Instance.ID, slot.Ready, slot.Rotation) {
			return fmt.Sprintf("%s: %s", slot.Server.Name, ailment(slot, m.Settings.Balanced))
		}
	}
	return ""
}

// hand hands a step out. It returns true when the step was over at once.
func (m *machine) hand(i int) bool {
	step, state := m.Plan.Steps[i], &m.Steps[i]
	if m.Hurry && (step.Kind == segue.StepObserve || step.Kind == segue.StepMirror && step.On) {
		m.finish(i, StepSkipped, true)
		return true
	}
	if step.Kind == segue.StepApprove && m.approved() {
		m.finish(i, StepDone, true)
		return true
	}
	state.Status, state.Waiting, state.Since, state.NotBefore = StepRunning, "", m.at, time.Time{}
	state.Attempt++
	if step.Kind == segue.StepObserve && !m.BakeSince.IsZero() {
		state.Since, m.BakeSince = m.BakeSince, time.Time{}
	}
	m.index.open = without(m.index.open, i)
	m.index.run(i, step)
	if step.Group != "" {
		m.index.begun[step.Group] = true
	}
	m.handedOut(step)
	if step.Kind != segue.StepApprove {
		m.commands = append(m.commands, m.command(i))
	}
	return false
}

func (m *machine) approved() bool {
	return slices.ContainsFunc(m.Approvals, func(a Approval) bool { return a.Verb == segue.VerbApprove })
}

func (m *machine) command(i int) Command {
	state := m.Steps[i]
	return Command{
		Kind: CommandStep, Rollout: m.ID, Plan: m.Plans, Step: m.Plan.Steps[i],
		Attempt: state.Attempt, Since: state.Since, NotBefore: state.NotBefore,
	}
}

// cancel gives up a running step; what it comes to is not waited for.
func (m *machine) cancel(i int) {
	command := m.command(i)
	command.Kind = CommandCancel
	m.spoilt(command.Step)
	m.finish(i, StepSkipped, true)
	if command.Step.Kind != segue.StepApprove {
		m.commands = append(m.commands, command)
	}
}

// finish ends a step. With release, what came after it may begin.
func (m *machine) finish(i int, status StepStatus, release bool) {
	x, state, step := m.index, &m.Steps[i], m.Plan.Steps[i]
	if state.Status == StepWaiting {
		x.open = without(x.open, i)
	}
	x.rest(i, step)
	x.left--
	if step.Kind == segue.StepStop {
		delete(x.stops, step.Instance)
	}
	state.Status, state.Until, state.Waiting = status, m.at, ""
	if status == StepFailed {
		x.failed++
	}
	m.settleLeaving(step)
	if !release {
		return
	}
	for _, next := range x.after(i) {
		if x.pending[next]--; x.pending[next] == 0 && m.Steps[next].Status == StepWaiting {
			x.open = with(x.open, int(next))
		}
	}
}

func with(sorted []int, value int) []int {
	at, found := slices.BinarySearch(sorted, value)
	if found {
		return sorted
	}
	return slices.Insert(sorted, at, value)
}

func without(sorted []int, value int) []int {
	if at, found := slices.BinarySearch(sorted, value); found {
		return slices.Delete(sorted, at, at+1)
	}
	return sorted
}

func (m *machine) sortedRunning() []int { return slices.Sorted(maps.Keys(m.index.running)) }

func (m *machine) stepDone(i int, outcome *segue.Outcome) {
	if m.Plan.Steps[i].Kind == segue.StepObserve {
		// An observation ends by a verdict; without a word of the judges it is inconclusive, not passed.
		m.observed(i, segue.Verdict{Ruling: segue.RulingInconclusive, At: m.at, Final: true})
		return
	}
	m.Steps[i].Outcome = outcome
	m.Steps[i].Failure = nil
	m.worked(m.Plan.Steps[i], outcome)
	m.took(m.Plan.Steps[i], outcome)
	m.finish(i, StepDone, true)
}

// worked takes what a database step came to: a point of no return that was passed, or work that stays owed.
func (m *machine) worked(step segue.Step, outcome *segue.Outcome) {
	switch {
	case outcome != nil && outcome.Owed != "":
		m.Owed = append(m.Owed, outcome.Owed)
	case step.Closes != "":
		m.Closed = step.Closes
	}
}

// stepFailed tries again, or gives the step up.
func (m *machine) stepFailed(i int, failure segue.Failure) {
	step, state := m.Plan.Steps[i], &m.Steps[i]
	state.Failure = &failure
	most, again := attemptsForward, failure.Kind.Transient() && step.Kind != segue.StepAwaitReady
	if m.Plan.Goal == segue.GoalBack {
		most, again = attemptsBack, true
	}
	if again && state.Attempt < most && m.Turn != TurnAfterSteps {
		state.NotBefore = m.at.Add(backOff(state.Attempt))
		state.Attempt++
		m.commands = append(m.commands, m.command(i))
		return
	}
	m.spoilt(step)
	if m.Plan.Goal != segue.GoalForward {
		m.giveUp(i)
		return
	}
	m.finish(i, StepFailed, false)
	if m.Goal == segue.GoalForward {
		m.gate(segue.Failure{Kind: failure.Kind, Message: stepReason(step, failure), Hint: failure.Hint})
	}
}

// giveUp leaves a server where it is, on the way back or in a join, and goes on with the others; the end says so.
func (m *machine) giveUp(failed int) {
	m.Reason = stepReason(m.Plan.Steps[failed], *m.Steps[failed].Failure)
	m.finish(failed, StepFailed, true)
	if m.Plan.Steps[failed].Kind != segue.StepMirror {
		m.skipBehind(failed)
	}
}

// giveUpBlocked ends a way back that can go no further: a server was given up, and without it no other one can be spared. Nothing else is
// under way that could change that; the end says who is where.
func (m *machine) giveUpBlocked() bool {
	if m.Plan.Goal != segue.GoalBack || m.Turn != TurnNone || m.index.failed == 0 || len(m.index.running) > 0 {
		return false
	}
	given := false
	for _, i := range slices.Clone(m.index.open) {
		if why := m.Steps[i].Waiting; m.Steps[i].Status == StepWaiting && why != "" {
			m.Steps[i].Failure = &segue.Failure{Kind: segue.KindRefused, Message: why}
			m.finish(i, StepFailed, true)
			m.skipBehind(i)
			given = true
		}
	}
	return given
}

// skipBehind skips the steps of the same server that come after one that was given up.
func (m *machine) skipBehind(i int) {
	server := m.Plan.Steps[i].Server
	for _, next := range m.index.after(i) {
		if server != "" && m.Plan.Steps[next].Server == server && m.Steps[next].Status == StepWaiting {
			m.finish(int(next), StepSkipped, true)
			m.skipBehind(int(next))
		}
	}
}

func stepReason(step segue.Step, failure segue.Failure) string {
	if step.Server == "" {
		return fmt.Sprintf("%s: %s", step.Kind, failure.Message)
	}
	return fmt.Sprintf("%s: %s: %s", step.Server, step.Kind, failure.Message)
}
