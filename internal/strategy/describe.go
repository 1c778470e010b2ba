package strategy

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
)

// Describe renders a plan for people: a line on the whole, one line per action under a heading per batch, then notes and the way
// back. Durations are the plan's bounds, not forecasts.
func Describe(plan segue.Plan) []string {
	lines := []string{headline(plan)}
	batch := ""
	for _, step := range plan.Steps {
		if heading := batchLine(plan, step); heading != batch && (batch != "" || heading != "then") {
			batch = heading
			lines = append(lines, heading)
		}
		lines = append(lines, fmt.Sprintf("  %3d  %s", step.ID, action(step)))
	}
	for _, note := range plan.Notes {
		lines = append(lines, "note: "+note)
	}
	for _, way := range plan.WayBack {
		line := fmt.Sprintf("way back from step %d: %s", way.From, way.How)
		if way.Closed != "" {
			line += " (" + way.Closed + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func headline(plan segue.Plan) string {
	line := string(plan.Service) + ": "
	switch {
	case plan.Empty():
		return line + "nothing to do"
	case plan.Goal == segue.GoalJoin:
		line += "bring " + string(plan.To) + " onto servers that joined"
	case plan.Goal == segue.GoalBack && plan.To == "":
		line += "take " + string(plan.From) + " away"
	case plan.Goal == segue.GoalBack:
		line += fmt.Sprintf("back from %s to %s", plan.From, plan.To)
	case plan.From == "" || plan.From == plan.To:
		line += "bring up " + string(plan.To)
	default:
		line += fmt.Sprintf("from %s to %s", plan.From, plan.To)
	}
	line += ", " + string(plan.Strategy)
	if plan.Batches > 0 {
		line += fmt.Sprintf(", %d %s", plan.Batches, verb(plan.Batches, "batch", "batches"))
	}
	if plan.MinReady > 0 {
		line += fmt.Sprintf(", never fewer than %d ready", plan.MinReady)
	}
	return line
}

func batchLine(plan segue.Plan, first segue.Step) string {
	if first.Batch == 0 && first.Group == "" && first.Database != "" {
		return "database"
	}
	if first.Batch == 0 {
		return "then"
	}
	line := fmt.Sprintf("batch %d of %d", first.Batch, plan.Batches)
	if first.Partition != "" {
		line += ", partition " + string(first.Partition)
	}
	return line
}

// action is one step in words, with what it waits for where that is not the line before.
func action(step segue.Step) string {
	var line strings.Builder
	if step.Server != "" {
		line.WriteString(string(step.Server) + ": ")
	}
	line.WriteString(words(step))
	if step.Within > 0 {
		line.WriteString(", within " + span(step.Within))
	}
	if step.Why != "" {
		line.WriteString(" (" + step.Why + ")")
	}
	if after := afters(step); after != "" {
		line.WriteString("; after " + after)
	}
	return line.String()
}

func words(step segue.Step) string {
	switch step.Kind {
	case segue.StepStart:
		return "start " + string(step.Release) + " as " + string(step.Instance)
	case segue.StepAwaitReady:
		return "await " + string(step.Instance) + " ready"
	case segue.StepObserve:
		return "observe " + string(step.Release) + " for " + span(step.For)
	case segue.StepApprove:
		return "wait for approval"
	case segue.StepFinalize:
		if step.Release == "" {
			return "finalize"
		}
		return "finalize " + string(step.Release)
	case segue.StepMirror:
		if step.On {
			return "mirror requests to " + string(step.Instance)
		}
		return "mirror to " + string(step.Instance) + " off"
	case segue.StepMaintenance:
		if step.On {
			return "maintenance page on"
		}
		return "maintenance page off"
	case segue.StepExpand, segue.StepBackfill, segue.StepContract:
		return fmt.Sprintf("%s %s: %s", step.Kind, step.Database, step.Title)
	default:
		return strings.TrimSpace(string(step.Kind) + " " + string(step.Instance))
	}
}

// span writes a time without the units that are zero at its end: 24h, 1m30s.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// afters names what a step waits for, unless that is just the step before it.
func afters(step segue.Step) string {
	const most = 6
	if len(step.After) == 0 && step.ID == 1 || len(step.After) == 1 && step.After[0] == step.ID-1 {
		return ""
	}
	if len(step.After) == 0 {
		return "nothing"
	}
	var ids []string
	for i, id := range step.After {
		if i == most && len(step.After) > most+1 {
			return strings.Join(ids, ", ") + " and " + strconv.Itoa(len(step.After)-most) + " more"
		}
		ids = append(ids, strconv.Itoa(int(id)))
	}
	return strings.Join(ids, ", ")
}
