package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

// Groups of commands in the help, in its order.
const (
	groupDeploy  = "deploy"
	groupLook    = "look"
	groupOperate = "operate"
	groupProject = "project"
	groupProcess = "process"
)

// newRoot makes the whole tree of commands.
func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "segue",
		Short: "Replace the version that a fleet of servers runs, while its users keep working",
		Long: `Segue replaces the version that a fleet of servers runs, at any hour of the day, while the people who use it
keep working and stay logged in. And it proves it: every rollout ends with a measured receipt.

One file, segue.yaml, says what is deployed, where and how. A controller decides; it is started in the background when
none runs, and ends by itself when no rollout is open.

Exit codes: 0 done; 1 fault; 2 wrong usage or configuration; 10 held, waiting for a person; 11 rolled back;
12 refused by a gate; 13 ended with the fleet mixed.`,
		Example: `  # write a segue.yaml to begin with
  segue init

  # see what would be done, then do it
  segue plan v2
  segue deploy v2`,
		Args:                       func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%s", err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&s.file, "file", "f", "segue.yaml", "the project's `file`")
	flags.StringVar(&s.state, "state", "", "state `folder` (default: SEGUE_STATE, else .segue beside the project's file)")
	flags.BoolVarP(&s.yes, "yes", "y", false, "ask nothing: take every question as answered with yes")
	flags.BoolVar(&s.json, "json", false, "print one JSON value, and nothing else, to standard output")
	_ = root.MarkPersistentFlagFilename("file", "yaml", "yml") // the flag is there
	_ = root.MarkPersistentFlagDirname("state")

	root.AddGroup(
		&cobra.Group{ID: groupDeploy, Title: "Go to a release:"},
		&cobra.Group{ID: groupOperate, Title: "Give orders:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupProject, Title: "The project's file:"},
		&cobra.Group{ID: groupProcess, Title: "Processes and the rest:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupDeploy, newPlan(s), newPrepare(s), newDeploy(s), newRollback(s), newContract(s))
	add(groupOperate, newPromote(s), newApprove(s), newPause(s), newResume(s), newAbort(s), newDrain(s), newAdmit(s))
	add(groupLook, newStatus(s), newCompare(s), newCaveat(s), newWhy(s), newHistory(s), newReceipt(s), newLogs(s), newJudges(s), newDB(s), newRecord(s))
	add(groupProject, newInit(s), newValidate(s), newSchema(s))
	add(groupProcess, newServe(s), newProxy(s), newShim(s), newDemo(s), newVersion(s))
	root.SetHelpCommandGroupID(groupProcess)
	root.SetCompletionCommandGroupID(groupProcess)
	s.fitHelp(root)
	return root
}

// unknownCommand names the commands that may have been meant.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := segue.Errorf(segue.KindInvalid, "unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return err.WithHint("did you mean %s?", "`segue "+strings.Join(near, "` or `segue ")+"`")
	}
	return err.WithHint("`segue --help` lists the commands")
}
