package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/spec"
)

// completeWithin bounds the wait for a controller while somebody presses Tab.
const completeWithin = 500 * time.Millisecond

// look asks the controller for what a completion needs, if one runs. It never starts one.
func (s *session) look(ctx context.Context, ask func(context.Context, api.Controller) error) {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	controller, done, err := s.running(ctx)
	if err != nil {
		return
	}
	defer done()
	// No answer means no completions.
	_ = ask(ctx, controller)
}

func (s *session) statusNow(ctx context.Context) (status api.Status) {
	s.look(ctx, func(ctx context.Context, controller api.Controller) (err error) {
		status, err = controller.Status(ctx)
		return err
	})
	return status
}

func (s *session) completeServices(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []string
	for _, service := range s.statusNow(c.Context()).Services {
		found = append(found, string(service.Name))
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeServers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return serversOf(s.statusNow(c.Context()), nil), cobra.ShellCompDirectiveNoFileComp
}

func (s *session) completeServicesAndServers(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	status := s.statusNow(c.Context())
	var found []string
	if len(args) == 0 {
		for _, service := range status.Services {
			found = append(found, string(service.Name))
		}
	}
	return append(found, serversOf(status, args)...), cobra.ShellCompDirectiveNoFileComp
}

// serversOf lists servers with what they run, those that are named already left out.
func serversOf(status api.Status, but []string) []string {
	var found []string
	for _, service := range status.Services {
		for _, slot := range service.Fleet.Slots {
			if name := string(slot.Server.Name); !slices.Contains(but, name) {
				found = append(found, cobra.CompletionWithDesc(name, string(service.Name)+" "+string(slot.Instance.Release)))
			}
		}
	}
	return found
}

func (s *session) completeRollouts(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var found []string
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s.look(c.Context(), func(ctx context.Context, controller api.Controller) error {
		history, err := controller.History(ctx, 20)
		for _, entry := range history {
			found = append(found, cobra.CompletionWithDesc(entry.ID.String(), string(entry.Service)+" to "+string(entry.Candidate)))
		}
		return err
	})
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeTargets completes RELEASE and SERVICE=RELEASE, from the releases whose artifacts are there and those that the controller knows.
func (s *session) completeTargets(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 && !strings.Contains(args[0], "=") {
		return nil, directive
	}
	services, releases := s.knownReleases(c.Context())
	if len(args) > 0 || strings.Contains(typed, "=") {
		return pairs(services, releases, args), directive
	}
	var found []string
	for _, service := range services {
		for _, release := range releases[service] {
			if !slices.Contains(found, release) {
				found = append(found, release)
			}
		}
	}
	if len(services) > 1 {
		directive |= cobra.ShellCompDirectiveNoSpace
		for _, service := range services {
			found = append(found, string(service)+"=")
		}
	}
	return found, directive
}

// pairs lists SERVICE=RELEASE for the services that are not named yet.
func pairs(services []segue.ServiceName, releases map[segue.ServiceName][]string, named []string) []string {
	var found []string
	for _, service := range services {
		if slices.ContainsFunc(named, func(arg string) bool { return strings.HasPrefix(arg, string(service)+"=") }) {
			continue
		}
		for _, release := range releases[service] {
			found = append(found, string(service)+"="+release)
		}
	}
	return found
}

// knownReleases lists services in order, and the releases of each.
func (s *session) knownReleases(ctx context.Context) ([]segue.ServiceName, map[segue.ServiceName][]string) {
	releases := map[segue.ServiceName][]string{}
	var services []segue.ServiceName
	if project, _, err := s.project(); err == nil {
		services = serviceNames(project)
		for _, service := range project.Services {
			releases[service.Name] = artifactsOf(project, service)
		}
	}
	for _, service := range s.statusNow(ctx).Services {
		if !slices.Contains(services, service.Name) {
			services = append(services, service.Name)
		}
		for _, release := range []segue.ReleaseName{service.Stable, service.Previous} {
			if name := string(release); name != "" && !slices.Contains(releases[service.Name], name) {
				releases[service.Name] = append(releases[service.Name], name)
			}
		}
	}
	return services, releases
}

// artifactsOf lists the releases of a service whose artifacts are on this machine.
func artifactsOf(project *spec.Project, service spec.Service) []string {
	const mark = "\x00"
	pattern := service.Artifact(mark)
	if pattern == "" {
		return nil
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(project.Dir, pattern)
	}
	before, after, ok := strings.Cut(pattern, mark)
	if !ok {
		return nil
	}
	paths, err := filepath.Glob(before + "*" + strings.ReplaceAll(after, mark, "*"))
	if err != nil {
		return nil
	}
	var found []string
	for _, path := range paths {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, before), "/")
		if after != "" && !strings.Contains(after, "/") {
			name = strings.TrimSuffix(name, after)
		}
		if _, err := segue.ParseReleaseName(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}
