package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// placeholder stands for a release's name.
const placeholder = "{release}"

var (
	braces          = regexp.MustCompile(`\{([a-z][a-z_-]*)\}`)
	environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// process resolves the block of the driver `process`.
func (r *resolver) process(at string, block *ProcessWorkload, s *Service) {
	s.Process, block.Dir = block, r.project.Dir
	r.command(at+".command", block.Command)
	for i, word := range block.Command {
		r.placeholders(item(at+".command", i), word, known(block.Worker))
	}
	for _, name := range slices.Sorted(maps.Keys(block.Env)) {
		if !environmentName.MatchString(name) {
			r.add(r.keyAt[at+".env."+name], "use letters, digits and _", "%q cannot be the name of an environment variable", name)
		}
		r.placeholders(at+".env."+name, block.Env[name], known(block.Worker))
	}
	r.artifact(at, block)
	r.ready(at+".ready", block)
	r.positive(at+".ready.within", &block.Ready.Within, defaultReady)
	r.positive(at+".stop.grace", &block.Stop.Grace, defaultGrace)
	s.Timing.Ready, s.Timing.Grace = block.Ready.Within, block.Stop.Grace
	if block.Stop.Signal == "" {
		block.Stop.Signal = "TERM"
	}
	switch {
	case block.Stop.Quiet != "":
		r.positive(at+".stop.quiet_wait", &block.Stop.QuietWait, defaultQuietWait)
	case r.has(at + ".stop.quiet_wait"):
		r.fault(at+".stop.quiet_wait", "add quiet: USR1, or whatever the worker listens to", "quiet_wait without a quiet signal")
	}
	r.restart(at, block)
}

// restart resolves what happens after a crash, and how much of the output is kept.
func (r *resolver) restart(at string, block *ProcessWorkload) {
	restart := &block.Restart
	r.positive(at+".restart.min", &restart.Min, 0)
	r.positive(at+".restart.max", &restart.Max, 0)
	if restart.Max > 0 && restart.Min > restart.Max {
		r.fault(at+".restart.min", "", "restart.min is longer than restart.max")
	}
	switch {
	case restart.Limit < 0:
		r.fault(at+".restart.limit", "write 0 for none", "restart.limit is negative")
	case restart.Limit == 0 && r.has(at+".restart.limit"):
		restart.Limit = -1
	}
	const least, most = 4 << 10, 1000
	if r.has(at+".logs.max_size") && block.Logs.MaxSize < least {
		r.fault(at+".logs.max_size", "", "logs.max_size is less than 4KiB")
	}
	if r.has(at+".logs.files") && (block.Logs.Files < 1 || block.Logs.Files > most) {
		r.fault(at+".logs.files", "write 1 to 1000", "logs.files is %d", block.Logs.Files)
	}
}

// command checks that there is a program.
func (r *resolver) command(at string, command []string) {
	if r.has(at) && (len(command) == 0 || command[0] == "") {
		r.fault(at, "write [./releases/{release}/server, --listen, \"{address}\"]", "%s names no program", at)
	}
}

// placeholders reports lower-case words in braces that nothing stands for. Other braces, such as those of JSON, are text.
func (r *resolver) placeholders(at, text string, known []string) {
	for _, match := range braces.FindAllStringSubmatch(text, -1) {
		if slices.Contains(known, match[1]) {
			continue
		}
		hint := "there are {" + strings.Join(known, "}, {") + "}"
		if best := suggest(match[1], known); best != "" {
			hint = fmt.Sprintf("did you mean {%s}?", best)
		}
		r.fault(at, hint, "%s: nothing stands for {%s}", at, match[1])
	}
}

// known lists the placeholders of a command and an environment.
func known(worker bool) []string {
	if worker {
		return []string{"artifact", "instance", "release", "server", "service"}
	}
	return []string{"address", "artifact", "instance", "port", "release", "server", "service"}
}

// artifact resolves what a release is: by default the path in the command that has {release} in it, up to there.
func (r *resolver) artifact(at string, block *ProcessWorkload) {
	if r.has(at + ".artifact") {
		if block.Artifact == "" {
			r.fault(at+".artifact", "", "artifact is empty")
		} else if !strings.Contains(block.Artifact, placeholder) {
			r.fault(at+".artifact", "put it where the release's name stands in the path", "artifact has no {release}: every release would be the same")
		}
		r.placeholders(at+".artifact", block.Artifact, []string{"release", "service"})
		return
	}
	paths := artifacts(block.Command)
	switch {
	case len(paths) == 1:
		block.Artifact = paths[0]
	case len(paths) > 1:
		r.fault(at+".command", "set artifact: "+paths[0], "the command has several paths with {release}: %s", strings.Join(paths, ", "))
	case len(block.Command) > 0:
		r.fault(at+".command", "write it like ./releases/{release}/server, or set artifact",
			"no path in the command has {release}, and there is no artifact: every release would be the same")
	}
}

// artifacts finds the paths with {release} in a command, each cut after the component that has it. Of --data=./x/{release}/y what follows the '='
// counts; a word without a slash is a path only where the program stands.
func artifacts(command []string) []string {
	var paths []string
	for i, word := range command {
		if strings.HasPrefix(word, "-") {
			_, word, _ = strings.Cut(word, "=")
		}
		at := strings.Index(word, placeholder)
		if at < 0 || i > 0 && !strings.Contains(word, "/") {
			continue
		}
		if end := strings.IndexByte(word[at:], '/'); end >= 0 {
			word = word[:at+end]
		}
		if !slices.Contains(paths, word) {
			paths = append(paths, word)
		}
	}
	return paths
}

// ready resolves the readiness check.
func (r *resolver) ready(at string, block *ProcessWorkload) {
	ready := &block.Ready
	ways := 0
	for _, set := range []bool{ready.HTTP != "", ready.TCP, len(ready.Command) > 0} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		r.fault(at, "keep one", "%s has more than one of http, tcp and command", at)
	}
	if r.has(at + ".command") {
		r.command(at+".command", ready.Command)
	}
	for i, word := range ready.Command {
		r.placeholders(item(at+".command", i), word, known(block.Worker))
	}
	if r.has(at+".http") && !strings.HasPrefix(ready.HTTP, "/") {
		r.fault(at+".http", "write it like /readyz", "%s.http: %q is no path", at, ready.HTTP)
	}
	if !block.Worker {
		ready.TCP = ready.TCP || ways == 0
		return
	}
	for key, set := range map[string]bool{"http": ready.HTTP != "", "tcp": ready.TCP} {
		if set {
			r.fault(at+"."+key, "a worker has no address: use command, or nothing", "%s.%s on a worker", at, key)
		}
	}
}

// positive refuses a duration of 0 and puts the default where there is none.
func (r *resolver) positive(at string, value *time.Duration, fallback time.Duration) {
	if *value == 0 && r.has(at) {
		r.fault(at, "", "%s must be more than 0", at)
	}
	if *value == 0 {
		*value = fallback
	}
}
