package process

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/workload/shim"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	// Path leads to it from the block's top, by JSON name or index: ["ready", "http"], ["command", "1"].
	Path    []string
	Message string
	// Hint is what to do next, "" when there is nothing useful to say.
	Hint string
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Faults lists everything wrong with the configuration as it was written, defaults not filled in.
func (c Config) Faults() []Fault {
	v := &validation{}
	v.command(c)
	v.ready(c)
	v.stop(c)
	for _, f := range []struct {
		path  []string
		value time.Duration
	}{
		{[]string{"ready", "within"}, c.Ready.Within},
		{[]string{"stop", "quiet_wait"}, c.Stop.QuietWait},
		{[]string{"stop", "grace"}, c.Stop.Grace},
		{[]string{"restart", "min"}, c.Restart.Min},
		{[]string{"restart", "max"}, c.Restart.Max},
	} {
		if f.value < 0 {
			v.fault(f.path, "a duration cannot be negative", "")
		}
	}
	if c.Restart.Max > 0 && c.Restart.Max < c.Restart.Min {
		v.fault([]string{"restart", "max"}, fmt.Sprintf("%v is less than min, %v", c.Restart.Max, c.Restart.Min), "")
	}
	if c.Log.MaxBytes < 0 || (c.Log.MaxBytes > 0 && c.Log.MaxBytes < 4096) {
		v.fault([]string{"log", "max_bytes"}, fmt.Sprintf("%d bytes are less than 4096", c.Log.MaxBytes), "")
	}
	if c.Log.Files < 0 || c.Log.Files > 1000 {
		v.fault([]string{"log", "files"}, fmt.Sprintf("%d files: use 1 to 1000", c.Log.Files), "")
	}
	return v.faults
}

type validation struct{ faults []Fault }

func (v *validation) fault(path []string, message, hint string) {
	v.faults = append(v.faults, Fault{Path: path, Message: message, Hint: hint})
}

func (v *validation) err(path []string, err error) {
	if err != nil {
		v.fault(path, err.Error(), segue.HintOf(err))
	}
}

// template checks the placeholders of a text.
func (v *validation) template(path []string, text string, allowed []string) {
	v.err(path, checkPlaceholders(text, allowed))
	if strings.ContainsRune(text, 0) {
		v.fault(path, "it has a zero byte in it", "")
	}
}

// value checks the placeholders of an environment variable's value. It may be a secret with braces of its own: what is not
// nearly a placeholder is text, and is not told in an error.
func (v *validation) value(path []string, text string, allowed []string) {
	for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
		if _, near := nearest(match[1], allowed); near {
			v.err(path, checkPlaceholders(match[0], allowed))
		}
	}
	if strings.ContainsRune(text, 0) {
		v.fault(path, "it has a zero byte in it", "")
	}
}

func (v *validation) command(c Config) {
	allowed := c.placeholders()
	if len(c.Command) == 0 || c.Command[0] == "" {
		v.fault([]string{"command"}, "there is no command", "say what an instance runs: command: [./releases/{release}/shop, --listen, \"{address}\"]")
	}
	for i, arg := range c.Command {
		v.template([]string{"command", fmt.Sprint(i)}, arg, allowed)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		path := []string{"env", name}
		if !envName.MatchString(name) {
			v.fault(path, fmt.Sprintf("%q is no name of an environment variable", name), "")
		}
		v.value(path, c.Env[name], allowed)
	}
	switch {
	case c.Artifact != "":
		v.template([]string{"artifact"}, c.Artifact, []string{"release", "service"})
		if !strings.Contains(c.Artifact, releaseMark) {
			v.fault([]string{"artifact"}, "it does not contain {release}, so that all releases would be the same", "")
		}
	case len(c.Command) > 0:
		_, err := deriveArtifact(c.Command)
		v.err([]string{"command"}, err)
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		v.fault([]string{"dir"}, fmt.Sprintf("%q is no absolute path", c.Dir), "")
	}
}

func (v *validation) ready(c Config) {
	ways := 0
	if c.Ready.HTTP != "" {
		ways++
		if !strings.HasPrefix(c.Ready.HTTP, "/") {
			v.fault([]string{"ready", "http"}, fmt.Sprintf("%q is no path", c.Ready.HTTP), "begin it with a slash: /readyz")
		}
	}
	if c.Ready.TCP {
		ways++
	}
	if len(c.Ready.Command) > 0 {
		ways++
		for i, arg := range c.Ready.Command {
			v.template([]string{"ready", "command", fmt.Sprint(i)}, arg, c.placeholders())
		}
	}
	if ways > 1 {
		v.fault([]string{"ready"}, "http, tcp and command are alternatives: use one", "")
	}
	if c.Worker && (c.Ready.HTTP != "" || c.Ready.TCP) {
		v.fault([]string{"ready"}, "a worker has no address to check", "use ready: {command: [...]}, or leave it out")
	}
}

func (v *validation) stop(c Config) {
	if c.Stop.Quiet != "" {
		_, err := shim.ParseSignal(c.Stop.Quiet)
		v.err([]string{"stop", "quiet"}, err)
	}
	if c.Stop.Signal != "" {
		_, err := shim.ParseSignal(c.Stop.Signal)
		v.err([]string{"stop", "signal"}, err)
	}
}
