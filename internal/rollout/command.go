package rollout

import "github.com/segue-deploy/segue"

// Done is the event that a step command ended well.
func (c Command) Done(service segue.ServiceName, outcome segue.Outcome) segue.Event {
	event := c.event(service, segue.EventStepDone)
	event.Outcome = &outcome
	return event
}

// Failed is the event that a step or plan command ended badly.
func (c Command) Failed(service segue.ServiceName, err error) segue.Event {
	kind := segue.EventStepFailed
	if c.Kind == CommandPlan {
		kind = segue.EventPlanned
	}
	event := c.event(service, kind)
	event.Failure = segue.FailureOf(err)
	return event
}

// Judged is the event that the judges said something while the step observes.
func (c Command) Judged(service segue.ServiceName, verdict segue.Verdict) segue.Event {
	event := c.event(service, segue.EventVerdict)
	event.Verdict = &verdict
	return event
}

// Planned is the event that answers a plan command: the fresh plan.
func (c Command) Planned(service segue.ServiceName, plan segue.Plan) segue.Event {
	event := c.event(service, segue.EventPlanned)
	event.Plan = &plan
	return event
}

// PlannedFrom is Planned with the fleet that the plan was made from: from there on the rollout takes that for what is, save for servers
// that events told of meanwhile.
func (c Command) PlannedFrom(service segue.ServiceName, plan segue.Plan, fleet segue.Fleet) segue.Event {
	event := c.Planned(service, plan)
	event.Fleet = &fleet
	return event
}

// event names what is answered: an answer that does not match what is awaited is ignored.
func (c Command) event(service segue.ServiceName, kind segue.EventKind) segue.Event {
	return segue.Event{
		Kind: kind, Service: service, Rollout: c.Rollout, PlanNumber: c.Plan,
		Step: c.Step.ID, Attempt: c.Attempt, Server: c.Step.Server, Instance: c.Step.Instance,
	}
}
