package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/strategy"
	"github.com/segue-deploy/segue/internal/workload"
)

// intent is what a deploy means for one service: everything looked at, nothing changed.
type intent struct {
	wanted    wanted
	settings  segue.Service
	config    segue.Digest
	candidate segue.Release
	known     bool // the candidate is registered already
	view      view
	fleet     segue.Fleet
	plan      segue.Plan
	service   *service
	outlooks  []outlook
}

// Plan says what Deploy would do. It stages nothing and opens nothing; configurations are stored (they are known by their content alone).
func (c *Controller) Plan(ctx context.Context, req operator.DeployRequest) (operator.PlanReply, error) {
	c.deploys.Lock()
	defer c.deploys.Unlock()
	intents, err := c.intend(ctx, req, false)
	if err != nil {
		return operator.PlanReply{}, err
	}
	reply := operator.PlanReply{Plans: make([]operator.ServicePlan, 0, len(intents))}
	for _, in := range intents {
		reply.Index = max(reply.Index, in.view.Index)
		checks, err := c.databaseChecks(ctx, in.outlooks, question{service: in.settings.Name, candidate: in.candidate.Name})
		if err != nil {
			return reply, err
		}
		reply.Plans = append(reply.Plans, operator.ServicePlan{
			Plan: in.plan, Lines: strategy.Describe(in.plan), Forecast: c.forecast(ctx, in), Databases: checks,
		})
	}
	return reply, nil
}

// Deploy opens a rollout for every service that has something to do.
func (c *Controller) Deploy(ctx context.Context, req operator.DeployRequest) (operator.DeployReply, error) {
	c.deploys.Lock()
	defer c.deploys.Unlock()
	intents, err := c.intend(ctx, req, true)
	if err != nil {
		return operator.DeployReply{}, err
	}
	reply := operator.DeployReply{Rollouts: []operator.Rollout{}}
	var opened []segue.RolloutID
	for _, in := range intents {
		id, notes, err := c.begin(ctx, req, in)
		if err != nil {
			return reply, err
		}
		reply.Notes = append(reply.Notes, notes...)
		if id != 0 {
			opened = append(opened, id)
		}
	}
	for _, id := range opened {
		r, err := c.Rollout(ctx, id)
		if err != nil {
			return reply, err
		}
		reply.Rollouts = append(reply.Rollouts, r)
	}
	return reply, nil
}

// begin opens what is intended for one service, or says why there is nothing to open. What changes in the fleet while a plan for it is made, such as a step
// of a rollout that is to be replaced, lets the plan be made again; whoever asked for a certain plan gets that or none.
func (c *Controller) begin(ctx context.Context, req operator.DeployRequest, in intent) (segue.RolloutID, []string, error) {
	for try := 1; ; try++ {
		if joined, note, err := c.joinRunning(ctx, req, in); err != nil || joined {
			return 0, []string{note}, err
		}
		if in.plan.Empty() && in.view.Open == nil {
			return 0, in.plan.Notes, nil
		}
		id, err := c.open(ctx, req, in)
		if !errors.Is(err, errChanged) || req.Plan > 0 || try == mostPlans {
			return id, nil, err
		}
		if in, err = c.intendOne(ctx, req, in.wanted, true); err != nil {
			return 0, nil, err
		}
	}
}

// intend turns a request into intents. With prepare, balancers are configured and artifacts staged, so that nothing can be missing later.
func (c *Controller) intend(ctx context.Context, req operator.DeployRequest, prepare bool) ([]intent, error) {
	if len(req.Targets) == 0 {
		return nil, segue.Errorf(segue.KindInvalid, "deploy: no release named").WithHint("segue deploy v2, or segue deploy web=v2")
	}
	wanted, err := c.wanted(ctx, req)
	if err != nil {
		return nil, err
	}
	intents := make([]intent, 0, len(wanted))
	for _, want := range wanted {
		in, err := c.intendOne(ctx, req, want, prepare)
		if err != nil {
			return nil, err
		}
		intents = append(intents, in)
	}
	return intents, nil
}

func (c *Controller) intendOne(ctx context.Context, req operator.DeployRequest, want wanted, prepare bool) (intent, error) {
	in := intent{wanted: want, settings: want.settings, candidate: want.release}
	var err error
	if in.config, err = c.options.Configs.Put(want.config); err != nil {
		return in, err
	}
	if in.service, err = c.service(want.settings.Name, in.config); err != nil {
		return in, err
	}
	if in.view, err = c.viewOf(ctx, want.settings.Name); err != nil {
		return in, err
	}
	if err := c.identify(ctx, &in); err != nil {
		return in, err
	}
	if err := in.admissible(req); err != nil {
		return in, err
	}
	if prepare {
		if err := c.prepareService(ctx, &in); err != nil {
			return in, err
		}
	}
	if in.fleet, err = c.fleetFor(ctx, in, prepare); err != nil {
		return in, err
	}
	if open := in.view.Open; open != nil && (req.Queue || open.Candidate.Name != in.candidate.Name) {
		in.plan = segue.Plan{
			Service: in.settings.Name, Goal: segue.GoalForward, To: in.candidate.Name, Index: in.fleet.Index,
			Notes: []string{fmt.Sprintf("%s: planned when rollout %s (to %s) has ended", in.settings.Name, open.ID, open.Candidate.Name)},
		}
		return in, nil
	}
	return in, c.planForward(ctx, req, &in)
}

// planForward plans the rollout, with what its databases need.
func (c *Controller) planForward(ctx context.Context, req operator.DeployRequest, in *intent) error {
	if why := in.view.Barred[in.candidate.Name]; why != "" {
		return segue.Errorf(segue.KindRefused, "%s %s cannot work with the database any more: %s", in.settings.Name, in.candidate.Name, why).
			WithHint("deploy a release that can, or restore the database from a backup of that time")
	}
	var err error
	in.outlooks, err = c.outlooks(ctx, in.service.databases, question{
		service: in.settings.Name, candidate: in.candidate.Name, stable: in.view.Stable.Name, carry: req.Carry,
	})
	if err != nil {
		return err
	}
	work, notes, refused := workOf(in.outlooks)
	if refused != nil {
		return refused
	}
	in.plan, err = strategy.Plan(strategy.Request{
		Rollout: in.view.next, Service: in.settings, Fleet: in.fleet, Stable: in.view.Stable,
		Candidate: in.candidate, Goal: segue.GoalForward, Hurry: req.Hurry, Work: work,
	})
	in.plan.Notes = append(in.plan.Notes, notes...)
	return err
}

// fleetFor observes the fleet. A plan that is only shown must not need a balancer that has not been started yet, or that has not heard
// of the service yet.
func (c *Controller) fleetFor(ctx context.Context, in intent, prepare bool) (segue.Fleet, error) {
	fleet, err := c.observeFleet(ctx, in.service, in.settings, in.view.Fleet)
	kind := segue.KindOf(err)
	if err == nil || prepare || in.view.Stable.Name != "" || kind != segue.KindUnavailable && kind != segue.KindNotFound {
		return fleet, err
	}
	unbalanced := *in.service
	unbalanced.balancer = nil
	return c.observeFleet(ctx, &unbalanced, in.settings, in.view.Fleet)
}

// identify finds out which release is meant: by its artifact, or, where that is gone, by what was registered under the name. The same name
// with another digest is refused.
func (c *Controller) identify(ctx context.Context, in *intent) error {
	known, registered := in.view.Releases[in.candidate.Name]
	config, err := c.workloadConfig(in.config)
	if err != nil {
		return err
	}
	before := known.Digest
	if !registered {
		before = in.view.Retired[in.candidate.Name]
	}
	digest, artifact, err := in.service.workload.Digest(ctx, config, in.candidate.Name)
	switch {
	case err != nil && registered && segue.KindOf(err) == segue.KindNotFound:
		in.candidate, in.known = known, true
		return nil
	case err != nil:
		return fmt.Errorf("release %s of %s: %w", in.candidate.Name, in.settings.Name, err)
	case before != "" && before != digest:
		return segue.Errorf(segue.KindRefused, "release %s of %s is already known as %s, and the artifact %s is now %s: a release is immutable",
			in.candidate.Name, in.settings.Name, before.Short(), artifact, digest.Short()).
			WithHint("give the new build a name of its own")
	case registered:
		in.candidate, in.known = known, true
		return nil
	}
	in.candidate.Service, in.candidate.Digest, in.candidate.Artifact, in.candidate.Config = in.settings.Name, digest, artifact, in.config
	return nil
}

// admissible refuses what may not be opened now: a third release, a stale plan.
func (in *intent) admissible(req operator.DeployRequest) error {
	if req.Plan > 0 && in.view.Index > req.Plan {
		return segue.Errorf(segue.KindConflict, "the fleet of %s has changed since plan %d (now %d)", in.settings.Name, req.Plan, in.view.Index).
			WithHint("look at a fresh plan with `segue plan`")
	}
	open := in.view.Open
	if open == nil || req.Replace || req.Queue || open.Candidate.Name == in.candidate.Name {
		return nil
	}
	return segue.Errorf(segue.KindRefused, "%s is being rolled from %s to %s (rollout %s): %s would be a third release",
		in.settings.Name, nameOr(open.Stable.Name, "nothing"), open.Candidate.Name, open.ID, in.candidate.Name).
		WithHint("use --replace to make %s the candidate instead, or --queue to wait", in.candidate.Name)
}

// prepareService makes sure that everything the rollout needs is there before anything is touched.
func (c *Controller) prepareService(ctx context.Context, in *intent) error {
	if in.service.balancer != nil {
		if err := in.service.balancer.Configure(ctx); err != nil {
			err = fmt.Errorf("configure balancer of %s: %w", in.settings.Name, err)
			if segue.KindOf(err) == segue.KindConflict {
				// Somebody else's port is no gate of ours that said no.
				err = &segue.Error{Kind: segue.KindUnavailable, Cause: err}
			}
			return err
		}
	}
	config, err := c.workloadConfig(in.candidate.Config)
	if err != nil {
		return err
	}
	if err := in.service.workload.Stage(ctx, config, in.candidate); err != nil {
		return fmt.Errorf("stage release %s of %s: %w", in.candidate.Name, in.settings.Name, err)
	}
	if checker, ok := in.service.workload.(workload.Checker); ok {
		if err := checker.Check(ctx, config, in.candidate); err != nil {
			return fmt.Errorf("check release %s of %s: %w", in.candidate.Name, in.settings.Name, err)
		}
	}
	return nil
}

// joinRunning handles a deploy of what is being rolled already: servers that were added to the file join with stable, removed ones leave; else there
// is nothing to do.
func (c *Controller) joinRunning(ctx context.Context, req operator.DeployRequest, in intent) (bool, string, error) {
	open := in.view.Open
	if open == nil || open.Candidate.Name != in.candidate.Name || req.Queue {
		return false, "", nil
	}
	events := membership(open.Settings.Servers, in.settings.Servers, in.settings.Name)
	note := fmt.Sprintf("%s: rollout %s to %s is under way already", in.settings.Name, open.ID, open.Candidate.Name)
	if len(events) == 0 {
		return true, note, nil
	}
	settings := in.settings
	events = append([]segue.Event{{Kind: segue.EventServiceConfigured, Service: settings.Name, Settings: &settings, Config: in.config}}, events...)
	err := c.decide(ctx, func(*rollout.Ledger) ([]segue.Event, error) { return events, nil })
	return true, note + fmt.Sprintf("; %d servers joined or left it", len(events)-1), err
}

// membership is the difference between two lists of servers, as events.
func membership(before, after []segue.Server, service segue.ServiceName) []segue.Event {
	var events []segue.Event
	for _, server := range after {
		if !slices.Contains(before, server) {
			events = append(events, segue.Event{Kind: segue.EventServerJoined, Service: service, Server: server.Name, Partition: server.Partition})
		}
	}
	for _, server := range before {
		if !slices.ContainsFunc(after, func(s segue.Server) bool { return s.Name == server.Name }) {
			events = append(events, segue.Event{Kind: segue.EventServerLeft, Service: service, Server: server.Name, Partition: server.Partition})
		}
	}
	return events
}

// mostPlans is how often a fleet that keeps changing is planned for.
const mostPlans = 10

var errChanged = errors.New("the fleet changed while it was planned for")

// open writes the opening, unless the fleet has changed since it was looked at.
func (c *Controller) open(ctx context.Context, req operator.DeployRequest, in intent) (segue.RolloutID, error) {
	var id segue.RolloutID
	err := c.decide(ctx, func(ledger *rollout.Ledger) ([]segue.Event, error) {
		if known, ok := ledger.Services[in.settings.Name]; ok && known.Index != in.view.Index {
			return nil, segue.Errorf(segue.KindConflict, "deploy %s: %w", in.settings.Name, errChanged).WithHint("try again")
		}
		id = ledger.Next()
		return in.opening(id, req), nil
	})
	return id, err
}

// opening lists the events that begin a rollout.
func (in *intent) opening(id segue.RolloutID, req operator.DeployRequest) []segue.Event {
	settings, candidate := in.settings, in.candidate
	var events []segue.Event
	if in.view.Open == nil {
		events = append(events, segue.Event{Kind: segue.EventServiceConfigured, Service: settings.Name, Settings: &settings, Config: in.config})
	}
	if !in.known {
		events = append(events, segue.Event{Kind: segue.EventReleaseRegistered, Service: settings.Name, Release: &candidate})
	}
	opening := &segue.Opening{
		Settings: settings, Stable: in.view.Stable, Candidate: candidate, Fleet: in.fleet, Plan: in.plan,
		By: req.By, Why: req.Why,
	}
	if open := in.view.Open; open != nil {
		opening.Queued = true
		if req.Replace {
			events = append(events, segue.Event{
				Kind: segue.EventOrder, Service: settings.Name, Rollout: open.ID,
				Order: &segue.Order{Verb: segue.VerbAbort, By: req.By, Why: fmt.Sprintf("replaced by %s", candidate.Name)},
			})
		}
	}
	return append(events, segue.Event{Kind: segue.EventOpened, Service: settings.Name, Rollout: id, Opening: opening})
}

// replan answers a plan command: the fleet as it is, and a fresh plan from there.
func (c *Controller) replan(ctx context.Context, name segue.ServiceName, command rollout.Command) []segue.Event {
	if pause := time.Until(command.NotBefore); pause > 0 && wait(ctx, pause) != nil {
		return nil
	}
	plan, fleet, err := c.planFor(ctx, name, command)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		c.log.WarnContext(ctx, "plan failed", "rollout", command.Rollout, "goal", command.Goal, "error", err)
		return []segue.Event{command.Failed(name, err)}
	}
	return []segue.Event{command.PlannedFrom(name, plan, fleet)}
}

func (c *Controller) planFor(ctx context.Context, name segue.ServiceName, command rollout.Command) (segue.Plan, segue.Fleet, error) {
	v, err := c.viewOf(ctx, name)
	if err != nil {
		return segue.Plan{}, segue.Fleet{}, err
	}
	if v.Open == nil || v.Open.ID != command.Rollout {
		return segue.Plan{}, segue.Fleet{}, segue.Errorf(segue.KindConflict, "rollout %s is over", command.Rollout)
	}
	s, err := c.service(name, v.Config)
	if err != nil {
		return segue.Plan{}, segue.Fleet{}, err
	}
	fleet, err := c.observeFleet(ctx, s, v.Open.Settings, v.Fleet)
	if err != nil {
		return segue.Plan{}, segue.Fleet{}, err
	}
	work, notes, err := c.workAnew(ctx, s, v.Open, command.Goal)
	if err != nil {
		return segue.Plan{}, fleet, err
	}
	plan, err := strategy.Plan(strategy.Request{
		Work: work, Rollout: command.Rollout, Plan: command.Plan, Service: v.Open.Settings, Fleet: fleet, Stable: v.Open.Stable, Candidate: v.Open.Candidate,
		Goal: command.Goal, Servers: command.Servers, Observed: command.Observed, Hurry: command.Hurry, Mirroring: command.Mirroring,
	})
	plan.Notes = append(plan.Notes, notes...)
	return plan, fleet, err
}

// workAnew says what is left of a rollout's database work. A rollback to an earlier release brings no work: its migrations are done.
func (c *Controller) workAnew(ctx context.Context, s *service, open *rollout.State, goal segue.Goal) ([]segue.Work, []string, error) {
	if goal != segue.GoalForward {
		return nil, nil, nil
	}
	outlooks, err := c.outlooks(ctx, s.databases, question{
		service: s.name, candidate: open.Candidate.Name, stable: open.Stable.Name, carry: true,
	})
	work, notes, _ := workOf(outlooks)
	return work, notes, err
}

func nameOr(name segue.ReleaseName, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return string(name)
}
