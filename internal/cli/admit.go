package cli

import "github.com/spf13/cobra"

func newAdmit(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:     "admit",
		Short:   "Put a server back into rotation",
		Long:    "Admit puts a server back into rotation that was taken out by hand, or that a rollout left out.",
		Example: `  segue admit web-3`,
	}
	return newRotate(s, c, true)
}
