package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue/internal/version"
)

func newVersion(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long:  "Version prints the version of this program, and the toolchain and platform that it was built with.",
		Example: `  segue version
  segue version --json`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if s.json {
				return s.writeJSON(map[string]string{"version": version.Version, "go": runtime.Version(), "platform": platform})
			}
			s.print("%s", fmt.Sprintf("segue %s (%s, %s)", version.Version, runtime.Version(), platform))
			return nil
		},
	}
}
