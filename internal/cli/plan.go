package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-deploy/segue/internal/api"
)

func newPlan(s *session) *cobra.Command {
	var hurry bool
	c := &cobra.Command{
		Use:   "plan {RELEASE | SERVICE=RELEASE...}",
		Short: "Show what a deploy would do, and change nothing",
		Long: `Plan asks the controller what a deploy would do to the fleet as it is now, and prints one line per action, what it
will take, and the way back at each point with what closes it.

The plan carries an index. A deploy that names it is refused if the fleet has changed since.`,
		Example: `  # every service that has this release
  segue plan v2

  # two services, each to its own release
  segue plan web=v2 worker=v7`,
		Args:              needs(1, -1, "a release, or SERVICE=RELEASE"),
		ValidArgsFunction: s.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return s.aboutReleases(c, args, func(controller api.Controller, project api.Project, to []api.Target) error {
				reply, err := controller.Plan(c.Context(), api.DeployRequest{Project: project, Targets: to, Hurry: hurry})
				if err != nil {
					return err
				}
				if s.json {
					return s.writeJSON(reply)
				}
				s.showPlan(reply)
				if planned(reply) {
					s.print("\nTo run exactly this plan: %s", s.paint().strong(s.planCommand(reply, args, hurry)))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&hurry, "hurry", false, "leave out observations")
	return c
}

// planned says whether there is anything to do.
func planned(reply api.PlanReply) bool {
	for _, plan := range reply.Plans {
		if !plan.Plan.Empty() {
			return true
		}
	}
	return false
}

// planCommand is the command line that runs a plan as it was shown.
func (s *session) planCommand(reply api.PlanReply, args []string, hurry bool) string {
	words := append([]string{"segue", "deploy"}, args...)
	words = append(words, fmt.Sprintf("--plan %d", reply.Index))
	if hurry {
		words = append(words, "--hurry")
	}
	return strings.Join(append(words, s.again()...), " ")
}

// again repeats the global flags that say where, for a command line that is shown.
func (s *session) again() []string {
	var words []string
	if s.file != "segue.yaml" {
		words = append(words, "-f", shellWord(s.file))
	}
	if s.state != "" {
		words = append(words, "--state", shellWord(s.state))
	}
	return words
}

// command is a command line that the reader may type, with the flags that say where.
func (s *session) command(words ...string) string {
	return strings.Join(append(append([]string{"segue"}, words...), s.again()...), " ")
}

// shellWord quotes a word for a shell where that is needed.
func shellWord(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:@%+,", r)
	}) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// showPlan prints plans for people.
func (s *session) showPlan(reply api.PlanReply) {
	for i, plan := range reply.Plans {
		if i > 0 {
			s.print("")
		}
		for _, line := range planLines(s.paint(), plan, s.textWidth()) {
			s.print("%s", line)
		}
		for _, check := range plan.Databases {
			if len(check.Changes) == 0 {
				continue
			}
			s.print("")
			for _, line := range checkLines(s.paint(), check, false, s.textWidth()) {
				s.print("%s", line)
			}
		}
	}
}

// planLines renders one service's plan.
func planLines(paint palette, plan api.ServicePlan, cells int) []string {
	var lines []string
	for i, line := range plan.Lines {
		line = printable(line)
		switch {
		case i == 0:
			line = paint.strong(line)
		case strings.HasPrefix(line, "batch "), line == "then", line == "database":
			line = paint.strong("  " + line)
		case strings.HasPrefix(line, "note: "), strings.HasPrefix(line, "way back "):
			// Told below, in order.
			continue
		}
		lines = append(lines, line)
	}
	section := func(title string, rows []string) {
		label := title
		for _, row := range rows {
			for _, line := range wrap(row, cells-12) {
				lines = append(lines, "  "+paint.faint(pad(label, 10))+line)
				label = ""
			}
		}
	}
	if !plan.Plan.Empty() {
		lines = append(lines, "")
		section("takes", []string{forecastLine(plan.Forecast)})
		section("load", []string{loadLine(plan)})
		section("finds", findsLines(plan))
		section("past", pastLines(plan.Forecast.Past))
	}
	back, notes := make([]string, 0, len(plan.Plan.WayBack)), make([]string, 0, len(plan.Plan.Notes))
	for _, way := range plan.Plan.WayBack {
		row := fmt.Sprintf("from step %d: %s", way.From, printable(way.How))
		if way.Closed != "" {
			row = fmt.Sprintf("from step %d: closed (%s)", way.From, printable(way.Closed))
		}
		back = append(back, row)
	}
	for _, note := range plan.Plan.Notes {
		notes = append(notes, printable(note))
	}
	section("way back", back)
	section("notes", notes)
	return lines
}

func forecastLine(f api.Forecast) string {
	if f.AtMost <= f.AtLeast {
		return "at least " + span(f.AtLeast)
	}
	return fmt.Sprintf("at least %s; %s if every deadline is used up", span(f.AtLeast), span(f.AtMost))
}

// findsLines say what the judges would find, and what the bakes are too short for.
func findsLines(plan api.ServicePlan) []string {
	var bake time.Duration
	for _, step := range plan.Plan.Steps {
		bake += step.For
	}
	var lines []string
	for _, p := range plan.Forecast.Finds {
		switch {
		case p.Within == 0:
			lines = append(lines, printable(p.What)+": not at this traffic")
		case p.Within > bake:
			lines = append(lines, fmt.Sprintf("%s: in about %s, longer than this rollout looks", printable(p.What), span(p.Within)))
		default:
			lines = append(lines, fmt.Sprintf("%s: in about %s", printable(p.What), span(p.Within)))
		}
	}
	return lines
}

// pastLines say what servers would be compared with, and what to do where that is too little.
func pastLines(past *api.Past) []string {
	if past == nil {
		return nil
	}
	if past.Enough == 0 {
		return []string{"servers are compared with " + span(past.Logs) + " of their own logs"}
	}
	lines := []string{fmt.Sprintf("servers are compared with %s of their own answers and %s of their logs", span(past.Answers), span(past.Logs))}
	if past.Answers < past.Enough {
		lines = append(lines, fmt.Sprintf("below %s of answers, errors and latency hold a release that they would fail: keep `segue serve` running before a rollout",
			span(past.Enough)))
	}
	return lines
}

func loadLine(plan api.ServicePlan) string {
	if plan.Forecast.PeakLoad <= 1 {
		return "no server carries more than now"
	}
	return fmt.Sprintf("up to %.2f times the present load on the servers that stay in, while others are out", plan.Forecast.PeakLoad)
}
