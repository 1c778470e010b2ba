package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// own is the part of an instance's configuration that the driver uses itself once it runs.
type own struct {
	Ready Ready `json:"ready"`
	// Limit is how many crashes in a row are put up with.
	Limit int `json:"limit"`
}

// configOf gives the driver's own block with its defaults filled in.
func configOf(config workload.Config) (Config, error) {
	switch c := config.(type) {
	case Config:
		return c.Filled(), nil
	case *Config:
		if c != nil {
			return c.Filled(), nil
		}
	}
	return Config{}, segue.Errorf(segue.KindInvalid, "process driver: configuration is a %T", config)
}

// artifactOf gives the absolute path of a release's artifact.
func (c Config) artifactOf(service segue.ServiceName, release segue.ReleaseName) (string, error) {
	if c.Artifact == "" {
		_, err := deriveArtifact(c.Command)
		return "", err
	}
	path := expand(c.Artifact, map[string]string{"release": string(release), "service": string(service)})
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	return filepath.Clean(path), nil
}

// assembly turns a launch into a shim's spec.
type assembly struct {
	config Config
	launch workload.Launch
	staged string // path of the staged artifact
	dir    string // the instance's folder
	logDir string
}

// spec fills everything in for an address; "" for a worker.
func (a assembly) spec(address string) (shim.Spec, error) {
	c, l := a.config, a.launch
	values := a.values(address)
	move := newRelocation(c.Dir, expand(c.Artifact, values), a.staged)
	fill := func(text string) string { return move.apply(expand(text, values)) }
	env := a.environment(values, fill)

	command, check := slices.Clone(c.Command), slices.Clone(c.Ready.Command)
	for _, argv := range [][]string{command, check} {
		for i, arg := range argv {
			argv[i] = fill(arg)
		}
	}
	if len(command) == 0 {
		return shim.Spec{}, segue.Errorf(segue.KindInvalid, "service %s has no command", l.Service)
	}
	for _, argv := range [][]string{command, check} {
		if len(argv) == 0 {
			continue
		}
		program, err := findProgram(argv[0], c.Dir, env["PATH"], a.where())
		if err != nil {
			return shim.Spec{}, err
		}
		argv[0] = program
	}
	ready := c.Ready
	ready.Command = check
	driver, err := json.Marshal(own{Ready: ready, Limit: c.Restart.Limit})
	if err != nil {
		return shim.Spec{}, fmt.Errorf("encode configuration: %w", err)
	}
	grace := l.Grace
	if grace <= 0 {
		grace = c.Stop.Grace
	}
	spec := shim.Spec{
		ID: l.ID, Service: l.Service, Server: l.Server, Release: l.Release.Name, Digest: l.Release.Digest,
		Command: command, Dir: c.Dir, Address: address,
		LogDir: a.logDir, LogBytes: c.Log.MaxBytes, LogFiles: c.Log.Files,
		Quiet: c.Stop.Quiet, QuietWait: c.Stop.QuietWait, Term: c.Stop.Signal, Grace: grace,
		BackOffMin: c.Restart.Min, BackOffMax: c.Restart.Max, Driver: driver,
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		spec.Env = append(spec.Env, name+"="+env[name])
	}
	return spec, nil
}

// where says what errors about the program are about.
func (a assembly) where() string {
	if a.launch.Server == "" {
		return "as release " + string(a.launch.Release.Name) + " is staged"
	}
	return "on server " + string(a.launch.Server)
}

// values are those of the placeholders.
func (a assembly) values(address string) map[string]string {
	values := map[string]string{
		"release": string(a.launch.Release.Name), "server": string(a.launch.Server), "service": string(a.launch.Service),
		"instance": string(a.launch.ID), "artifact": a.staged,
	}
	if address != "" {
		values["address"], values["port"] = address, strconv.Itoa(portOf(address))
	}
	return values
}

// inherited are the variables that instances get from the controller's environment, and what they are without.
func inherited() map[string]string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"} {
		if value := os.Getenv(name); value != "" {
			env[name] = value
		}
	}
	return env
}

// environment is the instance's whole environment. What is configured wins over what is inherited, what the launch brings over both; Segue's own
// names win over all.
func (a assembly) environment(values map[string]string, fill func(string) string) map[string]string {
	env := inherited()
	if address := values["address"]; address != "" {
		env["ADDRESS"], env["PORT"] = address, values["port"]
	}
	for name, value := range a.config.Env {
		env[name] = fill(value)
	}
	maps.Copy(env, a.launch.Env)
	env["SEGUE_RELEASE"], env["SEGUE_SERVER"] = values["release"], values["server"]
	env["SEGUE_SERVICE"], env["SEGUE_INSTANCE"] = values["service"], values["instance"]
	env[shim.InstanceDirVariable] = a.dir
	return env
}

// findProgram gives a program's absolute path: below dir when it has a slash, else along PATH. KindNotFound when there is none,
// KindInvalid when it is there and cannot be run.
func findProgram(name, dir, path string, where string) (string, error) {
	candidates := []string{name}
	switch {
	case filepath.IsAbs(name):
	case strings.Contains(name, "/"):
		candidates = []string{filepath.Join(dir, name)}
	default:
		candidates = nil
		for _, folder := range filepath.SplitList(path) {
			if filepath.IsAbs(folder) {
				candidates = append(candidates, filepath.Join(folder, name))
			}
		}
	}
	var fault error
	for _, candidate := range candidates {
		info, err := os.Stat(candidate)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			fault = segue.Errorf(segue.KindInvalid, "program %s %s: %w", candidate, where, err)
		case info.IsDir():
			fault = segue.Errorf(segue.KindInvalid, "program %s %s is a folder", candidate, where).
				WithHint("name the program in it: %s", filepath.Join(name, "..."))
		case info.Mode()&0o111 == 0:
			fault = segue.Errorf(segue.KindInvalid, "program %s %s is not executable", candidate, where).
				WithHint("chmod +x it and give it a release name of its own")
		default:
			return candidate, nil
		}
	}
	if fault != nil {
		return "", fault
	}
	searched := ""
	if !strings.Contains(name, "/") {
		searched = " in PATH " + path
	}
	return "", segue.Errorf(segue.KindNotFound, "program %s does not exist%s %s", name, searched, where)
}
