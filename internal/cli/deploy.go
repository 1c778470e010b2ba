package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// deployFlags are deploy's own.
type deployFlags struct {
	plan                  int64
	replace, queue, hurry bool
	detach, carry         bool
	by, why               string
}

func newDeploy(s *session) *cobra.Command {
	var flags deployFlags
	c := &cobra.Command{
		Use:   "deploy {RELEASE | SERVICE=RELEASE...}",
		Short: "Go to a release, one server at a time, and prove that nothing was lost",
		Long: `Deploy rolls services to a release. On a terminal it shows the plan and asks first; elsewhere it needs --yes. Then it
follows the rollouts live until all have ended, prints their receipts and, as the last line, the end state in one sentence.

The rollout does not need this command to stay: Ctrl-C asks whether to leave it running, pause it or abort it, and
` + "`segue status --watch`" + ` shows it again. A release that fails a gate is rolled back by itself.

Exit codes: 0 done; 10 held, waiting for a person; 11 rolled back; 12 refused; 13 ended mixed. Of several services the
worst counts.`,
		Example: `  # every service that has this release
  segue deploy v2

  # two services, each to its own release, from a script
  segue deploy web=v2 worker=v7 --yes --by ci --why "change request 4711"

  # exactly the plan that was shown, or nothing
  segue deploy v2 --plan 118`,
		Args:              needs(1, -1, "a release, or SERVICE=RELEASE"),
		ValidArgsFunction: s.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return s.deploy(c, args, flags) },
	}
	f := c.Flags()
	f.Int64Var(&flags.plan, "plan", 0, "`index` of the plan that was shown: refuse if the fleet has changed since")
	f.BoolVar(&flags.replace, "replace", false, "take the place of the candidate that is being rolled")
	f.BoolVar(&flags.queue, "queue", false, "wait for the rollout that is open")
	f.BoolVar(&flags.hurry, "hurry", false, "leave out observations")
	f.BoolVar(&flags.carry, "carry", false, "leave contract steps of the database that must wait owed, instead of refusing")
	f.BoolVarP(&flags.detach, "detach", "d", false, "do not follow it")
	addBy(s, c, &flags.by, &flags.why)
	return c
}

func (s *session) deploy(c *cobra.Command, args []string, flags deployFlags) error {
	req, err := s.deployRequest(c, args, flags)
	if err != nil {
		return err
	}
	ctx := c.Context()
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	if !s.yes {
		if yes, err := s.confirmPlan(ctx, controller, &req); err != nil || !yes {
			return err
		}
	}
	before, err := controller.Status(ctx)
	if err != nil {
		return err
	}
	reply, err := controller.Deploy(ctx, req)
	if err != nil {
		return err
	}
	f := following{from: before.Index + 1, notes: reply.Notes, stayWhenHeld: s.interactive() && !s.yes}
	for _, rollout := range reply.Rollouts {
		f.ids = append(f.ids, rollout.ID)
	}
	if len(f.ids) < len(req.Targets) || len(f.ids) == 0 {
		if f.ids, err = s.underWay(ctx, controller, req.Targets, f.ids); err != nil {
			return err
		}
	}
	if flags.detach || len(f.ids) == 0 {
		return s.reportOpened(ctx, controller, f)
	}
	return s.follow(ctx, controller, f)
}

// deployRequest checks everything that can be checked before a controller is asked.
func (s *session) deployRequest(c *cobra.Command, args []string, flags deployFlags) (api.DeployRequest, error) {
	req := api.DeployRequest{Plan: flags.plan, Replace: flags.replace, Queue: flags.queue, Hurry: flags.hurry, Carry: flags.carry, By: flags.by, Why: flags.why}
	switch {
	case flags.plan < 0:
		return req, usage(c, "--plan %d is no index of a plan", flags.plan)
	case flags.replace && flags.queue:
		return req, usage(c, "--replace and --queue do not go together")
	}
	project, wire, err := s.project()
	if err != nil {
		return req, err
	}
	req.Project = wire
	if req.Targets, err = targets(c, args, project); err != nil {
		return req, err
	}
	if !s.yes && !s.interactive() {
		return req, segue.Errorf(segue.KindInvalid, "deploy asks before it goes, and there is no terminal to ask on").
			WithHint("look at `segue plan`, then add --yes")
	}
	return req, nil
}

// confirmPlan shows the plan and asks. What is then deployed is what was shown.
func (s *session) confirmPlan(ctx context.Context, controller api.Controller, req *api.DeployRequest) (bool, error) {
	reply, err := controller.Plan(ctx, *req)
	if err != nil {
		return false, err
	}
	s.showPlan(reply)
	if !planned(reply) {
		// The controller says what there is to say about it.
		return true, nil
	}
	if req.Plan == 0 {
		req.Plan = reply.Index
	}
	interrupts, release := s.d.Interrupts()
	defer release()
	s.print("")
	answer, ok := s.ask(ctx, "Go? [y/N] ", interrupts)
	if ok && (answer == "y" || answer == "yes") {
		return true, nil
	}
	s.print("Nothing was done.")
	s.code = 1
	return false, nil
}

// underWay adds the open rollouts that lead where a deploy wants to go already.
func (s *session) underWay(ctx context.Context, controller api.Controller, to []api.Target, ids []segue.RolloutID) ([]segue.RolloutID, error) {
	status, err := controller.Status(ctx)
	if err != nil {
		return ids, err
	}
	for _, service := range status.Services {
		open := service.Rollout
		if open == nil || slices.Contains(ids, open.ID) {
			continue
		}
		for _, target := range to {
			if open.Candidate == target.Release && (target.Service == "" || target.Service == service.Name) {
				ids = append(ids, open.ID)
				break
			}
		}
	}
	return ids, nil
}

// reportOpened ends a deploy that follows nothing: detached, or with nothing to do.
func (s *session) reportOpened(ctx context.Context, controller api.Controller, f following) error {
	result := deployment{Rollouts: []deployed{}, Notes: f.notes}
	for _, id := range f.ids {
		rollout, err := controller.Rollout(ctx, id)
		if err != nil {
			return err
		}
		result.Rollouts = append(result.Rollouts, deployed{Rollout: rollout})
	}
	result.Sentence = "Nothing to do."
	if len(f.ids) > 0 {
		result.Sentence = sentences(result.Rollouts)
	}
	if s.json {
		return s.writeJSON(result)
	}
	for _, note := range f.notes {
		s.print("%s", printable(note))
	}
	if len(f.ids) > 0 {
		s.print("It goes on without this command. Follow it with %s", s.paint().strong(s.command("status", "--watch")))
	}
	s.say(result.Sentence)
	return nil
}
