package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/judge/rehearsal"
	"github.com/segue-deploy/segue/internal/spec"
)

func newJudges(s *session) *cobra.Command {
	c := &cobra.Command{
		Use:   "judges",
		Short: "Try the judges on generated rollouts, before there is a real one",
		Long: `A fleet of two releases is generated: servers that differ, day and night, bursts, restarts, a log of some hundred kinds of lines in
one of many styles. The candidate is like stable, or has a fault of your choice. Nothing is deployed, and time is virtual.

Try plays such rollouts before the judges that the project's file asks for. Sample writes the logs and the traffic themselves.`,
		Example: `  segue judges try --fault more-errors-x3
  segue judges sample --fault new-line --out ./sample`,
		Args: func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newJudgesTry(s), newJudgesSample(s))
	return c
}

// worldFlags are the flags that say what is generated.
type worldFlags struct {
	faults   []string
	style    string
	servers  int
	requests string
	history  time.Duration
	length   time.Duration
	seed     uint64
	list     bool
}

// Bounds of what is generated: a rollout of a hundred servers for a day takes minutes.
const (
	mostTryServers = 100
	mostTryLength  = 24 * time.Hour
	mostTryRate    = 1000
)

func (f *worldFlags) define(c *cobra.Command, history, length time.Duration) {
	flags := c.Flags()
	flags.StringArrayVar(&f.faults, "fault", nil, "a `fault` of the candidate, such as more-errors-x3 or new-line-warn-x5; several together, or none (the default)")
	flags.StringVar(&f.style, "style", "", "`style` of the log; otherwise one that the seed draws")
	flags.IntVar(&f.servers, "servers", 4, "`number` of servers, one of which gets the candidate")
	flags.StringVar(&f.requests, "requests", "10/s", "`rate` at which each server gets requests, at the mean of the day: 10/s or 600/m")
	flags.DurationVar(&f.history, "history", history, "`duration` for which the fleet was seen before; 0s for not at all")
	flags.DurationVar(&f.length, "for", length, "`duration` for which the candidate is looked at")
	flags.Uint64Var(&f.seed, "seed", 1, "`number` to draw from: the same one gives the same again")
	flags.BoolVar(&f.list, "list", false, "list faults and styles, and do nothing else")
	complete := func(name string, of func() []string) {
		_ = c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(of(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	}
	complete("fault", func() []string {
		faults := rehearsal.Faults()
		all := append(make([]string, 0, 1+len(faults)), "none")
		for _, one := range faults {
			all = append(all, cobra.CompletionWithDesc(flagWord(string(one.Kind)), faultText(one)))
		}
		return all
	})
	complete("style", styleWords)
}

// flagWord writes a name so that a shell takes it for one word.
func flagWord(name string) string { return strings.ReplaceAll(name, " ", "-") }

func styleWords() []string {
	styles := rehearsal.Styles()
	words := make([]string, 0, len(styles))
	for _, style := range styles {
		words = append(words, flagWord(style.Name))
	}
	return words
}

// world reads the flags; complaints has everything that is wrong with them.
func (f *worldFlags) world() (w rehearsal.World, complaints []string) {
	wrong := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	w = rehearsal.World{Seed: f.seed, Servers: f.servers, Length: f.length, History: max(f.history, 1)}
	for _, text := range f.faults {
		if text == "none" && len(f.faults) > 1 {
			wrong("--fault none stands alone: what is it beside others?")
		}
		if text == "none" {
			continue
		}
		change, err := rehearsal.ParseChange(text)
		if err != nil {
			wrong("--fault %s: %v; --list shows all", text, err)
			continue
		}
		w.Changes = append(w.Changes, change)
	}
	if f.style != "" {
		i := slices.IndexFunc(rehearsal.Styles(), func(s rehearsal.Style) bool { return flagWord(s.Name) == flagWord(f.style) })
		if i < 0 {
			wrong("--style %s is not known; --list shows all", f.style)
		} else {
			w.Style = rehearsal.Styles()[i].Name
		}
	}
	if f.servers < 2 || f.servers > mostTryServers {
		wrong("--servers %d: it is 2 to %d, since judges compare", f.servers, mostTryServers)
	}
	if f.length < time.Minute || f.length > mostTryLength {
		wrong("--for %s: it is a minute to %d hours", f.length, mostTryLength/time.Hour)
	}
	if f.history < 0 || f.history > mostTryLength {
		wrong("--history %s: it is 0s to %d hours", f.history, mostTryLength/time.Hour)
	}
	perMinute, err := parseRate(f.requests)
	if err != nil {
		wrong("--requests %s: %v", f.requests, err)
	}
	w.Requests = perMinute
	return w, complaints
}

// parseRate reads "10/s" or "600/m" as so many a minute.
func parseRate(text string) (perMinute float64, err error) {
	number, unit, _ := strings.Cut(text, "/")
	minutes := map[string]float64{"s": 60, "sec": 60, "m": 1, "min": 1}[strings.TrimSpace(unit)]
	rate, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	switch {
	case err != nil || minutes == 0 || math.IsNaN(rate):
		return 0, errors.New("write a rate, like 10/s or 600/m")
	case rate <= 0 || rate*minutes > 60*mostTryRate:
		return 0, fmt.Errorf("it is over 0 and at most %d/s", mostTryRate)
	}
	return rate * minutes, nil
}

// refuseFlags is wrong usage with every complaint, nil without any.
func refuseFlags(c *cobra.Command, complaints []string) error {
	switch len(complaints) {
	case 0:
		return nil
	case 1:
		return usage(c, "%s", complaints[0])
	}
	return usage(c, "%s are wrong\n%s", plural(len(complaints), "flag"), strings.Join(complaints, "\n"))
}

// choices is what `--list --json` prints.
type choices struct {
	Faults []rehearsal.Fault `json:"faults"`
	Styles []string          `json:"styles"`
}

// listChoices shows what can be generated.
func (s *session) listChoices() error {
	if s.json {
		return s.writeJSON(choices{rehearsal.Faults(), styleWords()})
	}
	paint := s.paint()
	t := &table{head: []string{"fault", "", "the candidate"}}
	for _, one := range rehearsal.Faults() {
		kind := "fault"
		if one.Decoy {
			kind = "decoy"
		}
		name := flagWord(string(one.Kind))
		if one.Size != 0 {
			name += fmt.Sprintf("-x%g", one.Size)
		}
		t.row(name, kind, faultText(one))
	}
	for _, line := range t.lines(paint) {
		s.print("%s", line)
	}
	s.print("")
	s.say("A decoy only looks like a fault. The size behind x may be another one; x1.5 is fine.")
	s.print("")
	s.say(paint.faint("styles") + "  " + strings.Join(styleWords(), ", "))
	return nil
}

// faultText says what the candidate does at the usual size, and what else it may be.
func faultText(one rehearsal.Fault) string {
	text := rehearsal.Change{Kind: one.Kind, Size: one.Size}.Says()
	if len(one.Severities) > 1 {
		text += ", or " + strings.Join(one.Severities[1:], ", ")
	}
	return text
}

// defaultProject stands in where there is no project's file: what its judges are by default.
const defaultProject = `project: default
services:
  web:
    workload: {driver: process, servers: 2, artifact: "./{release}", command: ["{artifact}", --listen, "{address}"]}
    balancer: {driver: embedded, listen: "127.0.0.1:8080"}
`

// judgedService gives the service whose judges are tried, the first one by default, and its project. Without a project's file it is one with all
// defaults, and named is false.
func (s *session) judgedService(c *cobra.Command, args []string) (project *spec.Project, service spec.Service, named bool, err error) {
	_, absent := os.Stat(s.file)
	if named = !errors.Is(absent, fs.ErrNotExist) || c.Flags().Changed("file"); named {
		project, _, err = s.project()
	} else {
		project, err = spec.Parse([]byte(defaultProject), spec.Options{})
	}
	if err != nil {
		return nil, spec.Service{}, named, err
	}
	if len(args) == 0 {
		return project, project.Services[0], named, nil
	}
	for _, service := range project.Services {
		if string(service.Name) == args[0] {
			return project, service, named, nil
		}
	}
	return nil, spec.Service{}, named, segue.Errorf(segue.KindInvalid, "%s has no service %q", project.Name, args[0]).WithHint("it has %s", names(serviceNames(project)))
}
