package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/drivers"
	"github.com/segue-deploy/segue/internal/unixsock"
)

// Teardown ends everything that runs on a state directory: controller, instances, proxy, in that order. It is for demonstrations and tests; nobody
// else wants to stop everything at once.
func Teardown(ctx context.Context, state State, logger *slog.Logger) error {
	client := api.NewUnixClient(state.Socket())
	defer client.Close()
	_ = client.Shutdown(ctx, true)
	if err := gone(ctx, state.Socket()); err != nil {
		return err
	}
	return errors.Join(stopInstances(ctx, state, logger), stopProxy(ctx, state))
}

func stopInstances(ctx context.Context, state State, logger *slog.Logger) error {
	set, err := openDrivers(state, logger)
	if err != nil {
		return err
	}
	defer set.Close() //nolint:errcheck // nothing runs any more
	driver, err := set.Workload(drivers.Process)
	if err != nil {
		return err
	}
	instances, err := driver.List(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(instances))
	var stops sync.WaitGroup
	for i, instance := range instances {
		stops.Go(func() { errs[i] = driver.Stop(ctx, instance.ID) })
	}
	stops.Wait()
	return errors.Join(errs...)
}

// stopProxy asks the proxy to end and waits until it has.
func stopProxy(ctx context.Context, state State) error {
	text, err := os.ReadFile(filepath.Join(state.proxy(), "proxy.lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !answers(ctx, state.proxySock()) {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("read number of the proxy's process: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return gone(ctx, state.proxySock())
}

func answers(ctx context.Context, socket string) bool {
	conn, err := unixsock.Dial(ctx, socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// gone waits until nobody answers on a socket.
func gone(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for answers(ctx, socket) {
		timer := time.NewTimer(20 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}
