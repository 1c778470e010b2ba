// Command shop is a small web shop, an example of an application that Segue rolls from one release to the next. See
// README.md in this folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/segue-deploy/segue/examples/shop/shop"
)

// release is baked in at the build: -ldflags "-X main.release=v2".
var release = "v1" //nolint:gochecknoglobals // only the linker sets it

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := run(ctx)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, shop.ErrCrash):
		os.Exit(2)
	default:
		_, _ = fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	config, err := shop.ReadConfig(release, os.Args[1:], os.LookupEnv)
	if err != nil {
		return err
	}
	var level slog.LevelVar
	if os.Getenv("SHOP_LOG") == "debug" {
		level.Set(slog.LevelDebug)
	}
	s, err := shop.New(config, slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: &level})))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return s.Run(ctx, listener)
}
