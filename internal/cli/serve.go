package cli

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
)

func newServe(s *session) *cobra.Command {
	var background, verbose, stop, force bool
	var idle time.Duration
	var listen string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a controller for good",
		Long: `Serve runs the controller of a state directory until it is told to end. Other commands start one in the background where
none runs; run one for good on a machine that deploys often, or from elsewhere. Killing it loses nothing: instances and the
proxy go on, and the next controller resumes what was open.

It answers on a unix socket in the state directory. With --listen it answers on TCP too, to those who have the token that
the environment variable SEGUE_TOKEN holds.`,
		Example: `  segue serve --state /var/lib/segue
  SEGUE_TOKEN=... segue serve --state /var/lib/segue --listen 127.0.0.1:7070

  # end the one that runs
  segue serve --stop`,
		Args:              needs(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			if stop {
				return s.stopController(c.Context(), force)
			}
			state, err := s.stateDir()
			if err != nil {
				return err
			}
			return s.d.Serve(c.Context(), ServeOptions{
				State: state, Background: background, Idle: idle, Listen: listen, Token: s.d.Getenv("SEGUE_TOKEN"),
				Logger: s.logger(verbose),
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&listen, "listen", "", "TCP `address` to answer on as well, such as 127.0.0.1:7070; needs SEGUE_TOKEN")
	flags.BoolVar(&background, "background", false, "end by itself when idle, as commands start it")
	flags.DurationVar(&idle, "idle", 30*time.Second, "with --background: how long it stays when nothing is open")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log more")
	flags.BoolVar(&stop, "stop", false, "end the controller that runs, instead")
	flags.BoolVar(&force, "force", false, "with --stop: end it although a rollout is open, which then waits for the next one")
	return c
}

// logger writes to standard error; with --json as JSON lines.
func (s *session) logger(verbose bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if verbose {
		options.Level = slog.LevelDebug
	}
	if s.json {
		return slog.New(slog.NewJSONHandler(s.err, options))
	}
	return slog.New(slog.NewTextHandler(s.err, options))
}

func (s *session) stopController(ctx context.Context, force bool) error {
	controller, done, err := s.running(ctx)
	stopped := err == nil
	switch {
	case err == nil:
		defer done()
		if err := controller.Shutdown(ctx, force); err != nil {
			return err
		}
	case segue.KindOf(err) != segue.KindUnavailable:
		return err
	}
	if s.json {
		return s.writeJSON(map[string]bool{"stopped": stopped})
	}
	if stopped {
		s.print("The controller ends. Instances and the proxy go on.")
	} else {
		s.print("No controller runs.")
	}
	return nil
}
