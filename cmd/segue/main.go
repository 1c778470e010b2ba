// Command segue replaces the version that a fleet of servers runs, while its users keep working. See `segue --help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/segue-deploy/segue/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], app.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
