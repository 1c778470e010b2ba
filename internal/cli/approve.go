package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newApprove(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "approve",
		Short: "Say the yes that a rollout waits for",
		Long:  "Approve says a person's yes where the strategy asks for one. It is kept on record with who and why.",
		Example: `  segue approve --why "change request 4711"
  segue approve web --follow`,
	}
	return newOrder(s, c, func() segue.Order { return segue.Order{Verb: segue.VerbApprove} })
}
