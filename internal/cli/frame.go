package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
	"github.com/segue-deploy/segue/internal/operator"
)

// Status words of a step on the wire.
const (
	stepWaiting = "waiting"
	stepRunning = "running"
	stepDone    = "done"
	stepFailed  = "failed"
)

// frameView is all that a frame of the live view is made from.
type frameView struct {
	rollouts []api.Rollout
	rates    map[segue.ServiceName][]rate
	now      time.Time
	// tick turns the spinner.
	tick          int
	width, height int
	// last is the frame that stays: no spinner, no hints.
	last bool
	// away says that no controller answers.
	away bool
	// answers says that Ctrl-C asks.
	answers bool
}

// frame renders the live view, in lines that are no wider than the terminal and fewer than it is high.
func frame(v frameView, paint palette) []string {
	var lines []string
	room := max(4, (v.height-1)/len(v.rollouts))
	for i, r := range v.rollouts {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, v.rollout(r, paint, room)...)
	}
	if !v.last {
		lines = append(lines, "", v.footer(paint))
	}
	for i := range lines {
		lines[i] = clip(lines[i], v.width)
	}
	if limit := v.height - 1; limit > 0 && len(lines) > limit {
		lines = lines[:limit]
	}
	return lines
}

// rollout renders one rollout within so many lines.
func (v frameView) rollout(r api.Rollout, paint palette, room int) []string {
	lines := []string{v.header(r, paint)}
	below := v.below(r, paint)
	servers := v.servers(r, paint, max(3, room-len(below)-5))
	lines = append(lines, servers...)
	if len(below) > 0 {
		lines = append(lines, "")
	}
	return append(lines, below...)
}

// header is the service, where it goes, how far it is.
func (v frameView) header(r api.Rollout, paint palette) string {
	mark := paint.phase(r.Phase, v.mark(r.Phase))
	parts := []string{paint.phase(r.Phase, string(r.Phase))}
	if batch := batchOf(r); batch > 0 && !r.Phase.Over() {
		parts = append(parts, fmt.Sprintf("batch %d of %d", batch, max(batch, r.Batches)))
	}
	end := v.now
	if !r.EndedAt.IsZero() {
		end = r.EndedAt
	}
	if !r.OpenedAt.IsZero() {
		parts = append(parts, clock(end.Sub(r.OpenedAt)))
	}
	return fmt.Sprintf("%s %s  %s  %s  %s", mark, paint.strong(string(r.Service)), journey(paint, r.Stable, r.Candidate),
		strings.Join(parts, paint.faint(" · ")), paint.faint("rollout "+r.ID.String()))
}

// mark is the sign before a rollout or a server.
func (v frameView) mark(phase segue.Phase) string {
	switch phase {
	case segue.PhaseSucceeded:
		return "✓"
	case segue.PhaseRolledBack:
		return "↩"
	case segue.PhaseMixed:
		return "!"
	case segue.PhaseHeld, segue.PhasePaused:
		return "‖"
	case segue.PhaseQueued:
		return "○"
	case segue.PhaseProgressing, segue.PhaseObserving, segue.PhaseRollingBack:
		return v.spinner()
	default:
		return v.spinner()
	}
}

func (v frameView) spinner() string {
	if v.last {
		return "•"
	}
	signs := [...]string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	return signs[v.tick%len(signs)]
}

// batchOf is the stage that runs, or the last one that did.
func batchOf(r api.Rollout) int {
	batch := 0
	for _, step := range r.Steps {
		if step.Status != stepWaiting {
			batch = max(batch, step.Batch)
		}
	}
	return batch
}

// below is what follows the servers: observation, reason, traffic.
func (v frameView) below(r api.Rollout, paint palette) []string {
	var lines []string
	if i := runningStep(r, segue.StepObserve); i >= 0 {
		lines = append(lines, v.observation(r, r.Steps[i], paint)...)
	} else if r.Verdict != nil && (r.Verdict.Ruling == segue.RulingFail || waitsForPerson(r)) {
		// Whoever has to decide decides on this.
		lines = append(lines, findingLines(*r.Verdict, paint, "    ")...)
	}
	lines = append(lines, v.database(r, paint)...)
	switch {
	case r.Phase.Over() && !v.last:
		lines = append(lines, "  "+paint.faint("counting up the receipt"))
	case r.Phase == segue.PhaseHeld || r.Phase == segue.PhasePaused:
		lines = append(lines, "  "+paint.warn("waits for you")+becauseOf(r))
	case r.Reason != "" && r.Phase == segue.PhaseRollingBack:
		lines = append(lines, "  "+paint.warn("because ")+printable(r.Reason))
	}
	if traffic := trafficLine(v.rates[r.Service], r, paint); traffic != "" && !v.last {
		lines = append(lines, "  "+traffic)
	}
	return lines
}

// database says which step of a database is under way, and how far it is.
func (v frameView) database(r api.Rollout, paint palette) []string {
	var lines []string
	for _, step := range r.Steps {
		if step.Database == "" || step.Status != stepRunning || step.Kind == segue.StepApprove {
			continue
		}
		line := fmt.Sprintf("  %s %s %s", paint.candidate(string(step.Kind)), printable(string(step.Database)+": "+step.Title), clock(v.now.Sub(step.Since)))
		if step.Waiting != "" {
			line += paint.faint(" · ") + printable(step.Waiting)
		}
		if p := step.Progress; p != nil && p.Total > 0 {
			share := min(1, float64(p.Done)/float64(p.Total))
			lines = append(lines, line, "    "+bar(paint, share, 20)+" "+paint.faint(progressText(operator.Change{Progress: p})))
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

func runningStep(r api.Rollout, kind segue.StepKind) int {
	return slices.IndexFunc(r.Steps, func(step api.StepStatus) bool { return step.Kind == kind && step.Status == stepRunning })
}

// observation says how long it still looks, and what was found so far.
func (v frameView) observation(r api.Rollout, step api.StepStatus, paint palette) []string {
	left := step.Since.Add(step.For).Sub(v.now)
	line := fmt.Sprintf("  observing %s", paint.candidate(string(r.Candidate)))
	switch {
	case step.Since.IsZero():
		line += " for " + span(step.For)
	case left > 0:
		// Rounded up: the last second is one second, not none.
		line += " " + bar(paint, 1-float64(left)/float64(max(step.For, 1)), 20) + " " + clock(left+time.Second-1) + " left of " + span(step.For)
	default:
		line += ": " + span(step.For) + " are over, not enough data yet"
	}
	lines := []string{line}
	if r.Verdict == nil || r.Verdict.At.Before(step.Since) {
		return append(lines, "    "+paint.faint("no verdict yet"))
	}
	return append(lines, findingLines(*r.Verdict, paint, "    ")...)
}

// bar draws a share of a width.
func bar(paint palette, share float64, cells int) string {
	full := min(max(int(share*float64(cells)+0.5), 0), cells)
	return paint.candidate(strings.Repeat("━", full)) + paint.faint(strings.Repeat("─", cells-full))
}

// findingLines are a verdict's findings with their figures, in columns.
func findingLines(verdict segue.Verdict, paint palette, indent string) []string {
	const most = 6
	t := &table{head: []string{"judge", "ruling", "value", "baseline", "limit", "samples", ""}, right: map[int]bool{2: true, 3: true, 4: true, 5: true}}
	var texts []string
	for i, f := range verdict.Findings {
		if i == most {
			texts = append(texts, fmt.Sprintf("and %s more", plural(len(verdict.Findings)-most, "finding")))
			break
		}
		about := ""
		if f.Server != "" {
			about = " " + string(f.Server)
		}
		t.row(printable(f.Judge+about), paint.ruling(f.Ruling, rulingWord(f.Ruling)), figure(f.Value, f.Unit), figure(f.Baseline, f.Unit),
			figure(f.Limit, f.Unit), samples(f), needed(f))
	}
	if len(t.rows) == 0 {
		return []string{indent + paint.ruling(verdict.Ruling, rulingWord(verdict.Ruling))}
	}
	lines := t.lines(paint)
	for i := range lines {
		lines[i] = indent + lines[i]
	}
	for _, text := range texts {
		lines = append(lines, indent+paint.faint(text))
	}
	return lines
}

// samples are those of value and baseline.
func samples(f segue.Finding) string {
	if f.BaselineSamples == 0 {
		return count(f.Samples)
	}
	return count(f.Samples) + " / " + count(f.BaselineSamples)
}

// needed says what is missing, where something is.
func needed(f segue.Finding) string {
	if f.Needed == 0 || f.Samples >= f.Needed && f.BaselineSamples >= f.Needed {
		return ""
	}
	return "needs " + count(f.Needed)
}

// trafficLine is each release's share.
func trafficLine(all []rate, r api.Rollout, paint palette) string {
	parts := make([]string, 0, len(all))
	for _, each := range all {
		if each.backends == 0 && each.perSecond == 0 {
			// A release of the past, whose counters the balancer still has.
			continue
		}
		name := string(each.release)
		switch each.release {
		case r.Candidate:
			name = paint.candidate(name)
		case r.Stable:
			name = paint.stable(name)
		}
		part := fmt.Sprintf("%s %.0f %% %.0f/s", name, 100*each.share, each.perSecond)
		if each.errors > 0 {
			part += " " + paint.bad(fmt.Sprintf("%.1f errors/s", each.errors))
		}
		if each.inFlight > 0 {
			part += fmt.Sprintf(" %d in flight", each.inFlight)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return paint.faint("traffic ") + strings.Join(parts, paint.faint(" · "))
}

// footer says what one can do.
func (v frameView) footer(paint palette) string {
	switch {
	case v.away:
		return paint.warn("no controller answers; connecting again (the servers and the proxy go on)")
	case !v.answers:
		return paint.faint("Ctrl-C ends the view; the rollout goes on")
	case slices.ContainsFunc(v.rollouts, func(r api.Rollout) bool { return waitsForPerson(r) }):
		return paint.faint("Ctrl-C: go on, abort, or leave it")
	default:
		return paint.faint("Ctrl-C: leave it running, pause, or abort")
	}
}
