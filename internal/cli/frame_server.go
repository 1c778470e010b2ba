package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// condition sorts servers by how much they ask for attention.
type condition int

const (
	// conditionWaiting has its turn before it, conditionDone is where it should come to.
	conditionWaiting condition = iota
	conditionDone
	// conditionBusy has a step that runs, conditionOdd is not as it should be.
	conditionBusy
	conditionOdd
)

// serverLine is one server at one moment, before it is laid out.
type serverLine struct {
	condition condition
	server    segue.Server
	releases  string
	doing     string
}

// servers renders the fleet in so many lines at most: those that do something or are not well each have one, the others too if there is room.
func (v frameView) servers(r api.Rollout, paint palette, room int) []string {
	bySite := map[segue.ServerName][]api.StepStatus{}
	for _, step := range r.Steps {
		if step.Server != "" {
			bySite[step.Server] = append(bySite[step.Server], step)
		}
	}
	all := make([]serverLine, 0, len(r.Fleet.Slots))
	for _, slot := range r.Fleet.Slots {
		all = append(all, v.server(r, slot, bySite[slot.Server.Name], paint))
	}
	// More than this is a wall of text, whatever the terminal's height.
	const most = 20
	room = min(room, most)
	least := width(journey(palette{}, r.Stable, r.Candidate))
	if len(all) <= room {
		return v.layout(all, least, paint)
	}
	shown, counts := choose(all, room-2)
	lines := v.layout(shown, least, paint)
	var rest []string
	for _, each := range []struct {
		condition condition
		text      string
	}{
		{conditionOdd, "! %s more not well"},
		{conditionBusy, v.spinner() + " %s more under way"},
		{conditionDone, "✓ %s done"},
		{conditionWaiting, "○ %s to come"},
	} {
		if n := counts[each.condition]; n > 0 {
			rest = append(rest, v.paintCondition(each.condition, paint, fmt.Sprintf(each.text, count(int64(n)))))
		}
	}
	return append(lines, "  "+strings.Join(rest, paint.faint(" · ")))
}

// choose keeps the lines of servers that are not well, then of those that do something, in the fleet's order, and counts the others.
func choose(all []serverLine, room int) (shown []serverLine, others map[condition]int) {
	others = map[condition]int{}
	for _, line := range all {
		others[line.condition]++
	}
	keep := map[condition]int{conditionOdd: min(others[conditionOdd], room)}
	keep[conditionBusy] = min(others[conditionBusy], room-keep[conditionOdd])
	for _, line := range all {
		if keep[line.condition] > 0 {
			keep[line.condition]--
			others[line.condition]--
			shown = append(shown, line)
		}
	}
	return shown, others
}

// layout puts servers' lines into columns. That of releases has least cells, so that nothing moves when a server gets its turn.
func (v frameView) layout(all []serverLine, least int, paint palette) []string {
	names, partitions, releases := 0, 0, least
	for _, line := range all {
		names = max(names, width(string(line.server.Name)))
		partitions = max(partitions, width(string(line.server.Partition)))
		releases = max(releases, width(line.releases))
	}
	names, partitions = min(names, 24), min(partitions, 12)
	lines := make([]string, len(all))
	for i, line := range all {
		text := "  " + v.paintCondition(line.condition, paint, v.sign(line.condition)) + " " + pad(clip(string(line.server.Name), names), names) + "  "
		if partitions > 0 {
			text += paint.faint(pad(clip(string(line.server.Partition), partitions), partitions)) + "  "
		}
		lines[i] = strings.TrimRight(text+pad(line.releases, releases)+"  "+line.doing, " ")
	}
	return lines
}

func (v frameView) sign(c condition) string {
	switch c {
	case conditionDone:
		return "✓"
	case conditionBusy:
		return v.spinner()
	case conditionOdd:
		return "!"
	case conditionWaiting:
		return "○"
	default:
		return " "
	}
}

func (v frameView) paintCondition(c condition, paint palette, text string) string {
	switch c {
	case conditionDone:
		return paint.good(text)
	case conditionBusy:
		return paint.candidate(text)
	case conditionOdd:
		return paint.bad(text)
	case conditionWaiting:
		return paint.faint(text)
	default:
		return text
	}
}

// server says what one server has and does.
func (v frameView) server(r api.Rollout, slot segue.Slot, steps []api.StepStatus, paint palette) serverLine {
	line := serverLine{server: slot.Server, releases: releasesOf(r, slot, paint), doing: state(slot)}
	waiting := false
	for _, step := range steps {
		switch step.Status {
		case stepRunning:
			line.condition, line.doing = conditionBusy, v.doing(step, paint)
			line.releases = v.change(r, slot, step, paint)
			return line
		case stepFailed:
			if step.Failure != nil {
				line.condition, line.doing = conditionOdd, paint.bad(string(step.Kind)+" failed: ")+printable(step.Failure.Message)
			}
		case stepWaiting:
			waiting = true
			if step.Waiting != "" && line.condition != conditionOdd {
				line.doing = printable(step.Waiting)
			}
		}
	}
	switch {
	case line.condition == conditionOdd:
	case waiting:
		line.condition = conditionWaiting
	case !well(slot):
		line.condition, line.doing = conditionOdd, paint.bad(line.doing)
	case slot.Instance.Release == goalOf(r):
		line.condition = conditionDone
	default:
		line.condition = conditionWaiting
	}
	return line
}

// change is "v1 → v2" for a server with a step that runs.
func (v frameView) change(r api.Rollout, slot segue.Slot, step api.StepStatus, paint palette) string {
	to := goalOf(r)
	if step.Kind == segue.StepStart || step.Kind == segue.StepAwaitReady || step.Kind == segue.StepAdmit {
		to = step.Release
	}
	if from := slot.Instance.Release; slot.Instance.ID != "" && from != to {
		return releaseName(r, from, paint) + " → " + releaseName(r, to, paint)
	}
	return releasesOf(r, slot, paint)
}

// goalOf is the release that the rollout wants now.
func goalOf(r api.Rollout) segue.ReleaseName {
	if r.Goal == segue.GoalBack {
		return r.Stable
	}
	return r.Candidate
}

// well says whether a server carries load, as far as one can tell without its balancer: a worker's rotation is never in.
func well(slot segue.Slot) bool {
	return slot.Instance.ID != "" && slot.Ready && slot.Instance.State.Alive()
}

// state is what a server without a step of its own is doing.
func state(slot segue.Slot) string {
	switch {
	case slot.Instance.ID == "":
		return "empty"
	case slot.Instance.State == segue.InstanceBackOff:
		return "crashed, starts again" + crashes(slot.Instance)
	case !slot.Ready:
		return "not ready"
	case slot.Rotation == segue.RotationDraining:
		return "drained, out of rotation"
	case slot.Rotation == segue.RotationIn:
		return "in rotation" + crashes(slot.Instance)
	default:
		return "ready" + crashes(slot.Instance)
	}
}

func crashes(instance segue.Instance) string {
	if instance.Restarts == 0 {
		return ""
	}
	return ", " + plural(instance.Restarts, "restart")
}

// doing is a step that runs, and for how long.
func (v frameView) doing(step api.StepStatus, paint palette) string {
	var text string
	switch step.Kind {
	case segue.StepDrain:
		text = "draining"
	case segue.StepStop:
		text = "stopping " + string(step.Release)
	case segue.StepStart:
		text = "starting " + string(step.Release)
	case segue.StepAwaitReady:
		text = "waiting until " + string(step.Release) + " is ready"
	case segue.StepAdmit:
		text = "admitting " + string(step.Release)
	default:
		text = string(step.Kind)
	}
	var clauses []string
	if took := v.now.Sub(step.Since); !step.Since.IsZero() && took >= time.Second {
		clock := clock(took)
		if step.Within > 0 {
			clock += " of " + span(step.Within) + " at most"
		}
		clauses = append(clauses, clock)
	}
	if step.Attempt > 1 {
		clauses = append(clauses, fmt.Sprintf("attempt %d", step.Attempt))
	}
	if step.Waiting != "" {
		clauses = append(clauses, printable(step.Waiting))
	}
	if len(clauses) > 0 {
		text += paint.faint(", " + strings.Join(clauses, ", "))
	}
	return text
}

func releasesOf(r api.Rollout, slot segue.Slot, paint palette) string {
	if slot.Instance.ID == "" {
		if slot.Beside != nil {
			return releaseName(r, slot.Beside.Instance.Release, paint)
		}
		return paint.faint("–")
	}
	text := releaseName(r, slot.Instance.Release, paint)
	if slot.Beside != nil {
		text += " + " + releaseName(r, slot.Beside.Instance.Release, paint)
	}
	return text
}

// releaseName paints a release by what it is in the rollout.
func releaseName(r api.Rollout, release segue.ReleaseName, paint palette) string {
	switch release {
	case r.Candidate:
		return paint.candidate(string(release))
	case r.Stable:
		return paint.stable(string(release))
	}
	return string(release)
}
