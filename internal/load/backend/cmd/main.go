// Command backend is a release of the test backend: see package backend for its paths and settings. It listens where
// --listen says, or ADDRESS, or PORT on the loopback address.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/segue-deploy/segue/internal/load/backend"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(3)
	}
}

// run serves until ctx ends.
func run(ctx context.Context) error {
	address := "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "0")
	listen := flag.String("listen", cmp.Or(os.Getenv("ADDRESS"), address), "address to listen on")
	flag.Parse()
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	lookup, err := backend.WithFile(filepath.Join(filepath.Dir(program), backend.SettingsFile), os.LookupEnv)
	if err != nil {
		return err
	}
	config, err := backend.ConfigFrom(lookup)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("release", config.Release, "server", config.Server)
	b, err := backend.New(config, log)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return b.Run(ctx, listener)
}
