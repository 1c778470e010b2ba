package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newRecord(s *session) *cobra.Command {
	var database, variable string
	c := &cobra.Command{
		Use:   "record RELEASE -- COMMAND...",
		Short: "Note the statements that a release sends, from a run of its tests",
		Long: `Record runs a command with a database URL that leads through Segue, and notes the statements that go by: their texts, no values. They are
added to the release's list (databases.NAME.statements), which ` + "`segue db check`" + ` and the gate of contract steps try against the schema as
it is and as it will be. What was never seen is never taken for safe, so record the tests of every release.

The command's exit code is passed on.`,
		Example: `  segue record v2 -- make test
  segue record v2 --variable TEST_DATABASE_URL -- go test ./...`,
		Args: needs(2, -1, "a release, and behind -- the command to run"),
		RunE: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() != 1 {
				return usage(c, "write the command behind --: segue record v2 -- make test")
			}
			release, err := segue.ParseReleaseName(args[0])
			if err != nil {
				return err
			}
			project, _, err := s.project()
			if err != nil {
				return err
			}
			options := RecordOptions{
				Project: project, Release: release, Variable: variable, Command: args[1:], Stdio: Stdio{In: s.in, Out: s.out, Err: s.err},
			}
			if options.Database, err = databaseName(database); err != nil {
				return err
			}
			if s.json {
				options.Out = s.err
			}
			recorded, err := s.d.Record(c.Context(), options)
			if err != nil {
				return err
			}
			s.code = recorded.Exit
			if s.json {
				return s.writeJSON(recorded)
			}
			s.print("%s", fmt.Sprintf("%s of %s in %s, %s of them new", plural(recorded.Statements, "statement"), release, recorded.File, count(int64(recorded.Fresh))))
			return nil
		},
	}
	databaseFlag(c, &database)
	c.Flags().StringVar(&variable, "variable", "DATABASE_URL", "environment `variable` that the command reads the URL from")
	return c
}
