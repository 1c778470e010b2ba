package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/balancer"
	"github.com/segue-deploy/segue/internal/rollout"
	"github.com/segue-deploy/segue/internal/workload"
)

// start brings an instance into being; ready or not is the next step's matter.
func (c *Controller) start(ctx context.Context, job job) (*segue.Outcome, error) {
	launch, err := c.launch(ctx, job)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	instance, err := job.service.workload.Start(ctx, launch)
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", job.step.Release, job.step.Server, err)
	}
	return &segue.Outcome{Address: instance.Address, Unavoidable: time.Since(began)}, nil
}

// launch gathers what an instance is started with: its release as registered, with the configuration of that time.
func (c *Controller) launch(ctx context.Context, job job) (workload.Launch, error) {
	if job.release.Name == "" {
		return workload.Launch{}, segue.Errorf(segue.KindNotFound, "release %s of %s is not registered", job.step.Release, job.name)
	}
	config, err := c.workloadConfig(job.release.Config)
	if err != nil {
		return workload.Launch{}, err
	}
	env, err := c.logins(ctx, job.service.databases, job.step.Release)
	if err != nil {
		return workload.Launch{}, err
	}
	return workload.Launch{
		ID: job.step.Instance, Service: job.name, Server: job.step.Server, Release: job.release,
		Config: config, Env: env, Grace: job.settings.Timing.Grace,
	}, nil
}

// logins gives an instance the login of its release to each database that has one per release. Values are secrets.
func (c *Controller) logins(ctx context.Context, databases []Database, release segue.ReleaseName) (map[string]string, error) {
	var env map[string]string
	for _, config := range databases {
		if config.Variable == "" {
			continue
		}
		d, err := c.desk(ctx, config)
		if err != nil {
			return nil, err
		}
		login, err := d.driver.Credentials(ctx, release)
		if err != nil {
			return nil, fmt.Errorf("make login of %s for database %s: %w", release, config.Name, err)
		}
		if env == nil {
			env = map[string]string{}
		}
		env[config.Variable] = login.URL
	}
	return env, nil
}

func (c *Controller) workloadConfig(digest segue.Digest) (workload.Config, error) {
	stored, err := c.options.Configs.Get(digest)
	if err != nil {
		return nil, err
	}
	config, err := c.options.Drivers.WorkloadConfig(stored.Workload, stored.WorkloadBlock)
	if err != nil {
		return nil, fmt.Errorf("read workload configuration: %w", err)
	}
	return config, nil
}

// awaitReady waits for the instance's own readiness check.
func (c *Controller) awaitReady(ctx context.Context, job job) (*segue.Outcome, error) {
	within := job.step.Within
	if within <= 0 {
		within = job.settings.Timing.Ready
	}
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	began := time.Now()
	job.introduce(bounded)
	err := job.service.workload.AwaitReady(bounded, job.step.Instance)
	switch {
	case err == nil:
		return &segue.Outcome{Unavoidable: time.Since(began)}, nil
	case bounded.Err() != nil && ctx.Err() == nil:
		return nil, segue.Errorf(segue.KindTimeout, "%s on %s was not ready within %s: %w", job.step.Release, job.step.Server, within, err).
			WithHint("see what it says with `segue logs %s`", job.step.Server)
	default:
		return nil, fmt.Errorf("await %s on %s: %w", job.step.Release, job.step.Server, err)
	}
}

// introduce makes an instance known to the balancer while it boots, which takes no time of anybody's: to admit it is then one change and not two.
// Where that does not work, admit says so.
func (j job) introduce(ctx context.Context) {
	if address := j.address(); j.service.balancer != nil && address != "" {
		_ = j.service.balancer.Add(ctx, backendOf(j.step.Instance, j.step.Server, j.step.Release, address))
	}
}

// stop ends an instance for good, after a last look that nobody sends it traffic any more (law: acknowledged drain).
func (c *Controller) stop(ctx context.Context, job job) (*segue.Outcome, error) {
	if err := c.guardStop(ctx, job); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := job.service.workload.Stop(ctx, job.step.Instance); err != nil {
		return nil, fmt.Errorf("stop %s on %s: %w", job.step.Instance, job.step.Server, err)
	}
	outcome := &segue.Outcome{Unavoidable: time.Since(began)}
	if job.service.balancer == nil {
		return outcome, nil
	}
	if err := job.service.balancer.Remove(ctx, job.step.Instance); err != nil {
		return nil, fmt.Errorf("remove backend of %s: %w", job.step.Server, err)
	}
	return outcome, nil
}

// guardStop drains once more what the balancer has in rotation again. A plan never stops what it has not drained; a balancer that forgot the drain
// (it was started from an old configuration, somebody admitted by hand) is what this is for.
func (c *Controller) guardStop(ctx context.Context, job job) error {
	if job.service.balancer == nil {
		return nil
	}
	backend, err := balancer.Find(ctx, job.service.balancer, job.step.Instance)
	switch {
	case err != nil && segue.KindOf(err) == segue.KindNotFound:
		return nil
	case err != nil:
		return fmt.Errorf("ask balancer before stopping %s: %w", job.step.Server, err)
	// A stop that is tried again may have failed in the middle of such a drain.
	case backend.Rotation != segue.RotationIn && job.Attempt <= 1:
		return nil
	}
	c.log.WarnContext(ctx, "drain once more before the stop", "rotation", backend.Rotation, "attempt", job.Attempt, "instance", job.step.Instance, "server", job.step.Server)
	again := job
	again.step.Within = job.settings.Timing.Drain
	_, err = c.drain(ctx, again)
	return err
}

// job is a command with all that is needed to carry it out.
type job struct {
	rollout.Command

	step     segue.Step
	name     segue.ServiceName
	settings segue.Service
	service  *service
	release  segue.Release
	slot     segue.Slot
	stable   segue.ReleaseName
}
