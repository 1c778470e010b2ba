package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/spec"
)

func newInit(s *session) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a commented segue.yaml to begin with",
		Long: `Init writes a commented segue.yaml, and beside it the JSON Schema that the file names, so that editors complete it. It looks
for releases in ./releases/NAME/PROGRAM and puts what it finds into the file.`,
		Example: `  segue init
  segue init -f staging.yaml --force`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			schema, err := s.writeStarter(force)
			if err != nil {
				return err
			}
			if s.json {
				return s.writeJSON(map[string]string{"file": s.file, "schema": schema})
			}
			s.print("Wrote %s, and its schema to %s.", s.file, schema)
			s.print("Next: change it to your needs, then %s and %s.",
				s.paint().strong(s.command("validate")), s.paint().strong(s.command("plan", "RELEASE")))
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return c
}

// writeStarter writes the two files and gives the schema's path.
func (s *session) writeStarter(force bool) (schema string, err error) {
	dir, err := filepath.Abs(filepath.Dir(s.file))
	if err != nil {
		return "", segue.Errorf(segue.KindInvalid, "find folder of project: %w", err)
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if !force {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(s.file, flags, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", segue.Errorf(segue.KindInvalid, "%s is there already", s.file).WithHint("use --force to overwrite it")
	case err != nil:
		return "", segue.Errorf(segue.KindInvalid, "write project: %w", err)
	}
	_, err = file.Write(spec.Init(dir, spec.Detect(os.DirFS(dir))))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("write project: %w", err)
	}
	schema = filepath.Join(filepath.Dir(s.file), spec.SchemaFile)
	// The state directory is its user's alone.
	if err := os.MkdirAll(filepath.Dir(schema), 0o700); err != nil {
		return "", fmt.Errorf("make folder of schema: %w", err)
	}
	if err := os.WriteFile(schema, spec.Schema(), 0o644); err != nil {
		return "", fmt.Errorf("write schema: %w", err)
	}
	return schema, nil
}
