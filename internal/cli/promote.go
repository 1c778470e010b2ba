package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newPromote(s *session) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "promote",
		Short: "End the present observation or hold, and go on",
		Long: `Promote ends the present observation, or a hold, and lets the rollout go on. After a gate has failed it overrules the
gate; that is kept on record with who and why.`,
		Example: `  # enough seen
  segue promote --why "looks good since noon"

  # and do not observe again until the end
  segue promote web --all`,
	}
	newOrder(s, c, func() segue.Order { return segue.Order{Verb: segue.VerbPromote, All: all} })
	c.Flags().BoolVar(&all, "all", false, "leave out every later observation, too")
	return c
}
