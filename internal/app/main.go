package app

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/term"

	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/cli"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// Stdio is where a command reads and writes.
type Stdio = cli.Stdio

// Main runs one command line and gives its exit code.
func Main(ctx context.Context, args []string, stdio Stdio) int {
	return cli.Run(ctx, args, cli.Dependencies{
		Stdio: stdio,
		Connect: func(ctx context.Context, path string) (api.Controller, func(), error) {
			if remote := os.Getenv("SEGUE_CONTROLLER"); remote != "" {
				client := api.NewTCPClient(remote, os.Getenv("SEGUE_TOKEN"))
				return client, client.Close, nil
			}
			state, err := OpenState(path)
			if err != nil {
				return nil, nil, err
			}
			client, err := Connect(ctx, state)
			if err != nil {
				return nil, nil, err
			}
			return client, client.Close, nil
		},
		Running: func(ctx context.Context, path string) (api.Controller, func(), error) {
			client := api.NewUnixClient(State(path).Socket())
			if _, err := client.Status(ctx); err != nil {
				client.Close()
				return nil, nil, err
			}
			return client, client.Close, nil
		},
		Serve: func(ctx context.Context, o cli.ServeOptions) error {
			state, err := OpenState(o.State)
			if err != nil {
				return err
			}
			return Serve(ctx, ServeOptions{
				State: state, Background: o.Background, Idle: o.Idle, Listen: o.Listen, Token: o.Token, Logger: o.Logger,
			})
		},
		Proxy: func(ctx context.Context, o cli.ProxyOptions) error {
			state, err := OpenState(o.State)
			if err != nil {
				return err
			}
			return RunProxy(ctx, state, o.Logger)
		},
		Shim:   shim.Run,
		Record: Record,
		Panel:  panelFor,
		Demo: func(ctx context.Context, o cli.DemoOptions) error {
			if o.Stop != "" {
				return StopDemo(ctx, o.Stop)
			}
			return Demo(ctx, DemoOptions{Postgres: o.Database == "postgres", JSON: o.JSON, Keep: o.Keep, Out: o.Out, Err: o.Err})
		},
		Checks: checks(),
		Getenv: os.Getenv, LookupEnv: os.LookupEnv,
		IsTerminal: isTerminal,
		Interrupts: func() (<-chan os.Signal, func()) {
			interrupts := make(chan os.Signal, 4)
			signal.Notify(interrupts, os.Interrupt)
			return interrupts, func() { signal.Stop(interrupts) }
		},
	})
}

// isTerminal says whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
