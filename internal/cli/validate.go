package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue/internal/spec"
)

// validation is what `segue validate --json` prints.
type validation struct {
	File   string       `json:"file"`
	Valid  bool         `json:"valid"`
	Faults []spec.Fault `json:"faults"`
}

func newValidate(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the project's file, and report every fault at once",
		Long: `Validate reads the project's file as a deploy would, with the variables of the environment, and reports everything that
is wrong with it, each with file, line and column and what to do about it. The exit code is 2 then.`,
		Example: `  segue validate
  segue validate -f staging.yaml --json`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			project, _, err := s.project()
			var faults spec.Faults
			if s.json && (err == nil || errors.As(err, &faults)) {
				if werr := s.writeJSON(validation{File: s.file, Valid: err == nil, Faults: append([]spec.Fault{}, faults...)}); werr != nil {
					return werr
				}
			}
			if err != nil || s.json {
				return err
			}
			s.print("%s", s.file+" is in order: "+projectSummary(project))
			return nil
		},
	}
}

func projectSummary(project *spec.Project) string {
	servers := 0
	for _, service := range project.Services {
		servers += len(service.Servers)
	}
	text := fmt.Sprintf("project %s, %s on %s", project.Name, plural(len(project.Services), "service"), plural(servers, "server"))
	if project.Witness == nil {
		text += ", no witness"
	}
	return text
}
