package cli

import "github.com/spf13/cobra"

func newProxy(s *session) *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Run the embedded balancer",
		Long: `Proxy runs the embedded balancer of a state directory: the data plane for those who have no balancer of their own. The
controller starts one where the project asks for it, and configures it over its own socket. It serves its last
configuration on when the controller is away.`,
		Example:           `  segue proxy --state /var/lib/segue`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			state, err := s.stateDir()
			if err != nil {
				return err
			}
			return s.d.Proxy(c.Context(), ProxyOptions{State: state, Logger: s.logger(verbose)})
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	return c
}
