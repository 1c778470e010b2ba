package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newAbort(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "abort",
		Short: "Give the candidate up: back to the stable release everywhere",
		Long: `Abort gives the candidate up. Every server goes back to the stable release by a fresh plan that is made from the fleet as
it is. A rollout that waits in the queue is taken out of it.`,
		Example: `  segue abort --why "orders are missing in the report"
  segue abort web --follow`,
	}
	return newOrder(s, c, func() segue.Order { return segue.Order{Verb: segue.VerbAbort} })
}
