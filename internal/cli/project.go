package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/spec"
)

// fileLimit bounds the project's file; the API takes no larger one.
const fileLimit = 1 << 20

// readProject reads the project's file.
func (s *session) readProject() (text []byte, dir string, err error) {
	info, err := os.Stat(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", segue.Errorf(segue.KindInvalid, "no file %s", s.file).
			WithHint("run `segue init` for one to begin with, or name another one with -f")
	case err == nil && info.Size() > fileLimit:
		return nil, "", segue.Errorf(segue.KindInvalid, "%s has %d bytes; a project's file has %d at most", s.file, info.Size(), fileLimit)
	case err == nil:
		text, err = os.ReadFile(s.file)
	}
	if err != nil {
		return nil, "", segue.Errorf(segue.KindInvalid, "read project: %w", err)
	}
	if dir, err = filepath.Abs(filepath.Dir(s.file)); err != nil {
		return nil, "", segue.Errorf(segue.KindInvalid, "find folder of project: %w", err)
	}
	return text, dir, nil
}

// project reads and checks the project's file; the error has every fault.
func (s *session) project() (*spec.Project, api.Project, error) {
	text, dir, err := s.readProject()
	if err != nil {
		return nil, api.Project{}, err
	}
	parsed, err := spec.Parse(text, spec.Options{File: s.file, Dir: dir, Lookup: s.d.LookupEnv, Checks: s.d.Checks})
	if err != nil {
		return nil, api.Project{}, err
	}
	wire := api.Project{File: s.file, Dir: dir, Text: string(text), Variables: map[string]string{}}
	for _, name := range spec.Variables(text) {
		if value, ok := s.d.LookupEnv(name); ok {
			wire.Variables[name] = value
		}
	}
	return parsed, wire, nil
}

// aboutReleases is for commands that name releases of the project.
func (s *session) aboutReleases(c *cobra.Command, args []string, do func(api.Controller, api.Project, []api.Target) error) error {
	project, wire, err := s.project()
	if err != nil {
		return err
	}
	to, err := targets(c, args, project)
	if err != nil {
		return err
	}
	return s.with(c.Context(), func(controller api.Controller) error { return do(controller, wire, to) })
}

// targets reads the arguments of plan and deploy: releases, alone or as SERVICE=RELEASE.
func targets(c *cobra.Command, args []string, project *spec.Project) ([]api.Target, error) {
	all := make([]api.Target, 0, len(args))
	named := map[segue.ServiceName]bool{}
	for _, arg := range args {
		service, release, both := strings.Cut(arg, "=")
		if !both {
			service, release = "", arg
		}
		if both && service == "" {
			return nil, usage(c, "%q names no service", arg)
		}
		target := api.Target{Service: segue.ServiceName(service)}
		var err error
		if target.Release, err = segue.ParseReleaseName(release); err != nil {
			return nil, err
		}
		if _, ok := project.Service(target.Service); both && !ok {
			return nil, segue.Errorf(segue.KindInvalid, "%s has no service %q", project.Name, service).
				WithHint("it has %s", names(serviceNames(project)))
		}
		if named[target.Service] {
			return nil, usage(c, "%s is named twice", whichService(target.Service))
		}
		named[target.Service] = true
		all = append(all, target)
	}
	if named[""] && len(all) > 1 {
		return nil, usage(c, "name one release for every service, or SERVICE=RELEASE for each")
	}
	return all, nil
}

func whichService(name segue.ServiceName) string {
	if name == "" {
		return "the release of every service"
	}
	return "service " + string(name)
}

func serviceNames(project *spec.Project) []segue.ServiceName {
	all := make([]segue.ServiceName, len(project.Services))
	for i, service := range project.Services {
		all[i] = service.Name
	}
	return all
}
