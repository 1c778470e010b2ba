package app_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/app"
)

// TestServeTakesOverFromTheBackground: what a command has started must not be in the way of a controller that is to stay; one that stays is.
func TestServeTakesOverFromTheBackground(t *testing.T) {
	t.Parallel()
	state, err := app.OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	serve := func(ctx context.Context, background bool) <-chan error {
		ended := make(chan error, 1)
		go func() {
			ended <- app.Serve(ctx, app.ServeOptions{State: state, Background: background, Idle: time.Hour, Logger: slog.New(slog.DiscardHandler)})
		}()
		return ended
	}
	answers := func(background bool) {
		t.Helper()
		client := api.NewUnixClient(state.Socket())
		defer client.Close()
		for {
			if status, err := client.Status(ctx); err == nil && status.Background == background {
				return
			} else if ctx.Err() != nil {
				t.Fatalf("no controller with background %v: %v", background, err)
			}
		}
	}
	first := serve(ctx, true)
	answers(true)
	staying, stop := context.WithCancel(ctx)
	second := serve(staying, false)
	answers(false)
	if err := <-first; err != nil {
		t.Errorf("the one in the background: %v", err)
	}
	if err := <-serve(ctx, false); segue.KindOf(err) != segue.KindConflict {
		t.Errorf("a third one: %v", err)
	}
	stop()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
