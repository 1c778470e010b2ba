package cli

import "github.com/spf13/cobra"

func newDemo(s *session) *cobra.Command {
	var keep bool
	var stop string
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a good rollout and a bad one, under load",
		Long: `Demo builds the example shop, runs four servers of it behind the proxy with synthetic users and a load, rolls it to a new
release, then tries a bad one and shows it being rolled back. It prints both receipts. It needs the source tree and Go.`,
		Example: `  segue demo
  segue demo --json
  segue demo --keep`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			o := DemoOptions{JSON: s.json, Keep: keep, Stop: stop, Stdio: Stdio{In: s.in, Out: s.out, Err: s.err}, Color: s.paint().color}
			if s.d.IsTerminal(s.out) {
				o.Width, _ = s.size()
			}
			return s.d.Demo(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave everything running, and say where")
	c.Flags().StringVar(&stop, "stop", "", "end the kept demonstration in this `folder`, instead")
	_ = c.MarkFlagDirname("stop") // the flag is there
	return c
}
