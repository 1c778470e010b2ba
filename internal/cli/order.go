package cli

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// orderFlags are those of every command that gives an order.
type orderFlags struct {
	by, why string
	rollout int64
	follow  bool
}

func (o *orderFlags) add(s *session, c *cobra.Command) {
	addBy(s, c, &o.by, &o.why)
	c.Flags().Int64Var(&o.rollout, "rollout", 0, "`number` of the rollout, where a service's name does not say which")
	c.Flags().BoolVar(&o.follow, "follow", false, "go on following the rollout to its end, as deploy does")
	_ = c.RegisterFlagCompletionFunc("rollout", s.completeRollouts) // the flag is there
}

// addBy adds the flags that say who wants something and why.
func addBy(s *session, c *cobra.Command, by, why *string) {
	c.Flags().StringVar(by, "by", s.user(), "the `name` of who wants it, for the record (default: you)")
	c.Flags().StringVar(why, "why", "", "the `reason` why it is wanted, for the record")
	c.Flags().Lookup("by").DefValue = "" // who that is does not belong into the help
}

// newOrder makes a command that gives one order to the rollout of a service.
func newOrder(s *session, c *cobra.Command, order func() segue.Order) *cobra.Command {
	var flags orderFlags
	c.Use += " [SERVICE]"
	c.Args = needs(0, 1, "one service")
	c.ValidArgsFunction = s.completeServices
	flags.add(s, c)
	c.RunE = func(c *cobra.Command, args []string) error {
		req := api.OrderRequest{Order: order()}
		if len(args) > 0 {
			req.Service = segue.ServiceName(args[0])
		}
		return s.order(c.Context(), req, flags)
	}
	return c
}

// order gives an order, and says where the rollout then stands.
func (s *session) order(ctx context.Context, req api.OrderRequest, flags orderFlags) error {
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	req.Rollout, req.Order.By, req.Order.Why = segue.RolloutID(flags.rollout), flags.by, flags.why
	// What happens from here on is followed, the order's own effects included.
	var from int64
	if flags.follow {
		status, err := controller.Status(ctx)
		if err != nil {
			return err
		}
		from = status.Index + 1
	}
	rollout, err := controller.Order(ctx, req)
	if err != nil {
		return err
	}
	if flags.follow {
		return s.follow(ctx, controller, following{ids: []segue.RolloutID{rollout.ID}, from: from, stayWhenHeld: false})
	}
	if s.json {
		return s.writeJSON(rollout)
	}
	s.say(printable(rollout.Sentence))
	if !rollout.Phase.Over() {
		s.print("%s", s.paint().faint("Follow it with "+s.command("status", "--watch")))
	}
	return nil
}

// orderServers sorts the arguments of rollback into a service or servers.
func orderServers(status api.Status, args []string) (segue.ServiceName, []segue.ServerName, error) {
	if len(args) == 1 && slices.ContainsFunc(status.Services, func(s api.ServiceStatus) bool { return string(s.Name) == args[0] }) {
		return segue.ServiceName(args[0]), nil, nil
	}
	var service segue.ServiceName
	servers := make([]segue.ServerName, 0, len(args))
	for _, arg := range args {
		at := slices.IndexFunc(status.Services, func(s api.ServiceStatus) bool {
			_, ok := s.Fleet.Slot(segue.ServerName(arg))
			return ok
		})
		if at < 0 {
			return "", nil, segue.Errorf(segue.KindNotFound, "no service and no server is called %q", arg).WithHint("`segue status` lists them")
		}
		if of := status.Services[at].Name; service != "" && of != service {
			return "", nil, segue.Errorf(segue.KindInvalid, "%s and %s are of different services, %s and %s", servers[0], arg, service, of).
				WithHint("name the servers of one service at a time")
		}
		service = status.Services[at].Name
		servers = append(servers, segue.ServerName(arg))
	}
	return service, servers, nil
}

// aboutRollout is for commands that name one rollout, or mean the latest.
func (s *session) aboutRollout(c *cobra.Command, args []string, do func(api.Controller, segue.RolloutID) error) error {
	id, err := rolloutArgument(c, args)
	if err != nil {
		return err
	}
	return s.with(c.Context(), func(controller api.Controller) error { return do(controller, id) })
}

// rolloutArgument reads the number of a rollout; none is 0, the latest.
func rolloutArgument(c *cobra.Command, args []string) (segue.RolloutID, error) {
	if len(args) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || n < 1 {
		return 0, usage(c, "%q is no number of a rollout", args[0])
	}
	return segue.RolloutID(n), nil
}
