package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// way is a command that goes on with a rollout, and what it does.
type way struct {
	words []string
	does  string
}

// waysOn lists what can be done about a rollout that waits for a person.
func waysOn(r api.Rollout) []way {
	service := string(r.Service)
	back := way{[]string{"abort", service}, "back to " + orNone(r.Stable)}
	switch {
	case r.Phase == segue.PhasePaused:
		return []way{{[]string{"resume", service}, "go on"}, back}
	case awaitsApproval(r):
		return []way{{[]string{"approve", service}, "say yes, and go on"}, back}
	default:
		return []way{{[]string{"promote", service}, "go on to " + string(r.Candidate)}, back}
	}
}

func awaitsApproval(r api.Rollout) bool {
	for _, step := range r.Steps {
		if step.Kind == segue.StepApprove && step.Status == stepRunning {
			return true
		}
	}
	return false
}

// interrupted is Ctrl-C: it asks on a terminal, and leaves everything running elsewhere. left says that following is over.
func (f *follower) interrupted(ctx context.Context, interrupts <-chan os.Signal) (left bool, err error) {
	if !f.interactive() {
		return true, nil
	}
	if f.screen != nil {
		f.draw(true)
		f.screen.release()
	}
	verb, question := f.question()
	answer, ok := f.ask(ctx, question, interrupts)
	if !ok {
		return true, nil
	}
	switch answer {
	case "l", "leave":
		return true, nil
	case "p", "pause", "g", "go":
		return false, f.orderAll(ctx, verb)
	case "a", "abort":
		return false, f.orderAll(ctx, segue.VerbAbort)
	default:
		return false, nil
	}
}

// question words the choice, and says which order its middle answer stands for.
func (f *follower) question() (segue.Verb, string) {
	verb, middle := segue.VerbPause, "p pause"
	back := "nothing"
	for _, r := range f.rollouts {
		if r.Phase.Over() {
			continue
		}
		back = orNone(r.Stable)
		switch {
		case r.Phase == segue.PhasePaused:
			verb, middle = segue.VerbResume, "g go on"
		case awaitsApproval(r.Rollout):
			verb, middle = segue.VerbApprove, "g approve and go on"
		case r.Phase == segue.PhaseHeld:
			verb, middle = segue.VerbPromote, "g go on to "+string(r.Candidate)
		}
	}
	return verb, fmt.Sprintf("\nl leave it running, %s, a abort (back to %s), c continue watching: ", middle, back)
}

// orderAll gives an order to every rollout that has not ended. One that does not fit any more is told, and following goes on.
func (f *follower) orderAll(ctx context.Context, verb segue.Verb) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	for _, r := range f.rollouts {
		if r.Phase.Over() {
			continue
		}
		_, err := f.controller.Order(ctx, api.OrderRequest{Rollout: r.ID, Order: segue.Order{Verb: verb, By: f.user(), Why: "Ctrl-C in deploy"}})
		if err != nil {
			f.print("%s %s", f.paint().warn("not done:"), printable(err.Error()))
			continue
		}
		if verb == segue.VerbPause {
			// Whoever pauses stays to see it, and can go on from here.
			f.stayWhenHeld = true
		}
	}
	return nil
}

// reconnect finds a controller again, or starts one, after a call has shown that the last one is gone.
func (f *follower) reconnect(ctx context.Context, cause error, interrupts <-chan os.Signal) (left bool, err error) {
	if ctx.Err() != nil {
		return true, nil
	}
	if kind := segue.KindOf(cause); kind != segue.KindUnavailable && kind != segue.KindTimeout {
		return false, cause
	}
	f.away = true
	f.draw(false)
	f.note("the controller does not answer; connecting again")
	timeout := time.NewTimer(reconnectWithin)
	defer timeout.Stop()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := f.renew(ctx)
		if err == nil {
			f.away = false
			f.note("a controller answers again and goes on")
			return false, nil
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
			continue
		case <-interrupts:
			wait.Stop()
			return true, nil
		case <-ctx.Done():
			wait.Stop()
			return true, nil
		case <-timeout.C:
			wait.Stop()
			return false, segue.Errorf(segue.KindUnavailable, "the controller is gone: %w", err).
				WithHint("the rollout goes on when one runs again: %s", f.command("status", "--watch"))
		}
	}
}

// note prints a line of our own where output is only appended.
func (f *follower) note(text string) {
	if f.screen == nil && !f.json {
		f.print("%s %s", stamp(f.d.Now()), text)
	}
}
