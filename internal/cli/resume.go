package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newResume(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "resume",
		Short: "Go on from a pause",
		Long: `Resume goes on from a pause. A rollout that is held because an observation ended without enough data looks again; one that
is held with servers rolled back by name goes forward again.`,
		Example: `  segue resume
  segue resume web --follow`,
	}
	return newOrder(s, c, func() segue.Order { return segue.Order{Verb: segue.VerbResume} })
}
