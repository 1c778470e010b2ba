package cli

import (
	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newPause(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "pause",
		Short: "Let begun servers come to their end, and begin no further ones",
		Long: `Pause lets servers whose upgrade has begun come to its end, so that none is left out of rotation, and begins no further
ones. The mixed fleet may stay as it is for as long as you like; ` + "`segue resume`" + ` goes on, ` + "`segue abort`" + ` goes back.`,
		Example: `  segue pause --why "support sees odd tickets"`,
	}
	return newOrder(s, c, func() segue.Order { return segue.Order{Verb: segue.VerbPause} })
}
