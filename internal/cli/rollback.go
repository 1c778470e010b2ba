package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

func newRollback(s *session) *cobra.Command {
	var flags orderFlags
	c := &cobra.Command{
		Use:   "rollback [SERVICE | SERVER...]",
		Short: "Go back to the release before, with all servers or some",
		Long: `Rollback takes servers back to the release before. During a rollout that is its stable release: named servers go back and
the rollout is then held with the fleet mixed; without a name, all of them do. When no rollout is open, a new one to the
previous release is opened, without observing on the way.`,
		Example: `  # the whole fleet, and follow it
  segue rollback --follow

  # one server that looks odd, while the rest stays
  segue rollback web-3 --why "errors only here"`,
		ValidArgsFunction: s.completeServicesAndServers,
		RunE: func(c *cobra.Command, args []string) error {
			req := api.OrderRequest{Order: segue.Order{Verb: segue.VerbRollback}}
			if len(args) > 0 {
				controller, done, err := s.connect(c.Context())
				if err != nil {
					return err
				}
				status, err := controller.Status(c.Context())
				done()
				if err != nil {
					return err
				}
				if req.Service, req.Order.Servers, err = orderServers(status, args); err != nil {
					return err
				}
			}
			return s.order(c.Context(), req, flags)
		},
	}
	flags.add(s, c)
	return c
}
