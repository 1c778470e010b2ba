package cli

import "github.com/spf13/cobra"

// newShim is what the process driver starts for each instance; nobody types it.
func newShim(s *session) *cobra.Command {
	return &cobra.Command{
		Use:     "shim FOLDER",
		Short:   "Hold one instance of the process driver",
		Long:    "Shim holds one instance: starts it, restarts it when it crashes, keeps its log. The process driver starts it.",
		Example: `  segue shim .segue/instances/web-1.v2.7`,
		Hidden:  true,
		Args:    needs(1, 1, "the folder of an instance"),
		RunE:    func(c *cobra.Command, args []string) error { return s.d.Shim(c.Context(), args[0]) },
	}
}
