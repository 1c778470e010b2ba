package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
)

// retryAfter is what the maintenance page tells clients.
const retryAfter = 10 * time.Second

// admit puts an instance in rotation, and believes it only when the balancer shows it there.
func (c *Controller) admit(ctx context.Context, job job) (*segue.Outcome, error) {
	address := job.address()
	if address == "" {
		return nil, segue.Errorf(segue.KindNotFound, "admit %s: no address is known of %s", job.step.Server, job.step.Instance)
	}
	balancer := job.service.balancer
	err := balancer.Add(ctx, backendOf(job.step.Instance, job.step.Server, job.step.Release, address))
	if segue.KindOf(err) == segue.KindConflict {
		// It came back on another port, after a reboot: the old address is nobody's any more.
		err = c.readdress(ctx, job, address)
	}
	if err != nil {
		return nil, fmt.Errorf("add backend %s: %w", job.step.Server, err)
	}
	if err := balancer.Admit(ctx, job.step.Instance, job.service.slowStart); err != nil {
		return nil, fmt.Errorf("admit backend %s: %w", job.step.Server, err)
	}
	return &segue.Outcome{}, job.confirmIn(ctx)
}

// address is where the step's instance serves: the one in charge, or, in a surge, the one beside it.
func (j job) address() string {
	if beside := j.slot.Beside; beside != nil && beside.Instance.ID == j.step.Instance {
		return beside.Instance.Address
	}
	if j.slot.Instance.ID == j.step.Instance {
		return j.slot.Instance.Address
	}
	return ""
}

func (c *Controller) readdress(ctx context.Context, job job, address string) error {
	balancer := job.service.balancer
	if err := balancer.Drain(ctx, job.step.Instance); err != nil {
		return err
	}
	if err := balancer.Remove(ctx, job.step.Instance); err != nil {
		return err
	}
	return balancer.Add(ctx, backendOf(job.step.Instance, job.step.Server, job.step.Release, address))
}

func (j job) confirmIn(ctx context.Context) error {
	backend, err := balancer.Find(ctx, j.service.balancer, j.step.Instance)
	switch {
	case err != nil && segue.KindOf(err) != segue.KindNotFound:
		return fmt.Errorf("confirm rotation of %s: %w", j.step.Server, err)
	case err == nil && backend.Rotation == segue.RotationIn:
		return nil
	}
	return segue.Errorf(segue.KindUnavailable, "admit backend %s: the balancer does not show it in rotation", j.step.Server)
}

// drain takes an instance out of rotation, waits for what it still has to do, and at the deadline closes long connections one by one. It is done
// only when nothing can reach the instance any more, not even over an idle connection.
func (c *Controller) drain(ctx context.Context, job job) (*segue.Outcome, error) {
	balancer, id := job.service.balancer, job.step.Instance
	if err := balancer.Drain(ctx, id); err != nil {
		if segue.KindOf(err) == segue.KindNotFound {
			return &segue.Outcome{Note: "the balancer did not know it"}, nil
		}
		return nil, fmt.Errorf("drain backend %s: %w", job.step.Server, err)
	}
	within := job.step.Within
	if within <= 0 {
		within = job.settings.Timing.Drain
	}
	// The time for what is in flight counts from the balancer's yes: before that nothing was on its way to an end.
	began := time.Now()
	deadline := began.Add(within)
	outcome := &segue.Outcome{}
	empty, err := c.awaitEmpty(ctx, job, deadline)
	if err != nil {
		return nil, err
	}
	if !empty {
		if err := c.closeRest(ctx, job, outcome); err != nil {
			return nil, err
		}
	}
	outcome.Unavoidable = time.Since(began)
	if err := balancer.Settle(ctx, id); err != nil {
		return nil, fmt.Errorf("settle backend %s: %w", job.step.Server, err)
	}
	return outcome, nil
}

// awaitEmpty waits until nothing is in flight, quickly at first, and says whether that came before the deadline.
func (c *Controller) awaitEmpty(ctx context.Context, job job, deadline time.Time) (bool, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		left, err := job.service.balancer.InFlight(ctx, job.step.Instance)
		if err != nil {
			return false, fmt.Errorf("count in flight of %s: %w", job.step.Server, err)
		}
		if left.Known && left.Requests == 0 && left.Long == 0 {
			return true, nil
		}
		rest := time.Until(deadline)
		if rest <= 0 {
			return false, nil
		}
		if err := wait(ctx, min(pause, rest)); err != nil {
			return false, err
		}
	}
}

// closeRest is the end of a drain whose deadline has passed.
func (c *Controller) closeRest(ctx context.Context, job job, outcome *segue.Outcome) error {
	outcome.Deadline = true
	balancer, id := job.service.balancer, job.step.Instance
	if balancer.Capabilities().ClosesLong {
		closed, err := balancer.CloseLong(ctx, id, 0)
		if err != nil {
			return fmt.Errorf("close long connections of %s: %w", job.step.Server, err)
		}
		outcome.LongClosed = closed
	}
	left, err := balancer.InFlight(ctx, id)
	if err != nil {
		return fmt.Errorf("count in flight of %s: %w", job.step.Server, err)
	}
	outcome.InFlight = left.Requests + left.Long
	if outcome.InFlight > 0 {
		outcome.Note = fmt.Sprintf("%d requests were still in flight at the drain deadline", outcome.InFlight)
	}
	return nil
}

// maintenance switches the maintenance page.
func (c *Controller) maintenance(ctx context.Context, job job) (*segue.Outcome, error) {
	if err := job.service.balancer.Maintenance(ctx, job.step.On, retryAfter); err != nil {
		return nil, fmt.Errorf("switch maintenance page: %w", err)
	}
	return &segue.Outcome{}, nil
}

// hold parks requests, or lets them go.
func (c *Controller) hold(ctx context.Context, job job) (*segue.Outcome, error) {
	if job.step.Kind == segue.StepUnhold {
		if err := job.service.balancer.Unhold(ctx); err != nil {
			return nil, fmt.Errorf("let requests go: %w", err)
		}
		return &segue.Outcome{}, nil
	}
	if err := job.service.balancer.Hold(ctx, job.step.Within); err != nil {
		return nil, fmt.Errorf("hold requests: %w", err)
	}
	return &segue.Outcome{}, nil
}

// wait sleeps, or gives ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
