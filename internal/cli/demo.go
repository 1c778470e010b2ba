package cli

import "github.com/spf13/cobra"

func newDemo(s *session) *cobra.Command {
	var keep bool
	var stop, database string
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: good rollouts and bad ones, code and database together, under load",
		Long: `Demo builds the example shop, runs four servers of it behind the proxy with synthetic users and a load, and rolls it to a new
release that keeps a customer's name in two parts: the database is expanded and filled first, under load. Then it tries to go on to
the release that drops the old column, and is refused, since v1 may still come back; tries a slow release, which is rolled back, and
one with errors, which answers to copied requests give away before it has a user; and drops the column once nothing needs it. It prints the receipts. It needs the source tree and Go.

With --database postgres it starts a PostgreSQL server of its own in a temporary folder, and removes it at the end.`,
		Example: `  segue demo
  segue demo --json
  segue demo --database postgres
  segue demo --keep`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if database != "sqlite" && database != "postgres" {
				return usage(c, "--database %s is not known: it is sqlite or postgres", database)
			}
			o := DemoOptions{Database: database, JSON: s.json, Keep: keep, Stop: stop, Stdio: Stdio{In: s.in, Out: s.out, Err: s.err}, Color: s.paint().color}
			if s.d.IsTerminal(s.out) {
				o.Width, _ = s.size()
			}
			return s.d.Demo(c.Context(), o)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "leave everything running, and say where")
	c.Flags().StringVar(&database, "database", "sqlite", "keep the shop's data in sqlite or `postgres`")
	c.Flags().StringVar(&stop, "stop", "", "end the kept demonstration in this `folder`, instead")
	_ = c.MarkFlagDirname("stop") // the flag is there
	return c
}
