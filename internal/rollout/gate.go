package rollout

import (
	"fmt"
	"slices"

	"github.com/segue-deploy/segue"
)

// gate takes the failure of a gate on the way forward: back to stable by itself, or held for a person.
func (m *machine) gate(failure segue.Failure) {
	if m.Goal != segue.GoalForward || m.Held == HoldGate {
		return
	}
	m.GateFailed = &failure
	if m.Interrupted {
		// Who overrules the gate does without the rest of that observation, too.
		m.Interrupted = false
		m.Observed++
	}
	if m.Settings.Strategy.OnFailure != segue.FailHold {
		m.goBack(nil, failure.Message)
		return
	}
	m.Held, m.Reason = HoldGate, failure.Message
	for _, i := range m.sortedRunning() {
		if m.Plan.Steps[i].Kind == segue.StepObserve {
			// Who overrules the gate ends this observation, too.
			m.Observed++
			m.stopObserving(i, failure)
		}
	}
}

// stopObserving ends an observation because a gate failed.
func (m *machine) stopObserving(i int, failure segue.Failure) {
	command := m.command(i)
	command.Kind = CommandCancel
	m.Steps[i].Failure = &failure
	m.finish(i, StepFailed, false)
	m.commands = append(m.commands, command)
}

// verdict takes a word of the judges: of an observation, or (step 0) at any other time.
func (m *machine) verdict(event segue.Event) {
	verdict := *event.Verdict
	i, running := -1, false
	if event.Step != 0 {
		if i, running = m.match(event); !running || m.Plan.Steps[i].Kind != segue.StepObserve {
			return
		}
	}
	m.Verdict = &verdict
	switch {
	case verdict.Ruling == segue.RulingFail && !m.Overruled:
		m.gate(segue.Failure{Kind: segue.KindRefused, Message: failing(verdict)})
	case verdict.Ruling == segue.RulingHold && !m.Overruled && m.Goal == segue.GoalForward && m.Held == HoldNone:
		if m.observing() && (!running || !verdict.Final) {
			return // nothing goes on before its end, and until then they may find enough to decide by themselves
		}
		m.judgesHold(failing(verdict))
	case running && verdict.Final:
		m.observed(i, verdict)
	}
}

// observing says whether an observation is under way.
func (m *machine) observing() bool {
	return slices.ContainsFunc(m.sortedRunning(), func(i int) bool { return m.Plan.Steps[i].Kind == segue.StepObserve })
}

// judgesHold holds the rollout for a person because the judges say so. What they say later on, short of a failure, does not lift it.
func (m *machine) judgesHold(why string) {
	m.Held, m.Reason = HoldJudges, "the judges hold it: "+why
	for _, i := range m.sortedRunning() {
		if m.Plan.Steps[i].Kind == segue.StepObserve {
			command := m.command(i)
			command.Kind = CommandCancel
			m.Interrupted = true
			m.park(i, waitsForPerson)
			m.commands = append(m.commands, command)
		}
	}
}

// waitsForPerson is what an observation waits for that ended without leave to go on.
const waitsForPerson = "promote goes on, resume looks again, abort goes back"

// observed ends an observation with its last verdict. What failed and was overruled counts as seen.
func (m *machine) observed(i int, verdict segue.Verdict) {
	what := looked(m.Plan.Steps[i])
	note := "pass"
	switch verdict.Ruling {
	case segue.RulingPass:
	case segue.RulingFail:
		note = "failed, overruled"
	case segue.RulingHold:
		note = "held by the judges, overruled"
	default:
		note = "not enough data yet"
		if m.Settings.Limits.Wait > 0 {
			m.Held = HoldData
			m.Reason = what + ": " + note
			m.park(i, note+": "+waitsForPerson)
			return
		}
	}
	m.Observed++
	m.Reason = what + ": " + note
	m.Steps[i].Outcome = &segue.Outcome{Note: note, Unavoidable: m.Plan.Steps[i].For}
	m.finish(i, StepDone, true)
}

// looked says what an observation was of.
func looked(step segue.Step) string {
	switch {
	case step.Why != "":
		return step.Why
	case step.Batch == 0:
		return "observed"
	default:
		return fmt.Sprintf("batch %d observed", step.Batch)
	}
}

// park puts a running step back among the waiting ones.
func (m *machine) park(i int, why string) {
	m.index.rest(i, m.Plan.Steps[i])
	m.Steps[i].Status, m.Steps[i].Waiting = StepWaiting, why
	m.index.open = with(m.index.open, i)
}

// failing gives the sentence of the first finding that made the verdict what it is: a failure, or a hold.
func failing(verdict segue.Verdict) string {
	for _, finding := range verdict.Findings {
		if finding.Ruling != verdict.Ruling {
			continue
		}
		text := finding.Text
		if text == "" {
			text = fmt.Sprintf("%g %s against %g, limit %g", finding.Value, finding.Unit, finding.Baseline, finding.Limit)
		}
		switch {
		case finding.Server != "":
			return fmt.Sprintf("%s: %s: %s", finding.Server, finding.Judge, text)
		case finding.Judge != "":
			return fmt.Sprintf("%s: %s", finding.Judge, text)
		}
		return text
	}
	return fmt.Sprintf("the judges' verdict is %s", verdict.Ruling)
}

func crashReason(event segue.Event, crashes, allowed int) string {
	text := fmt.Sprintf("%s: %s went down", event.Server, event.Instance)
	if event.Failure != nil && event.Failure.Message != "" {
		text += ": " + event.Failure.Message
	}
	return fmt.Sprintf("%s (crashes: %d, allowed: %d)", text, crashes, allowed)
}
