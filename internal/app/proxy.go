package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/segue-deploy/segue/internal/proxy"
)

// RunProxy runs the embedded balancer of a state directory until ctx is done, and then sends its clients away politely.
func RunProxy(ctx context.Context, state State, logger *slog.Logger) error {
	return proxy.Run(ctx, proxy.Options{StateDir: state.proxy(), Socket: state.proxySock(), Logger: logger})
}

// startProxy starts the proxy in the background and waits until it answers.
func startProxy(ctx context.Context, state State) error {
	if err := os.MkdirAll(state.proxy(), 0o700); err != nil {
		return fmt.Errorf("make folder of proxy: %w", err)
	}
	started, err := detach(state.proxyLog(), "proxy", "--state", string(state))
	if err != nil {
		return err
	}
	client := proxy.NewClient(state.proxySock())
	defer client.Close()
	return awaitAnswer(ctx, started, state.proxyLog(), "proxy", func(ctx context.Context) error {
		_, err := client.Health(ctx)
		return err
	})
}
