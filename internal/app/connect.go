package app

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// startWithin bounds the wait for a controller or proxy that was started in the background.
const startWithin = 20 * time.Second

// holdWithin is how long a controller that was started in the background waits for one to be gone that was killed: should another one be on its way up
// instead, its answer comes in that time.
const holdWithin = 2 * time.Second

// Connect gives a client of the state directory's controller, and starts one in the background when none runs.
func Connect(ctx context.Context, state State) (*api.Client, error) {
	client := api.NewUnixClient(state.Socket())
	if _, err := client.Status(ctx); err == nil {
		return client, nil
	}
	started, err := detach(state.serveLog(), "serve", "--background", "--state", string(state))
	if err != nil {
		return nil, err
	}
	err = awaitAnswer(ctx, started, state.serveLog(), "controller", func(ctx context.Context) error {
		_, err := client.Status(ctx)
		return err
	})
	if err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// awaitAnswer waits until a program that was just started answers. Should it end before, because another one is just being started, the other's answer will do;
// else the error has the end of its log.
func awaitAnswer(ctx context.Context, started *exec.Cmd, log, what string, answers func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	ended := make(chan struct{})
	go func() { _ = started.Wait(); close(ended) }()
	grace := 3 * time.Second
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := answers(ctx)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ended:
			if grace -= pause; grace > 0 && !lastLineIsFinal(log) {
				<-timer.C
				continue
			}
			return segue.Errorf(segue.KindFault, "start %s: it ended at once: %s", what, lastLine(log)).WithHint("its log is %s", log)
		case <-ctx.Done():
			return segue.Errorf(segue.KindUnavailable, "start %s: no answer within %s: %w", what, startWithin, err).WithHint("its log is %s", log)
		case <-timer.C:
		}
	}
}

// lastLineIsFinal says whether the log ends with an error that another process's answer will not mend.
func lastLineIsFinal(log string) bool {
	line := lastLine(log)
	return strings.HasPrefix(line, "segue: ") && !strings.Contains(line, "another controller") && !strings.Contains(line, "another proxy")
}

func lastLine(log string) string {
	lines := strings.Split(strings.TrimSpace(tail(log, 4096)), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "segue: ") {
			return line
		}
	}
	return lines[len(lines)-1]
}
