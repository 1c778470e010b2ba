package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/spec"
)

// failure is an error as --json prints it.
type failure struct {
	Error struct {
		Kind    segue.Kind   `json:"kind"`
		Message string       `json:"message"`
		Hint    string       `json:"hint,omitempty"`
		Faults  []spec.Fault `json:"faults,omitempty"`
	} `json:"error"`
	ExitCode int `json:"exit_code"`
}

// fail prints an error and gives its exit code.
func (s *session) fail(err error) int {
	code := api.ExitCode(err)
	var faults spec.Faults
	errors.As(err, &faults)
	if s.json && !s.printed {
		var f failure
		f.Error.Kind, f.Error.Message, f.Error.Hint, f.Error.Faults = segue.KindOf(err), err.Error(), segue.HintOf(err), faults
		f.ExitCode = code
		_ = s.writeJSON(f) // the error itself is printed below in any case
	}
	paint := s.paintFor(s.err)
	if len(faults) > 0 {
		// One line each that begins with the place, as editors and CI read them.
		for _, fault := range faults {
			fmt.Fprintln(s.err, printable(fault.String()))
		}
		fmt.Fprintf(s.err, "%s %s\n", paint.bad("segue:"), faultCount(faults))
		return code
	}
	message := strings.TrimRight(err.Error(), "\n")
	first, rest, _ := strings.Cut(message, "\n")
	fmt.Fprintf(s.err, "%s %s\n", paint.bad("segue:"), printable(first))
	for line := range strings.Lines(rest) {
		fmt.Fprintf(s.err, "  %s\n", printable(strings.TrimRight(line, "\n")))
	}
	if hint := segue.HintOf(err); hint != "" {
		fmt.Fprintf(s.err, "  %s %s\n", paint.faint("hint:"), printable(hint))
	}
	return code
}

func faultCount(faults spec.Faults) string {
	return fmt.Sprintf("%s in %s", plural(len(faults), "fault"), faults[0].File)
}

// usage is wrong usage, with where to look.
func usage(c *cobra.Command, format string, args ...any) *segue.Error {
	return segue.Errorf(segue.KindInvalid, format, args...).WithHint("see `%s --help`", c.CommandPath())
}

// needs checks the number of arguments: least to most (most < 0: any), called as the use line calls them.
func needs(least, most int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(c, "%s needs %s", c.CommandPath(), what)
		case most == 0 && len(args) > 0:
			return usage(c, "%s takes no arguments: what is %q?", c.CommandPath(), args[0])
		case most >= 0 && len(args) > most:
			return usage(c, "%s takes %s: what is %q?", c.CommandPath(), what, args[most])
		}
		return nil
	}
}
