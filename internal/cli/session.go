package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// session is one run of the command line: what it was given, the global flags, and the exit code that it will end with.
type session struct {
	d    Dependencies
	in   io.Reader
	out  io.Writer
	err  io.Writer
	code int

	// Global flags.
	file  string
	state string
	yes   bool
	json  bool

	// printed is true once a JSON value was written, so that an error does not add another one.
	printed bool
	// answers reads lines from in; nil until a question is asked.
	answers *answers
}

func newSession(d Dependencies) *session {
	if d.Getenv == nil {
		d.Getenv = func(string) string { return "" }
	}
	if d.LookupEnv == nil {
		d.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if d.IsTerminal == nil {
		d.IsTerminal = func(any) bool { return false }
	}
	if d.TerminalSize == nil {
		d.TerminalSize = fileSize
	}
	if d.Interrupts == nil {
		d.Interrupts = func() (<-chan os.Signal, func()) { return nil, func() {} }
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &session{d: d, in: d.In, out: d.Out, err: d.Err}
}

// fileSize asks a file's terminal; 0, 0 when it is none.
func fileSize(stream any) (width, height int) {
	file, ok := stream.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// interactive says whether somebody can be asked: both ends are a terminal, and the output is for people.
func (s *session) interactive() bool {
	return !s.json && s.d.IsTerminal(s.in) && s.d.IsTerminal(s.out)
}

// live says whether output may be rewritten.
func (s *session) live() bool {
	return !s.json && s.d.IsTerminal(s.out) && s.d.Getenv("TERM") != "dumb"
}

// paint gives the styles for the output.
func (s *session) paint() palette { return s.paintFor(s.out) }

func (s *session) paintFor(stream io.Writer) palette {
	return newPalette(s.d.IsTerminal(stream) && s.d.Getenv("NO_COLOR") == "" && s.d.Getenv("TERM") != "dumb")
}

// size is the terminal's, or what is assumed of one.
func (s *session) size() (width, height int) {
	width, height = s.d.TerminalSize(s.out)
	if width <= 0 {
		width = 80
	}
	if height <= 0 {
		height = 24
	}
	return width, height
}

// textWidth is the width that sentences are broken at: the terminal's, 0 (never) without one.
func (s *session) textWidth() int {
	if !s.d.IsTerminal(s.out) {
		return 0
	}
	width, _ := s.size()
	return min(width, 120)
}

// say prints a sentence, broken between words on a terminal. Elsewhere it stays one line.
func (s *session) say(sentence string) {
	for _, line := range wrap(sentence, s.textWidth()) {
		s.print("%s", line)
	}
}

// stateDir is the state directory: --state, SEGUE_STATE, or .segue beside the project's file.
func (s *session) stateDir() (string, error) {
	path := s.state
	if path == "" {
		path = s.d.Getenv("SEGUE_STATE")
	}
	if path == "" {
		path = filepath.Join(filepath.Dir(s.file), ".segue")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", segue.Errorf(segue.KindInvalid, "find state directory: %w", err)
	}
	return absolute, nil
}

// connect gives the controller, started if need be.
func (s *session) connect(ctx context.Context) (api.Controller, func(), error) {
	state, err := s.stateDir()
	if err != nil {
		return nil, nil, err
	}
	return s.d.Connect(ctx, state)
}

// with does something with the controller, started if need be.
func (s *session) with(ctx context.Context, do func(api.Controller) error) error {
	controller, done, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer done()
	return do(controller)
}

// running gives the controller if one runs.
func (s *session) running(ctx context.Context) (api.Controller, func(), error) {
	state, err := s.stateDir()
	if err != nil {
		return nil, nil, err
	}
	if s.d.Running == nil {
		return nil, nil, segue.Errorf(segue.KindUnavailable, "no controller is known to run")
	}
	return s.d.Running(ctx, state)
}

// user is who gives orders unless --by says otherwise.
func (s *session) user() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if value := s.d.Getenv(name); value != "" {
			return value
		}
	}
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return ""
}

// writeJSON prints the command's one value.
func (s *session) writeJSON(value any) error {
	s.printed = true
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// print writes a line for people.
func (s *session) print(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }
