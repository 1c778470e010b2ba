// Package cli is the command line: one file per command, each of which asks a controller through the API and prints the answer as text, as a live
// view or as JSON. It decides nothing and knows no engine; package app hands it what it needs.
//
// Output goes three ways from the same values: a terminal sees a live view with one line per server, everything else sees lines that are only
// appended, and --json prints one value and nothing else. The last line says the end state in one sentence, and the exit code shows it.
package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/judge"
	"github.com/segue-deploy/segue/internal/spec"
)

//go:generate go test -run ^TestReferenceIsFresh$ . -update

// Stdio is where a command reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Dependencies are what commands need of the world.
type Dependencies struct {
	Stdio
	// Connect gives the controller of a state directory, and starts one in the background when none runs. The function closes the connection.
	Connect func(ctx context.Context, state string) (api.Controller, func(), error)
	// Running gives the controller of a state directory if one runs, and never starts one; the error is of KindUnavailable when none does. nil means that
	// nobody can tell.
	Running func(ctx context.Context, state string) (api.Controller, func(), error)
	// Serve, Proxy and Shim are the three kinds of process; each ends with ctx.
	Serve func(ctx context.Context, o ServeOptions) error
	Proxy func(ctx context.Context, o ProxyOptions) error
	Shim  func(ctx context.Context, dir string) error
	// Demo runs a demonstration.
	Demo func(ctx context.Context, o DemoOptions) error
	// Record notes what a command sends to a database.
	Record func(ctx context.Context, o RecordOptions) (Recorded, error)
	// Panel seats the judges that a service of a project is judged by, each time with empty memories.
	Panel func(project *spec.Project, service spec.Service) (func() []judge.Judge, error)
	// Checks find faults in a project that only a driver or the witness can know.
	Checks []func(*spec.Project) []spec.Complaint

	Getenv    func(string) string
	LookupEnv func(string) (string, bool)
	// IsTerminal says whether a stream is a terminal; TerminalSize how large it is, in cells. nil means no terminal, and 80 by 24.
	IsTerminal   func(stream any) bool
	TerminalSize func(stream any) (width, height int)
	// Interrupts gives the SIGINTs from now on, until the function is called.
	Interrupts func() (<-chan os.Signal, func())
	// Now is the clock; nil means the real one.
	Now func() time.Time
}

// ServeOptions make a controller process.
type ServeOptions struct {
	State string
	// Background ends it by itself once it has been idle for Idle (0: 30 s).
	Background bool
	Idle       time.Duration
	// Listen is a TCP address beside the unix socket; it needs Token.
	Listen string
	Token  string
	Logger *slog.Logger
}

// ProxyOptions make a proxy process.
type ProxyOptions struct {
	State  string
	Logger *slog.Logger
}

// RecordOptions say what is run, and whose statements are noted.
type RecordOptions struct {
	Project  *spec.Project
	Database segue.DatabaseName
	Release  segue.ReleaseName
	// Variable is the environment variable that the command gets the database's URL in; Command is run.
	Variable string
	Command  []string
	Stdio
}

// Recorded is what a run has sent.
type Recorded struct {
	// File has the statements now; Statements counts them, Fresh those that were not in it before.
	File       string `json:"file"`
	Statements int    `json:"statements"`
	Fresh      int    `json:"fresh"`
	// Exit is the command's exit code.
	Exit int `json:"exit"`
}

// DemoOptions shape a demonstration.
type DemoOptions struct {
	// JSON prints one value at the end; Keep leaves everything running.
	JSON, Keep bool
	// Database is "sqlite" or "postgres".
	Database string
	// Stop is the folder of a kept demonstration to be ended; then nothing else is done.
	Stop string
	Stdio
	// Color allows colour, Width is the terminal's in cells, 0 without one.
	Color bool
	Width int
}

// Run runs one command line and gives its exit code: 0 done, 1 fault, 2 wrong usage or configuration, 10 held, 11 rolled back, 12 refused by a gate,
// 13 ended with the fleet mixed. An error is printed to Err as "segue: message", a hint below it.
func Run(ctx context.Context, args []string, d Dependencies) int {
	s := newSession(d)
	root := newRoot(s) //nolint:contextcheck // cobra hands ctx to each command
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	if err := root.ExecuteContext(ctx); err != nil {
		return s.fail(err)
	}
	return s.code
}
