package controller

import (
	"context"
	"fmt"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/strategy"
)

// Order gives an operator's order to the rollout that is meant. A rollback without an open rollout opens one to the previous release.
func (c *Controller) Order(ctx context.Context, req operator.OrderRequest) (operator.Rollout, error) {
	var id segue.RolloutID
	var over segue.ServiceName
	err := c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		state, err := meant(ledger, req)
		if err != nil {
			if name, ok := endedService(ledger, req); ok {
				over = name
				return nil, nil
			}
			return nil, err
		}
		if err := rollout.Accepts(*state, req.Order); err != nil {
			return nil, err
		}
		id = state.ID
		order := req.Order
		return []segue.Event{{Kind: segue.EventOrder, Service: state.Service, Rollout: state.ID, Order: &order}}, nil
	})
	if err != nil {
		return operator.Rollout{}, err
	}
	if over != "" {
		return c.rollBackTo(ctx, over, req.Order)
	}
	return c.Rollout(ctx, id)
}

// meant finds the open rollout that a request means; without a name there must be exactly one.
func meant(ledger *rollout.Ledger, req operator.OrderRequest) (*rollout.State, error) {
	var found []*rollout.State
	for name, s := range ledger.Services {
		if req.Service != "" && req.Service != name {
			continue
		}
		candidates := make([]*rollout.State, 0, 1+len(s.Queue))
		if s.Open != nil {
			candidates = append(candidates, s.Open)
		}
		if req.Rollout != 0 {
			for i := range s.Queue {
				candidates = append(candidates, &s.Queue[i])
			}
		}
		for _, state := range candidates {
			if req.Rollout == 0 || req.Rollout == state.ID {
				found = append(found, state)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, segue.Errorf(segue.KindInvalid, "%d rollouts are open", len(found)).WithHint("name the service: segue %s SERVICE", req.Order.Verb)
	case req.Rollout != 0:
		return nil, segue.Errorf(segue.KindConflict, "rollout %s is not open", req.Rollout).WithHint("see `segue history`")
	case req.Service != "":
		if _, ok := ledger.Services[req.Service]; !ok {
			return nil, segue.Errorf(segue.KindNotFound, "no service %q was ever deployed here", req.Service)
		}
		return nil, segue.Errorf(segue.KindConflict, "no rollout of %s is open", req.Service)
	default:
		return nil, segue.Errorf(segue.KindConflict, "no rollout is open")
	}
}

// endedService names the service whose last, ended rollout a rollback means.
func endedService(ledger *rollout.Ledger, req operator.OrderRequest) (segue.ServiceName, bool) {
	if req.Order.Verb != segue.VerbRollback || req.Rollout != 0 {
		return "", false
	}
	var name segue.ServiceName
	for each, s := range ledger.Services {
		if req.Service == "" && s.Open != nil || req.Service != "" && req.Service != each {
			continue
		}
		if name != "" {
			return "", false
		}
		name = each
	}
	return name, name != ""
}

// rollBackTo opens a rollout from what is stable to what was before, without observing on the way.
func (c *Controller) rollBackTo(ctx context.Context, name segue.ServiceName, order segue.Order) (operator.Rollout, error) {
	c.deploys.Lock()
	defer c.deploys.Unlock()
	v, err := c.viewOf(ctx, name)
	if err != nil {
		return operator.Rollout{}, err
	}
	switch {
	case len(order.Servers) > 0:
		return operator.Rollout{}, segue.Errorf(segue.KindConflict, "no rollout of %s is open: single servers can only be rolled back during one", name)
	case v.Previous.Name == "":
		return operator.Rollout{}, segue.Errorf(segue.KindRefused, "%s has no release to go back to", name).
			WithHint("the previous release's files are kept for rollback_window after a rollout; deploy it by name if its artifact is still there")
	}
	in := intent{settings: v.Settings, config: v.Config, candidate: v.Previous, known: true, view: v}
	if in.service, err = c.service(name, v.Config); err != nil {
		return operator.Rollout{}, err
	}
	if err := c.prepareService(ctx, &in); err != nil {
		return operator.Rollout{}, err
	}
	if in.fleet, err = c.observeFleet(ctx, in.service, in.settings, v.Fleet); err != nil {
		return operator.Rollout{}, err
	}
	in.plan, err = strategy.Plan(strategy.Request{
		Rollout: v.next, Service: in.settings, Fleet: in.fleet, Stable: v.Stable, Candidate: in.candidate, Goal: segue.GoalForward, Hurry: true,
	})
	if err != nil {
		return operator.Rollout{}, err
	}
	id, err := c.open(ctx, operator.DeployRequest{By: order.By, Why: nonEmpty(order.Why, "rollback to "+string(in.candidate.Name))}, in)
	if err != nil {
		return operator.Rollout{}, err
	}
	return c.Rollout(ctx, id)
}

// Rotate drains or admits a server by hand.
func (c *Controller) Rotate(ctx context.Context, req operator.RotationRequest) error {
	var s *service
	var slot segue.Slot
	var settings segue.Service
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for name, known := range ledger.Services {
			if req.Service != "" && req.Service != name {
				continue
			}
			if found, ok := known.Fleet.Slot(req.Server); ok && slot.Server.Name == "" {
				slot, settings = found, known.Settings
				s, _ = c.service(name, known.Config)
			}
		}
	})
	switch {
	case err != nil:
		return err
	case slot.Server.Name == "" || s == nil:
		return segue.Errorf(segue.KindNotFound, "no server %q", req.Server).WithHint("`segue status` lists them")
	case s.balancer == nil:
		return segue.Errorf(segue.KindUnsupported, "%s has no balancer", s.name)
	case slot.Instance.ID == "":
		return segue.Errorf(segue.KindConflict, "nothing runs on %s", req.Server)
	}
	if err := c.rotatable(ctx, s.name, settings, req); err != nil {
		return err
	}
	work := job{step: segue.Step{
		Kind: segue.StepDrain, Server: slot.Server.Name, Instance: slot.Instance.ID, Release: slot.Instance.Release,
	}, name: s.name, settings: settings, service: s, slot: slot}
	work.Since = now()
	rotation, do := segue.RotationDraining, c.drain
	if req.In {
		rotation, do = segue.RotationIn, c.admit
		work.step.Kind = segue.StepAdmit
	}
	if _, err := do(ctx, work); err != nil {
		return err
	}
	return c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) {
		return []segue.Event{{
			Kind: segue.EventRotation, Service: s.name, Server: req.Server, Instance: slot.Instance.ID, Rotation: rotation,
			Order: &segue.Order{By: req.By, Why: req.Why},
		}}, nil
	})
}

// rotatable keeps the capacity law for hands, too, and stays out of a rollout's way.
func (c *Controller) rotatable(ctx context.Context, name segue.ServiceName, settings segue.Service, req operator.RotationRequest) error {
	v, err := c.viewOf(ctx, name)
	if err != nil {
		return err
	}
	if open := v.Open; open != nil && open.Phase != segue.PhaseHeld && open.Phase != segue.PhasePaused {
		return segue.Errorf(segue.KindConflict, "%s is being rolled (rollout %s)", name, open.ID).WithHint("pause it first: segue pause %s", name)
	}
	if req.In {
		return nil
	}
	ready := 0
	for _, slot := range v.Fleet.Slots {
		if slot.Ready && slot.Rotation == segue.RotationIn && slot.Server.Name != req.Server {
			ready++
		}
	}
	if ready < settings.MinReady {
		return segue.Errorf(segue.KindRefused, "drain %s: %d of %s would be left in rotation, its minimum is %d", req.Server, ready, name, settings.MinReady).
			WithHint("lower min_ready, or bring another server back first")
	}
	return nil
}

func nonEmpty(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Shutdown asks the process to end.
func (c *Controller) Shutdown(ctx context.Context, force bool) error {
	open, err := c.Open(ctx)
	if err != nil {
		return err
	}
	if open > 0 && !force {
		return segue.Errorf(segue.KindConflict, "%d rollouts are open", open).
			WithHint("they would wait until a controller runs again; use --force if that is meant")
	}
	c.options.Stop()
	return nil
}

// Open counts the rollouts that have not ended, and those whose receipt is still being made.
func (c *Controller) Open(ctx context.Context) (int, error) {
	open := 0
	err := c.look(ctx, func(ledger *rollout.Ledger, _ int64) {
		for _, s := range ledger.Services {
			if s.Open != nil {
				open++
			}
			open += len(s.Queue)
		}
		open += len(c.preparing)
		for id := range c.monitors {
			if _, still := ledger.Rollout(id); !still {
				open++
			}
		}
	})
	if err != nil {
		return 0, fmt.Errorf("count open rollouts: %w", err)
	}
	return open, nil
}
