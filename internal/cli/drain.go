package cli

import "github.com/spf13/cobra"

func newDrain(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "drain",
		Short: "Take a server out of rotation and wait for its requests",
		Long: `Drain takes a server out of rotation by hand: it gets nothing new, and the command ends when what it was doing has come to
its end, or at the drain deadline. Its instance goes on running. It is refused where fewer servers than the service's
minimum would be left.`,
		Example: `  segue drain web-3 --why "replace its disk"`,
	}
	return newRotate(s, c, false)
}
