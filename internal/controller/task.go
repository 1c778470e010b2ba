package controller

import (
	"context"
	"errors"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/rollout"
)

// taskKey identifies a command: handed out twice, it is carried out once.
type taskKey struct {
	rollout segue.RolloutID
	plan    int
	step    segue.StepID
	kind    rollout.CommandKind
}

// task is a command being carried out.
type task struct {
	attempt int
	cancel  context.CancelCauseFunc
}

var errOvertaken = errors.New("overtaken by another decision")

// dispatch carries a command out, in a goroutine of its own.
func (c *Controller) dispatch(ctx context.Context, command rollout.Command) {
	key := taskKey{rollout: command.Rollout, plan: command.Plan, step: command.Step.ID, kind: command.Kind}
	if command.Kind == rollout.CommandCancel {
		key.kind = rollout.CommandStep
		if running, ok := c.tasks[key]; ok {
			running.cancel(errOvertaken)
			delete(c.tasks, key)
		}
		return
	}
	if running, ok := c.tasks[key]; ok && running.attempt >= command.Attempt {
		return
	}
	name, work, err := c.prepare(command)
	taskCtx, cancel := context.WithCancelCause(ctx)
	started := &task{attempt: command.Attempt, cancel: cancel}
	c.tasks[key] = started
	c.running.Go(func() {
		defer cancel(nil)
		var events []segue.Event
		if err != nil {
			events = []segue.Event{command.Failed(name, err)}
		} else {
			events = work(taskCtx)
		}
		if len(events) == 0 || taskCtx.Err() != nil {
			return
		}
		c.postDone(ctx, key, started, events)
	})
}

// postDone hands the outcome over and forgets the task, in one message, so that an order of events is an order of facts.
func (c *Controller) postDone(ctx context.Context, key taskKey, done *task, events []segue.Event) {
	m := message{decide: func(*rollout.Ledger) ([]segue.Event, error) {
		if c.tasks[key] != done {
			return nil, nil
		}
		delete(c.tasks, key)
		return events, nil
	}}
	select {
	case c.mail <- m:
	case <-ctx.Done():
	}
}

// prepare looks up, in the loop, all that the command needs, and gives the work to do outside it.
func (c *Controller) prepare(command rollout.Command) (segue.ServiceName, func(context.Context) []segue.Event, error) {
	state, ok := c.ledger.Rollout(command.Rollout)
	if !ok {
		return "", nil, segue.Errorf(segue.KindFault, "rollout %s is not open", command.Rollout)
	}
	if command.Kind == rollout.CommandPlan {
		name := state.Service
		return name, func(ctx context.Context) []segue.Event { return c.replan(ctx, name, command) }, nil
	}
	ledger := c.ledger.Services[state.Service]
	opened, err := c.service(state.Service, ledger.Config)
	if err != nil {
		return state.Service, nil, err
	}
	slot, _ := state.Slot(command.Step.Server)
	release := ledger.Releases[command.Step.Release]
	work := job{
		Command: command, step: command.Step, name: state.Service, settings: state.Settings,
		service: opened, release: release, slot: slot, stable: state.Stable.Name,
	}
	monitor := c.monitors[command.Rollout]
	repair := c.repairs[repairKey{service: work.name, server: command.Step.Server}]
	return work.name, func(ctx context.Context) []segue.Event {
		if repair != nil {
			select {
			case <-repair:
			case <-ctx.Done():
				return nil
			}
		}
		return c.carry(ctx, work, monitor)
	}, nil
}

// carry waits until the attempt may begin, carries the step out and says how it went.
func (c *Controller) carry(ctx context.Context, work job, monitor *monitor) []segue.Event {
	if monitor != nil {
		select {
		case <-monitor.begun:
		case <-ctx.Done():
			return nil
		}
	}
	if pause := time.Until(work.NotBefore); pause > 0 {
		if wait(ctx, pause) != nil {
			return nil
		}
	}
	result, err := c.carryStep(ctx, work, monitor)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		c.log.WarnContext(ctx, "step failed", "rollout", work.Rollout, "step", work.step.ID, "kind", work.step.Kind, "server", work.step.Server, "attempt", work.Attempt, "error", err)
		return []segue.Event{work.Failed(work.name, err)}
	case result.verdict != nil:
		return []segue.Event{work.Judged(work.name, *result.verdict)}
	case result.outcome != nil:
		return []segue.Event{work.Done(work.name, *result.outcome)}
	default:
		return nil
	}
}

// result is what a step came to: an outcome, a verdict, or, with neither, something that somebody else reports (a person).
type result struct {
	outcome *segue.Outcome
	verdict *segue.Verdict
}

// carryStep is the one table from the vocabulary to what is done.
func (c *Controller) carryStep(ctx context.Context, work job, monitor *monitor) (result, error) {
	carry := func(do func(context.Context, job) (*segue.Outcome, error)) (result, error) {
		outcome, err := do(ctx, work)
		return result{outcome: outcome}, err
	}
	switch work.step.Kind {
	case segue.StepStart:
		return carry(c.start)
	case segue.StepAwaitReady:
		return carry(c.awaitReady)
	case segue.StepStop:
		return carry(c.stop)
	case segue.StepDrain:
		return carry(c.drain)
	case segue.StepAdmit:
		return carry(c.admit)
	case segue.StepMaintenance:
		return carry(c.maintenance)
	case segue.StepHold, segue.StepUnhold:
		return carry(c.hold)
	case segue.StepObserve:
		if monitor == nil {
			return result{}, segue.Errorf(segue.KindUnavailable, "observe: the service's drivers cannot be opened").
				WithHint("see the controller's log")
		}
		verdict, err := monitor.observe(ctx, c, work)
		return result{verdict: verdict}, err
	case segue.StepApprove:
		return result{}, nil
	case segue.StepFinalize:
		return carry(c.finalize)
	case segue.StepExpand, segue.StepBackfill, segue.StepContract:
		outcome, err := c.database(ctx, work, monitor)
		return result{outcome: outcome}, err
	case segue.StepMirror:
		outcome, err := c.mirror(ctx, work, monitor)
		return result{outcome: outcome}, err
	case segue.StepWeigh:
		return result{}, segue.Errorf(segue.KindUnsupported, "step %s is not supported by this version", work.step.Kind)
	default:
		return result{}, segue.Errorf(segue.KindUnsupported, "step %q is not known to this version", work.step.Kind)
	}
}
