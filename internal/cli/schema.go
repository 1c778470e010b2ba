package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue/internal/spec"
)

func newSchema(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of segue.yaml",
		Long: `Schema prints the JSON Schema (2020-12) of segue.yaml, made from the types that the file is read into. Editors that know
it complete keys and show what they mean; the file that ` + "`segue init`" + ` writes names it in its first line.`,
		Example:           `  segue schema > .segue/schema.json`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			s.printed = true
			if _, err := s.out.Write(spec.Schema()); err != nil {
				return fmt.Errorf("write schema: %w", err)
			}
			return nil
		},
	}
}
