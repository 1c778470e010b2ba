package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/segue-deploy/segue"
	"github.com/segue-deploy/segue/internal/api"
)

// narrator turns the events of rollouts into lines for output that is only appended. It is pure: it knows what it was told and nothing else.
type narrator struct {
	stories map[segue.RolloutID]*story
	// stale is true when an event has changed what a look at the rollout shows.
	stale bool
}

func newNarrator() *narrator { return &narrator{stories: map[segue.RolloutID]*story{}} }

// story is one rollout as told so far.
type story struct {
	// plan is the present one; number counts the rollout's plans, 0 when it came from a look and its number is not known.
	plan     segue.Plan
	number   int
	from, to segue.ReleaseName
	done     map[segue.StepID]time.Time
	// started is when steps began, as far as a look has shown.
	started map[segue.StepID]time.Time
	// begun is when the present plan began, groups when each of its groups did.
	begun   time.Time
	groups  map[string]time.Time
	batch   int
	rulings string
	told    map[segue.StepID]bool
}

func (n *narrator) story(id segue.RolloutID) *story {
	s, ok := n.stories[id]
	if !ok {
		s = &story{}
		n.stories[id] = s
	}
	return s
}

// seed gives a rollout's plan where its opening was not seen.
func (n *narrator) seed(r api.Rollout) {
	s := n.story(r.ID)
	if len(s.plan.Steps) > 0 {
		s.observe(r)
		return
	}
	if len(r.Steps) == 0 {
		return
	}
	s.from, s.to = r.Stable, r.Candidate
	plan := segue.Plan{Service: r.Service, Goal: r.Goal, Batches: r.Batches}
	for _, step := range r.Steps {
		plan.Steps = append(plan.Steps, step.Step)
	}
	s.adopt(plan, 0, r.OpenedAt)
	for _, step := range r.Steps {
		s.told[step.ID] = step.Status != stepWaiting
		if step.Status != stepWaiting {
			s.batch = max(s.batch, step.Batch)
		}
		if !step.Until.IsZero() {
			s.done[step.ID] = step.Until
		}
	}
	s.observe(r)
}

// observe takes from a look when steps of the present plan really began: some wait for capacity, which no event tells.
func (s *story) observe(r api.Rollout) {
	for _, step := range r.Steps {
		if known, ok := s.plan.Step(step.ID); ok && !step.Since.IsZero() && known.Kind == step.Kind && known.Instance == step.Instance && !step.Since.Before(s.begun) {
			s.started[step.ID] = step.Since
		}
	}
}

func (s *story) adopt(plan segue.Plan, number int, at time.Time) {
	s.plan, s.number, s.begun, s.batch = plan, number, at, 0
	s.done, s.started = map[segue.StepID]time.Time{}, map[segue.StepID]time.Time{}
	s.groups, s.told = map[string]time.Time{}, map[segue.StepID]bool{}
}

// lines tells one event.
func (n *narrator) lines(entry segue.Entry) []string {
	n.stale = true
	s, event := n.story(entry.Event.Rollout), entry.Event
	switch event.Kind {
	case segue.EventOpened:
		return s.opened(event.Opening, entry.At)
	case segue.EventPlanned:
		return s.planned(event, entry.At)
	case segue.EventStepDone, segue.EventStepFailed:
		return s.step(event, entry.At)
	case segue.EventVerdict:
		return append(s.verdict(event.Verdict), s.looked(event, entry.At)...)
	case segue.EventOrder:
		return append([]string{orderLine(event.Order)}, s.ordered(event.Order, entry.At)...)
	case segue.EventInstanceDown, segue.EventInstanceUp, segue.EventServerJoined, segue.EventServerLeft, segue.EventStray:
		return []string{incidentLine(event)}
	case segue.EventReceipt:
		return []string{"receipt is ready"}
	default:
		return nil
	}
}

func (s *story) opened(opening *segue.Opening, at time.Time) []string {
	if opening == nil {
		return nil
	}
	s.from, s.to = opening.Stable.Name, opening.Candidate.Name
	line := fmt.Sprintf("rollout opened: %s to %s, %s, %s", orNone(s.from), s.to, opening.Settings.Strategy.Kind, plural(len(opening.Settings.Servers), "server"))
	if opening.By != "" {
		line += ", by " + opening.By
	}
	if opening.Queued {
		return []string{line + "; it waits for the rollout before it"}
	}
	s.adopt(opening.Plan, 1, at)
	return append([]string{line}, s.begins(at)...)
}

func (s *story) planned(event segue.Event, at time.Time) []string {
	if event.Plan == nil {
		if event.Failure == nil {
			return nil
		}
		return []string{"no plan could be made: " + event.Failure.Message}
	}
	s.adopt(*event.Plan, event.PlanNumber, at)
	line := "fresh plan: on to " + string(event.Plan.To)
	switch event.Plan.Goal {
	case segue.GoalBack:
		line = "fresh plan: back to " + orNone(event.Plan.To)
	case segue.GoalJoin:
		line = "fresh plan: servers that joined get " + string(event.Plan.To)
	case segue.GoalForward:
	}
	line += ", " + plural(len(event.Plan.Steps), "step")
	return append([]string{line}, s.begins(at)...)
}

// present says whether an event is about the present plan.
func (s *story) present(event segue.Event) bool {
	return s.number == 0 || event.PlanNumber == 0 || event.PlanNumber == s.number
}

func (s *story) step(event segue.Event, at time.Time) []string {
	step, ok := s.plan.Step(event.Step)
	if !ok || !s.present(event) {
		return nil
	}
	if event.Kind == segue.EventStepFailed {
		lines := []string{failedLine(step, event)}
		if event.Failure != nil && event.Failure.Hint != "" {
			lines = append(lines, "  hint: "+event.Failure.Hint)
		}
		return lines
	}
	since := s.since(step)
	s.done[step.ID] = at
	var lines []string
	if line := s.doneLine(step, event.Outcome, at.Sub(since), at); line != "" {
		lines = append(lines, line)
	}
	return append(lines, s.begins(at)...)
}

// looked ends an observation with its last verdict; a failing one is followed by a fresh plan, or held.
func (s *story) looked(event segue.Event, at time.Time) []string {
	step, ok := s.plan.Step(event.Step)
	if !ok || !s.present(event) || event.Verdict == nil || !event.Verdict.Final || event.Verdict.Ruling == segue.RulingFail {
		return nil
	}
	s.done[step.ID] = at
	return s.begins(at)
}

// ordered ends what waited for a person, or was looked at, and was promoted past.
func (s *story) ordered(order *segue.Order, at time.Time) []string {
	if order == nil || order.Verb != segue.VerbPromote && order.Verb != segue.VerbApprove {
		return nil
	}
	for _, step := range s.plan.Steps {
		if waits := step.Kind == segue.StepObserve || step.Kind == segue.StepApprove; waits && s.told[step.ID] && s.done[step.ID].IsZero() {
			s.done[step.ID] = at
		}
	}
	return s.begins(at)
}

// since is when a step began: as a look has shown, else when the last one that it waits for was done.
func (s *story) since(step segue.Step) time.Time {
	if at, ok := s.started[step.ID]; ok {
		return at
	}
	since := s.begun
	for _, before := range step.After {
		if at := s.done[before]; at.After(since) {
			since = at
		}
	}
	return since
}

// begins tells what begins now that is worth a line: a batch, an observation, a wait for a person.
func (s *story) begins(at time.Time) []string {
	var lines []string
	for _, step := range s.plan.Steps {
		if s.told[step.ID] || !s.done[step.ID].IsZero() {
			continue
		}
		if slices.ContainsFunc(step.After, func(before segue.StepID) bool { return s.done[before].IsZero() }) {
			continue
		}
		s.told[step.ID] = true
		if step.Group != "" && s.groups[step.Group].IsZero() {
			s.groups[step.Group] = at
		}
		if step.Server != "" && step.Batch > s.batch {
			s.batch = step.Batch
			lines = append(lines, fmt.Sprintf("batch %d of %d", s.batch, max(s.batch, s.plan.Batches)))
		}
		switch step.Kind {
		case segue.StepObserve:
			s.rulings = ""
			lines = append(lines, fmt.Sprintf("observing %s for %s", s.to, span(step.For)))
		case segue.StepApprove:
			line := "waits for approval"
			if step.Why != "" {
				line += ": " + step.Why
			}
			lines = append(lines, line)
		case segue.StepBackfill, segue.StepContract:
			lines = append(lines, fmt.Sprintf("%s %s: %s begins", step.Kind, step.Database, step.Title))
		default:
		}
	}
	return lines
}

// doneLine words the end of a step that went well.
func (s *story) doneLine(step segue.Step, outcome *segue.Outcome, took time.Duration, at time.Time) string {
	if outcome == nil {
		outcome = &segue.Outcome{}
	}
	var line string
	switch step.Kind {
	case segue.StepDrain:
		line = drainedLine(outcome)
	case segue.StepStop:
		line = "stopped " + string(step.Release)
	case segue.StepStart:
		line = "started " + string(step.Release)
	case segue.StepAwaitReady:
		line = "ready"
	case segue.StepAdmit:
		if begun := s.groups[step.Group]; !begun.IsZero() {
			took = at.Sub(begun)
		}
		line = "admitted on " + string(step.Release)
	case segue.StepObserve:
		line = "observed"
	case segue.StepApprove:
		line = "approved"
	case segue.StepFinalize:
		line = "finalized"
		if step.Release != "" {
			line += ": " + string(step.Release) + " is stable"
		}
	case segue.StepMaintenance:
		line = "maintenance page off"
		if step.On {
			line = "maintenance page on"
		}
	case segue.StepExpand, segue.StepBackfill, segue.StepContract:
		line = fmt.Sprintf("%s %s: %s", step.Kind, step.Database, step.Title)
		if outcome.Owed != "" {
			line += ", stays owed: " + outcome.Owed
		}
	default:
		line = string(step.Kind) + " done"
	}
	if step.Server != "" {
		line = string(step.Server) + " " + line
	}
	if step.Kind != segue.StepFinalize && step.Kind != segue.StepApprove {
		line += " (" + span(took) + ")"
	}
	if outcome.Note != "" {
		line += ": " + outcome.Note
	}
	return line
}

func drainedLine(outcome *segue.Outcome) string {
	line := "drained"
	var clauses []string
	if outcome.LongClosed > 0 {
		clauses = append(clauses, plural(outcome.LongClosed, "long connection")+" closed properly")
	}
	if outcome.Deadline {
		clauses = append(clauses, "the deadline passed")
	}
	if outcome.InFlight > 0 {
		clauses = append(clauses, plural(outcome.InFlight, "request")+" cut")
	}
	if len(clauses) > 0 {
		line += ", " + strings.Join(clauses, ", ")
	}
	return line
}

func failedLine(step segue.Step, event segue.Event) string {
	line := string(step.Kind) + " failed"
	if step.Title != "" {
		line = fmt.Sprintf("%s %s: %s failed", step.Kind, step.Database, step.Title)
	}
	if step.Server != "" {
		line = string(step.Server) + " " + line
	}
	if event.Attempt > 1 {
		line += fmt.Sprintf(", attempt %d", event.Attempt)
	}
	if event.Failure != nil {
		line += ": " + event.Failure.Message
	}
	return line
}

// verdict tells a verdict when a ruling in it is not the same as before.
func (s *story) verdict(verdict *segue.Verdict) []string {
	if verdict == nil {
		return nil
	}
	rulings := rulingsOf(*verdict)
	if rulings == s.rulings {
		return nil
	}
	s.rulings = rulings
	word := "verdict so far: "
	if verdict.Final {
		word = "verdict: "
	}
	lines := []string{word + rulingWord(verdict.Ruling)}
	for _, finding := range verdict.Findings {
		lines = append(lines, "  "+pad(rulingWord(finding.Ruling), len("inconclusive"))+"  "+finding.Judge+": "+finding.Text)
	}
	return lines
}

// rulingsOf tells one set of rulings from another.
func rulingsOf(verdict segue.Verdict) string {
	var all strings.Builder
	fmt.Fprintln(&all, verdict.Ruling, verdict.Final)
	for _, finding := range verdict.Findings {
		fmt.Fprintln(&all, finding.Judge, finding.Server, finding.Ruling)
	}
	return all.String()
}

// rulingWord is a ruling's word; silence is "inconclusive".
func rulingWord(ruling segue.Ruling) string {
	if ruling == "" {
		return string(segue.RulingInconclusive)
	}
	return string(ruling)
}

func orderLine(order *segue.Order) string {
	if order == nil {
		return "order"
	}
	line := "order: " + string(order.Verb)
	if order.All {
		line += " --all"
	}
	if len(order.Servers) > 0 {
		line += " " + names(order.Servers)
	}
	if order.By != "" {
		line += ", by " + order.By
	}
	if order.Why != "" {
		line += ": " + order.Why
	}
	return line
}

func incidentLine(event segue.Event) string {
	line := string(event.Server) + " "
	switch event.Kind {
	case segue.EventInstanceDown:
		line += "is down or not ready"
	case segue.EventInstanceUp:
		line += "is ready again"
	case segue.EventServerJoined:
		line += "joined"
	case segue.EventServerLeft:
		line += "left"
	case segue.EventStray:
		line += "runs " + string(event.Instance) + ", which nobody started"
	default:
		line += string(event.Kind)
	}
	if event.Failure != nil {
		line += ": " + event.Failure.Message
	}
	return line
}
