package controller

import (
	"context"
	"fmt"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/operator"
	"github.com/segue-deploy/segue/internal/spec"
)

// wanted is what a deploy request says of one service.
type wanted struct {
	settings segue.Service
	config   Config
	release  segue.Release // its Name and Breaking
}

// wanted reads the project file and finds out which services are meant, in the file's order.
func (c *Controller) wanted(ctx context.Context, req operator.DeployRequest) ([]wanted, error) {
	project, err := spec.Parse([]byte(req.Project.Text), spec.Options{
		File: req.Project.File, Dir: req.Project.Dir, Checks: c.options.Checks,
		Lookup: func(name string) (string, bool) {
			value, ok := req.Project.Variables[name]
			return value, ok
		},
	})
	if err != nil {
		return nil, err
	}
	named := map[segue.ServiceName]segue.ReleaseName{}
	everywhere := segue.ReleaseName("")
	for _, target := range req.Targets {
		if _, err := segue.ParseReleaseName(string(target.Release)); err != nil {
			return nil, err
		}
		if target.Service == "" {
			everywhere = target.Release
			continue
		}
		if _, ok := project.Service(target.Service); !ok {
			return nil, segue.Errorf(segue.KindNotFound, "%s has no service %q", req.Project.File, target.Service).
				WithHint("its services are: %s", serviceNames(project))
		}
		named[target.Service] = target.Release
	}
	var found []wanted
	for _, service := range project.Services {
		release, explicit := named[service.Name]
		if !explicit {
			release = everywhere
		}
		if release == "" {
			continue
		}
		want, err := c.want(project, service, release)
		if err != nil {
			return nil, err
		}
		if !explicit && !c.has(ctx, want) {
			continue
		}
		found = append(found, want)
	}
	if len(found) == 0 {
		return nil, segue.Errorf(segue.KindNotFound, "no service of %s has a release %q", req.Project.File, everywhere).
			WithHint("build it first: the artifact of a release is where `artifact` (or the command) in %s says", req.Project.File)
	}
	return found, nil
}

func (c *Controller) want(project *spec.Project, service spec.Service, release segue.ReleaseName) (wanted, error) {
	config, err := c.options.Configure(project, service, release)
	if err != nil {
		return wanted{}, fmt.Errorf("configure %s: %w", service.Name, err)
	}
	settings := service.Service
	if c.options.Caveats != nil {
		if settings.Judging.Caveats, err = c.options.Caveats(project, service); err != nil {
			return wanted{}, err
		}
	}
	if driver, err := c.options.Drivers.Workload(config.Workload); err == nil {
		settings.CanSurge = driver.Capabilities().Surge
	}
	return wanted{
		settings: settings, config: config,
		release: segue.Release{Name: release, Breaking: service.Releases[release].Breaking},
	}, nil
}

// has says whether a service has a release of that name: an artifact, or one that was registered before.
func (c *Controller) has(ctx context.Context, want wanted) bool {
	if v, err := c.viewOf(ctx, want.settings.Name); err == nil {
		if _, ok := v.Releases[want.release.Name]; ok {
			return true
		}
	}
	driver, err := c.options.Drivers.Workload(want.config.Workload)
	if err != nil {
		return false
	}
	config, err := c.options.Drivers.WorkloadConfig(want.config.Workload, want.config.WorkloadBlock)
	if err != nil {
		return false
	}
	_, _, err = driver.Digest(ctx, config, want.release.Name)
	return segue.KindOf(err) != segue.KindNotFound || err == nil
}

func serviceNames(project *spec.Project) string {
	names := make([]string, 0, len(project.Services))
	for _, service := range project.Services {
		names = append(names, string(service.Name))
	}
	return strings.Join(names, ", ")
}
